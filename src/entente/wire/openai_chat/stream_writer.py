"""Streams of chat completion chunks, written from events. Pure.

Each chunk is the same frame around a small delta; the frame is written once per answer.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entente.domain.errors import EntenteError, UpstreamClosed
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import Stop, TokenLogprob
from entente.domain.usage import Usage
from entente.wire.dialect import Head
from entente.wire.openai import stream_error
from entente.wire.openai_chat.answers import answer_id, finish_reason, write_tokens, write_usage

DONE: Final = b"data: [DONE]\n\n"
BROKEN_OFF: Final = (
    "The provider's answer broke off before its end. What was sent so far is not the whole answer."
)

_ROLE_TEXT: Final = b'{"role":"assistant","content":"","refusal":null}'
_ROLE_CALL: Final = b'{"role":"assistant","content":null}'

_encode = msgspec.json.Encoder().encode


class ChatStreamWriter:
    """Writes one answer; see `wire.dialect.StreamWriter`."""

    __slots__ = (
        "_before",
        "_begun",
        "_behind",
        "_ended",
        "_failure",
        "_head",
        "_logprobs",
        "_usage",
    )

    def __init__(self, head: Head) -> None:
        """Start before the first event."""
        self._head = head
        self._before = b""
        self._behind = b',"usage":null}\n\n' if head.include_usage else b"}\n\n"
        self._begun: set[int] = set()
        self._ended: dict[int, Stop] = {}
        self._logprobs: dict[int, dict[str, list[TokenLogprob]]] = {}
        self._usage: Usage | None = None
        self._failure: Failed | None = None
        self._frame("", "", None)

    def _frame(self, given: str, model: str, created_s: int | None) -> None:
        head = self._head
        frame = {
            "id": answer_id(given, head),
            "object": "chat.completion.chunk",
            "created": head.created_s if created_s is None else created_s,
            "model": model or head.model,
        }
        self._before = b"data: " + _encode(frame)[:-1] + b',"choices":['

    def feed(self, event: Event) -> bytes:
        """Take the next event; give the chunks that it makes."""
        match event:
            case TextDelta():
                return self._delta(event.choice, b'{"content":%b}' % _encode(event.text))
            case ToolArgumentsDelta():
                call = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
                return self._delta(event.choice, call % (event.index, _encode(event.text)))
            case ToolCallStarted():
                call = (
                    b'{"tool_calls":[{"index":%d,"id":%b,"type":"function",'
                    b'"function":{"name":%b,"arguments":""}}]}'
                )
                written = call % (event.index, _encode(event.id), _encode(event.name))
                return self._delta(event.choice, written, first=_ROLE_CALL)
            case ThinkingDelta() if event.text:
                return self._delta(event.choice, b'{"reasoning_content":%b}' % _encode(event.text))
            case RefusalDelta():
                return self._delta(event.choice, b'{"refusal":%b}' % _encode(event.text))
            case _:
                self._keep(event)
        return b""

    def _keep(self, event: Event) -> None:
        """Keep what is written later; encrypted thoughts have no place here."""
        match event:
            case LogprobsDelta():
                kind = "refusal" if event.refusal else "content"
                waiting = self._logprobs.setdefault(event.choice, {})
                waiting.setdefault(kind, []).extend(event.tokens)
            case Started():
                self._frame(event.id, event.model, event.created_s)
            case Ended():
                self._ended[event.choice] = event.stop
            case Used():
                self._usage = event.usage
            case Failed():
                self._failure = event
            case _:
                pass

    def end(self) -> bytes:
        """Give the finish reasons, the usage and `[DONE]`; or the error that is due instead."""
        if self._failure is not None:
            return error_event(self._failure)
        if not self._ended or not self._begun <= self._ended.keys():
            return self.fail(UpstreamClosed(BROKEN_OFF))
        pieces: list[bytes] = []
        for choice, stop in sorted(self._ended.items()):
            if choice in self._logprobs or choice not in self._begun:
                pieces.append(self._delta(choice, b'{"content":""}'))
            pieces.append(self._chunk(choice, b"{}", b'"%b"' % finish_reason(stop).encode()))
        if self._head.include_usage and self._usage is not None:
            usage = _encode(write_usage(self._usage))
            pieces.append(self._before + b'],"usage":' + usage + b"}\n\n")
        pieces.append(DONE)
        return b"".join(pieces)

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event, behind which nothing comes."""
        return stream_error(error)

    def _delta(self, choice: int, delta: bytes, first: bytes = _ROLE_TEXT) -> bytes:
        """Write a chunk; the first one of a choice is preceded by its role."""
        if choice in self._begun:
            return self._chunk(choice, delta)
        self._begun.add(choice)
        return self._chunk(choice, first, plain=True) + self._chunk(choice, delta)

    def _chunk(
        self, choice: int, delta: bytes, reason: bytes = b"null", *, plain: bool = False
    ) -> bytes:
        logprobs = b""
        if choice in self._logprobs and not plain:
            logprobs = b',"logprobs":' + _encode(_write_logprobs(self._logprobs.pop(choice)))
        return b'%b{"index":%d,"delta":%b%b,"finish_reason":%b}]%b' % (
            self._before,
            choice,
            delta,
            logprobs,
            reason,
            self._behind,
        )


def _write_logprobs(found: dict[str, list[TokenLogprob]]) -> dict[str, Any]:
    return {
        kind: write_tokens(tuple(found[kind])) if kind in found else None
        for kind in ("content", "refusal")
    }


_ERRORS: Final = {
    Failure.SERVER: ("server_error", None),
    Failure.OVERLOADED: ("service_unavailable_error", "server_is_overloaded"),
    Failure.RATE_LIMITED: ("requests", "rate_limit_exceeded"),
    Failure.TIMEOUT: ("timeout", "timeout"),
    Failure.INVALID: ("invalid_request_error", None),
}


def error_event(failure: Failed) -> bytes:
    """Write a provider's failure in OpenAI's envelope."""
    kind, code = _ERRORS[failure.kind]
    error = {"message": failure.message, "type": kind, "param": None, "code": code}
    return b"data: %b\n\n" % _encode({"error": error})
