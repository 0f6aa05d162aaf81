"""A client that speaks Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from anthropic.types import Message, MessageDeltaUsage, RawMessageStreamEvent
from anthropic.types import Usage as MessageUsage
from pydantic import TypeAdapter

from entente.domain.inference import Stop
from entente.domain.usage import Usage
from tests.support.clients.client import (
    OUTPUT_TOKENS_MAX,
    Client,
    Seen,
    Wish,
    Wrong,
    arguments,
    events_of,
    validated,
)

_messages_type: Final = TypeAdapter(Message)
_events_type: Final[TypeAdapter[Any]] = TypeAdapter(RawMessageStreamEvent)
_DELTAS: Final = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("tool_use", "partial_json"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
}
"""To which block a delta belongs, and its content."""
_SETTINGS: Final = {"max_completion_tokens": "max_tokens", "stop": "stop_sequences"}


class AnthropicMessages(Client):
    """`POST /v1/messages`."""

    name = "Anthropic messages"
    losses: ClassVar = {"reasoning_budget": "thinking.budget_tokens", "vendor_tools": "tools"}
    words: ClassVar = {
        Stop.END: "end_turn",
        Stop.STOP_SEQUENCE: "stop_sequence",
        Stop.LENGTH: "max_tokens",
        Stop.TOOL_CALLS: "tool_use",
        Stop.FILTERED: "refusal",
        Stop.REFUSAL: "refusal",
    }
    kinds: ClassVar = {400: "invalid_request_error", 429: "rate_limit_error", 500: "api_error"}

    def path(self, model: str) -> str:  # noqa: ARG002
        """The same for every model."""
        return "/v1/messages"

    def headers(self, key: str) -> dict[str, str]:
        """Show the key in Anthropic's header."""
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def check_headers(self, headers: Mapping[str, str], request_id: str) -> None:
        """See that the request is named as Anthropic does, too."""
        super().check_headers(headers, request_id)
        assert headers["request-id"] == request_id

    def body(self, wish: Wish, model: str) -> dict[str, Any]:
        """Write a request."""
        settings = {_SETTINGS.get(name, name): value for name, value in wish.settings.items()}
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": OUTPUT_TOKENS_MAX,
            "messages": _conversation(wish),
            **settings,
            **wish.extra,
        }
        if wish.system:
            body["system"] = wish.system
        if wish.stream:
            body["stream"] = True
        if wish.tools:
            body["tools"] = [{"name": name, "input_schema": schema} for name, schema in wish.tools]
        if wish.choice:
            named = wish.choice not in {"any", "auto", "none"}
            chosen = {"type": "tool", "name": wish.choice} if named else {"type": wish.choice}
            body["tool_choice"] = chosen
        if wish.form:
            body["output_config"] = {"format": {"type": "json_schema", "schema": wish.form}}
        return body

    def read(self, body: bytes) -> Seen:
        """Read a message."""
        return _seen(validated(_messages_type, json.loads(body)))

    def read_stream(self, body: bytes) -> Seen:
        """Read the events of a message; behind a failure there is no stop."""
        events = events_of(body)
        assert all(name == data["type"] for name, data in events)
        failure = None
        if events[-1][0] == "error":
            failure = _error(events.pop()[1]).message
        data = [value for name, value in events if name != "ping"]
        for value in data:
            validated(_events_type, value)
        if not data:
            assert failure is not None
            return Seen(model="", failure=failure)
        first, *rest = data
        assert first["type"] == "message_start"
        message = first["message"]
        assert (message["content"], message["stop_reason"]) == ([], None)
        content, open_at = _blocks(rest, message)
        stopped = [value["type"] for value in rest[-1:]] == ["message_stop"]
        assert stopped is (failure is None)
        assert (open_at is None) or failure is not None
        assert (message["stop_reason"] is not None) is stopped
        message["content"] = content
        return _seen(validated(_messages_type, message), failure)

    def wrong(self, body: bytes) -> Wrong:
        """Read an error, with the id of its request."""
        value = json.loads(body)
        assert value.pop("request_id").startswith("req_")
        return _error(value)


def _error(value: Any) -> Wrong:
    assert set(value) == {"type", "error"}, value
    assert value["type"] == "error"
    error = value["error"]
    assert set(error) == {"type", "message"}, error
    return Wrong(error["type"], error["message"])


def _blocks(events: list[Any], message: Any) -> tuple[list[Any], int | None]:
    """Put the blocks together, one after the other; the rest goes into the message."""
    content: list[Any] = []
    open_at: int | None = None
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert (open_at, event["index"]) == (None, len(content))
                open_at = event["index"]
                content.append(dict(event["content_block"]))
                if content[-1]["type"] == "tool_use":
                    assert content[-1]["input"] == {}
                    content[-1]["input"] = ""
            case "content_block_delta":
                assert event["index"] == open_at
                delta = event["delta"]
                kind, member = _DELTAS[delta["type"]]
                block = content[-1]
                assert block["type"] == kind
                into = "input" if kind == "tool_use" else member
                block[into] += delta[member]
            case "content_block_stop":
                assert event["index"] == open_at
                _close(content[-1])
                open_at = None
            case "message_delta":
                assert open_at is None
                message |= event["delta"]
                message["usage"] |= event["usage"]
            case "message_stop":
                assert event is events[-1]
    if open_at is not None and content[open_at]["type"] == "tool_use":
        content[open_at]["input"] = {}
    return content, open_at


def _close(block: Any) -> None:
    if block["type"] == "tool_use":
        block["input"] = _object(block["input"] or "{}")


def _object(text: str) -> dict[str, Any]:
    """Read arguments; a model, or who stands between, may have written no object."""
    value = arguments(text)
    return value if isinstance(value, dict) else {"INVALID_JSON": value}


def _seen(message: Message, failure: str | None = None) -> Seen:
    """Gather what a message says."""
    blocks = message.content
    return Seen(
        model=message.model,
        thought="".join(block.thinking for block in blocks if block.type == "thinking"),
        text="".join(block.text for block in blocks if block.type == "text"),
        calls=tuple(
            (block.id, block.name, block.input) for block in blocks if block.type == "tool_use"
        ),
        stop=message.stop_reason,
        stop_sequence=message.stop_sequence,
        usage=usage_of(message.usage),
        failure=failure,
    )


def usage_of(usage: MessageUsage | MessageDeltaUsage) -> Usage:
    """Read a usage; thoughts are within the output."""
    details = usage.output_tokens_details
    thought = details.thinking_tokens if details else 0
    return Usage(
        input=usage.input_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=usage.cache_creation_input_tokens or 0,
        output=usage.output_tokens - thought,
        reasoning=thought,
    )


def _conversation(wish: Wish) -> list[dict[str, Any]]:
    """Write the conversation; what one side says in a row is one message."""
    turns: list[tuple[str, dict[str, Any]]] = [
        ("assistant" if who == "model" else "user", _block(kind, *content))
        for who, kind, *content in wish.history
    ]
    turns.append(("user", {"type": "text", "text": wish.text}))
    turns += [("user", _block(*part)) for part in wish.parts]
    messages: list[dict[str, Any]] = []
    for role, block in turns:
        if not messages or messages[-1]["role"] != role:
            messages.append({"role": role, "content": []})
        messages[-1]["content"].append(block)
    return messages


def _block(kind: str, *content: Any) -> dict[str, Any]:
    match kind:
        case "call":
            return {"type": "tool_use", "id": content[0], "name": content[1], "input": content[2]}
        case "result":
            return {"type": "tool_result", "tool_use_id": content[0], "content": content[1]}
        case "link":
            return {"type": "image", "source": {"type": "url", "url": content[0]}}
        case "image" | "document":
            source = {"type": "base64", "media_type": content[0], "data": content[1]}
            return {"type": kind, "source": source}
        case _:
            return {"type": "text", "text": content[0]}
