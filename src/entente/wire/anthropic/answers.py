"""Whole messages, read and written; and what their streams share with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    Part,
    RedactedThinking,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from entente.domain.usage import NOTHING, Usage
from entente.wire.anthropic.form import NULL, Block, arguments
from entente.wire.dialect import Head
from entente.wire.openai import REPORTED_TOKENS_MAX
from entente.wire.turns import json_object

ID_PREFIX: Final = "msg_"
INVALID_JSON: Final = "INVALID_JSON"
"""Anthropic's own name for arguments of a call that are no JSON object."""

_Json = dict[str, Any]

FAST: Final = "fast"

# ---- reading ----


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class UsageForm(msgspec.Struct):
    """`usage` as Anthropic reports it: input classes apart, thoughts within the output."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    """Of these, what is kept for how long."""
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None
    speed: str | None = None

    @property
    def tier(self) -> str | None:
        """The tier that it was served in; a fast answer has a price of its own, as a tier has."""
        return FAST if self.speed == FAST else self.service_tier

    def over(self, before: UsageForm | None) -> UsageForm:
        """Give this report, with what it leaves out taken from the one before."""
        if before is None:
            return self
        latest = {
            name: getattr(before, name) if value is None else value
            for name in self.__struct_fields__
            for value in (getattr(self, name),)
        }
        return UsageForm(**latest)

    def disjoint(self) -> Usage | None:
        """Split into classes that do not overlap; None where that cannot be."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        details = self.output_tokens_details
        thought = details.thinking_tokens or 0 if details else 0
        long = self.cache_creation.ephemeral_1h_input_tokens or 0 if self.cache_creation else 0
        written = (self.cache_creation_input_tokens or 0) - long
        usage = Usage(
            input=self.input_tokens,
            cache_read=self.cache_read_input_tokens or 0,
            cache_write=written,
            cache_write_1h=long,
            output=self.output_tokens - thought,
            reasoning=thought,
        )
        counts = (usage.input, usage.cache_read, written, long, usage.output, thought)
        return usage if min(counts) >= 0 and max(counts) <= REPORTED_TOKENS_MAX else None


class AnswerForm(msgspec.Struct):
    """An answer, or its beginning in a stream."""

    type: Literal["message"]
    content: list[Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = Raw(NULL)


_decoder = msgspec.json.Decoder(AnswerForm)
_usage_decoder = msgspec.json.Decoder(UsageForm)

_STOPS: Final[Mapping[str, Stop]] = {
    "end_turn": Stop.END,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.CONTEXT,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "tool_use": Stop.TOOL_CALLS,
    "pause_turn": Stop.PAUSE,
    "refusal": Stop.REFUSAL,
}
_TIERS: Final[Mapping[str, str]] = {"standard": "default"}


def read_stop(reason: str) -> Stop:
    """Read a stop reason; one that is new to us is a plain end."""
    return _STOPS.get(reason, Stop.END)


def read_usage(raw: Raw) -> UsageForm | None:
    """Read a usage; None when it makes no sense."""
    try:
        return _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_answer(body: bytes) -> ChatAnswer | None:
    """Read a whole answer; None when the body is none. Usage that makes no sense is unknown."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    usage = read_usage(answer.usage)
    tier = usage.tier if usage else None
    choice = Choice(
        parts=tuple(_parts(answer.content)),
        stop=read_stop(answer.stop_reason) if answer.stop_reason else None,
        stop_sequence=answer.stop_sequence,
    )
    return ChatAnswer(
        id=answer.id,
        model=answer.model,
        choices=(choice,),
        usage=usage.disjoint() if usage else None,
        service_tier=_TIERS.get(tier, tier) if tier else None,
    )


def _parts(content: Iterable[Block]) -> Iterable[Part]:
    """Read what the model said; what the vendor's own tools did has no place here."""
    for block in content:
        match block.type:
            case "text" if block.text:
                yield Text(block.text)
            case "tool_use":
                yield ToolCall(block.id or "", block.name or "", arguments(block))
            case "thinking":
                yield Thinking(block.thinking or "", block.signature or None)
            case "redacted_thinking":
                yield RedactedThinking(block.data or "")
            case _:
                pass


class _Error(msgspec.Struct):
    message: str | None = None


class _ErrorForm(msgspec.Struct):
    error: _Error | None = None


_error_decoder = msgspec.json.Decoder(_ErrorForm)


def read_error(body: bytes) -> str | None:
    """Read the sentence of an error's body; None when there is none."""
    try:
        error = _error_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (error.message or None) if error is not None else None


# ---- writing ----

_REASONS: Final[Mapping[Stop, str]] = {
    **{stop: reason for reason, stop in _STOPS.items()},
    Stop.FILTERED: "refusal",
}
_TIERS_WRITTEN: Final[Mapping[str, str]] = {
    "default": "standard",
    "priority": "priority",
    "batch": "batch",
}


def stop_reason(stop: Stop, *, refused: bool) -> str:
    """Write why an answer ended. One in which the model refused ended with that."""
    return "refusal" if refused and stop is Stop.END else _REASONS[stop]


def answer_id(given: str, head: Head) -> str:
    """Give the id of an answer: the provider's own, made to look like one of this dialect."""
    name = given or head.id
    return name if name.startswith(ID_PREFIX) else ID_PREFIX + name


def write_answer(answer: ChatAnswer, head: Head) -> bytes:
    """Write a whole answer: the first choice, as there is never another."""
    choice = answer.choices[0] if answer.choices else Choice(parts=(), stop=None)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    usage = write_usage(answer.usage or NOTHING)
    if answer.service_tier is not None:
        usage["service_tier"] = _TIERS_WRITTEN.get(answer.service_tier, "standard")
    body: _Json = {
        "id": answer_id(answer.id, head),
        "type": "message",
        "role": "assistant",
        "model": answer.model or head.model,
        "content": list(_blocks(choice.parts)),
        "stop_reason": None if choice.stop is None else stop_reason(choice.stop, refused=refused),
        "stop_sequence": choice.stop_sequence,
        "usage": usage,
    }
    return msgspec.json.encode(body)


def _blocks(parts: Iterable[Part]) -> Iterable[_Json]:
    for part in parts:
        match part:
            case Text() | Refusal():
                yield {"type": "text", "text": part.text}
            case Thinking():
                yield {
                    "type": "thinking",
                    "thinking": part.text,
                    "signature": part.signature or "",
                }
            case RedactedThinking():
                yield {"type": "redacted_thinking", "data": part.data}
            case ToolCall():
                yield {
                    "type": "tool_use",
                    "id": part.id,
                    "name": part.name,
                    "input": _input(part.arguments),
                }
            case _:
                pass  # no model answers with anything else


def _input(arguments: str) -> Raw:
    """Write the arguments of a call: an object, whatever the model wrote."""
    if not arguments.strip():
        return Raw(b"{}")
    raw = json_object(arguments)
    return Raw(msgspec.json.encode({INVALID_JSON: arguments})) if raw is None else raw


def write_usage(usage: Usage) -> _Json:
    """Write a usage as Anthropic does. Sound is counted with the text, as it has no class."""
    written: _Json = {
        "input_tokens": usage.input + usage.audio_input,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output_total,
    }
    if usage.cache_write_1h:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written
