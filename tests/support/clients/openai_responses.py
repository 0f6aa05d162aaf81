"""A client that speaks OpenAI's Responses."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

from openai.types.responses import Response, ResponseStreamEvent, ResponseUsage
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
    validated,
)
from tests.wire.responses_schema import read_events, response_defects, stream_defects

_responses: Final = TypeAdapter(Response)
_events: Final[TypeAdapter[Any]] = TypeAdapter(ResponseStreamEvent)
ALSO: Final = frozenset({"store", "name", "obfuscation"})
"""What OpenAI says beside the members of its own types."""
_COMPLETED: Final = "completed"
_ENDS: Final = ("response.completed", "response.incomplete")
_FAILURES: Final = ("response.failed", "error")
_SETTINGS: Final = {"max_completion_tokens": "max_output_tokens"}


class OpenAIResponses(Client):
    """`POST /v1/responses`."""

    name = "OpenAI responses"
    losses: ClassVar = {"json_object": "text.format", "vendor_tools": "tools"}
    says_stop_sequence = False
    words: ClassVar = {
        Stop.END: _COMPLETED,
        Stop.STOP_SEQUENCE: _COMPLETED,
        Stop.TOOL_CALLS: _COMPLETED,
        Stop.LENGTH: "max_output_tokens",
        Stop.FILTERED: "content_filter",
        Stop.REFUSAL: "content_filter",
    }
    kinds: ClassVar = {400: "invalid_request_error", 500: "server_error"}

    def path(self, model: str) -> str:  # noqa: ARG002
        """The same for every model."""
        return "/v1/responses"

    def headers(self, key: str) -> dict[str, str]:
        """Show the key as a bearer's."""
        return {"authorization": f"Bearer {key}"}

    def body(self, wish: Wish, model: str) -> dict[str, Any]:
        """Write a request."""
        settings = {_SETTINGS.get(name, name): value for name, value in wish.settings.items()}
        if effort := settings.pop("reasoning_effort", None):
            settings["reasoning"] = {"effort": effort}
        if settings.pop("response_format", None):
            settings["text"] = {"format": {"type": "json_object"}}
        body: dict[str, Any] = {
            "model": model,
            "max_output_tokens": OUTPUT_TOKENS_MAX,
            "input": [*(_item(*said) for said in wish.history), _last(wish)],
            **settings,
            **wish.extra,
        }
        if wish.system:
            body["instructions"] = wish.system
        if wish.stream:
            body["stream"] = True
        if wish.tools:
            body["tools"] = [
                {"type": "function", "name": name, "parameters": schema, "strict": False}
                for name, schema in wish.tools
            ]
        if wish.choice:
            words = {"any": "required", "auto": "auto", "none": "none"}
            named = {"type": "function", "name": wish.choice}
            body["tool_choice"] = words.get(wish.choice) or named
        if wish.form:
            form = {"type": "json_schema", "name": "answer", "schema": wish.form, "strict": True}
            body["text"] = {"format": form}
        return body

    def read(self, body: bytes) -> Seen:
        """Read a response."""
        assert response_defects(body) == []
        return _seen(json.loads(body))

    def read_stream(self, body: bytes) -> Seen:
        """Read the events of a response; what came in pieces is what its end says."""
        assert stream_defects(body) == []
        events = read_events(body)
        for event in events:
            validated(_events, event, also=ALSO)
        last = events[-1]
        assert all(event["type"] not in (*_ENDS, *_FAILURES) for event in events[:-1])
        texts, calls = _gathered(events)
        if last["type"] in _ENDS:
            seen = _seen(last["response"])
            assert seen.text == "".join(texts)
            assert [call[2] for call in seen.calls] == [arguments(text) for text in calls]
            return seen
        assert last["type"] in _FAILURES
        error = last if last["type"] == "error" else last["response"]["error"]
        begun = events[0]["response"]["model"] if "response" in events[0] else ""
        return Seen(model=begun, text="".join(texts), failure=error["message"])

    def wrong(self, body: bytes) -> Wrong:
        """Read an error."""
        value = json.loads(body)
        assert set(value) == {"error"}, value
        error = value["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        return Wrong(error["type"], error["message"], error["param"])


def _gathered(events: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Put the deltas of text, and of each call's arguments, together."""
    texts: list[str] = []
    calls: dict[str, str] = {}
    for event in events:
        match event["type"]:
            case "response.output_text.delta":
                texts.append(event["delta"])
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                calls[event["item"]["id"]] = ""
            case "response.function_call_arguments.delta":
                calls[event["item_id"]] += event["delta"]
    return texts, list(calls.values())


def _seen(value: Any) -> Seen:
    response = validated(_responses, value, also=ALSO)
    details = response.incomplete_details
    assert response.status in {_COMPLETED, "incomplete"}
    assert (details is None) is (response.status == _COMPLETED)
    thoughts = [item for item in response.output if item.type == "reasoning"]
    called = [item for item in response.output if item.type == "function_call"]
    return Seen(
        model=response.model,
        thought="".join(part.text for item in thoughts for part in item.summary),
        text=response.output_text,
        calls=tuple((item.call_id, item.name, arguments(item.arguments)) for item in called),
        stop=details.reason if details else response.status,
        usage=_usage(response.usage),
    )


def _usage(usage: ResponseUsage | None) -> Usage | None:
    if usage is None:
        return None
    inward, thought = usage.input_tokens_details, usage.output_tokens_details.reasoning_tokens
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return Usage(
        input=usage.input_tokens - inward.cached_tokens - inward.cache_write_tokens,
        cache_read=inward.cached_tokens,
        cache_write=inward.cache_write_tokens,
        output=usage.output_tokens - thought,
        reasoning=thought,
    )


def _item(who: str, kind: str, *content: Any) -> dict[str, Any]:
    """Write an item of what was said before."""
    match kind:
        case "call":
            called = {"call_id": content[0], "name": content[1]}
            return {"type": "function_call", **called, "arguments": json.dumps(content[2])}
        case "result":
            return {"type": "function_call_output", "call_id": content[0], "output": content[1]}
        case _:
            role = "assistant" if who == "model" else "user"
            return {"role": role, "content": content[0]}


def _last(wish: Wish) -> dict[str, Any]:
    """Write what the user says last, and shows."""
    if not wish.parts:
        return {"role": "user", "content": wish.text}
    shown = [_shown(*part) for part in wish.parts]
    return {"role": "user", "content": [{"type": "input_text", "text": wish.text}, *shown]}


def _shown(kind: str, *content: str) -> dict[str, Any]:
    match kind:
        case "link":
            return {"type": "input_image", "image_url": content[0], "detail": "auto"}
        case "image":
            url = f"data:{content[0]};base64,{content[1]}"
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case _:
            data = f"data:{content[0]};base64,{content[1]}"
            return {"type": "input_file", "filename": "a.pdf", "file_data": data}
