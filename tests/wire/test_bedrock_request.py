"""Requests of Converse: each is one that AWS's own SDK would send, and nothing is lost unsaid."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from entente.domain.errors import InvalidParameter
from entente.domain.features import OnLoss
from entente.domain.inference import (
    Audio,
    CacheMark,
    ChatRequest,
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
    StoredFile,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    VendorTool,
)
from entente.wire import bedrock
from entente.wire.bedrock.content import call_id
from entente.wire.bedrock.families import Family, family_of, thinks_adaptively
from tests.kit.aws import converse_defects

CLAUDE_NEW = "us.anthropic.claude-opus-4-7-v1:0"
CLAUDE_OLD = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-2-lite-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
PNG = "iVBORw0KGgo="
SCHEMA = b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
HELLO = Message(Role.USER, (Text("Hello"),))


def written(
    *messages: Message, model: str = CLAUDE_NEW, bound: int | None = None, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write a request, hold it against the SDK, and give its body and what it lost."""
    request = ChatRequest(model="client", messages=messages or (HELLO,), **fields)
    result = bedrock.write_request(
        request, model=model, output_tokens_max=bound, on_loss=OnLoss.DROP
    )
    assert converse_defects(result.body) == ""
    assert converse_defects(result.body, "ConverseStream") == ""
    return json.loads(result.body), result.dropped


def blocks(*parts: Part, role: Role = Role.USER, model: str = CLAUDE_NEW) -> list[dict[str, Any]]:
    """Write parts of one message, losing nothing."""
    body, lost = written(Message(role, parts), model=model)
    assert lost == ()
    return list(body["messages"][0]["content"])


def lost_of(*parts: Part, role: Role = Role.USER, model: str = CLAUDE_NEW) -> tuple[str, ...]:
    """Write parts of one message between others; give what is lost."""
    return written(HELLO, Message(role, parts), HELLO, model=model)[1]


def test_no_two_documents_have_the_same_name() -> None:
    """AWS refuses them, wherever they stand, and does not tell capitals from small letters."""
    pdf = Inline("application/pdf", PNG)
    names = [None, None, "a 2", "a.", "A", "a", "x" * 300, "x" * 200]
    said = [Document(pdf, name) for name in names]
    result = Message(Role.TOOL, (ToolResult("c", (Document(pdf),)),))
    call = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
    body, _ = written(Message(Role.USER, tuple(said)), call, result)
    first, _, last = (message["content"] for message in body["messages"])
    assert [block["document"]["name"] for block in first] == [
        *("document", "document 2", "a 2", "a", "A 3", "a 4", "x" * 200, "x" * 198 + " 2")
    ]
    assert last[0]["toolResult"]["content"][0]["document"]["name"] == "document 3"


def test_the_oracle_sees() -> None:
    """It finds what is missing, unknown, or two things at once."""
    for body in (
        b'{"messages":[{"role":"user"}]}',
        b'{"message":[]}',
        b'{"messages":[{"role":"user","content":[{"text":"a","image":{}}]}]}',
    ):
        assert converse_defects(body) != ""


def test_a_plain_request() -> None:
    """What nobody asked for is not there."""
    assert written() == ({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}, ())


def test_a_conversation() -> None:
    """The operator apart, the turns by two sides, parallel results in one turn."""
    body, lost = written(
        Message(Role.SYSTEM, (Text("Be brief."),)),
        Message(Role.DEVELOPER, (Text("In French."),)),
        HELLO,
        Message(
            Role.ASSISTANT,
            (
                Text("I look."),
                ToolCall("call_1", "weather", '{"city": "Paris", "n": 1e2}'),
                ToolCall("call_2", "time", ""),
            ),
        ),
        Message(
            Role.TOOL,
            (ToolResult("call_1", (Text("rain"),)), ToolResult("call_2", (), failed=True)),
        ),
        Message(Role.USER, (Text("And now?"),)),
        tools=(Tool("weather", "Tells it.", SCHEMA), Tool("time")),
    )
    assert lost == ()
    assert body["system"] == [{"text": "Be brief."}, {"text": "In French."}]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"text": "I look."},
        {
            "toolUse": {
                "toolUseId": "call_1",
                "name": "weather",
                "input": {"city": "Paris", "n": 100},
            }
        },
        {"toolUse": {"toolUseId": "call_2", "name": "time", "input": {}}},
    ]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "rain"}]}},
        {"toolResult": {"toolUseId": "call_2", "content": [], "status": "error"}},
        {"text": "And now?"},
    ]
    assert body["toolConfig"]["tools"] == [
        {
            "toolSpec": {
                "name": "weather",
                "inputSchema": {"json": json.loads(SCHEMA)},
                "description": "Tells it.",
            }
        },
        {
            "toolSpec": {
                "name": "time",
                "inputSchema": {"json": {"type": "object", "properties": {}}},
            }
        },
    ]


def test_the_operator_alone() -> None:
    """Converse does not answer to instructions alone, so they are the user's turn."""
    body, lost = written(Message(Role.SYSTEM, (Text("Say hi."),)))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Say hi."}]}]}
    assert lost == ("system_position",)


def test_arguments_keep_their_bytes() -> None:
    """A number that no float holds, and the order of members, go on as they are."""
    arguments = '{"z":12345678901234567890123,"a":1.10}'
    request = ChatRequest(
        model="c",
        messages=(HELLO, Message(Role.ASSISTANT, (ToolCall("c1", "f", arguments),))),
        tools=(Tool("f"),),
    )
    result = bedrock.write_request(
        request, model=CLAUDE_NEW, output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert arguments.encode() in result.body


@pytest.mark.parametrize("text", ["[1]", "broken {", '{"a":', "null", "[" * 5000])
def test_arguments_that_are_no_object(text: str) -> None:
    """They go on in a wrapper, and that is said."""
    body, lost = written(
        HELLO,
        Message(Role.ASSISTANT, (ToolCall("c1", "f", text),)),
        tools=(Tool("f"),),
    )
    (block,) = body["messages"][1]["content"]
    assert block["toolUse"]["input"] == {"arguments": text}
    assert lost == ("tool_arguments",)


def test_ids_that_converse_does_not_take() -> None:
    """Become others, the same for a call and its result."""
    body, lost = written(
        HELLO,
        Message(Role.ASSISTANT, (ToolCall("functions.f:0/ä", "f", "{}"),)),
        Message(Role.TOOL, (ToolResult("functions.f:0/ä", (Text("1"),)),)),
        tools=(Tool("f"),),
    )
    (called,), (result,) = (message["content"] for message in body["messages"][1:])
    assert called["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert lost == ()
    assert call_id("call_abc") == "call_abc"
    assert call_id("x" * 65) != call_id("x" * 66)


def test_media() -> None:
    """Images, documents and sound, in the request or in S3."""
    assert blocks(Image(Inline("image/jpg", PNG), detail="auto")) == [
        {"image": {"format": "jpeg", "source": {"bytes": PNG}}}
    ]
    assert blocks(Image(Link("s3://bucket/a.PNG"))) == [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.PNG"}}}}
    ]
    assert blocks(Document(Inline("application/pdf", PNG), name="Q3_report  v2.pdf")) == [
        {"document": {"format": "pdf", "name": "Q3 report v2 pdf", "source": {"bytes": PNG}}}
    ]
    assert blocks(Document(PlainText("hi"), context="Mine.", citations=True)) == [
        {
            "document": {
                "format": "txt",
                "name": "document",
                "source": {"bytes": "aGk="},
                "context": "Mine.",
                "citations": {"enabled": True},
            }
        }
    ]
    assert blocks(Audio(PNG, "wav")) == [{"audio": {"format": "wav", "source": {"bytes": PNG}}}]
    result = ToolResult("c1", (Text("see"), Image(Inline("image/png", PNG))))
    ((block,),) = [blocks(result)]
    assert [list(inner) for inner in block["toolResult"]["content"]] == [["text"], ["image"]]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Image(Link("https://example.test/a.png")), "image_urls"),
        (Image(StoredFile("file-1")), "file_ids"),
        (Image(Inline("image/tiff", PNG)), "images"),
        (Image(Inline("image/png", PNG), detail="high"), "image_detail"),
        (Document(Link("https://example.test/a.pdf")), "document_urls"),
        (Document(Inline("application/zip", PNG)), "documents"),
        (Document(Link("s3://bucket/a")), "documents"),
    ],
)
def test_media_that_cannot_be_said(part: Part, name: str) -> None:
    """Each is named."""
    assert lost_of(part) == (name,)


def test_thoughts_of_its_own_are_given_back() -> None:
    """With their signature, and encrypted ones; a refusal is what the model said."""
    parts = (Thinking("Hm.", "c2ln"), RedactedThinking("ZW5j"), Refusal("No."))
    assert blocks(*parts, role=Role.ASSISTANT) == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"text": "No."},
    ]


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (Thinking("Hm."), CLAUDE_NEW),
        (Thinking("Hm.", "gemini:c2ln"), CLAUDE_NEW),
        (RedactedThinking("gAAA_-"), CLAUDE_NEW),
        (Thinking("Hm.", "c2ln"), LLAMA),
    ],
)
def test_thoughts_of_others_are_left_out(part: Part, model: str) -> None:
    """A signature that is not the model's own would fail the whole request."""
    body, lost = written(HELLO, Message(Role.ASSISTANT, (part, Text("Yes."))), model=model)
    assert body["messages"][1]["content"] == [{"text": "Yes."}]
    assert lost == ("earlier_thinking",)


def test_a_turn_of_which_nothing_is_left() -> None:
    """Those around it are one, for turns have to alternate."""
    body, _ = written(HELLO, Message(Role.ASSISTANT, (Thinking("Hm."), Text(" "))), HELLO)
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hello"}] * 2}]


def test_the_cache() -> None:
    """A mark is a block of its own, in messages, system and tools."""
    body, lost = written(
        Message(Role.SYSTEM, (Text("Long.", CacheMark.ONE_HOUR),)),
        Message(Role.USER, (Text("Hi", CacheMark.FIVE_MINUTES),)),
        tools=(Tool("f", cache=CacheMark.DEFAULT),),
        cache=CacheMark.DEFAULT,
    )
    point = {"cachePoint": {"type": "default"}}
    assert lost == ()
    assert body["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][0]["content"][1:] == [
        {"cachePoint": {"type": "default", "ttl": "5m"}},
        point,
    ]
    assert body["toolConfig"]["tools"][1] == point
    marked = Message(Role.USER, (Text("Hi", CacheMark.DEFAULT),))
    assert written(marked, model=LLAMA)[1] == ("cache_control",)


def test_sampling() -> None:
    """What Converse has members for, what only the model has, and what nobody has."""
    sampling = Sampling(
        temperature=0.5, top_p=0.9, top_k=40, stop=("END", ""), output_tokens_max=100
    )
    body, lost = written(sampling=sampling, bound=50)
    assert lost == ()
    assert body["inferenceConfig"] == {
        "maxTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["END"],
    }
    assert body["additionalModelRequestFields"] == {"top_k": 40}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    nova, _ = written(sampling=sampling, model=NOVA)
    assert nova["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 40}}
    assert "additionalModelResponseFieldPaths" not in nova
    assert written(sampling=sampling, model=LLAMA)[1] == ("top_k",)
    assert written(bound=50)[0]["inferenceConfig"] == {"maxTokens": 50}
    hot, lost = written(sampling=Sampling(temperature=1.7))
    assert (hot["inferenceConfig"], lost) == ({"temperature": 1.0}, ("temperature",))


def test_what_has_no_member_is_named() -> None:
    """Every one, in the order of the writer."""
    _, lost = written(
        sampling=Sampling(
            seed=1, frequency_penalty=0.1, presence_penalty=0.1, choices=2, logprobs=True
        ),
        tools=(Tool("f"), VendorTool("web_search", b"{}")),
        parallel_tool_calls=False,
        response_format=JsonObject(),
        verbosity="low",
        user="u1",
        service_tier="scale",
        others=("metadata", "modalities"),
    )
    assert set(lost) == {
        "metadata",
        "modalities",
        "json_object",
        "vendor_tools",
        "service_tier",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "logprobs",
        "parallel_tool_calls",
        "verbosity",
        "user",
    }
    names = Message(Role.USER, (Text("Hi"),), "ann")
    late = Message(Role.SYSTEM, (Text("Late."),))
    assert written(names, late)[1] == ("name", "system_position")


def test_refused_where_losses_are_refused() -> None:
    """In OpenAI's words, with the place; hints are no reason."""
    request = ChatRequest(
        model="c", messages=(HELLO,), sampling=Sampling(seed=7), user="u", service_tier="scale"
    )
    with pytest.raises(InvalidParameter, match="'seed' cannot be expressed in the Amazon Bedrock"):
        bedrock.write_request(
            request, model=CLAUDE_NEW, output_tokens_max=None, on_loss=OnLoss.REFUSE
        )
    hinted = msgspec.structs.replace(request, sampling=Sampling())
    done = bedrock.write_request(
        hinted, model=CLAUDE_NEW, output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert set(done.dropped) == {"user", "service_tier"}


def test_a_schema_and_a_tier() -> None:
    """Structured output has a member of its own, and the schema is text in it."""
    body, lost = written(
        response_format=JsonSchema(SCHEMA, "place", "A place.", strict=True), service_tier="flex"
    )
    assert lost == ()
    assert body["serviceTier"] == {"type": "flex"}
    assert body["outputConfig"]["textFormat"] == {
        "type": "json_schema",
        "structure": {
            "jsonSchema": {
                "schema": SCHEMA.decode(),
                "name": "place",
                "description": "A place.",
            }
        },
    }
    assert written(service_tier="auto")[0] == written()[0]


F, G = Tool("f", strict=True), Tool("g")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), {"auto": {}}),
        (ToolChoice(ToolMode.REQUIRED), {"any": {}}),
        (ToolChoice(ToolMode.NAMED, "f"), {"tool": {"name": "f"}}),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice, expected: object) -> None:
    """Each mode that Converse has."""
    body, lost = written(tools=(F, G), tool_choice=choice)
    assert lost == ()
    assert body["toolConfig"]["toolChoice"] == expected
    assert body["toolConfig"]["tools"][0]["toolSpec"]["strict"] is True


def test_tools_that_must_not_be_called() -> None:
    """They are left out; but where they were called before, Converse insists on them."""
    none = ToolChoice(ToolMode.NONE)
    assert "toolConfig" not in written(tools=(F, G), tool_choice=none)[0]
    only = ToolChoice(ToolMode.REQUIRED, allowed=("g",))
    body, lost = written(tools=(F, G), tool_choice=only)
    assert lost == ()
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["g"]
    called = (
        HELLO,
        Message(Role.ASSISTANT, (ToolCall("c1", "f", "{}"),)),
        Message(Role.TOOL, (ToolResult("c1", (Text("1"),)),)),
    )
    body, lost = written(*called, tools=(G,), tool_choice=none)
    assert lost == ("tool_choice",)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["g"]
    body, lost = written(*called)
    assert lost == ("tool_choice",)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]


THINKING: dict[str, tuple[str, Reasoning, dict[str, Any], tuple[str, ...]]] = {
    "adaptive by effort": (
        CLAUDE_NEW,
        Reasoning(enabled=True, effort="max"),
        {"thinking": {"type": "adaptive"}},
        (),
    ),
    "adaptive by budget": (
        CLAUDE_NEW,
        Reasoning(budget_tokens=9000),
        {"thinking": {"type": "adaptive"}},
        ("reasoning_budget",),
    ),
    "effort alone": (CLAUDE_NEW, Reasoning(effort="low"), {}, ()),
    "both": (
        CLAUDE_NEW,
        Reasoning(enabled=True, effort="low", budget_tokens=2000),
        {"thinking": {"type": "adaptive"}},
        ("reasoning_budget",),
    ),
    "effort alone, before there was one": (
        CLAUDE_OLD,
        Reasoning(effort="low"),
        {},
        ("reasoning_effort",),
    ),
    "both, before there was an effort": (
        CLAUDE_OLD,
        Reasoning(enabled=True, effort="low", budget_tokens=2000),
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        ("reasoning_effort",),
    ),
    "budget by effort": (
        CLAUDE_OLD,
        Reasoning(enabled=True, effort="low"),
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        (),
    ),
    "budget by budget": (
        CLAUDE_OLD,
        Reasoning(enabled=True, budget_tokens=5000),
        {"thinking": {"type": "enabled", "budget_tokens": 5000}},
        (),
    ),
    "least budget": (
        CLAUDE_OLD,
        Reasoning(budget_tokens=10),
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ("reasoning_budget",),
    ),
    "nova": (
        NOVA,
        Reasoning(effort="minimal"),
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        ("reasoning_effort",),
    ),
    "gpt-oss": (GPT_OSS, Reasoning(effort="high"), {"reasoning_effort": "high"}, ()),
    "gpt-oss by budget": (
        GPT_OSS,
        Reasoning(budget_tokens=8000),
        {"reasoning_effort": "medium"},
        ("reasoning_budget",),
    ),
    "others": (LLAMA, Reasoning(effort="high"), {}, ("reasoning",)),
    "off": (CLAUDE_OLD, Reasoning(enabled=False), {}, ()),
    "only shown": (CLAUDE_NEW, Reasoning(summary="auto"), {}, ("reasoning_summary",)),
}


@pytest.mark.parametrize("name", THINKING)
def test_thinking(name: str) -> None:
    """Each family has words of its own."""
    model, asked, fields, expected = THINKING[name]
    body, lost = written(reasoning=asked, model=model)
    assert body.get("additionalModelRequestFields", {}) == fields
    assert lost == expected


def test_what_thinking_rules_out() -> None:
    """A model that thinks draws tokens and chooses tools in its own way."""
    body, lost = written(
        reasoning=Reasoning(enabled=True, effort="high"),
        sampling=Sampling(temperature=0.2, top_p=1, top_k=5),
        tools=(F,),
        tool_choice=ToolChoice(ToolMode.REQUIRED),
    )
    assert body["outputConfig"] == {"effort": "high"}
    assert "inferenceConfig" not in body
    assert "toolChoice" not in body["toolConfig"]
    assert lost == ("temperature", "top_k", "tool_choice")


def test_a_budget_leaves_room_for_the_answer() -> None:
    """It is below the bound on the output, or there is no thought at all."""
    asked = Reasoning(enabled=True, effort="high")
    body, lost = written(reasoning=asked, model=CLAUDE_OLD, bound=4000)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 3999
    assert lost == ()
    body, lost = written(reasoning=asked, model=CLAUDE_OLD, bound=1000)
    assert "additionalModelRequestFields" not in body
    assert lost == ("reasoning",)


@pytest.mark.parametrize("kept", [True, False])
def test_going_on_in_the_middle_of_a_turn(kept: bool) -> None:
    """Without the thought that led to its calls, an older model must not think on."""
    thought = (Thinking("Hm.", "c2ln"),) if kept else ()
    body, lost = written(
        HELLO,
        Message(Role.ASSISTANT, (*thought, ToolCall("c1", "f", "{}"))),
        Message(Role.TOOL, (ToolResult("c1", (Text("1"),)),)),
        tools=(F,),
        reasoning=Reasoning(enabled=True, effort="low"),
        model=CLAUDE_OLD,
    )
    assert ("additionalModelRequestFields" in body) is kept
    assert lost == (() if kept else ("reasoning",))


@pytest.mark.parametrize(
    ("model", "family", "adaptive"),
    [
        (CLAUDE_NEW, Family.CLAUDE, True),
        (CLAUDE_OLD, Family.CLAUDE, False),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", Family.CLAUDE, False),
        ("anthropic.claude-sonnet-4-20250514-v1:0", Family.CLAUDE, False),
        ("global.anthropic.claude-opus-5-v1:0", Family.CLAUDE, True),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab",
            Family.CLAUDE,
            True,
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", Family.NOVA, True),
        (GPT_OSS, Family.GPT_OSS, True),
        (LLAMA, Family.OTHER, True),
    ],
)
def test_families(model: str, family: Family, adaptive: bool) -> None:
    """A model is told by its id, or by the id within an ARN."""
    assert family_of(model) is family
    assert thinks_adaptively(model) is adaptive
