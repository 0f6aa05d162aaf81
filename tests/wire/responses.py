"""Any canonical request, answer and stream, as far as Responses can express it."""

from __future__ import annotations

from hypothesis import strategies as st

from entente.domain.events import (
    Ended,
    Event,
    LogprobsDelta,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Document,
    Image,
    Inline,
    JsonObject,
    JsonSchema,
    Link,
    Message,
    Part,
    PlainText,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    Sampling,
    Stop,
    StoredFile,
    Text,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from tests.wire.canonical import (
    ANTHROPIC_USAGES,
    ARGUMENTS,
    BASE64,
    COUNTS,
    IMAGE_SOURCES,
    NAMES,
    SCHEMAS,
    TEXTS,
    maybe,
    several,
)

SEALS = NAMES.map(lambda name: f"openai:rs_{name}:{name}")
_LIKELY = st.builds(TokenLogprob, TEXTS, st.floats(-20, 0), st.just((104, 105)))
TOKENS = st.builds(TokenLogprob, TEXTS, st.floats(-20, 0), st.just((104, 105)), several(_LIKELY))
"""The bytes of a token are always told here."""
THOUGHTS = st.builds(Thinking, TEXTS, SEALS) | st.builds(RedactedThinking, SEALS)


def _message() -> st.SearchStrategy[Message]:
    text = st.builds(Text, TEXTS)
    image = st.builds(
        Image,
        IMAGE_SOURCES | st.builds(StoredFile, NAMES),
        st.sampled_from([None, "low", "high"]),
    )
    document = st.one_of(
        st.builds(
            Document,
            st.builds(Inline, st.just("application/pdf"), BASE64) | st.builds(PlainText, TEXTS),
            NAMES,
        ),
        st.builds(
            Document,
            st.builds(StoredFile, NAMES) | st.just(Link("https://example.org/a.pdf")),
        ),
    )
    call = st.builds(ToolCall, NAMES, NAMES, ARGUMENTS)
    said = several(text | st.builds(Refusal, TEXTS) | call | THOUGHTS, 1)
    result = st.builds(ToolResult, NAMES, several(text | image | document))
    return st.one_of(
        st.builds(Message, st.sampled_from([Role.SYSTEM, Role.DEVELOPER]), several(text)),
        st.builds(Message, st.just(Role.USER), several(text | image | document)),
        st.builds(Message, st.just(Role.ASSISTANT), said),
        st.builds(Message, st.just(Role.TOOL), several(result, 1)),
    )


def _apart(messages: list[Message]) -> tuple[Message, ...]:
    """Leave out what would be one message with the one before it."""
    kept: list[Message] = []
    for message in messages:
        joins = message.role in (Role.ASSISTANT, Role.TOOL)
        if not (kept and kept[-1].role is message.role and joins):
            kept.append(message)
    return tuple(kept)


SAMPLINGS = st.builds(
    Sampling,
    temperature=maybe(st.floats(0, 2)),
    top_p=maybe(st.floats(0, 1)),
    frequency_penalty=maybe(st.floats(-2, 2)),
    presence_penalty=maybe(st.floats(-2, 2)),
    output_tokens_max=maybe(st.integers(16, 9999)),
    logprobs=st.sampled_from([True]),
    top_logprobs=maybe(st.integers(0, 20)),
) | st.builds(Sampling, output_tokens_max=maybe(st.integers(16, 9999)))


@st.composite
def responses_requests(draw: st.DrawFn) -> ChatRequest:
    """Draw any request that Responses can express."""
    tools = draw(several(st.builds(Tool, NAMES, maybe(TEXTS), SCHEMAS, st.booleans())))
    choices = [
        None,
        ToolChoice(ToolMode.AUTO),
        ToolChoice(ToolMode.NONE),
        ToolChoice(ToolMode.REQUIRED),
        ToolChoice(ToolMode.NAMED, "a"),
        ToolChoice(ToolMode.REQUIRED, allowed=("a", "b")),
    ]
    return ChatRequest(
        model="m",
        messages=_apart(draw(st.lists(_message(), min_size=1, max_size=5))),
        tools=tools,
        tool_choice=draw(st.sampled_from(choices)) if tools else None,
        parallel_tool_calls=draw(maybe(st.booleans())) if tools else None,
        response_format=draw(
            st.one_of(
                st.none(),
                st.just(JsonObject()),
                st.builds(JsonSchema, SCHEMAS, NAMES, maybe(TEXTS), maybe(st.booleans())),
            )
        ),
        sampling=draw(SAMPLINGS),
        reasoning=draw(
            st.sampled_from(
                [
                    None,
                    Reasoning(enabled=False),
                    Reasoning(enabled=True, effort="xhigh"),
                    Reasoning(enabled=True, effort="low", summary="auto"),
                    Reasoning(summary="detailed"),
                ]
            )
        ),
        verbosity=draw(st.sampled_from([None, "low"])),
        user=draw(maybe(NAMES)),
        service_tier=draw(st.sampled_from([None, "auto", "flex"])),
        stream=draw(st.booleans()),
    )


@st.composite
def responses_answers(draw: st.DrawFn) -> ChatAnswer:
    """Draw any whole answer that Responses can express, with any vendor's signatures."""
    calls = st.builds(ToolCall, NAMES, NAMES, ARGUMENTS)
    thoughts = st.builds(Thinking, TEXTS, maybe(NAMES)) | st.builds(RedactedThinking, NAMES)
    part: st.SearchStrategy[Part] = st.one_of(
        thoughts, st.builds(Text, TEXTS), st.builds(Refusal, TEXTS), calls
    )
    parts = draw(several(part))
    called = any(isinstance(part, ToolCall) for part in parts)
    stops = [Stop.LENGTH, Stop.FILTERED, Stop.TOOL_CALLS if called else Stop.END, None]
    spoken = any(isinstance(part, Text) for part in parts)
    choice = Choice(
        parts=parts,
        stop=draw(st.sampled_from(stops)),
        logprobs=draw(maybe(several(TOKENS, 1))) if spoken else None,
    )
    return ChatAnswer(
        id="resp_" + draw(NAMES),
        model=draw(NAMES),
        choices=(choice,),
        usage=draw(maybe(ANTHROPIC_USAGES)),
        created_s=draw(COUNTS),
        service_tier=draw(st.sampled_from([None, "default", "priority"])),
    )


@st.composite
def responses_streams(draw: st.DrawFn) -> list[Event]:
    """Draw a stream that came to its end, its thoughts as a provider of this dialect has them."""
    found: list[Event] = [Started("resp_a", "m", 5)]
    kinds = draw(st.lists(st.sampled_from("tsrxc"), max_size=5))
    calls = 0
    for before, kind in zip(["", *kinds], kinds, strict=False):
        match kind:
            case "t" if before != "t":
                found.extend(ThinkingDelta(text) for text in draw(several(TEXTS, 1)))
                found.append(ThinkingDelta("", draw(NAMES)))
            case "s":
                if draw(st.booleans()):
                    found.append(LogprobsDelta(draw(several(TOKENS, 1))))
                found.append(TextDelta(draw(TEXTS)))
            case "r":
                found.append(RefusalDelta(draw(TEXTS)))
            case "x":
                found.append(RedactedThinkingPart(draw(NAMES)))
            case "c":
                found.append(ToolCallStarted(calls, f"call_{calls}", draw(NAMES)))
                found.extend(ToolArgumentsDelta(calls, text) for text in draw(several(TEXTS)))
                calls += 1
            case _:
                pass
    end = Stop.TOOL_CALLS if calls else Stop.END
    found.append(Ended(draw(st.sampled_from([end, Stop.LENGTH, Stop.FILTERED]))))
    found.append(Used(draw(ANTHROPIC_USAGES)))
    return found
