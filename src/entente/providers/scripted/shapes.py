"""The shapes of OpenAI's chat completions, in the order of keys of recorded traffic.

A field that is `UNSET` is absent from the JSON, which is not the same as null.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

SYSTEM_FINGERPRINT: Final = "fp_scripted"


class Function(msgspec.Struct):
    """A called function; the name is absent from later deltas."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """A tool call; `index` is for streams only."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: Function | UnsetType = UNSET


class Message(msgspec.Struct):
    """A message, or the delta of one."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    annotations: tuple[str, ...] | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class TopLogprob(msgspec.Struct):
    """A token that could have stood here."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The token that stands here."""

    top_logprobs: list[TopLogprob]


class Logprobs(msgspec.Struct):
    """Log probabilities by the part of the message."""

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


MaybeLogprobs: TypeAlias = Logprobs | UnsetType | None


class ChunkChoice(msgspec.Struct):
    """A choice in a stream event."""

    index: int
    delta: Message
    logprobs: MaybeLogprobs
    finish_reason: str | None


class Choice(msgspec.Struct):
    """A choice in a whole answer."""

    index: int
    message: Message
    logprobs: Logprobs | None
    finish_reason: str


class PromptDetails(msgspec.Struct):
    """The parts of `prompt_tokens`."""

    cached_tokens: int
    audio_tokens: int
    cache_write_tokens: int | UnsetType


class CompletionDetails(msgspec.Struct):
    """The parts of `completion_tokens`."""

    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(msgspec.Struct):
    """Tokens as OpenAI counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Chunk(msgspec.Struct, kw_only=True):
    """A stream event."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    service_tier: str = "default"
    system_fingerprint: str = SYSTEM_FINGERPRINT
    choices: tuple[ChunkChoice, ...]
    usage: Usage | UnsetType | None


class Completion(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | UnsetType
    service_tier: str = "default"
    system_fingerprint: str = SYSTEM_FINGERPRINT


class Error(msgspec.Struct):
    """What went wrong, in four words that are all there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct):
    """The envelope of an error."""

    error: Error
