"""What clients ask for in a realtime session: its URL, its headers, its events. Pure.

A message is peeked at: its type is found without decoding the audio in it. Only the few
that begin a response, or say how responses begin, are read further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from entente.domain.errors import InvalidParameter
from entente.wire.carried import carried
from entente.wire.members import hidden_names, misspelt, split
from entente.wire.nesting import DEPTH_MAX, is_deep

QUERY_FIELDS_MAX: Final = 64
SPOKEN: Final = ("realtime",)
"""Subprotocols that are agreed to."""

CREATE: Final = "response.create"
UPDATES: Final = frozenset({"session.update", "transcription_session.update"})
_BETA: Final = re.compile(rb"openai-beta\.([a-z0-9_]{1,32})-(v\d{1,4})")
"""A browser's subprotocol that says what others say in `OpenAI-Beta`."""
_GOVERNING: Final = ("type", "event_id", "response", "session")


class Wanted(msgspec.Struct, frozen=True):
    """What the URL of a session asks for."""

    model: str | None
    transcribes: bool


def read_query(query: str, deployment: str | None) -> Wanted:
    """Read the query of a session's URL; `deployment` is what Azure's names, None elsewhere."""
    try:
        fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        fields = {}
    if "call_id" in fields:
        message = "Calls (WebRTC and SIP) are not served here: open a session with 'model'."
        raise InvalidParameter(message, param="call_id", code="unsupported_parameter")
    intent = fields.get("intent", "")
    if intent not in ("", "conversation", "transcription"):
        message = f"Invalid value: '{intent[:64]}'. Supported values are: 'transcription'."
        raise InvalidParameter(message, param="intent", code="invalid_value")
    return Wanted(deployment or fields.get("model") or None, intent == "transcription")


def read_beta(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Give what a client says in `OpenAI-Beta`, or a browser in its subprotocols."""
    said = carried(headers).get(b"openai-beta")
    if said is not None:
        return said.decode("ascii")
    offered = [value for name, value in headers if name == b"sec-websocket-protocol"]
    for offer in b",".join(offered).split(b","):
        found = _BETA.fullmatch(offer.strip())
        if found is not None:
            return f"{found[1].decode()}={found[2].decode()}"
    return None


# ---- events ----


AUDIO: Final = frozenset({"input_audio_buffer.append"})


class Heard(msgspec.Struct, frozen=True):
    """A client's message: its type, and its bytes as they may go on."""

    type: str
    data: bytes
    event_id: str | None


class _Peek(msgspec.Struct):
    type: str
    event_id: Any = None


_peek = msgspec.json.Decoder(_Peek)


def hear(data: bytes) -> Heard:
    """Peek at a client's message. Raises InvalidParameter for what has no type.

    What may hide a second type from us is written anew, each member once, so that the
    provider cannot take it for something else than we did.
    """
    try:
        seen = _peek.decode(data)
    except msgspec.ValidationError:
        message = "The 'type' field is missing."
        raise InvalidParameter(message, param="type", code="invalid_event") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "The message is not a JSON object."
        raise InvalidParameter(message, param=None, code="invalid_json") from None
    governs = seen.type == CREATE or seen.type in UPDATES
    if governs or b"response.create" in data or hidden_names(data):
        if is_deep(data):  # what only passes by is taken apart by nobody
            message = f"The message is nested more than {DEPTH_MAX} levels deep. Send it flatter."
            raise InvalidParameter(message, param=None, code="invalid_json")
        members = split(data) or {}
        wrong = misspelt(members, _GOVERNING)
        if wrong is not None:
            message = f"Unknown parameter: '{wrong}'."
            raise InvalidParameter(message, param=wrong, code="unknown_parameter")
        once = msgspec.json.encode(members)
        if data.count(b'"type"') > 1 or hidden_names(data) or data.count(b'"event_id"') > 1:
            data = once
    event_id = seen.event_id if isinstance(seen.event_id, str) else None
    return Heard(seen.type, data, event_id)


def named(data: bytes, event_id: str) -> bytes:
    """Give a message an id, by which the provider's error would name it."""
    members = {**(split(data) or {}), "event_id": msgspec.Raw(msgspec.json.encode(event_id))}
    return msgspec.json.encode(members)


def opening_event(
    session: bytes | None, tokens_max: int | None, *, beta: bool, transcribes: bool
) -> bytes | None:
    """Write the event that configures a session to begin with, None for the provider's own way.

    `session` is a configuration that was agreed on before; `tokens_max` bounds each
    response's output, None for the model's own bound. The beta has a form of its own.
    """
    if session is None and tokens_max is None:
        return None
    kind = "transcription" if transcribes else "realtime"
    members = split(session or b"{}") or {}
    if not beta:
        members = {"type": msgspec.Raw(msgspec.json.encode(kind)), **members}
    members.pop("model", None)
    if tokens_max is not None:
        name = "max_response_output_tokens" if beta else "max_output_tokens"
        members.setdefault(name, msgspec.Raw(b"%d" % tokens_max))
    name = "transcription_session.update" if beta and transcribes else "session.update"
    return limit_output(msgspec.json.encode({"type": name, "session": members}), tokens_max)


def without_model(data: bytes) -> bytes:
    """Take the model out of a `session.update`: it stays what the session was opened with."""
    if b'"model"' not in data and not hidden_names(data):
        return data
    members = split(data) or {}
    session = split(bytes(members.get("session", msgspec.Raw(b"null"))))
    if session is None or "model" not in session:
        return data
    del session["model"]
    return msgspec.json.encode({**members, "session": msgspec.Raw(msgspec.json.encode(session))})


def limit_output(data: bytes, tokens_max: int | None) -> bytes:
    """Bound what a `response.create` or `session.update` asks for; as it is where it is bounded.

    The bound has another name in the interface's beta; whichever is there is bounded.
    """
    if tokens_max is None:
        return data
    members = split(data) or {}
    for outer in ("response", "session"):
        inner = split(bytes(members[outer])) if outer in members else None
        if inner is None:
            continue
        changed = {
            name: msgspec.Raw(b"%d" % tokens_max)
            for name in ("max_output_tokens", "max_response_output_tokens")
            if name in inner and not _within(bytes(inner[name]), tokens_max)
        }
        if changed:
            members[outer] = msgspec.Raw(msgspec.json.encode({**inner, **changed}))
            data = msgspec.json.encode(members)
    return data


def _within(value: bytes, tokens_max: int) -> bool:
    """Say whether a bound is a number, and no larger."""
    number = msgspec.json.decode(value)
    return isinstance(number, int) and number <= tokens_max
