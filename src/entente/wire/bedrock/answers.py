"""Answers of Converse, whole, and what they share with its streams. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.inference import (
    CacheMark,
    ChatAnswer,
    Choice,
    Image,
    Inline,
    Part,
    RedactedThinking,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from entente.domain.usage import Usage

REPORTED_TOKENS_MAX: Final = 2**53
"""No usage is so large; a report above it is none."""

MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Reasons that say that what the model wrote is not an answer."""

_STOPS: Final[Mapping[str, Stop]] = {
    "end_turn": Stop.END,
    "tool_use": Stop.TOOL_CALLS,
    "max_tokens": Stop.LENGTH,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "guardrail_intervened": Stop.FILTERED,
    "content_filtered": Stop.FILTERED,
    "refusal": Stop.REFUSAL,
    "model_context_window_exceeded": Stop.CONTEXT,
    "pause_turn": Stop.PAUSE,
}
_TIERS: Final = frozenset({"default", "flex", "priority"})
_HOUR: Final = CacheMark.ONE_HOUR.value


def stop_of(reason: str | None) -> Stop | None:
    """Give the canonical reason; one that is newer than this module is a plain end."""
    if not reason or reason in MALFORMED:
        return None
    return _STOPS.get(reason, Stop.END)


class _CacheDetail(msgspec.Struct, rename="camel"):
    ttl: str | None = None
    input_tokens: int = 0


class WireUsage(msgspec.Struct, rename="camel"):
    """`usage` as Converse reports it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None
    """Of what was written, how much is kept for how long."""

    def disjoint(self) -> Usage | None:
        """Give classes that do not overlap; None where a count is missing or cannot be.

        Most models report cached tokens beside the input, some within it. The total tells
        which: where input and output alone make it up, the cached ones are among them.
        """
        if self.input_tokens is None or self.output_tokens is None:
            return None
        read, written = self.cache_read_input_tokens or 0, self.cache_write_input_tokens or 0
        fresh = self.input_tokens
        if self.total_tokens == fresh + self.output_tokens and fresh >= read + written:
            fresh -= read + written
        details = self.cache_details or ()
        long = sum(detail.input_tokens for detail in details if detail.ttl == _HOUR)
        counts = (fresh, read, written - long, long, self.output_tokens)
        if min(counts) < 0 or max(counts) > REPORTED_TOKENS_MAX:
            return None
        return Usage(
            input=fresh,
            cache_read=read,
            cache_write=written - long,
            cache_write_1h=long,
            output=self.output_tokens,
        )


class Additional(msgspec.Struct):
    """What we asked to see of the model's own answer."""

    stop_sequence: str | None = None


class Tier(msgspec.Struct):
    """The tier that served."""

    type: str | None = None

    def name(self) -> str | None:
        """Give its name in OpenAI's words, None where there is none."""
        return self.type if self.type in _TIERS else None


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw = Raw(b"{}")
    type: str | None = None


class _Cited(msgspec.Struct):
    text: str = ""


class _Citations(msgspec.Struct):
    content: list[_Cited] = []


class _ImageSource(msgspec.Struct):
    bytes: str | None = None


class _Image(msgspec.Struct):
    format: str = "png"
    source: _ImageSource = msgspec.field(default_factory=_ImageSource)


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None
    image: _Image | None = None


class _Message(msgspec.Struct):
    content: list[_Block] = []


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: WireUsage | None = None
    additional_model_response_fields: Additional | None = None
    service_tier: Tier | None = None


class _Error(msgspec.Struct):
    message: str | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)
_error_decoder = msgspec.json.Decoder(_Error)


def read_answer(body: bytes, /) -> ChatAnswer | None:
    """Read an answer of Converse, which has neither an id nor the model's name."""
    try:
        answer = _answer_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if answer.output.message is None:
        return None
    stop = stop_of(answer.stop_reason)
    extra = answer.additional_model_response_fields
    matched = extra.stop_sequence if extra and stop is Stop.STOP_SEQUENCE else None
    parts = [part for block in answer.output.message.content for part in _parts(block)]
    choice = Choice(parts=tuple(parts), stop=stop, stop_sequence=matched)
    return ChatAnswer(
        id="",
        model="",
        choices=(choice,),
        usage=answer.usage.disjoint() if answer.usage else None,
        service_tier=answer.service_tier.name() if answer.service_tier else None,
    )


def _parts(block: _Block) -> list[Part]:
    """Read a block; what tools of AWS's own did is not part of the answer."""
    parts: list[Part] = []
    if block.text:
        parts.append(Text(block.text))
    if block.citations_content:
        parts.append(Text("".join(piece.text for piece in block.citations_content.content)))
    if block.reasoning_content:
        parts += _thoughts(block.reasoning_content)
    if block.tool_use and block.tool_use.type is None:
        used = block.tool_use
        arguments = bytes(used.input).decode(errors="replace")
        parts.append(ToolCall(used.tool_use_id, used.name, arguments))
    if block.image and block.image.source.bytes:
        image = block.image
        parts.append(Image(Inline(f"image/{image.format}", block.image.source.bytes)))
    return parts


def _thoughts(reasoning: _Reasoning) -> list[Part]:
    """Read a thought, in the clear or encrypted."""
    if reasoning.reasoning_text is not None:
        thought = reasoning.reasoning_text
        return [Thinking(thought.text, thought.signature)]
    if reasoning.redacted_content is not None:
        return [RedactedThinking(reasoning.redacted_content)]
    return []


def read_error(body: bytes, /) -> str | None:
    """Read the sentence of an error's body; None when there is none."""
    try:
        return _error_decoder.decode(body).message or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
