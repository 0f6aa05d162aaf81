"""Reading messages requests and answering their errors: Anthropic's words and order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Call, Surface
from entente.domain.errors import (
    BudgetExceeded,
    EntenteError,
    InvalidKey,
    InvalidParameter,
    LedgerUnavailable,
    MalformedJson,
    MethodNotAllowed,
    ModelNotFound,
    RateLimited,
    UpstreamTimeout,
)
from entente.domain.features import OnLoss
from entente.domain.inference import (
    ChatRequest,
    JsonSchema,
    Message,
    Reasoning,
    RedactedThinking,
    Role,
    Text,
    Thinking,
    VendorTool,
)
from entente.wire import anthropic, openai_chat, openai_errors
from entente.wire.anthropic import form
from entente.wire.anthropic_errors import TABLE, passed_on, rate_limit_headers, render
from tests.kit.run import PROPERTY

MESSAGES = [{"role": "user", "content": "hi"}]


def _decode(**members: Any) -> Call:
    body = {"model": "m", "max_tokens": 5, "messages": MESSAGES, **members}
    return anthropic.decode_messages(json.dumps(body).encode())


def _read(**members: Any) -> ChatRequest:
    return anthropic.read_request(_decode(**members))


def _block(**block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 5}, "model: Input should be a valid string"),
    ({"model": ""}, "model: String should have at least 1 character"),
    ({"messages": "hi"}, "messages: Input should be a valid array"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"stream": 1}, "stream: Input should be a valid boolean"),
    ({"Model": "x"}, "Model: Extra inputs are not permitted"),
    ({"messages": [{"content": "hi"}]}, "messages.0.role: Field required"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    (
        {"messages": [{"role": "bogus", "content": "hi"}]},
        'messages: Unexpected role "bogus". Allowed roles are "user" or "assistant"',
    ),
    (
        {"messages": [{"role": "user", "content": 5}]},
        "messages.0.content: Input should be a valid string or a valid array",
    ),
    ({"temperature": 2}, "temperature: range: 0..1"),
    ({"temperature": "x"}, "temperature: Input should be a valid number"),
    (_block(text="x"), "messages.0.content.0.type: Field required"),
    (_block(type="text"), "messages.0.content.0.text.text: Field required"),
    (_block(type="image"), "messages.0.content.0.image.source: Field required"),
    (
        _block(type="image", source={"type": "base64", "data": ""}),
        "messages.0.content.0.image.source.base64.media_type: Field required",
    ),
    (
        _block(type="image", source={"type": "x"}),
        (
            "messages.0.content.0.image.source: "
            "Input tag should be 'base64', 'url', 'file' or 'text'"
        ),
    ),
    (_block(type="tool_result"), "messages.0.content.0.tool_result.tool_use_id: Field required"),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field required"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"system": [{"type": "text"}]}, "system.0.text.text: Field required"),
]


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_errors_in_the_vendors_words(members: dict[str, Any], message: str) -> None:
    """SURFACE 5.4: `place: what is wrong`, in an envelope of its own."""
    with pytest.raises(InvalidParameter) as caught:
        _read(**members)
    reply = render(caught.value, "req_1")
    assert reply.status == 400
    assert json.loads(reply.body) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("absent", ["model", "messages", "max_tokens"])
def test_what_is_required(absent: str) -> None:
    """In Anthropic's order: of two that are missing the first is named."""
    body = {"model": "m", "messages": MESSAGES, "max_tokens": 5}
    del body[absent]
    if absent != "max_tokens":
        del body["max_tokens"]
    with pytest.raises(InvalidParameter) as caught:
        anthropic.decode_messages(json.dumps(body).encode())
    assert caught.value.message == f"{absent}: Field required"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"\xff"}', b'{"a":' * 2000])
def test_bytes_that_are_not_json(body: bytes) -> None:
    """A clean error."""
    with pytest.raises(MalformedJson):
        anthropic.decode_messages(body)


def test_a_call_of_this_surface() -> None:
    """Everything that governing it needs; zero tokens only fill the cache."""
    call = _decode(stream=True, max_tokens=0)
    assert (call.surface, call.model, call.stream) == (Surface.MESSAGES, "m", True)
    assert (call.output_tokens_max, call.choices, call.wants_usage) == (0, 1, True)
    assert anthropic.read_request(call).sampling.output_tokens_max == 0


def test_counting_tokens_needs_no_bound() -> None:
    """And it never streams."""
    body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
    call = anthropic.decode_count_tokens(body)
    assert (call.output_tokens_max, call.stream) == (None, False)
    assert anthropic.read_request(call).messages == (Message(Role.USER, (Text("hi"),)),)


def test_bodies_pass_untouched() -> None:
    """Promise 4: unless the provider has another name for the model, or a member stands twice."""
    body = b'{"new":{"b":1.50},"model" : "m","max_tokens":5,"messages":[{"role":"user"}]}'
    call = anthropic.decode_messages(body)
    assert anthropic.encode_messages(call, model="m") is body
    changed = anthropic.encode_messages(call, model="other")
    assert changed == body.replace(b'"model" : "m"', b'"model":"other"')
    twice = anthropic.decode_messages(b'{"model":"x",' + body[1:])
    assert anthropic.encode_messages(twice, model="m").count(b'"model"') == 1


@pytest.mark.parametrize(
    ("block", "count"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, 1),
        ({"type": "document", "source": {"type": "url", "url": "x"}}, 1),
        ({"type": "text", "text": '"type":"image"'}, 0),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"type": "image"}}, 0),
        ({"type": "tool_result", "tool_use_id": "t", "content": '"type": "image"'}, 0),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "x"}, {"type": "image", "source": {}}],
            },
            1,
        ),
        ({"type": "thinking", "thinking": "an image", "signature": "x"}, 0),
        ({"type": "container_upload", "file_id": "f"}, 1),
        ({"type": "novel", "inner": [{"type": "image"}]}, 1),
    ],
)
def test_attachments_are_counted(block: dict[str, Any], count: int) -> None:
    """Each can stand for more tokens than it has bytes."""
    call = _decode(**_block(**block))
    assert call.attachments == count
    escaped = call.body.replace(b"image", b"\\u0069mage")
    assert anthropic.decode_messages(escaped).attachments >= count


def test_attachments_are_found_wherever_they_stand() -> None:
    """In what the operator says, and in members that nobody here has heard of."""
    image = {"type": "image", "source": {}}
    assert _decode(system=[image]).attachments == 1
    assert _decode(system=[{"type": "text", "text": "an image"}]).attachments == 0
    assert _decode(novel={"deep": [image, image]}).attachments == 2
    assert _decode(metadata={"user_id": '"type":"image"'}).attachments == 0


def test_what_tools_gave_is_apart_from_what_the_user_says() -> None:
    """In the order in which they stand."""
    result = {"type": "tool_result", "tool_use_id": "c", "content": "x", "is_error": True}
    request = _read(
        messages=[
            {"role": "user", "content": [result, result, {"type": "text", "text": "so?"}, result]}
        ]
    )
    assert [(message.role, len(message.parts)) for message in request.messages] == [
        (Role.TOOL, 2),
        (Role.USER, 1),
        (Role.TOOL, 1),
    ]


def test_what_has_no_canonical_place_is_named() -> None:
    """Wherever it stands; tools that only the vendor runs stay as they are."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    request = _read(
        container="c",
        speed=None,
        system=[{"type": "text", "text": "s"}, {"type": "search_result"}],
        tools=[
            search,
            {"name": "f", "input_schema": {}, "defer_loading": True, "input_examples": [{}]},
        ],
        thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "low", "task_budget": 5},
        messages=[{"role": "assistant", "content": [{"type": "server_tool_use", "id": "x"}]}],
    )
    assert set(request.others) == {
        "container",
        "search_result",
        "server_tool_use",
        "tools.defer_loading",
        "tools.input_examples",
        "thinking.display",
        "output_config.task_budget",
    }
    assert request.tools[0] == VendorTool("web_search_20250305", json.dumps(search).encode())
    assert request.reasoning == Reasoning(enabled=True, effort="low")


def test_both_places_of_the_answers_form() -> None:
    """The older one, from before it moved, is read too."""
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    wanted = JsonSchema(b'{"type": "object"}', strict=True)
    assert _read(output_config={"format": schema}).response_format == wanted
    assert _read(output_format=schema).response_format == wanted


def test_the_operator_may_speak_in_the_middle() -> None:
    """Then a provider of this dialect has it in front, and the client is told."""
    request = _read(messages=[*MESSAGES, {"role": "system", "content": "now be brief"}])
    assert request.messages[1] == Message(Role.SYSTEM, (Text("now be brief"),))
    written = anthropic.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.DROP
    )
    assert written.dropped == ("system_position",)
    assert json.loads(written.body)["system"] == "now be brief"
    with pytest.raises(InvalidParameter, match="Messages API"):
        anthropic.write_request(request, model="m", output_tokens_max=None, on_loss=OnLoss.REFUSE)


def test_thoughts_of_other_vendors() -> None:
    """Without a signature, or with a marked one: read as such, and not sent back to this one."""
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    marked = {"type": "thinking", "thinking": "ah", "signature": "other:aGk="}
    sealed = {"type": "redacted_thinking", "data": "other:aGk="}
    content = [thought, marked, sealed]
    request = _read(messages=[{"role": "assistant", "content": content}, *MESSAGES])
    assert request.messages[0].parts == (
        Thinking("hm"),
        Thinking("ah", "other:aGk="),
        RedactedThinking("other:aGk="),
    )
    written = anthropic.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert written.dropped == ("earlier_thinking",)
    assert json.loads(written.body)["messages"] == MESSAGES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "source", "content"]), inner)
    ),
    max_leaves=6,
)


@PROPERTY
@given(st.dictionaries(st.sampled_from(sorted(form.MessagesForm.__struct_fields__)), JSON))
def test_any_json_is_a_request_or_a_clean_error(members: dict[str, Any]) -> None:
    """Nothing that is JSON makes the server fail."""
    try:
        request = _read(**members)
    except EntenteError as error:
        assert render(error, "req_1").status == 400  # noqa: PT017
        return
    assert request.model == "m"


# ---- errors ----


@pytest.mark.parametrize(
    ("error", "status", "kind", "message", "headers"),
    [
        (InvalidKey("invalid x-api-key"), 401, "authentication_error", "invalid x-api-key", {}),
        (ModelNotFound("x"), 404, "not_found_error", "model: x", {}),
        (
            MethodNotAllowed("No.", allow=("POST",)),
            405,
            "invalid_request_error",
            "No.",
            {b"allow": b"POST"},
        ),
        (
            RateLimited("Slow.", unit="tokens", retry_after_ms=1500),
            429,
            "rate_limit_error",
            "Slow.",
            {b"retry-after-ms": b"1500", b"retry-after": b"2", b"x-should-retry": b"true"},
        ),
        (BudgetExceeded("Out."), 402, "billing_error", "Out.", {b"x-should-retry": b"false"}),
        (UpstreamTimeout("Late.", phase="idle"), 504, "timeout_error", "Late.", {}),
        (
            LedgerUnavailable("Full."),
            529,
            "overloaded_error",
            "Full.",
            {b"retry-after-ms": b"1000", b"retry-after": b"1", b"x-should-retry": b"true"},
        ),
    ],
)
def test_errors_as_answers(
    error: EntenteError, status: int, kind: str, message: str, headers: dict[bytes, bytes]
) -> None:
    """SURFACE 5.4: status, type, message and what to do next."""
    reply = render(error, "req_1")
    assert (reply.status, dict(reply.headers)) == (status, headers)
    assert json.loads(reply.body)["error"] == {"type": kind, "message": message}


def _kinds(root: type[EntenteError]) -> list[type[EntenteError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _kinds(child))]


def test_every_error_has_a_row() -> None:
    """By itself or by a base, and none as a 200."""
    for kind in _kinds(EntenteError):
        rows = [TABLE[base] for base in kind.__mro__ if base in TABLE]
        assert rows
        assert rows[0].status >= 400


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_a_providers_error_is_written_anew(status: int, kind: str) -> None:
    """With the sentence of the provider, and the type of its status."""
    written = json.loads(passed_on(status, "No.", "req_1"))
    assert written["error"] == {"type": kind, "message": "No."}
    assert anthropic.read_error(json.dumps(written).encode()) == "No."
    assert openai_chat.read_error(openai_errors.passed_on(status, "No.")) == "No."
    assert anthropic.read_error(b"{}") is None
    assert anthropic.read_error(b"<html>") is None


def test_bytes_that_nobody_decodes_are_text_too() -> None:
    """Arguments of a call go on as they are, so they have to be UTF-8 like the rest."""
    block = b'{"type":"tool_use","id":"c","name":"f","input":{"x":"\xff"}}'
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":[%b]}]}' % block
    with pytest.raises(MalformedJson):
        anthropic.read_request(anthropic.decode_messages(body))


def test_where_a_key_stands() -> None:
    """The reset is a moment, rounded up to the second."""
    now_ns = 1_700_000_000_000_000_000
    headers = rate_limit_headers("requests", limit=60, remaining=5, reset_ms=1500, now_ns=now_ns)
    assert dict(headers) == {
        b"anthropic-ratelimit-requests-limit": b"60",
        b"anthropic-ratelimit-requests-remaining": b"5",
        b"anthropic-ratelimit-requests-reset": b"2023-11-14T22:13:22Z",
    }
