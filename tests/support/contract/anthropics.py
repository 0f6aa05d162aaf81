"""The shapes of Anthropic's answers, as its API describes them, cut to what we write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.support.contract.schemas import Schema, defects
from tests.support.contract.schemas import a_list as _list
from tests.support.contract.schemas import an_object as _object
from tests.support.contract.schemas import maybe as _maybe
from tests.support.contract.schemas import one_of as _one

_OK: Final = 200


_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer"}
_FLAG: Final = {"type": "boolean"}
_BLOCK: Final = {
    "oneOf": [
        _object(type=_one("text"), text=_TEXT),
        _object(type=_one("tool_use"), id=_TEXT, name=_TEXT, input={"type": "object"}),
        _object(type=_one("thinking"), thinking=_TEXT, signature=_TEXT),
        _object(type=_one("redacted_thinking"), data=_TEXT),
        _object(type=_one("server_tool_use"), id=_TEXT, name=_TEXT),
        _object(type=_one("web_search_tool_result"), tool_use_id=_TEXT),
    ]
}
_STOP: Final = _maybe(
    _one(
        *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
        "model_context_window_exceeded",
    )
)
_CACHED: Final = {
    "cache_read_input_tokens": _maybe(_COUNT),
    "cache_creation_input_tokens": _maybe(_COUNT),
}
_MESSAGE: Final = _object(
    {"stop_sequence": _maybe(_TEXT)},
    id=_TEXT,
    type=_one("message"),
    role=_one("assistant"),
    model=_TEXT,
    content=_list(_BLOCK),
    stop_reason=_STOP,
    usage=_object(_CACHED, input_tokens=_COUNT, output_tokens=_COUNT),
)
_WRONG: Final = _object(type=_TEXT, message=_TEXT)
_ERROR: Final = _object({"request_id": _maybe(_TEXT)}, type=_one("error"), error=_WRONG)
_MODEL: Final = _object(type=_one("model"), id=_TEXT, display_name=_TEXT, created_at=_TEXT)
_BATCH: Final = _object(
    {
        "archived_at": _maybe(_TEXT),
        "cancel_initiated_at": _maybe(_TEXT),
        "ended_at": _maybe(_TEXT),
        "results_url": _maybe(_TEXT),
    },
    id=_TEXT,
    type=_one("message_batch"),
    processing_status=_one("in_progress", "canceling", "ended"),
    request_counts=_object(
        processing=_COUNT, succeeded=_COUNT, errored=_COUNT, canceled=_COUNT, expired=_COUNT
    ),
    created_at=_TEXT,
    expires_at=_TEXT,
)


def _page(items: Schema) -> Schema:
    return _object(data=_list(items), has_more=_FLAG, first_id=_maybe(_TEXT), last_id=_maybe(_TEXT))


_ANSWERS: Final[Mapping[tuple[str, str], Schema]] = {
    ("POST", "messages"): _MESSAGE,
    ("POST", "messages/count_tokens"): _object(input_tokens=_COUNT),
    ("GET", "models"): _page(_MODEL),
    ("GET", "models/{id}"): _MODEL,
    ("POST", "messages/batches"): _BATCH,
    ("GET", "messages/batches"): _page(_BATCH),
    ("GET", "messages/batches/{id}"): _BATCH,
    ("POST", "messages/batches/{id}/cancel"): _BATCH,
    ("DELETE", "messages/batches/{id}"): _object(id=_TEXT, type=_one("message_batch_deleted")),
}
_DELTA: Final = {
    "oneOf": [
        _object(type=_one("text_delta"), text=_TEXT),
        _object(type=_one("input_json_delta"), partial_json=_TEXT),
        _object(type=_one("thinking_delta"), thinking=_TEXT),
        _object(type=_one("signature_delta"), signature=_TEXT),
        _object(type=_one("citations_delta")),
    ]
}
_EVENTS: Final[Mapping[str, Schema]] = {
    "message_start": _object(message=_MESSAGE),
    "content_block_start": _object(index=_COUNT, content_block={"type": "object"}),
    "content_block_delta": _object(index=_COUNT, delta=_DELTA),
    "content_block_stop": _object(index=_COUNT),
    "message_delta": _object(
        delta=_object(stop_reason=_STOP, stop_sequence=_maybe(_TEXT)),
        usage=_object(output_tokens=_COUNT),
    ),
    "message_stop": _object(),
    "ping": _object(),
    "error": _object(error=_WRONG),
}
_ROUTE: Final = re.compile(r"(?:/anthropic)?/v1/(messages(?:/.*)?)|/anthropic/v1/(.*)")
_SHARED: Final = re.compile(r"/v1/(models(?:/.*)?)")
_ID: Final = re.compile(r"(?<=^models/).+|(?<=^messages/batches/)[^/]+")


def is_route(path: str) -> bool:
    """Say whether a path is one of Anthropic's alone."""
    return _ROUTE.fullmatch(path) is not None


def is_shared(path: str) -> bool:
    """Say whether a path is Anthropic's and OpenAI's alike; a header says whose."""
    return _SHARED.fullmatch(path) is not None


def defects_of(method: str, path: str, status: int, body: bytes, *, streamed: bool) -> list[str]:
    """Give what is wrong with an answer on such a path."""
    if status != _OK:
        return list(defects(json.loads(body), _ERROR, {}))
    if streamed:
        return list(_stream_defects(body))
    match = _ROUTE.fullmatch(path) or _SHARED.fullmatch(path)
    name = _ID.sub("{id}", next(filter(None, match.groups())) if match else "")
    return list(defects(json.loads(body), _ANSWERS.get((method, name), {}), {}))


def _stream_defects(body: bytes) -> Iterator[str]:
    """Give what is wrong with the events of a stream; each says its name twice."""
    for number, block in enumerate(body.decode().split("\n\n")):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" not in lines:
            continue
        event = json.loads(lines["data"])
        if lines.get("event") != event.get("type"):
            yield f"event {number} is called {lines.get('event')!r} and {event.get('type')!r}"
        yield from defects(event, _EVENTS.get(event.get("type"), {}), {}, f"event {number}")
