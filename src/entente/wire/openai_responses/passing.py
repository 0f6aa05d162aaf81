"""Following a response whose bytes pass: what ends it matters, and errors. Pure.

A response repeats its request, and there the provider's word is not always the client's: the
provider was asked to keep nothing and was sent whole conversations, whatever is kept here.
Only where the two differ the response objects are written anew, each other member byte for
byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Status
from entente.domain.errors import EntenteError
from entente.domain.inference import STATUSES
from entente.domain.usage import Usage
from entente.wire.following import Follower
from entente.wire.members import split
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.answer_reader import ResponseForm, read_usage
from entente.wire.openai_responses.head import conversation, own_id
from entente.wire.openai_responses.stream_reader import ResponsesStreamReader
from entente.wire.sse import payload, rewritten

_NOTABLE: Final = re.compile(
    rb'"type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed|cancelled))"'
    rb'|"error"\s*:\s*[{"]'
)
_NOTABLE_OR_WHOLE: Final = re.compile(_NOTABLE.pattern + rb'|"response"\s*:\s*\{')
_NUMBER: Final = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_NUMBER_NAME: Final = b'"sequence_number"'
_NULL: Final = b"null"
_TRUE: Final = Raw(b"true")
_FAILED: Final = ("failed", "cancelled")

_decoder = msgspec.json.Decoder(ResponseForm)


class End(msgspec.Struct, frozen=True):
    """How a whole response ended, and what it used."""

    status: Status
    usage: Usage | None
    service_tier: str = ""
    """As the provider reported it."""


def read_end(body: bytes) -> End | None:
    """Read how a whole response ended; None when the body is none."""
    try:
        response = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if response.status is None:
        return None
    stop = response.stop(called=False)
    if stop is not None:
        status = STATUSES[stop]
    else:
        status = Status.FAILED if response.status in _FAILED else Status.TRUNCATED
    return End(status, read_usage(response.usage), response.service_tier or "")


class _Compaction(msgspec.Struct):
    """What settling needs of a compaction."""

    output: list[Raw]
    usage: Raw = Raw(b"null")


_compaction_decoder = msgspec.json.Decoder(_Compaction)


def read_compaction(body: bytes) -> End | None:
    """Read what a compaction used; None when the body is none."""
    try:
        found = _compaction_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return End(Status.COMPLETE, read_usage(found.usage))


class Retelling(msgspec.Struct, frozen=True):
    """What response objects say in another way than the provider does; mostly nothing."""

    changes: Mapping[str, Raw]
    """Members that replace the provider's."""
    without: frozenset[str]
    """Members that are left out."""

    def __bool__(self) -> bool:
        """Say whether there is anything to retell."""
        return bool(self.changes or self.without)

    def members(self, response: Mapping[str, Raw]) -> dict[str, Raw]:
        """Give the members of a response object as the client gets them."""
        told = {**response, **self.changes}
        return {name: raw for name, raw in told.items() if name not in self.without}

    def body(self, body: bytes) -> bytes:
        """Give a whole response as the client gets it."""
        response = split(body) if self else None
        return body if response is None else msgspec.json.encode(self.members(response))

    def event(self, event: bytes) -> bytes:
        """Give an event as the client gets it."""
        members = split(payload(event))
        response = split(bytes(members["response"])) if members and "response" in members else None
        if members is None or response is None:
            return event
        told = Raw(msgspec.json.encode(self.members(response)))
        return rewritten(event, msgspec.json.encode({**members, "response": told}))


NOTHING: Final = Retelling({}, frozenset())


def retelling(call: Call, request_id: str, *, without: frozenset[str] = frozenset()) -> Retelling:
    """Say what the answer to a call has to say as the client knows it.

    That is whether it is kept, under which id, and what it builds on. `without` is what the
    client does not expect.
    """
    changes: dict[str, Raw] = {}
    if call.stored:
        changes["id"] = Raw(msgspec.json.encode(own_id(request_id)))
        changes["store"] = _TRUE
        if bytes(call.members.get("background", _NULL)) == b"true":
            changes["background"] = _TRUE
    previous = call.members.get("previous_response_id")
    if previous is not None and bytes(previous) != _NULL:
        changes["previous_response_id"] = previous
    named = call.members.get("conversation")
    if named is not None and bytes(named) != _NULL:
        changes["conversation"] = Raw(conversation(bytes(named)))
    return Retelling(changes, without) if changes or without else NOTHING


class ResponsesStream(Follower):
    """What has come of one stream so far, and what it means."""

    __slots__ = ("_last", "_retelling")

    def __init__(self, retelling: Retelling = NOTHING) -> None:
        """Start before the first byte."""
        super().__init__(ResponsesStreamReader(), _NOTABLE_OR_WHOLE if retelling else _NOTABLE)
        self._retelling = retelling
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = super().feed(data)
        if block:
            self._last = block
        return block

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event for an answer that we break off, numbered behind what was sent."""
        at = self._last.rfind(_NUMBER_NAME)
        found = _NUMBER.match(self._last, at) if at >= 0 else None
        return faults.stream_error(error, int(found[1]) + 1 if found else 0)

    def _shown(self, event: bytes) -> bytes:
        """Retell what has to be."""
        return self._retelling.event(event) if self._retelling else event
