"""A response that is made in the background: the gateway's client in place of a connection.

Its events are numbered anew, as two come before the provider's: it was created, and it is
queued. Whoever follows them gets each once, from whichever number on; the event that ends
them is given out only when the response is on the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.errors import EntenteError, LimitError, RequestError, UpstreamProtocolError
from entente.gateway.client import Fail, Headers
from entente.gateway.keeping.responses import Entry
from entente.wire import openai_chat
from entente.wire.members import split
from entente.wire.openai_responses import stored
from entente.wire.sse import events, payload

EVENTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one response, as long as it runs."""

_HTTP_NO_ANSWER: Final = 300
_HTTP_TOO_MANY: Final = 429
_HTTP_SERVER: Final = 500
_TOO_LONG: Final = f"The response has more than {EVENTS_BYTES_MAX} bytes of events."
_NO_END: Final = "The provider's answer ended without a response."
_NO_REASON: Final = "The provider answered with status {} and did not say why."
_CREATED: Final = b"response.created"
_ERROR: Final = b"error"


class Run:
    """A response in the making; see `gateway.client.Client`."""

    def __init__(self, entry: Entry, queued: bytes, *, streams: bool) -> None:
        """Start with the response as it was queued."""
        self.gone = False
        """It is cut: its key has ended."""
        self.entry = entry
        self.queued = queued
        self.body = queued
        """The response as it is shown: as it ended only when that is kept, so that what builds on
        it finds what its reader has seen."""
        self.final = queued
        """The response as it ended."""
        self.streams = streams
        """It was asked for as a stream, which can be resumed."""
        self.log: list[bytes] = []
        """Its events, each at the place that its number says."""
        self.held = asyncio.get_running_loop().create_future()
        self.reason: EntenteError | None = None
        """Why it is being stopped, if it is for another reason than that its client says so."""
        self._news = asyncio.Event()
        self._bytes = 0
        self._end = b""
        """The response at its end, as the provider said."""
        self._failure: tuple[str, str] | None = None
        self._is_decided = False
        self.is_over = False
        """It is on the disk, and no more events come."""
        if streams:
            self._add("response.created", queued)
            self._add("response.queued", queued)

    # ---- the gateway's side ----

    def taken(self) -> None:
        """Note that the call is admitted and its cost held."""
        self.body = stored.in_state(self.body, stored.IN_PROGRESS)
        if not self.held.done():
            self.held.set_result(None)

    async def start(self, status: int, headers: Headers, *, fail: Fail | None = None) -> None:
        """Begin a stream."""

    def decide(self) -> None:
        """Note that it ends as it has ended now."""
        self._is_decided = True

    def send(self, data: bytes) -> bool:
        """Take events. Raises UpstreamProtocolError beyond the bound."""
        if self.gone:
            return True
        for event in events(data):
            self._take(event)
        return True

    async def caught_up(self) -> None:
        """Take more at once: followers read from the log, each in its own time."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:  # noqa: ARG002
        """Take a whole response, or the provider's error."""
        if status < _HTTP_NO_ANSWER:
            self._end = body
        else:
            words = openai_chat.read_error(body) or _NO_REASON.format(status)
            self._failure = _code(status), words

    async def finish(self, data: bytes) -> None:
        """Take the events that end a stream."""
        self._end = stored.ending(data) or b""
        for event in events(data):
            found = stored.read_event(event)
            if found is not None and not found[0].startswith(stored.ENDS):
                self._take(event)

    def _take(self, event: bytes) -> None:
        """Put an event behind the others, under its new number."""
        members = split(payload(event))
        if members is None or "type" not in members:
            return
        kind = bytes(members["type"]).strip(b'"')
        if kind == _ERROR:
            words = openai_chat.read_error(b'{"error":%b}' % payload(event)) or _NO_END
            self._failure = "server_error", words
        elif kind != _CREATED:
            members["sequence_number"] = Raw(b"%d" % len(self.log))
            self._append(b"event: %b\ndata: %b\n\n" % (kind, msgspec.json.encode(members)))

    def _append(self, event: bytes) -> None:
        self._bytes += len(event)
        if self._bytes > EVENTS_BYTES_MAX:
            raise UpstreamProtocolError(_TOO_LONG)
        self.log.append(event)
        self._wake()

    def _add(self, kind: str, response: bytes) -> None:
        self._append(stored.write_event(kind, len(self.log), response))

    # ---- the end ----

    def cut(self) -> bool:
        """End it as cancelled, whatever the provider still says; False if it has ended."""
        if not self._is_decided:
            self.gone = True
            self.body = stored.in_state(self.body, "cancelled")
        return self.gone

    def end(self, *, cancelled: bool, error: BaseException | None) -> str:
        """Decide how it ended; give the name of the event that says so."""
        if self.gone or (cancelled and self.reason is None):
            self.final = stored.in_state(self.body, "cancelled")
            return "response.incomplete"
        if error is None:
            error = self.reason if cancelled else None
        if isinstance(error, EntenteError):
            self._failure = _code_of(error), error.message
        found = stored.read_kept(self._end)
        if error is None and found is not None:
            self.final = self._end
            kind = f"response.{found.status}"
            return kind if kind in stored.ENDS else "response.incomplete"
        code, words = self._failure or ("server_error", _NO_END)
        self.final = stored.in_state(self.body, "failed", {"code": code, "message": words})
        return "response.failed"

    def close(self, kind: str) -> None:
        """Say to whoever asks or follows that it has ended, now that it is kept."""
        self.body = self.final
        if self.streams:
            self.log.append(self.last_event(kind))
        self.is_over = True
        self._wake()

    def last_event(self, kind: str) -> bytes:
        """Write the event that ends it."""
        return stored.write_event(kind, len(self.log), self.final)

    # ---- the followers' side ----

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Give the events behind a number, as they come, to the last."""
        at = after + 1
        while True:
            while at < len(self.log):
                yield self.log[at]
                at += 1
            if self.is_over:
                return
            await self._news.wait()

    def _wake(self) -> None:
        """Wake who waits for events; who comes later waits for the next."""
        news, self._news = self._news, asyncio.Event()
        news.set()


def _code(status: int) -> str:
    """Give the code of a response that a provider refused."""
    if status == _HTTP_TOO_MANY:
        return "rate_limit_exceeded"
    return "server_error" if status >= _HTTP_SERVER else "invalid_prompt"


def _code_of(error: EntenteError) -> str:
    match error:
        case LimitError():
            return "rate_limit_exceeded"
        case RequestError():
            return "invalid_prompt"
        case _:
            return "server_error"
