"""Requests of generateContent, in the form of Google's reference, and nothing lost unsaid."""

from __future__ import annotations

import json
from typing import Any

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
from entente.wire import gemini

NEW = "gemini-3.1-pro-preview"
OLD = "gemini-2.5-flash"
PNG = "iVBORw0KGgo="
SCHEMA = b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
HELLO = Message(Role.USER, (Text("Hello"),))
UNSIGNED = "skip_thought_signature_validator"


def written(
    *messages: Message, model: str = NEW, bound: int | None = None, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write a request; give its body and what it lost."""
    request = ChatRequest(model="client", messages=messages or (HELLO,), **fields)
    result = gemini.write_request(
        request, model=model, output_tokens_max=bound, on_loss=OnLoss.DROP
    )
    return json.loads(result.body), result.dropped


def parts(*said: Part, role: Role = Role.USER, model: str = NEW) -> list[dict[str, Any]]:
    """Write parts of one message, losing nothing."""
    body, lost = written(Message(role, said), model=model)
    assert lost == ()
    return list(body["contents"][0]["parts"])


def generation(model: str = NEW, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write a request; give its generation config and what it lost."""
    body, lost = written(model=model, **fields)
    return body.get("generationConfig", {}), lost


def test_a_plain_request() -> None:
    """What nobody asked for is not there."""
    assert written() == ({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}, ())


def test_a_conversation() -> None:
    """The operator apart, results by the names of their calls, JSON as JSON."""
    body, lost = written(
        Message(Role.SYSTEM, (Text("Be brief."),)),
        HELLO,
        Message(
            Role.ASSISTANT,
            (
                Text("I look."),
                ToolCall("call_1", "weather", '{"city":"Paris"}'),
                ToolCall("call_2", "time", ""),
            ),
        ),
        Message(
            Role.TOOL,
            (
                ToolResult("call_1", (Text('{"rain": true}'),)),
                ToolResult("call_2", (Text("No clock."),), failed=True),
            ),
        ),
        Message(Role.USER, (Text("And now?"),)),
        tools=(Tool("weather", "Tells it.", SCHEMA), Tool("time")),
        model=OLD,
    )
    assert lost == ()
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][1]["parts"] == [
        {"text": "I look."},
        {"functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Paris"}}},
        {"functionCall": {"id": "call_2", "name": "time", "args": {}}},
    ]
    assert body["contents"][2]["parts"] == [
        {
            "functionResponse": {
                "id": "call_1",
                "name": "weather",
                "response": {"output": {"rain": True}},
            }
        },
        {"functionResponse": {"id": "call_2", "name": "time", "response": {"error": "No clock."}}},
        {"text": "And now?"},
    ]
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Tells it.",
                    "parametersJsonSchema": json.loads(SCHEMA),
                },
                {"name": "time"},
            ]
        }
    ]
    assert "toolConfig" not in body


def test_the_operator_alone() -> None:
    """Gemini does not answer to instructions alone, so they are the user's turn."""
    body, lost = written(Message(Role.SYSTEM, (Text("Say hi."),)))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]}
    assert lost == ("system_position",)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("plain", "plain"),
        ("", ""),
        ("007", "007"),
        ('{"broken', '{"broken'),
        ("[1, 2]", [1, 2]),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_results(text: str, output: object) -> None:
    """An object or a list is JSON; everything else is text. A call nobody saw lends its id."""
    ((block,),) = [parts(ToolResult("c9", (Text(text),)))]
    assert block["functionResponse"] == {"id": "c9", "name": "c9", "response": {"output": output}}


def test_media() -> None:
    """In the request, or fetched by Google."""
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert parts(Image(Inline("image/png", PNG))) == [inline]
    assert parts(Image(Link("https://example.test/a.JPG?x=1"))) == [
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.test/a.JPG?x=1"}}
    ]
    assert parts(Image(Link("gs://bucket/a"))) == [{"fileData": {"fileUri": "gs://bucket/a"}}]
    assert parts(Document(PlainText("hi"), name="a.txt")) == [
        {"inlineData": {"mimeType": "text/plain", "data": "aGk="}}
    ]
    assert parts(Audio(PNG, "mp3")) == [{"inlineData": {"mimeType": "audio/mp3", "data": PNG}}]
    ((result,),) = [parts(ToolResult("c1", (Text("see"), Image(Inline("image/png", PNG)))))]
    assert result["functionResponse"]["parts"] == [inline]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Image(Link("http://example.test/a.png")), "image_urls"),
        (Image(StoredFile("file-1")), "file_ids"),
        (Image(Inline("image/png", PNG), detail="high"), "image_detail"),
        (Document(Link("ftp://example.test/a")), "document_urls"),
        (Document(PlainText("a"), context="Mine."), "document_context"),
        (Document(PlainText("a"), citations=True), "citations"),
        (Text("a", CacheMark.DEFAULT), "cache_control"),
        (ToolResult("c", (Image(Inline("image/png", PNG)),)), "tool_result_media"),
    ],
)
def test_what_cannot_be_said(part: Part, name: str) -> None:
    """Each is named."""
    assert written(HELLO, Message(Role.USER, (part,)), model=OLD)[1] == (name,)


SIGNED = Thinking("", "gemini:c2ln")
CALL = ToolCall("c1", "f", "{}")
CALLED = {"functionCall": {"id": "c1", "name": "f", "args": {}}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((SIGNED, CALL), [{**CALLED, "thoughtSignature": "c2ln"}]),
        ((Thinking("Hm.", "gemini:c2ln"), CALL), [{**CALLED, "thoughtSignature": "c2ln"}]),
        ((SIGNED, CALL, CALL), [{**CALLED, "thoughtSignature": "c2ln"}, CALLED]),
        ((CALL, CALL), [{**CALLED, "thoughtSignature": UNSIGNED}, CALLED]),
        ((SIGNED, Text("a")), [{"text": "a", "thoughtSignature": "c2ln"}]),
        ((Text("a"), SIGNED), [{"text": "a"}, {"text": "", "thoughtSignature": "c2ln"}]),
        (
            (SIGNED, Thinking("", "gemini:dHdv"), CALL),
            [
                {"text": "", "thoughtSignature": "c2ln"},
                {**CALLED, "thoughtSignature": "dHdv"},
            ],
        ),
        ((Refusal("No."),), [{"text": "No."}]),
    ],
)
def test_signatures_come_back_to_their_part(
    said: tuple[Part, ...], expected: list[dict[str, Any]]
) -> None:
    """On the part behind the thought; a call without one says that it has none."""
    assert parts(*said, role=Role.ASSISTANT) == expected


@pytest.mark.parametrize(
    "thought", [Thinking("Hm."), Thinking("Hm.", "c2ln"), RedactedThinking("ZW5j")]
)
def test_thoughts_of_others_are_left_out(thought: Part) -> None:
    """Their words and signatures mean nothing here."""
    body, lost = written(HELLO, Message(Role.ASSISTANT, (thought, CALL)), model=OLD)
    assert body["contents"][1]["parts"] == [CALLED]
    assert lost == ("earlier_thinking",)


def test_a_turn_of_which_nothing_is_left() -> None:
    """Those around it are one."""
    body, _ = written(HELLO, Message(Role.ASSISTANT, (Thinking("Hm."),)), HELLO)
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hello"}] * 2}]


def test_sampling() -> None:
    """All of it has a member."""
    config, lost = generation(
        sampling=Sampling(
            temperature=1.5,
            top_p=0.9,
            top_k=40,
            seed=7,
            frequency_penalty=0.1,
            presence_penalty=-0.1,
            stop=("a", "", "b"),
            output_tokens_max=100,
            choices=2,
            logprobs=True,
            top_logprobs=3,
        ),
        bound=50,
    )
    assert lost == ()
    assert config == {
        "temperature": 1.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "frequencyPenalty": 0.1,
        "presencePenalty": -0.1,
        "maxOutputTokens": 100,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "stopSequences": ["a", "b"],
    }
    assert generation(bound=50)[0] == {"maxOutputTokens": 50}
    many, lost = generation(sampling=Sampling(stop=tuple("abcdef")))
    assert (many, lost) == ({"stopSequences": list("abcde")}, ("stop",))
    assert generation(sampling=Sampling(seed=2**40)) == ({}, ("seed",))


def test_the_form_of_the_answer() -> None:
    """JSON of any form, or of a schema."""
    assert generation(response_format=JsonObject())[0] == {"responseMimeType": "application/json"}
    assert generation(response_format=JsonSchema(SCHEMA, "place", strict=True)) == (
        {"responseMimeType": "application/json", "responseJsonSchema": json.loads(SCHEMA)},
        (),
    )


F, G = Tool("f"), Tool("g")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), {"mode": "AUTO"}),
        (ToolChoice(ToolMode.NONE), {"mode": "NONE"}),
        (ToolChoice(ToolMode.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(ToolMode.NAMED, "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice, expected: object) -> None:
    """Each mode."""
    body, lost = written(tools=(F, G), tool_choice=choice)
    assert lost == ()
    assert body["toolConfig"] == {"functionCallingConfig": expected}


def test_tools_that_are_allowed() -> None:
    """The others are not offered; a choice without tools is none."""
    only = ToolChoice(ToolMode.AUTO, allowed=("g",))
    body, lost = written(tools=(F, G), tool_choice=only)
    assert (body["tools"], lost) == ([{"functionDeclarations": [{"name": "g"}]}], ())
    assert "toolConfig" not in written(tool_choice=only)[0]


@pytest.mark.parametrize(
    ("model", "asked", "expected", "lost"),
    [
        (NEW, Reasoning(enabled=True), {"includeThoughts": True}, ()),
        (NEW, Reasoning(effort="low"), {"thinkingLevel": "LOW"}, ()),
        (
            NEW,
            Reasoning(enabled=True, effort="low", budget_tokens=99),
            {"includeThoughts": True, "thinkingBudget": 99},
            ("reasoning_effort",),
        ),
        (
            "gemini-flash-latest",
            Reasoning(enabled=True, effort="max"),
            {"includeThoughts": True, "thinkingLevel": "HIGH"},
            ("reasoning_effort",),
        ),
        (OLD, Reasoning(effort="medium"), {"thinkingBudget": 8192}, ()),
        (NEW, Reasoning(budget_tokens=99), {"thinkingBudget": 99}, ()),
        (NEW, Reasoning(summary="auto"), {"includeThoughts": True}, ()),
        (OLD, Reasoning(enabled=False), {"thinkingBudget": 0}, ()),
        (
            "gemini-2.5-pro",
            Reasoning(enabled=False),
            {"thinkingBudget": 128},
            ("reasoning_effort",),
        ),
        (NEW, Reasoning(enabled=False), {"thinkingLevel": "MINIMAL"}, ("reasoning_effort",)),
    ],
)
def test_thinking(
    model: str, asked: Reasoning, expected: dict[str, Any], lost: tuple[str, ...]
) -> None:
    """A level since Gemini 3, tokens before; the nearest where a word is missing."""
    assert generation(model, reasoning=asked) == ({"thinkingConfig": expected}, lost)


def test_what_has_no_member_is_named() -> None:
    """Every one, and the tier that has."""
    body, lost = written(
        Message(Role.USER, (Text("Hi"),), "ann"),
        Message(Role.SYSTEM, (Text("Late.", CacheMark.DEFAULT),)),
        Message(Role.ASSISTANT, (ToolCall("c", "f", "[1]", CacheMark.DEFAULT),)),
        tools=(
            Tool("f", strict=True, cache=CacheMark.DEFAULT),
            VendorTool("web_search", b"{}"),
        ),
        parallel_tool_calls=False,
        verbosity="low",
        user="u1",
        cache=CacheMark.DEFAULT,
        service_tier="default",
        others=("metadata",),
    )
    assert body["serviceTier"] == "standard"
    assert set(lost) == {
        "metadata",
        "name",
        "system_position",
        "cache_control",
        "tool_arguments",
        "strict_tools",
        "vendor_tools",
        "parallel_tool_calls",
        "verbosity",
        "user",
    }
    assert written(service_tier="scale")[1] == ("service_tier",)
    assert written(service_tier="auto") == written()


def test_refused_where_losses_are_refused() -> None:
    """In OpenAI's words; hints are no reason."""
    request = ChatRequest(model="c", messages=(HELLO,), verbosity="low", user="u")
    with pytest.raises(InvalidParameter, match="'verbosity' cannot be expressed in the Gemini"):
        gemini.write_request(request, model=NEW, output_tokens_max=None, on_loss=OnLoss.REFUSE)
