"""Responses requests in canonical values: what is written reads back as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.domain.features import HINTS, OnLoss
from entente.domain.inference import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Image,
    JsonSchema,
    Link,
    Message,
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
from entente.wire import openai_responses
from entente.wire.dialect import Inbound, Outbound, Written
from entente.wire.openai_responses import decode_responses
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_requests
from tests.wire.responses_schema import request_defects

INBOUND: Inbound = openai_responses
OUTBOUND: Outbound = openai_responses
HI = Message(Role.USER, (Text("hi"),))


def _read(**members: Any) -> ChatRequest:
    body = {"model": "m", "input": "hi", **members}
    return INBOUND.read_request(decode_responses(json.dumps(body).encode()))


def _write(request: ChatRequest, on_loss: OnLoss = OnLoss.REFUSE, bound: int | None = None) -> Any:
    written = OUTBOUND.write_request(request, model="m", output_tokens_max=bound, on_loss=on_loss)
    return written if on_loss is OnLoss.DROP else json.loads(written.body)


@PROPERTY
@given(responses_requests())
def test_requests_read_back_as_they_were(request: ChatRequest) -> None:
    """Nothing of what this dialect can express is lost on the way through it."""
    written = OUTBOUND.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert written.dropped == ()
    assert request_defects(written.body) == []
    assert INBOUND.read_request(decode_responses(written.body, strict=True)) == request


def test_items_become_turns() -> None:
    """What the model did in a row is one message, so are the results of parallel calls."""
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": t} for t in ("a", "b")],
            "encrypted_content": "gAA",
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "raw"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [
                {"type": "input_text", "text": "two"},
                {"type": "input_image", "image_url": "https://example.org/a.png"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "again"},
    ]
    read = _read(input=items, instructions="First.")
    assert read.others == ()
    assert read.messages == (
        Message(Role.SYSTEM, (Text("First."),)),
        Message(Role.DEVELOPER, (Text("Be brief."),)),
        Message(Role.USER, (Text("Look"),)),
        Message(
            Role.ASSISTANT,
            (
                Thinking("a\n\nb", "openai:rs_1:gAA"),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "g", '{"input":"raw"}'),
            ),
        ),
        Message(
            Role.TOOL,
            (
                ToolResult("c1", (Text("one"),)),
                ToolResult("c2", (Text("two"), Image(Link("https://example.org/a.png")))),
            ),
        ),
        Message(Role.ASSISTANT, (Refusal("no"),)),
        Message(Role.USER, (Text("again"),)),
    )


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ({"encrypted_content": "gAA"}, (RedactedThinking("openai::gAA"),)),
        ({"encrypted_content": "thinking:Eq=", "summary": []}, (Thinking("", "Eq="),)),
        ({"encrypted_content": "redacted:x:y"}, (RedactedThinking("x:y"),)),
        (
            {"content": [{"type": "reasoning_text", "text": "raw"}], "encrypted_content": None},
            (Thinking("raw"),),
        ),
    ],
)
def test_thoughts_that_come_back(item: dict[str, Any], parts: tuple[Any, ...]) -> None:
    """Ours with the signature that they had, OpenAI's own marked as such."""
    read = _read(input=[{"type": "reasoning", **item}])
    assert read.messages == (Message(Role.ASSISTANT, parts),)


def test_an_empty_thought_is_none() -> None:
    """Only its vendor could fetch it by its id."""
    read = _read(
        input=[{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": "a"}]
    )
    assert read.messages == (Message(Role.USER, (Text("a"),)),)


def test_content_of_each_kind() -> None:
    """Images and documents by address, by upload and in the request; sound; cache marks."""
    content = [
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": "https://example.org", "detail": "low"},
        {"type": "input_image", "file_id": "file_1", "detail": "auto"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_file", "file_id": "file_2"},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    (message,) = _read(input=[{"role": "user", "content": content}]).messages
    assert message.parts == (
        Text("a", CacheMark.DEFAULT),
        Image(Link("https://example.org"), "low"),
        Image(StoredFile("file_1")),
        Document(Link("https://example.org/a.pdf")),
        Document(StoredFile("file_2")),
        Document(PlainText("hi"), "a.txt"),
        Audio("AAAA", "wav"),
    )


def test_parameters() -> None:
    """Each in its canonical place."""
    hosted = {"type": "web_search", "search_context_size": "low"}
    read = _read(
        tools=[{"type": "function", "name": "f", "parameters": None}, hosted],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"name": "f"}]},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}}},
        reasoning={"effort": "none"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        metadata={"a": "b"},
        user="u",
        safety_identifier="s",
        max_tool_calls=3,
        store=True,
        truncation="disabled",
        stream_options={"include_obfuscation": False},
    )
    assert read == ChatRequest(
        model="m",
        messages=(HI,),
        tools=(Tool("f"), VendorTool("web_search", json.dumps(hosted).encode())),
        tool_choice=ToolChoice(ToolMode.AUTO, allowed=("f",)),
        response_format=JsonSchema(b'{"a": 1}', "n"),
        sampling=Sampling(logprobs=True),
        reasoning=Reasoning(enabled=False),
        user="s",
    )
    assert _read(tool_choice={"type": "custom", "name": "f"}).tool_choice == ToolChoice(
        ToolMode.NAMED, "f"
    )
    assert _read(text={"format": {"type": "text"}}).response_format is None
    assert _read(reasoning={}).reasoning is None


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"truncation": "auto"}, ("truncation",)),
        (
            {"reasoning": {"context": "all_turns", "mode": "pro"}},
            ("reasoning.mode", "reasoning.context"),
        ),
        ({"tool_choice": {"type": "web_search"}}, ("tool_choice",)),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{}]}},
            ("tool_choice",),
        ),
        ({"prompt_cache_key": "k", "moderation": {"a": 1}}, ("prompt_cache_key", "moderation")),
        ({"future": 1, "nothing": None}, ("future",)),
        ({"input": [{"type": "web_search_call", "id": "ws"}]}, ("web_search_call",)),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, ("compaction",)),
    ],
)
def test_what_has_no_place_has_a_name(members: dict[str, Any], names: tuple[str, ...]) -> None:
    """So that it is refused, or named as lost, before it gets anywhere else."""
    assert _read(**members).others == names


def _of(*parts: Any, role: Role = Role.USER, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message(role, parts),), **more)


LOST: list[tuple[ChatRequest, str]] = [
    (_of(sampling=Sampling(top_k=1)), "top_k"),
    (_of(sampling=Sampling(seed=1)), "seed"),
    (_of(sampling=Sampling(stop=("a",))), "stop"),
    (_of(sampling=Sampling(choices=2)), "n"),
    (_of(Audio("AAAA", "wav")), "audio"),
    (_of(Image(Link("u"), cache=CacheMark.DEFAULT)), "cache_control"),
    (_of(Text("a", CacheMark.DEFAULT)), "cache_control"),
    (_of(cache=CacheMark.DEFAULT), "cache_control"),
    (_of(tools=(Tool("f", cache=CacheMark.DEFAULT),)), "cache_control"),
    (_of(Document(Link("u"), citations=True)), "citations"),
    (_of(Document(Link("u"), context="c")), "document_context"),
    (_of(Thinking("a")), "earlier_thinking"),
    (_of(Thinking("a", "Eq="), role=Role.ASSISTANT), "earlier_thinking"),
    (_of(Thinking("a"), role=Role.ASSISTANT), "earlier_thinking"),
    (_of(RedactedThinking("x"), role=Role.ASSISTANT), "earlier_thinking"),
    (_of(Image(Link("u")), role=Role.ASSISTANT), "images"),
    (_of(ToolResult("c", (), failed=True), role=Role.TOOL), "tool_errors"),
    (_of(tools=(VendorTool("web_search", b"{}"),)), "vendor_tools"),
    (_of(reasoning=Reasoning(budget_tokens=2000)), "reasoning_budget"),
    (_of(others=("logit_bias",)), "logit_bias"),
    (ChatRequest(model="m", messages=(Message(Role.USER, (), "Ann"),)), "name"),
]


@pytest.mark.parametrize(("request_", "name"), LOST)
def test_what_cannot_be_said_is_refused_or_named(request_: ChatRequest, name: str) -> None:
    """As configured; never silently."""
    written: Written = _write(request_, OnLoss.DROP)
    assert written.dropped == (name,)
    assert request_defects(written.body) == []
    if name not in HINTS:
        with pytest.raises(InvalidParameter, match="Responses API, which serves this model"):
            _write(request_)


def test_the_form_of_a_request() -> None:
    """The provider keeps nothing, and is strict only where that was asked for."""
    request = ChatRequest(
        model="asked",
        messages=(
            HI,
            Message(
                Role.ASSISTANT,
                (
                    Thinking("hm", "openai:rs_1:gAA"),
                    RedactedThinking("openai::gBB"),
                    Text("a"),
                    Refusal("b"),
                    ToolCall("c", "f", "{}"),
                    Text("d"),
                ),
            ),
            Message(Role.TOOL, (ToolResult("c", (Text("r"),)),)),
        ),
        tools=(Tool("f"),),
        reasoning=Reasoning(budget_tokens=4096),
        stream=True,
    )
    body = json.loads(_write(request, OnLoss.DROP, bound=100).body)
    assert body == {
        "model": "m",
        "input": [
            {"role": "user", "content": "hi"},
            {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "gAA",
            },
            {"type": "reasoning", "summary": [], "encrypted_content": "gBB"},
            {
                "id": "msg_1_0",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": "b"},
                ],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": "d"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
                "strict": False,
            }
        ],
        "max_output_tokens": 100,
        "reasoning": {"effort": "medium"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("reasoning", "written"),
    [
        (Reasoning(enabled=True), "medium"),
        (Reasoning(enabled=True, budget_tokens=1024), "low"),
        (Reasoning(budget_tokens=50_000), "high"),
        (Reasoning(budget_tokens=50_000, effort="max"), "max"),
        (Reasoning(enabled=False, effort="high"), "none"),
    ],
)
def test_the_nearest_effort(reasoning: Reasoning, written: str) -> None:
    """A budget of thought is an effort here."""
    body = json.loads(_write(_of(reasoning=reasoning), OnLoss.DROP).body)
    assert body["reasoning"] == {"effort": written}


@pytest.mark.parametrize(("asked", "bound"), [(5, None), (None, 15), (5, 100)])
def test_a_bound_too_small_for_the_api(asked: int | None, bound: int | None) -> None:
    """It is refused, and never raised behind the back of who set it."""
    with pytest.raises(InvalidParameter) as caught:
        _write(_of(sampling=Sampling(output_tokens_max=asked)), OnLoss.DROP, bound)
    assert caught.value.param == "max_output_tokens"


def test_documents_in_the_request_have_file_names() -> None:
    """The API takes none without."""
    body = _write(_of(Document(PlainText("hi"))))
    assert body["input"][0]["content"] == [
        {
            "type": "input_file",
            "filename": "document.txt",
            "file_data": "data:text/plain;base64,aGk=",
        }
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":[{"role":"user","content":"hi"},{"type":"\x80"}]}',
        b'{"model":"m","input":[{"role":"\x80","content":"hi"}]}',
        b'{"model":"m","input":"hi","tools":[{"type":"\x80"}]}',
        b'{"model":"m","input":"hi","metadata":{"a":"\xff"}}',
    ],
)
def test_bytes_that_are_no_text(body: bytes) -> None:
    """Wherever they stand: nobody but the reader of the whole looks there."""
    with pytest.raises(MalformedJson):
        INBOUND.read_request(decode_responses(body))
