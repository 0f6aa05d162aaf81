"""Answers of generateContent, whole, and what they share with their streams. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    Image,
    Inline,
    Part,
    Stop,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire.gemini.content import SIGNATURE_MARK

REPORTED_TOKENS_MAX: Final = 2**53
"""No usage is so large; a report above it is none."""

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")
_ID_CHARS_MAX: Final = 48
_UNFINISHED: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
FAILED: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "OTHER",
        "IMAGE_OTHER",
        "NO_IMAGE",
    }
)
"""Reasons that say that there is no answer, or that what there is is not one."""
_STOPS: Final[Mapping[str, Stop]] = {
    "STOP": Stop.END,
    "MAX_TOKENS": Stop.LENGTH,
    "CONTINUATION": Stop.PAUSE,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "ESCALATION",
            "MODEL_ARMOR",
            "PUP_LIMITED_DISABLED",
        ),
        Stop.FILTERED,
    ),
}


def stop_of(reason: str | None, *, called: bool) -> Stop | None:
    """Give the canonical reason; Gemini has none of its own for an answer that calls tools.

    One that is newer than this module is a plain end.
    """
    if reason is None or reason in _UNFINISHED or reason in FAILED:
        return None
    stop = _STOPS.get(reason, Stop.END)
    return Stop.TOOL_CALLS if called and stop is Stop.END else stop


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call of a tool."""

    name: str = ""
    args: Raw = Raw(b"{}")
    id: str | None = None

    def arguments(self) -> str:
        """Give the arguments as JSON; bytes that are no text become signs that say so."""
        return bytes(self.args).decode(errors="replace")

    def call_id(self, response_id: str | None, number: int) -> str:
        """Give its id; older models give none, and get one that is theirs alone."""
        if self.id:
            return self.id
        if response_id:
            stem = _NOT_IN_IDS.sub("", response_id)[:_ID_CHARS_MAX]
        else:
            stem = hashlib.sha256(self.name.encode() + bytes(self.args)).hexdigest()[:24]
        return f"call_{stem}_{number}"


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class PartForm(msgspec.Struct, rename="camel"):
    """A part; one of its members says what it is."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: _Blob | None = None

    @property
    def signature(self) -> str | None:
        """Its signature, as clients get it."""
        return SIGNATURE_MARK + self.thought_signature if self.thought_signature else None


class _Content(msgspec.Struct):
    parts: list[PartForm] = []


class _Likely(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _LikelyTokens(msgspec.Struct):
    candidates: list[_Likely] = []


class _Logprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Likely] = []
    top_candidates: list[_LikelyTokens] = []


class Candidate(msgspec.Struct, rename="camel"):
    """One answer, or a piece of it."""

    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int = 0
    logprobs_result: _Logprobs | None = None

    @property
    def parts(self) -> list[PartForm]:
        """Its parts, none where it was cut off before the first."""
        return self.content.parts if self.content is not None else []

    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Give how likely its tokens were, None where that was not asked."""
        result = self.logprobs_result
        if result is None or not result.chosen_candidates:
            return None
        tops = [tuple(map(_token, top.candidates)) for top in result.top_candidates]
        tops += [()] * (len(result.chosen_candidates) - len(tops))
        return tuple(
            TokenLogprob(likely.token, likely.log_probability, top=top)
            for likely, top in zip(result.chosen_candidates, tops, strict=False)
        )


def _token(likely: _Likely) -> TokenLogprob:
    return TokenLogprob(likely.token, likely.log_probability)


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Count(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class UsageMetadata(msgspec.Struct, rename="camel"):
    """Usage as Gemini reports it: cached tokens within the prompt, thoughts beside the answer."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[_Count] | None = None
    cache_tokens_details: list[_Count] | None = None
    candidates_tokens_details: list[_Count] | None = None

    def disjoint(self) -> Usage | None:
        """Give classes that do not overlap; None where a count is missing or cannot be."""
        if self.prompt_token_count is None:
            return None
        cached = self.cached_content_token_count or 0
        heard = _audio(self.prompt_tokens_details) - _audio(self.cache_tokens_details)
        spoken = _audio(self.candidates_tokens_details)
        reasoned = self.thoughts_token_count or 0
        fresh = self.prompt_token_count + (self.tool_use_prompt_token_count or 0)
        usage = Usage(
            input=fresh - cached - heard,
            cache_read=cached,
            audio_input=heard,
            output=(self.candidates_token_count or 0) - spoken,
            reasoning=reasoned,
            audio_output=spoken,
        )
        counts = (usage.input, cached, heard, usage.output, reasoned, spoken)
        return usage if min(counts) >= 0 and max(counts) <= REPORTED_TOKENS_MAX else None


def _audio(counts: list[_Count] | None) -> int:
    return sum(count.token_count for count in counts or () if count.modality == "AUDIO")


class Error(msgspec.Struct):
    """An error, as the body of an answer or in the middle of a stream."""

    code: int | None = None
    message: str | None = None
    status: str | None = None


class Response(msgspec.Struct, rename="camel"):
    """A whole answer, or one event of a stream."""

    candidates: list[Candidate] = []
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Error | None = None

    @property
    def blocked(self) -> bool:
        """Whether the prompt was refused, so that there is no candidate."""
        feedback = self.prompt_feedback
        return not self.candidates and bool(feedback and feedback.block_reason)


decoder: Final = msgspec.json.Decoder(Response)


def read_answer(body: bytes, /) -> ChatAnswer | None:
    """Read an answer of generateContent."""
    try:
        response = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if response.error is not None or not (response.candidates or response.blocked):
        return None
    choices = tuple(_choice(candidate, response.response_id) for candidate in response.candidates)
    if response.blocked:
        choices = (Choice(parts=(), stop=Stop.FILTERED),)
    reported = response.usage_metadata
    return ChatAnswer(
        id=response.response_id or "",
        model=response.model_version or "",
        choices=choices,
        usage=reported.disjoint() if reported is not None else None,
    )


def _choice(candidate: Candidate, response_id: str | None) -> Choice:
    """Read one answer."""
    parts: list[Part] = []
    calls = 0
    for part in candidate.parts:
        if part.function_call is not None:
            _sign(parts, part.signature)
            call = part.function_call
            id = call.call_id(response_id, calls)
            parts.append(ToolCall(id, call.name, call.arguments()))
            calls += 1
            continue
        if part.text and part.thought:
            parts.append(Thinking(part.text))
        elif part.text:
            parts.append(Text(part.text))
        elif part.inline_data is not None:
            data = part.inline_data
            parts.append(Image(Inline(data.mime_type, data.data)))
        _sign(parts, part.signature)
    return Choice(
        index=candidate.index,
        parts=tuple(parts),
        stop=stop_of(candidate.finish_reason, called=calls > 0),
        logprobs=candidate.logprobs(),
    )


def _sign(parts: list[Part], signature: str | None) -> None:
    """Put a signature on the thought that was just thought, or on one without words."""
    if signature is None:
        return
    last = parts[-1] if parts else None
    if isinstance(last, Thinking) and last.signature is None:
        parts[-1] = Thinking(last.text, signature)
    else:
        parts.append(Thinking("", signature))


def read_error(body: bytes, /) -> str | None:
    """Read the sentence of an error's body; None when there is none."""
    try:
        error = decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (error.message or None) if error is not None else None
