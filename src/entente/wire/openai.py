"""OpenAI's dialect: chat requests in, chat requests out, chat answers read. Pure.

A request is scanned once, into its top-level members with their bytes; only the members
that govern it are decoded. What goes to a provider of the same dialect is the client's
own body, or, where a member has to change, the same members with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import EntenteError, MalformedJson
from entente.domain.usage import Usage
from entente.wire.members import hidden_names, is_text, rewrite, split, split_around
from entente.wire.parameters import (
    MALFORMED,
    boolean,
    check_spelling,
    decoded,
    empty,
    integer,
    missing,
    model_name,
    wrong_type,
)

CHOICES_MAX: Final = 128
OUTPUT_TOKENS_MAX: Final = 2**31 - 1
CREATED_S_MAX: Final = 2**53
"""No instant that could be told in a number of JSON is later."""
REPORTED_TOKENS_MAX: Final = 2**53
"""No usage is so large; a report above it is none."""

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_GOVERNING: Final = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "max_completion_tokens", "max_tokens"}
)
_SETTINGS: Final = frozenset(
    {
        *(_GOVERNING - {"messages"}),
        "frequency_penalty",
        "logprobs",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "seed",
        "service_tier",
        "store",
        "temperature",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
"""Members that the API defines as a number, a word or a switch: they name nothing."""
_USUAL: Final = _SETTINGS | {"messages"}
_ATTACHMENT: Final = re.compile(
    rb'"(?:image_url|file_id|file_url)"\s*:|"audio"\s*:\s*\{\s*"id"\s*:'
)
_LIST: Final = re.compile(rb"\[[ \t\n\r]*(\])?")
_NO_ERRORS: Final = (b"null", b"{}", b'""', b"false", b"0")
_MS_PER_S: Final = 1_000


class StreamOptions(msgspec.Struct):
    """The part of `stream_options` that the gateway acts on."""

    include_usage: bool | None = None


_OPTIONS: Final[msgspec.json.Decoder[StreamOptions | None]] = msgspec.json.Decoder(
    StreamOptions | None
)


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a message that is text."""

    type: str
    text: str


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    """What a tool call calls."""

    name: str
    arguments: str


class _ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A tool call that the model made before."""

    id: str
    type: str
    function: _Function


class _Texts(msgspec.Struct, forbid_unknown_fields=True):
    """A message of nothing but texts."""

    role: str
    content: str | list[_Text] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[_ToolCall] | None = None


_TEXTS: Final[msgspec.json.Decoder[list[_Texts]]] = msgspec.json.Decoder(list[_Texts])


def decode_chat(body: bytes) -> Call:
    """Read a chat completion request as far as governing it needs.

    Raises MalformedJson or InvalidParameter, worded as OpenAI does, in OpenAI's order:
    model, messages, then types and bounds.
    """
    members = split_around(body, _TEXTS)
    texts = members is not None
    if members is None:
        members = split(body)
        if members is None:
            raise MalformedJson(MALFORMED)
        texts = _are_texts(members)
    model = model_name(members)
    if not texts:
        _check_messages(members)
    usual = members.keys() <= _USUAL
    if not usual:
        check_spelling(members, _GOVERNING)
    limits = [
        integer(members, name, 1, OUTPUT_TOKENS_MAX) or 0 for name in _LIMITS if name in members
    ]
    stream = "stream" in members and boolean(members, "stream")
    return Call(
        surface=Surface.CHAT,
        model=model,
        body=body,
        members=members,
        stream=stream,
        wants_usage=stream and wants_usage(members),
        output_tokens_max=max(limits, default=0) or None,
        choices=(integer(members, "n", 1, CHOICES_MAX) or 1) if "n" in members else 1,
        attachments=0 if texts and usual else _attachments(members, texts=texts),
    )


def check_head(members: Mapping[str, Raw]) -> None:
    """Refuse a request without a model or without messages."""
    model_name(members)
    _check_messages(members)


def encode_chat(call: Call, *, model: str, output_tokens_max: int | None) -> bytes:
    """Write the call for a provider that knows the model as `model`.

    A stream is made to report its usage. `output_tokens_max` is a bound to add where the
    client gave none; None adds nothing.
    """
    return encode(call, "max_completion_tokens", model=model, output_tokens_max=output_tokens_max)


def encode(call: Call, bound: str, *, model: str, output_tokens_max: int | None) -> bytes:
    """Write a call whose API calls its bound on output tokens `bound`; see `encode_chat`."""
    changes: dict[str, bytes] = {}
    if model != call.model:
        changes["model"] = msgspec.json.encode(model)
    if call.stream and not call.wants_usage:
        changes["stream_options"] = _options_with_usage(call.members)
    if output_tokens_max is not None and call.output_tokens_max is None:
        changes[bound] = b"%d" % output_tokens_max
    return rewrite(call, changes)


def _options_with_usage(members: Mapping[str, Raw]) -> bytes:
    """Write the options of a stream so that it reports its usage."""
    options = members.get("stream_options")
    merged = msgspec.json.decode(options, type=dict[str, Raw] | None) if options else None
    return msgspec.json.encode({**(merged or {}), "include_usage": True})


def _are_texts(members: Mapping[str, Raw]) -> bool:
    """Say whether there are messages, and none has a member that is no text.

    Such messages name nothing by reference, and to see that they are such takes a quarter
    of the time that a search of them does.
    """
    try:
        return bool(_TEXTS.decode(members.get("messages", b"")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _attachments(members: Mapping[str, Raw], *, texts: bool) -> int:
    """Count what the request names by reference, and, to be safe, what may hide a name."""
    count = 0
    for name in members.keys() - (_USUAL if texts else _SETTINGS):
        text = bytes(members[name])
        count += len(_ATTACHMENT.findall(text)) + hidden_names(text)
    return count


def wants_usage(members: Mapping[str, Raw]) -> bool:
    """Say whether the client asked for the usage event."""
    options = decoded(members, "stream_options", _OPTIONS, "an object")
    if options is not None and not is_text(bytes(members["stream_options"])):
        raise MalformedJson(MALFORMED)  # it is written anew, which takes text
    return bool(options and options.include_usage)


def _check_messages(members: Mapping[str, Raw]) -> None:
    """Refuse a request whose messages are missing, not a list, or none."""
    raw = members.get("messages")
    if raw is None:
        raise missing("messages")
    found = _LIST.match(raw)
    if found is None:
        raise wrong_type("messages", "an array of objects", raw)
    if found[1] is not None:
        raise empty("messages")


# ---- answers ----


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """`usage` as OpenAI reports it: totals that contain their details."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def disjoint(self) -> Usage | None:
        """Split into classes that do not overlap.

        None where that cannot be: a total is missing, or its details exceed it.
        """
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        inward = self.prompt_tokens_details or _PromptDetails()
        outward = self.completion_tokens_details or _CompletionDetails()
        read, written = inward.cached_tokens or 0, inward.cache_write_tokens or 0
        heard, spoken = inward.audio_tokens or 0, outward.audio_tokens or 0
        reasoned = outward.reasoning_tokens or 0
        plain = self.prompt_tokens - read - written - heard
        seen = self.completion_tokens - reasoned - spoken
        if min(plain, read, written, heard, seen, reasoned, spoken) < 0:
            return None
        if self.prompt_tokens > REPORTED_TOKENS_MAX or self.completion_tokens > REPORTED_TOKENS_MAX:
            return None
        return Usage(
            input=plain,
            cache_read=read,
            cache_write=written,
            audio_input=heard,
            output=seen,
            reasoning=reasoned,
            audio_output=spoken,
        )


class Choice(msgspec.Struct):
    """What settling needs of a choice."""

    index: int | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """What settling needs of a completion, or of one chunk of a stream."""

    choices: list[Choice] | None = None
    usage: WireUsage | UnsetType | None = UNSET
    error: Raw | UnsetType = UNSET
    service_tier: Raw = Raw(b"null")

    @property
    def tier(self) -> str:
        """The service tier that it was served in; empty where it does not say."""
        return read_tier(self.service_tier)

    @property
    def failed(self) -> bool:
        """Whether it is an error in place of an answer."""
        return self.error is not UNSET and bytes(self.error) not in _NO_ERRORS

    @property
    def reasons(self) -> dict[int, str]:
        """The finish reasons that it gives, by the index of the choice."""
        return {c.index or 0: c.finish_reason for c in self.choices or () if c.finish_reason}


class _Unmetered(msgspec.Struct):
    """A completion whose usage cannot be read."""

    choices: list[Choice] | None = None
    error: Raw | UnsetType = UNSET


_USUAL_TIER: Final = b'"default"'
_TIER: Final = re.compile(rb'"([a-z][a-z0-9_]{0,31})"')
_completion_decoder = msgspec.json.Decoder(Completion)
_unmetered_decoder = msgspec.json.Decoder(_Unmetered)
_created_decoder: Final[msgspec.json.Decoder[int | float]] = msgspec.json.Decoder(int | float)


def read_completion(body: bytes | memoryview) -> Completion | None:
    """Read a completion or a chunk; None when it does not look like one.

    An answer whose usage is not readable is an answer still, of unknown usage.
    """
    try:
        return _completion_decoder.decode(body)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        found = _unmetered_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Completion(found.choices, WireUsage(), found.error)


def read_tier(raw: Raw) -> str:
    """Read the name of a tier; what is none is empty."""
    written = bytes(raw)
    if written == _USUAL_TIER:
        return "default"
    found = _TIER.fullmatch(written)
    return found[1].decode() if found else ""


def read_created(raw: Raw) -> int | None:
    """Read when an answer was made, in whole seconds since 1970; what is no such time is None."""
    try:
        created_s = _created_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return int(created_s) if 0 <= created_s <= CREATED_S_MAX else None


def ending(reasons: Collection[str]) -> Status:
    """Give the one status of an answer whose choices ended for these reasons.

    Of several, a filter weighs more than a length, and a length more than a plain end.
    """
    if "content_filter" in reasons:
        return Status.FILTERED
    return Status.LENGTH if "length" in reasons else Status.COMPLETE


def stream_error(error: EntenteError) -> bytes:
    """Write the event that ends a stream in failure; no end marker follows it."""
    body = {
        "error": {"message": error.message, "type": "server_error", "param": None, "code": None}
    }
    return b"data: %s\n\n" % msgspec.json.encode(body)


def duration(milliseconds: int) -> str:
    """Write a time as OpenAI's rate-limit headers do: `174ms`, `8.64s`, `6m0s`."""
    if milliseconds < _MS_PER_S:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60 * _MS_PER_S)
    seconds = f"{rest / _MS_PER_S:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
