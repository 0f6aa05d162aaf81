"""What a response and each of its stream events has to look like, and a checker of it.

The schemas are our own reading of OpenAI's API, cut to what we write, and stricter than its
specification, against which everything is checked, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.support.contract.schemas import Schema, defects, is_known, named
from tests.support.contract.schemas import a_list as _list
from tests.support.contract.schemas import an_object as _object
from tests.support.contract.schemas import maybe as _maybe
from tests.support.contract.schemas import one_of as _one

NULL_ON_THE_WIRE: Final = frozenset({"usage", "user", "top_logprobs"})
"""Members that the live API has as null although its specification does not say so."""

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}
_FLAG: Final = {"type": "boolean"}
_ANY: Final[Schema] = {}
_TOP: Final = _object(token=_TEXT, logprob=_NUMBER, bytes=_list(_COUNT))
_TOKENS: Final = _list(
    _object(token=_TEXT, logprob=_NUMBER, bytes=_list(_COUNT), top_logprobs=_list(_TOP))
)
_SAID: Final = _object(
    type=_one("output_text"), text=_TEXT, annotations=_list(_ANY), logprobs=_TOKENS
)
_REFUSED: Final = _object(type=_one("refusal"), refusal=_TEXT)
_SUMMARY: Final = _object(type=_one("summary_text"), text=_TEXT)
_PART: Final = {"oneOf": [_SAID, _REFUSED]}
_STATUS: Final = _one("in_progress", "completed", "incomplete")
ITEM: Final = {
    "oneOf": [
        _object(
            id=_TEXT,
            type=_one("message"),
            role=_one("assistant"),
            content=_list(_PART),
            status=_STATUS,
        ),
        _object(
            {"id": _TEXT, "status": _STATUS},
            type=_one("function_call"),
            call_id=_TEXT,
            name=_TEXT,
            arguments=_TEXT,
        ),
        _object(
            {"encrypted_content": _maybe(_TEXT)},
            id=_TEXT,
            type=_one("reasoning"),
            summary=_list(_SUMMARY),
        ),
    ]
}
USAGE: Final = _object(
    input_tokens=_COUNT,
    input_tokens_details=_object(cached_tokens=_COUNT, cache_write_tokens=_COUNT),
    output_tokens=_COUNT,
    output_tokens_details=_object(reasoning_tokens=_COUNT),
    total_tokens=_COUNT,
)
_ERROR: Final = _object(
    code=_one("server_error", "rate_limit_exceeded", "invalid_prompt"), message=_TEXT
)
_TOOL: Final = {
    "oneOf": [
        _object(
            {"description": _maybe(_TEXT)},
            type=_one("function"),
            name=_TEXT,
            strict=_maybe(_FLAG),
            parameters=_maybe({"type": "object"}),
        ),
        _object(type=_one("custom"), name=_TEXT),
        _object(type=_one("web_search", "file_search", "code_interpreter", "mcp")),
    ]
}
RESPONSE: Final = _object(
    {
        "usage": _maybe(USAGE),
        "service_tier": _maybe(_TEXT),
        "background": _FLAG,
        "max_output_tokens": _maybe(_COUNT),
        "previous_response_id": _maybe(_TEXT),
        "reasoning": {"type": ["object", "null"]},
        "text": _object(format=_object(type=_one("text", "json_object", "json_schema"))),
        "truncation": _maybe(_one("auto", "disabled")),
        "store": _FLAG,
        "user": _maybe(_TEXT),
    },
    id=_TEXT,
    object=_one("response"),
    created_at=_NUMBER,
    status=_one("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
    error=_maybe(_ERROR),
    incomplete_details=_maybe(_object(reason=_one("max_output_tokens", "content_filter"))),
    instructions=_maybe(_TEXT),
    model=_TEXT,
    tools=_list(_TOOL),
    output=_list(ITEM),
    parallel_tool_calls=_FLAG,
    metadata=_maybe({"type": "object"}),
    tool_choice={"anyOf": [_one("none", "auto", "required"), _object(type=_TEXT)]},
    temperature=_maybe(_NUMBER),
    top_p=_maybe(_NUMBER),
)
_WITHIN: Final = {"item_id": _TEXT, "output_index": _COUNT}
_WITHIN_PART: Final = {**_WITHIN, "content_index": _COUNT}
_WITHIN_SUMMARY: Final = {**_WITHIN, "summary_index": _COUNT}
_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{
        f"response.{kind}": {"response": RESPONSE}
        for kind in ("created", "queued", "in_progress", "completed", "incomplete", "failed")
    },
    "response.output_item.added": {"output_index": _COUNT, "item": ITEM},
    "response.output_item.done": {"output_index": _COUNT, "item": ITEM},
    "response.content_part.added": {**_WITHIN_PART, "part": _PART},
    "response.content_part.done": {**_WITHIN_PART, "part": _PART},
    "response.output_text.delta": {**_WITHIN_PART, "delta": _TEXT, "logprobs": _TOKENS},
    "response.output_text.done": {**_WITHIN_PART, "text": _TEXT, "logprobs": _TOKENS},
    "response.refusal.delta": {**_WITHIN_PART, "delta": _TEXT},
    "response.refusal.done": {**_WITHIN_PART, "refusal": _TEXT},
    "response.function_call_arguments.delta": {**_WITHIN, "delta": _TEXT},
    "response.function_call_arguments.done": {**_WITHIN, "name": _TEXT, "arguments": _TEXT},
    "response.reasoning_summary_part.added": {**_WITHIN_SUMMARY, "part": _SUMMARY},
    "response.reasoning_summary_part.done": {**_WITHIN_SUMMARY, "part": _SUMMARY},
    "response.reasoning_summary_text.delta": {**_WITHIN_SUMMARY, "delta": _TEXT},
    "response.reasoning_summary_text.done": {**_WITHIN_SUMMARY, "text": _TEXT},
    "error": {"code": _maybe(_TEXT), "message": _TEXT, "param": _maybe(_TEXT)},
}
EVENTS: Final[Mapping[str, Schema]] = {
    kind: _object(type=_one(kind), sequence_number=_COUNT, **members)
    for kind, members in _MEMBERS.items()
}


def vendor_defects(value: Any, name: str) -> list[str]:
    """Give what is wrong with a value by a schema of the vendor's, where that is at hand."""
    return named(value, name) if is_known(name) else []


def as_specified(response: Any) -> Any:
    """Leave out what the live API has as null although its specification does not say so."""
    return {
        name: value
        for name, value in response.items()
        if value is not None or name not in NULL_ON_THE_WIRE
    }


def request_defects(body: bytes) -> list[str]:
    """Give what is wrong with a written request, by the vendor's specification."""
    return vendor_defects(json.loads(body), "CreateResponse")


def response_defects(body: bytes) -> list[str]:
    """Give what is wrong with a written response."""
    response = json.loads(body)
    return [
        *defects(response, RESPONSE, {}),
        *vendor_defects(as_specified(response), "Response"),
    ]


def read_events(data: bytes) -> list[dict[str, Any]]:
    """Take a written stream apart; each event names its type twice."""
    found = []
    blocks = data.decode().split("\n\n")
    assert blocks.pop() == ""
    for block in blocks:
        name, line = block.split("\n")
        event: dict[str, Any] = json.loads(line.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def stream_defects(data: bytes) -> list[str]:
    """Give what is wrong with a written stream: its events, and their numbers."""
    found = []
    for number, event in enumerate(read_events(data)):
        if event["sequence_number"] != number:
            found.append(f"event {number} has the number {event['sequence_number']}")
        found += defects(event, EVENTS[event["type"]], {}, event["type"])
        if "response" in event:
            event["response"] = as_specified(event["response"])
        found += vendor_defects(event, "ResponseStreamEvent")
    return found
