"""Answers as completions, whole and streamed, written from canonical values."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entente.domain.errors import EntenteError, UpstreamClosed
from entente.domain.events import Ended, Event, Failed, RefusalDelta, Started, TextDelta, Used
from entente.domain.inference import ChatAnswer, Choice, Refusal, Stop, Text
from entente.domain.usage import Usage
from entente.wire.dialect import Head
from entente.wire.openai import stream_error
from entente.wire.openai_chat.answers import ID_PREFIX as CHAT_PREFIX
from entente.wire.openai_chat.answers import finish_reason, write_usage
from entente.wire.openai_chat.stream_writer import BROKEN_OFF, DONE, error_event

ID_PREFIX: Final = "cmpl-"

_encode = msgspec.json.Encoder().encode
_Json = dict[str, Any]


def _frame(given: str, model: str, created_s: int | None, head: Head) -> _Json:
    """Write what the answer and each of its chunks begin with."""
    name = (given or head.id).removeprefix(CHAT_PREFIX).removeprefix(ID_PREFIX)
    return {
        "id": ID_PREFIX + name,
        "object": "text_completion",
        "created": head.created_s if created_s is None else created_s,
        "model": model or head.model,
    }


def _reason(stop: Stop | None) -> str | None:
    """Write why a text ended; it calls no tools."""
    reason = None if stop is None else finish_reason(stop)
    return "stop" if reason == "tool_calls" else reason


def write_answer(answer: ChatAnswer, head: Head) -> bytes:
    """Write a whole answer. Thoughts have no place in it."""
    body = _frame(answer.id, answer.model, answer.created_s, head)
    body["choices"] = [_choice(choice) for choice in answer.choices]
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return _encode(body)


def _choice(choice: Choice) -> _Json:
    said = [part.text for part in choice.parts if isinstance(part, Text | Refusal)]
    return {
        "text": "".join(said),
        "index": choice.index,
        "logprobs": None,
        "finish_reason": _reason(choice.stop),
    }


class CompletionStreamWriter:
    """Writes one answer; see `wire.dialect.StreamWriter`."""

    __slots__ = ("_begun", "_ended", "_failure", "_frame", "_head", "_usage")

    def __init__(self, head: Head) -> None:
        """Start before the first event."""
        self._head = head
        self._frame = _frame("", "", None, head)
        self._begun: set[int] = set()
        self._ended: dict[int, Stop] = {}
        self._usage: Usage | None = None
        self._failure: Failed | None = None

    def feed(self, event: Event) -> bytes:
        """Take the next event; give the chunk that it makes."""
        match event:
            case TextDelta() | RefusalDelta():
                self._begun.add(event.choice)
                return self._chunk(event.choice, event.text, None)
            case Started():
                self._frame = _frame(event.id, event.model, event.created_s, self._head)
            case Ended():
                self._ended[event.choice] = event.stop
            case Used():
                self._usage = event.usage
            case Failed():
                self._failure = event
            case _:
                pass
        return b""

    def end(self) -> bytes:
        """Give the finish reasons, the usage and `[DONE]`; or the error that is due instead."""
        if self._failure is not None:
            return error_event(self._failure)
        if not self._ended or not self._begun <= self._ended.keys():
            return self.fail(UpstreamClosed(BROKEN_OFF))
        pieces = [self._chunk(at, "", stop) for at, stop in sorted(self._ended.items())]
        if self._head.include_usage and self._usage is not None:
            usage = {**self._frame, "choices": [], "usage": write_usage(self._usage)}
            pieces.append(b"data: %b\n\n" % _encode(usage))
        return b"".join([*pieces, DONE])

    def fail(self, error: EntenteError) -> bytes:
        """Give the event that ends the stream in failure."""
        return stream_error(error)

    def _chunk(self, choice: int, text: str, stop: Stop | None) -> bytes:
        said = {"text": text, "index": choice, "logprobs": None, "finish_reason": _reason(stop)}
        chunk = {**self._frame, "choices": [said]}
        if self._head.include_usage:
            chunk["usage"] = None
        return b"data: %b\n\n" % _encode(chunk)
