"""Any canonical request, answer and stream, as far as a dialect can express it."""

from __future__ import annotations

from typing import Final, TypeVar

from hypothesis import strategies as st

from entente.domain.events import (
    Ended,
    Event,
    RedactedThinkingPart,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import (
    Audio,
    CacheMark,
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
from entente.domain.usage import TOKEN_CLASSES, Usage

T = TypeVar("T")

TEXTS: Final = st.text(st.sampled_from('ab "\\\n\u00e4\u4e16\U0001f600'), min_size=1, max_size=8)
NAMES: Final = st.text(st.sampled_from("abc_1"), min_size=1, max_size=5)
ARGUMENTS: Final = st.sampled_from(["{}", '{"a":1}', '{"a":"\\u00e4 \\"","b":[null,1.5]}'])
SCHEMAS: Final = st.sampled_from(
    [
        b'{"type":"object","properties":{}}',
        b'{"type":"object","properties":{"a":{"type":"number","maximum":1.50}},"required":["a"]}',
    ]
)
BASE64: Final = st.sampled_from(["aGk=", "AAAA", "/+8="])
CACHE: Final = st.sampled_from([None, CacheMark.DEFAULT, CacheMark.ONE_HOUR])


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """It or None."""
    return st.none() | strategy


def several(strategy: st.SearchStrategy[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    """A few of it."""
    return st.lists(strategy, min_size=least, max_size=3).map(tuple)


IMAGE_SOURCES: Final = st.one_of(
    st.builds(Inline, st.sampled_from(["image/png", "image/jpeg"]), BASE64),
    st.just(Link("https://example.org/a.png")),
)
COUNTS: Final = st.integers(0, 1000)
TOKENS: Final = st.builds(
    TokenLogprob,
    TEXTS,
    st.floats(-20, 0),
    maybe(st.just((104, 105))),
    several(st.builds(TokenLogprob, TEXTS, st.floats(-20, 0), st.just((104,)))),
)
LOGPROBS: Final = maybe(several(TOKENS, 1))

# ---- OpenAI ----


def _openai_message() -> st.SearchStrategy[Message]:
    text = st.builds(Text, TEXTS)
    document = st.builds(
        Document,
        st.one_of(
            st.builds(Inline, st.just("application/pdf"), BASE64),
            st.builds(StoredFile, NAMES),
            st.builds(PlainText, TEXTS),
        ),
        maybe(NAMES),
    )
    image = st.builds(Image, IMAGE_SOURCES, st.sampled_from([None, "low", "high"]))
    audio = st.builds(Audio, BASE64, st.sampled_from(["wav", "mp3"]))
    system = st.sampled_from([Role.SYSTEM, Role.DEVELOPER])
    calls = several(st.builds(ToolCall, NAMES, NAMES, ARGUMENTS))
    said = several(text | st.builds(Refusal, TEXTS))
    return st.one_of(
        st.builds(Message, system, several(text), maybe(NAMES)),
        st.builds(
            Message, st.just(Role.USER), several(text | image | document | audio), maybe(NAMES)
        ),
        st.builds(
            Message, st.just(Role.ASSISTANT), st.tuples(said, calls).map(lambda p: p[0] + p[1])
        ),
        st.builds(
            Message, st.just(Role.TOOL), several(st.builds(ToolResult, NAMES, several(text)), 1)
        ),
    )


def _no_twins(messages: list[Message], *roles: Role) -> tuple[Message, ...]:
    """Leave out a message that would follow another one of the same role, if it is of these."""
    kept: list[Message] = []
    for message in messages:
        if not (kept and kept[-1].role is message.role and message.role in roles):
            kept.append(message)
    return tuple(kept)


@st.composite
def openai_requests(draw: st.DrawFn) -> ChatRequest:
    """Draw any request that chat completions can express."""
    tools = draw(
        several(st.builds(Tool, NAMES, maybe(TEXTS), maybe(SCHEMAS), maybe(st.booleans())))
    )
    choices = [
        None,
        ToolChoice(ToolMode.AUTO),
        ToolChoice(ToolMode.NONE),
        ToolChoice(ToolMode.REQUIRED),
        ToolChoice(ToolMode.NAMED, "a"),
        ToolChoice(ToolMode.AUTO, allowed=("a", "b")),
    ]
    return ChatRequest(
        model="m",
        messages=_no_twins(draw(st.lists(_openai_message(), min_size=1, max_size=5)), Role.TOOL),
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
        sampling=draw(
            st.builds(
                Sampling,
                temperature=maybe(st.floats(0, 2)),
                top_p=maybe(st.floats(0, 1)),
                seed=maybe(st.integers(-(2**40), 2**40)),
                frequency_penalty=maybe(st.floats(-2, 2)),
                presence_penalty=maybe(st.floats(-2, 2)),
                stop=several(TEXTS),
                output_tokens_max=maybe(st.integers(1, 9999)),
                choices=st.integers(1, 4),
                logprobs=st.booleans(),
                top_logprobs=maybe(st.integers(0, 20)),
            )
        ),
        reasoning=draw(
            st.sampled_from(
                [None, Reasoning(enabled=False), Reasoning(enabled=True, effort="minimal")]
            )
        ),
        verbosity=draw(st.sampled_from([None, "low"])),
        user=draw(maybe(NAMES)),
        service_tier=draw(st.sampled_from([None, "auto", "flex"])),
        stream=draw(st.booleans()),
    )


CHAT_CLASSES: Final = tuple(
    name for name in TOKEN_CLASSES if not name.startswith("image") and name != "cache_write_1h"
)
"""Chat counts pictures as text, and tells no cache from another."""
USAGES: Final = maybe(st.builds(Usage, **dict.fromkeys(CHAT_CLASSES, COUNTS)))


@st.composite
def openai_answers(draw: st.DrawFn) -> ChatAnswer:
    """Draw any whole answer that chat completions can express."""

    def choice(index: int) -> Choice:
        parts: list[Part] = []
        for kind in (Thinking, Text, Refusal):
            text = draw(maybe(TEXTS))
            if text is not None:
                parts.append(kind(text))
        calls = draw(several(st.builds(ToolCall, NAMES, NAMES, ARGUMENTS)))
        stops = [Stop.LENGTH, Stop.FILTERED, None, Stop.TOOL_CALLS if calls else Stop.END]
        return Choice(
            index=index,
            parts=(*parts, *calls),
            stop=draw(st.sampled_from(stops)),
            logprobs=draw(LOGPROBS),
            refusal_logprobs=draw(LOGPROBS),
        )

    return ChatAnswer(
        id="chatcmpl-" + draw(NAMES),
        model=draw(NAMES),
        choices=tuple(choice(index) for index in range(draw(st.integers(1, 3)))),
        usage=draw(USAGES),
        created_s=draw(COUNTS),
        service_tier=draw(st.sampled_from([None, "default", "flex"])),
    )


# ---- Anthropic ----


def _anthropic_message() -> st.SearchStrategy[Message]:
    text = st.builds(Text, TEXTS, CACHE)
    image = st.builds(Image, IMAGE_SOURCES | st.builds(StoredFile, NAMES), st.none(), CACHE)
    document = st.builds(
        Document,
        st.one_of(
            st.builds(Inline, st.just("application/pdf"), BASE64),
            st.builds(StoredFile, NAMES),
            st.builds(PlainText, TEXTS),
            st.builds(Link, st.just("https://example.org/a.pdf")),
        ),
        maybe(NAMES),
        maybe(TEXTS),
        st.booleans(),
        CACHE,
    )
    call = st.builds(ToolCall, NAMES, NAMES, ARGUMENTS, CACHE)
    thought = st.builds(Thinking, TEXTS, NAMES) | st.builds(RedactedThinking, NAMES)
    result = st.builds(ToolResult, NAMES, several(text | image | document), st.booleans(), CACHE)
    return st.one_of(
        st.builds(Message, st.just(Role.USER), several(text | image | document, 1)),
        st.builds(Message, st.just(Role.ASSISTANT), several(thought | text | call, 1)),
        st.builds(Message, st.just(Role.TOOL), several(result, 1)),
    )


@st.composite
def anthropic_requests(draw: st.DrawFn) -> ChatRequest:
    """Draw any request that messages can express."""
    tools = draw(
        several(st.builds(Tool, NAMES, maybe(TEXTS), SCHEMAS, maybe(st.booleans()), CACHE))
    )
    system = draw(several(st.builds(Text, TEXTS, CACHE)))
    messages = _no_twins(draw(st.lists(_anthropic_message(), min_size=1, max_size=5)), *Role)
    modes = [ToolMode.AUTO, ToolMode.REQUIRED]
    choices = [*[ToolChoice(mode) for mode in modes], ToolChoice(ToolMode.NAMED, "a")]
    parallel = draw(maybe(st.booleans())) if tools else None
    choice = draw(st.sampled_from(choices)) if parallel is not None else None
    if tools and parallel is None:
        choice = draw(st.sampled_from([None, ToolChoice(ToolMode.NONE), *choices]))
    return ChatRequest(
        model="m",
        messages=(*([Message(Role.SYSTEM, system)] if system else []), *messages),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=draw(maybe(SCHEMAS.map(lambda schema: JsonSchema(schema, strict=True)))),
        sampling=draw(
            st.builds(
                Sampling,
                temperature=maybe(st.floats(0, 1)),
                top_p=maybe(st.floats(0, 1)),
                top_k=maybe(st.integers(0, 50)),
                stop=several(TEXTS),
                output_tokens_max=st.integers(1, 9999),
            )
        ),
        reasoning=draw(
            st.sampled_from(
                [
                    None,
                    Reasoning(enabled=False),
                    Reasoning(enabled=True),
                    Reasoning(effort="low"),
                    Reasoning(enabled=True, effort="max"),
                    Reasoning(enabled=True, budget_tokens=2048),
                    Reasoning(enabled=True, effort="high", budget_tokens=2048),
                ]
            )
        ),
        user=draw(maybe(NAMES)),
        service_tier=draw(st.sampled_from([None, "auto", "default"])),
        cache=draw(CACHE),
        stream=draw(st.booleans()),
    )


ANTHROPIC_USAGES: Final = st.builds(
    Usage,
    input=COUNTS,
    cache_read=COUNTS,
    cache_write=COUNTS,
    output=COUNTS,
    reasoning=COUNTS,
)


@st.composite
def anthropic_answers(draw: st.DrawFn) -> ChatAnswer:
    """Draw any whole answer that messages can express."""
    calls = draw(several(st.builds(ToolCall, NAMES, NAMES, ARGUMENTS)))
    thought = st.builds(Thinking, TEXTS, maybe(NAMES)) | st.builds(RedactedThinking, NAMES)
    parts = draw(several(thought | st.builds(Text, TEXTS)))
    stops = [Stop.LENGTH, Stop.CONTEXT, Stop.REFUSAL, Stop.PAUSE, None]
    stop = draw(st.sampled_from([*stops, Stop.TOOL_CALLS if calls else Stop.END]))
    sequence = None
    if draw(st.booleans()):
        stop, sequence = Stop.STOP_SEQUENCE, draw(TEXTS)
    choice = Choice(parts=(*parts, *calls), stop=stop, stop_sequence=sequence)
    return ChatAnswer(
        id="msg_" + draw(NAMES),
        model=draw(NAMES),
        choices=(choice,),
        usage=draw(ANTHROPIC_USAGES),
        service_tier=draw(st.sampled_from([None, "default", "priority"])),
    )


# ---- streams ----


@st.composite
def streams(draw: st.DrawFn, *, signed: bool) -> list[Event]:
    """Draw a stream of one choice that came to its end; `signed` as Anthropic's thoughts are."""
    found: list[Event] = [Started("msg_a" if signed else "chatcmpl-a", "m", None if signed else 5)]
    for _ in range(draw(st.integers(0, 3))):
        found.extend(ThinkingDelta(text) for text in draw(several(TEXTS, 1)))
        if signed:
            found.append(ThinkingDelta("", draw(NAMES)))
            found.extend(RedactedThinkingPart(data) for data in draw(several(NAMES)))
        found.extend(TextDelta(text) for text in draw(several(TEXTS, 1)))
    calls = draw(st.integers(0, 3))
    for index in range(calls):
        found.append(ToolCallStarted(index, f"call_{index}", draw(NAMES)))
        pieces = draw(several(TEXTS, 1 if signed else 0))
        found.extend(ToolArgumentsDelta(index, text) for text in pieces)
    stops = [Stop.TOOL_CALLS if calls else Stop.END, Stop.LENGTH]
    found.append(Ended(draw(st.sampled_from(stops))))
    found.append(Used(draw(ANTHROPIC_USAGES)))
    return found
