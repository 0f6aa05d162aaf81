"""Whole responses, read; and what their streams share with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    Part,
    Refusal,
    Stop,
    Text,
    TokenLogprob,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire.openai import REPORTED_TOKENS_MAX
from entente.wire.openai_responses import thoughts

_NULL: Final = Raw(b"null")


class TokenForm(msgspec.Struct):
    """How likely a token was."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: list[TokenForm] | None = None

    def canonical(self) -> TokenLogprob:
        """Give the canonical value."""
        top = tuple(token.canonical() for token in self.top_logprobs or ())
        return TokenLogprob(self.token, self.logprob, self.bytes, top)


class PartForm(msgspec.Struct):
    """A part of an item: text, a refusal, a piece of a thought."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    logprobs: list[TokenForm] | None = None


class ItemForm(msgspec.Struct):
    """An item of the output, of a type that has a canonical place."""

    type: str
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[PartForm] | None = None
    summary: list[PartForm] | None = None
    encrypted_content: str | None = None

    @property
    def called(self) -> str | None:
        """The arguments of a call, JSON; None for an item that is no call."""
        if self.type == "function_call":
            return self.arguments or ""
        if self.type == "custom_tool_call":
            return msgspec.json.encode({"input": self.input or ""}).decode()
        return None

    @property
    def thought(self) -> str:
        """The summary of a thought, or else the thought."""
        shown = self.summary or self.content or ()
        return thoughts.PART_SEPARATOR.join(part.text for part in shown if part.text)


class _Kind(msgspec.Struct):
    type: str = ""


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageForm(msgspec.Struct):
    """`usage` as this API reports it: totals that contain their details."""

    input_tokens: int
    output_tokens: int
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None

    def disjoint(self) -> Usage | None:
        """Split into classes that do not overlap; None where the details exceed a total."""
        inward = self.input_tokens_details or _Details()
        read, written = inward.cached_tokens or 0, inward.cache_write_tokens or 0
        reasoned = (self.output_tokens_details or _Details()).reasoning_tokens or 0
        usage = Usage(
            input=self.input_tokens - read - written,
            cache_read=read,
            cache_write=written,
            output=self.output_tokens - reasoned,
            reasoning=reasoned,
        )
        counts = (usage.input, read, written, usage.output, reasoned)
        return usage if min(counts) >= 0 and max(counts) <= REPORTED_TOKENS_MAX else None


class IncompleteForm(msgspec.Struct):
    """Why a response is not complete."""

    reason: str | None = None


class ErrorForm(msgspec.Struct):
    """Why a response failed."""

    code: str | int | None = None
    message: str | None = None


class ResponseForm(msgspec.Struct):
    """A response without its output, which a stream has given already."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    incomplete_details: IncompleteForm | None = None
    error: ErrorForm | None = None
    service_tier: str | None = None
    usage: Raw = _NULL

    @property
    def created_s(self) -> int | None:
        """When it was begun, in seconds since 1970."""
        return None if self.created_at is None else int(self.created_at)

    def stop(self, *, called: bool) -> Stop | None:
        """Give why it ended; None for one that did not end, or failed."""
        if self.status == "completed":
            return Stop.TOOL_CALLS if called else Stop.END
        if self.status != "incomplete":
            return None
        reason = self.incomplete_details.reason if self.incomplete_details else None
        return _INCOMPLETE.get(reason, Stop.PAUSE)


class _AnswerForm(ResponseForm):
    output: list[Raw] = []
    object: str | None = None


_INCOMPLETE: Final[Mapping[str | None, Stop]] = {
    "max_output_tokens": Stop.LENGTH,
    "content_filter": Stop.FILTERED,
    None: Stop.LENGTH,
}
_SHOWN: Final = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})

_decoder = msgspec.json.Decoder(_AnswerForm)
_kind_decoder = msgspec.json.Decoder(_Kind)
_item_decoder = msgspec.json.Decoder(ItemForm)
_usage_decoder: Final[msgspec.json.Decoder[UsageForm | None]] = msgspec.json.Decoder(
    UsageForm | None
)


def read_usage(raw: Raw) -> Usage | None:
    """Read a usage; None when it makes no sense, or there is none."""
    try:
        usage = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return usage.disjoint() if usage else None


def read_item(raw: Raw) -> ItemForm | None:
    """Read an item; None for one of a type that has no place here: a hosted tool's, say."""
    try:
        if _kind_decoder.decode(raw).type not in _SHOWN:
            return None
        return _item_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_answer(body: bytes) -> ChatAnswer | None:
    """Read a whole answer; None when the body is none. Usage that makes no sense is unknown."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if answer.status is None and answer.object != "response":
        return None
    parts: list[Part] = []
    logprobs: list[TokenLogprob] = []
    for raw in answer.output:
        item = read_item(raw)
        if item is not None:
            parts += _parts(item, logprobs)
    called = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(
        parts=tuple(parts),
        stop=answer.stop(called=called),
        logprobs=tuple(logprobs) if logprobs else None,
    )
    return ChatAnswer(
        id=answer.id or "",
        model=answer.model or "",
        choices=(choice,),
        usage=read_usage(answer.usage),
        created_s=answer.created_s,
        service_tier=answer.service_tier,
    )


def _parts(item: ItemForm, logprobs: list[TokenLogprob]) -> Iterable[Part]:
    called = item.called
    if called is not None:
        yield ToolCall(item.call_id or item.id or "", item.name or "", called)
    elif item.type == "reasoning":
        thought = thoughts.by_provider(item.id or "", item.thought, item.encrypted_content)
        if thought is not None:
            yield thought
    else:
        for part in item.content or ():
            if part.text:
                yield Text(part.text)
            if part.refusal:
                yield Refusal(part.refusal)
            logprobs += (token.canonical() for token in part.logprobs or ())
