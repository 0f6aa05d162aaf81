"""Stored chat completions: what of a request and its answer is kept, and how it is shown. Pure.

A completion is kept as the client got it. What can change is its metadata, which is kept
beside it and shown in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call
from entente.domain.errors import MalformedJson
from entente.wire.members import split
from entente.wire.openai_responses import faults, form
from entente.wire.parameters import MALFORMED

KIND: Final = "chat.completion"
_REPEATED: Final = (
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "seed",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
)
"""Members of the request that a stored completion repeats."""
_KEPT_HERE: Final = ("store", "metadata")
_SHOWN: Final = ("role", "content", "name", "tool_calls", "function_call", "tool_call_id", "audio")

_boolean = msgspec.json.Decoder(bool | None)
_messages_decoder = msgspec.json.Decoder(list[dict[str, Any]])


class Completion(msgspec.Struct):
    """What keeping a completion needs of it."""

    id: str
    model: str
    choices: list[Raw]


_completion_decoder = msgspec.json.Decoder(Completion)


def wants_store(call: Call) -> bool:
    """Say whether the answer is to be kept. Raises InvalidParameter or MalformedJson."""
    raw = call.members.get("store")
    if raw is None:
        return False
    try:
        return _boolean.decode(raw) is True
    except msgspec.ValidationError:
        raise faults.wrong_type("store", "a boolean", faults.kind(raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedJson(MALFORMED) from None


def metadata_of(members: Mapping[str, Raw]) -> dict[str, str]:
    """Read `metadata`, within the API's bounds; none is empty. Raises InvalidParameter."""
    return form.read(members, ("metadata",)).metadata or {}


def new_metadata(body: bytes) -> dict[str, str]:
    """Read the body of an update. Raises InvalidParameter or MalformedJson."""
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    if "metadata" not in members:
        raise faults.missing("metadata")
    return metadata_of(members)


def without_store(call: Call) -> Call:
    """Give the call without what only concerns the store, which is ours and not the provider's."""
    members = {name: raw for name, raw in call.members.items() if name not in _KEPT_HERE}
    return msgspec.structs.replace(call, body=msgspec.json.encode(members), members=members)


def read_completion(body: bytes) -> Completion | None:
    """Read what keeping a whole answer needs; None for what is no completion."""
    try:
        return _completion_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def stored(body: bytes, call: Call, request_id: str) -> bytes:
    """Write a completion as it is kept: the answer, and how it was asked for."""
    answer = split(body) or {}
    said = {name: call.members[name] for name in _REPEATED if name in call.members}
    about = {"request_id": Raw(msgspec.json.encode(request_id)), **said}
    return msgspec.json.encode({**about, **answer})


def shown(body: bytes, metadata: Mapping[str, str]) -> Raw:
    """Write a kept completion for a client, with its metadata as it is now."""
    members = {**(split(body) or {}), "metadata": Raw(msgspec.json.encode(dict(metadata)))}
    return Raw(msgspec.json.encode(members))


def messages(call: Call, completion_id: str) -> list[tuple[str, bytes]]:
    """Give the request's messages as they are listed, each with its id."""
    try:
        sent = _messages_decoder.decode(call.members["messages"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # the provider took them for messages all the same
    return [
        (f"{completion_id}-{number}", _message(f"{completion_id}-{number}", message))
        for number, message in enumerate(sent)
    ]


def _message(id: str, sent: Mapping[str, Any]) -> bytes:
    content = sent.get("content")
    parts = content if isinstance(content, list) else None
    written = {
        "id": id,
        **{name: sent[name] for name in _SHOWN if name in sent},
        "content": None if parts is not None else content,
        "refusal": sent.get("refusal"),
        "content_parts": parts,
    }
    return msgspec.json.encode(written)


def page(data: Sequence[Raw], ids: Sequence[str], *, has_more: bool) -> dict[str, Any]:
    """Write a part of a list."""
    first, last = (ids[0], ids[-1]) if ids else ("", "")
    return {
        "object": "list",
        "data": data,
        "first_id": first,
        "last_id": last,
        "has_more": has_more,
    }


def deleted(id: str) -> dict[str, Any]:
    """Write that a completion was deleted."""
    return {"object": f"{KIND}.deleted", "id": id, "deleted": True}


def searched_metadata(fields: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Read `metadata[key]=value` of a query. Raises InvalidParameter beyond the bounds."""
    found = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, values in fields.items()
        if name.startswith("metadata[") and name.endswith("]")
        for value in values
    }
    return metadata_of({"metadata": Raw(msgspec.json.encode(found))})


def not_found(id: str) -> str:
    """Say that there is no such completion."""
    return f"Chat completion with id '{id[: faults.NAME_CHARS_MAX]}' not found."
