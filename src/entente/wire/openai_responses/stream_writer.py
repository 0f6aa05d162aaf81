"""Streams of a response, written from events. Pure.

The output is items, one after the other; a new one begins where the kind of content changes.
What a stream said is said again in whole when a part, an item and the response end, as the
API does; so a writer holds the answer in memory, up to a bound.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.errors import EntenteError, UpstreamClosed, UpstreamProtocolError
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import RedactedThinking, Thinking, TokenLogprob
from entente.domain.usage import Usage
from entente.wire.dialect import Head
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.answer_writer import (
    BROKEN_OFF,
    Frame,
    incomplete_reason,
    write_usage,
)
from entente.wire.openai_responses.stream_items import Events, OpenCall, OpenMessage, OpenThought

OUTPUT_CHARS_MAX: Final = 64 * 1024 * 1024
"""An answer with more text than this is broken off."""
_TOO_LONG: Final = f"The provider's answer has more than {OUTPUT_CHARS_MAX} characters."
CALLS_OPEN_MAX: Final = 1024
"""An answer that begins more calls before it ends others is broken off."""
_TOO_MANY: Final = f"The provider's answer has more than {CALLS_OPEN_MAX} calls without an end."
_IN_PROGRESS: Final = "in_progress"

_encode = msgspec.json.Encoder().encode


class ResponsesStreamWriter:
    """Writes one answer; see `wire.dialect.StreamWriter`. It has only the first choice."""

    __slots__ = (
        "_begun",
        "_calls",
        "_chars",
        "_ended",
        "_events",
        "_failure",
        "_frame",
        "_head",
        "_index",
        "_message",
        "_output",
        "_thought",
        "_tokens",
        "_usage",
    )

    def __init__(self, head: Head) -> None:
        """Start before the first event."""
        self._head = head
        self._frame = Frame(head, "", "", None)
        self._events = Events()
        self._begun = False
        self._index = 0
        self._chars = 0
        self._message: OpenMessage | None = None
        self._thought: OpenThought | None = None
        self._calls: dict[int, OpenCall] = {}
        self._output: dict[int, bytes] = {}
        self._tokens: list[TokenLogprob] = []
        self._ended: Ended | None = None
        self._usage: Usage | None = None
        self._failure: Failed | None = None

    def feed(self, event: Event) -> bytes:
        """Take the next event; give what it makes.

        Raises UpstreamProtocolError for an answer of more than `OUTPUT_CHARS_MAX`, or of more
        open calls than `CALLS_OPEN_MAX`.
        """
        written = b""
        match event:
            case TextDelta(choice=0):
                self._count(event.text)
                message, before = self._to_message()
                tokens, self._tokens = self._tokens, []
                written = before + message.text(event.text, tokens)
            case ToolArgumentsDelta(choice=0) if event.index in self._calls:
                self._count(event.text)
                written = self._calls[event.index].text(event.text)
            case ToolCallStarted(choice=0):
                written = self._call(event)
            case ThinkingDelta(choice=0):
                self._count(event.text)
                written = self._thinking(event)
            case RefusalDelta(choice=0):
                self._count(event.text)
                message, before = self._to_message()
                written = before + message.refusal(event.text)
            case RedactedThinkingPart(choice=0):
                self._count(event.data)
                _, before = self._to_thought()
                written = before + self._close_thought(RedactedThinking(event.data))
            case Started():
                self._frame = Frame(self._head, event.id, event.model, event.created_s)
                written = self._begin()
            case _:
                self._keep(event)
        return written

    def _keep(self, event: Event) -> None:
        """Keep what is written later. Further choices have no place here."""
        match event:
            case LogprobsDelta(choice=0, refusal=False):
                for token in event.tokens:
                    self._count(token.token)
                self._tokens += event.tokens
            case Ended(choice=0):
                self._ended = event
            case Used():
                self._usage = event.usage
            case Failed():
                self._failure = event
            case _:
                pass

    def end(self) -> bytes:
        """Give the end of what is open and the response in whole; or what is due instead.

        That is `response.failed` where the provider said that it failed, and an `error` event
        where nobody knows more than that the answer broke off.
        """
        if self._failure is not None:
            return self._failed(self._failure)
        ended = self._ended
        if ended is None:
            return self.fail(UpstreamClosed(BROKEN_OFF))
        before = self._begin()
        reason = incomplete_reason(ended.stop)
        before += self._close_all("incomplete" if reason else "completed")
        status = "incomplete" if reason else "completed"
        response = self._frame.response(status, self._items, self._used, reason=reason)
        kind = b"response.incomplete" if reason else b"response.completed"
        return before + self._events.write(kind, b'"response":' + response)

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event, behind which nothing comes."""
        return faults.stream_error(error, self._events.number)

    def _failed(self, failure: Failed) -> bytes:
        """Write a provider's failure."""
        if not self._begun:
            code = _ERROR_CODES[failure.kind]
            return faults.error_event(code, failure.message, None, self._events.number)
        before = self._close_all("incomplete")
        error = {"code": _FAILED_CODES[failure.kind], "message": failure.message}
        response = self._frame.response("failed", self._items, self._used, error=error)
        return before + self._events.write(b"response.failed", b'"response":' + response)

    def _begin(self) -> bytes:
        """Begin the response, once."""
        if self._begun:
            return b""
        self._begun = True
        started = b'"response":' + self._frame.response(_IN_PROGRESS, service_tier="auto")
        created = self._events.write(b"response.created", started)
        return created + self._events.write(b"response.in_progress", started)

    # ---- items ----

    @property
    def _items(self) -> list[bytes]:
        """The output so far, in its order."""
        return [self._output[index] for index in sorted(self._output)]

    @property
    def _used(self) -> bytes | None:
        return None if self._usage is None else _encode(write_usage(self._usage))

    def _count(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > OUTPUT_CHARS_MAX:
            raise UpstreamProtocolError(_TOO_LONG)

    def _place(self) -> int:
        """Take the next place of the output."""
        index = self._index
        self._index += 1
        return index

    def _to_message(self) -> tuple[OpenMessage, bytes]:
        """Give the open message, or begin one, with what that makes."""
        if self._message is not None:
            return self._message, b""
        before = self._begin() + self._close_thought() + self._close_calls()
        index = self._place()
        self._message = message = OpenMessage(
            self._events, self._frame.item_id("msg", index), index
        )
        return message, before + message.open()

    def _to_thought(self) -> tuple[OpenThought, bytes]:
        """Give the open thought, or begin one, with what that makes."""
        if self._thought is not None:
            return self._thought, b""
        before = self._begin() + self._close_message("completed") + self._close_calls()
        index = self._place()
        self._thought = thought = OpenThought(self._events, self._frame.item_id("rs", index), index)
        return thought, before + thought.open()

    def _call(self, event: ToolCallStarted) -> bytes:
        """Begin a call. Calls may take turns: one before ends only if its arguments are whole."""
        before = self._begin() + self._close_thought() + self._close_message("completed")
        before += self._close_calls()
        self._count(event.id + event.name)
        if len(self._calls) >= CALLS_OPEN_MAX:
            raise UpstreamProtocolError(_TOO_MANY)
        index = self._place()
        item_id = self._frame.item_id("fc", index)
        call = OpenCall(self._events, item_id, index, event.id, event.name)
        self._calls[event.index] = call
        return before + call.open()

    def _thinking(self, event: ThinkingDelta) -> bytes:
        """Write more of a thought; its signature ends it."""
        if not event.text and event.signature is None:
            return b""
        thought, written = self._to_thought()
        if event.text:
            written += thought.text(event.text)
        if event.signature is not None:
            written += self._close_thought(Thinking("", event.signature))
        return written

    def _close_message(self, status: str) -> bytes:
        message, self._message = self._message, None
        if message is None:
            return b""
        tokens, self._tokens = self._tokens, []
        written = message.close(status, tokens)
        self._output[message.index] = message.written
        return written

    def _close_thought(self, sealed: Thinking | RedactedThinking | None = None) -> bytes:
        thought, self._thought = self._thought, None
        if thought is None:
            return b""
        written = thought.close(sealed)
        self._output[thought.index] = thought.written
        return written

    def _close_calls(self, status: str | None = None) -> bytes:
        """End the open calls; without a status, only those whose arguments are whole."""
        written = b""
        for number, call in list(self._calls.items()):
            if status is None and not call.is_whole:
                continue
            del self._calls[number]
            written += call.close(status or "completed")
            self._output[call.index] = call.written
        return written

    def _close_all(self, status: str) -> bytes:
        """End what is open."""
        return self._close_thought() + self._close_message(status) + self._close_calls(status)


_FAILED_CODES: Final = {
    Failure.SERVER: "server_error",
    Failure.OVERLOADED: "server_error",
    Failure.RATE_LIMITED: "rate_limit_exceeded",
    Failure.TIMEOUT: "server_error",
    Failure.INVALID: "invalid_prompt",
}
"""The codes that a response may have failed with are few."""
_ERROR_CODES: Final = {
    **_FAILED_CODES,
    Failure.OVERLOADED: "server_is_overloaded",
    Failure.TIMEOUT: "timeout",
}
