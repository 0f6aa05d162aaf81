"""The format of a script, as frozen values.

A script is an ordered list of replies and the first that matches answers. The same
values come from a TOML file (`script_file`) and from Python; both are checked here, so
that a mistake is found when the script is made and not when a call reaches it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]
BreakKind: TypeAlias = Literal[
    "close", "eof", "no_done", "error_event", "stall", "garbage", "idle_timeout"
]
OpenTimeout: TypeAlias = Literal["connect", "first_byte", "total"]

DELAY_MS_MAX: Final = 3_600_000
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
_DelayMs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=DELAY_MS_MAX)]
_ErrorStatus: TypeAlias = Annotated[int, msgspec.Meta(ge=300, le=599)]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_TEXTS: Final = ("text", "pieces", "echo", "json", "refusal")
_MODEL: Final = "an answer of the model"
_RAW: Final = "raw bytes"
_ERROR: Final = "an error"
_UNREACHED: Final = "a failure to connect"
_TIMED_OUT: Final = "a timeout"
_KIND_OF_FIELD: Final = {
    **dict.fromkeys((*_TEXTS, "tool_calls"), _MODEL),
    **dict.fromkeys(("raw_body", "raw_stream"), _RAW),
    "error": _ERROR,
    "connect_error": _UNREACHED,
    "timeout": _TIMED_OUT,
}
_KINDS_OF_OPTION: Final = {
    "finish_reason": (_MODEL,),
    "usage": (_MODEL,),
    "piece_delay_ms": (_MODEL,),
    "break_": (_MODEL, _RAW),
    "headers": (_MODEL, _RAW),
    "chunk_bytes": (_MODEL, _RAW, _ERROR),
}


def _check(holds: object, message: str) -> None:
    """Raise ValueError with the message where the condition does not hold."""
    if not holds:
        raise ValueError(message)


def _check_headers(headers: dict[str, str]) -> None:
    """Refuse what HTTP cannot carry: the answer would not have passed a real network."""
    for name, value in headers.items():
        _check(_HEADER_NAME.fullmatch(name), f"{name!r} is not the name of an HTTP header")
        _check(_HEADER_VALUE.fullmatch(value), f"header {name} holds a control character")


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions on a request; all that are given must hold."""

    model: str | None = None
    """The model's name in the request, exactly."""
    contains: str | None = None
    """Text inside the last user message, case and all."""
    matches: str | None = None
    """A regular expression found somewhere in the last user message."""
    stream: bool | None = None
    """Whether the request asks for a stream."""
    tool: str | None = None
    """The name of a tool that the request offers."""
    last_role: Role | None = None
    """The role of the very last message; `tool` when the request brings a tool's result."""

    def __post_init__(self) -> None:
        """Refuse no condition at all, and a regular expression that does not compile."""
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        _check(given, "it names no condition; leave `when` out to match every request")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                message = f"`matches` is not a regular expression: {error}"
                raise ValueError(message) from None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of a function that the model makes."""

    name: str
    arguments: str = "{}"
    """The text that the model wrote: JSON as a rule, but models make mistakes too."""


class UsageCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Token counts to report, as OpenAI counts them; None and 0 are filled in by counting.

    What is given is reported as it is, contradictions included, since vendors do that.
    """

    prompt_tokens: _Count | None = None
    """All input, cached and audio included. Counted: the words of all messages."""
    completion_tokens: _Count | None = None
    """All output. Counted: the pieces sent, plus reasoning and audio given here."""
    cached_tokens: _Count = 0
    cache_write_tokens: _Count = 0
    audio_prompt_tokens: _Count = 0
    reasoning_tokens: _Count = 0
    audio_completion_tokens: _Count = 0
    accepted_prediction_tokens: _Count = 0
    rejected_prediction_tokens: _Count = 0


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTP error: OpenAI's envelope around the four words, or a body as it stands."""

    status: _ErrorStatus
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    body: str | None = None
    """Sent instead of the envelope. Its content type is text/plain unless `headers` say more."""

    def __post_init__(self) -> None:
        """Refuse a body together with words that it would hide."""
        words = [name for name in ("type", "code", "message", "param") if getattr(self, name)]
        _check(
            self.body is None or not words,
            f"`body` is sent as it is, so `{'`, `'.join(words)}` would not be seen; drop one",
        )
        _check_headers(self.headers)


class Break(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how an answer breaks off."""

    kind: BreakKind
    after: _Count | None = None
    """Pieces that still arrive. 0: not one byte of the body. None: all of them."""

    def __post_init__(self) -> None:
        """Refuse a number that would be ignored."""
        _check(
            self.kind != "no_done" or self.after is None,
            '`after` does not go with `kind = "no_done"`, which sends everything but [DONE]',
        )


class Reply(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"break_": "break"},
):
    """One answer, with the condition under which it is given.

    It has exactly one kind: an answer of the model (`text`, `pieces`, `echo`, `json` or
    `refusal`, and `tool_calls`), raw bytes, an error, or no answer at all.
    """

    when: When | None = None
    times: _Positive | None = None
    """How often the reply can be given; after that it is passed over."""

    text: str | None = None
    pieces: tuple[str, ...] | None = None
    """The text as the stream's deltas. Other texts are split before each word."""
    echo: Literal[True] | None = None
    """Answers with the last user message."""
    json: str | None = None
    """A text that must be JSON."""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None

    raw_body: str | None = None
    raw_stream: str | None = None
    error: ErrorReply | None = None
    connect_error: Literal[True] | None = None
    timeout: OpenTimeout | None = None

    finish_reason: FinishReason | None = None
    """None: `tool_calls` when there are any, `length` at the token bound, else `stop`."""
    usage: UsageCounts | Literal["none"] | None = None
    """None counts words; "none" is a provider that does not report."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    first_delay_ms: _DelayMs = 0
    """Wait before the head of the answer, or before the failure."""
    piece_delay_ms: _DelayMs = 0
    """Wait between two pieces of a stream."""
    break_: Break | None = None
    chunk_bytes: _Positive | None = None
    """Cuts what arrives together into chunks of at most this size."""

    def __post_init__(self) -> None:
        """Refuse replies of no kind or of two, and options that would have no effect."""
        given = [name for name in _KIND_OF_FIELD if getattr(self, name) is not None]
        kinds = {_KIND_OF_FIELD[name] for name in given}
        _check(given, f"a reply needs one of: {', '.join(_KIND_OF_FIELD)}")
        _check(len(kinds) == 1, f"these do not go together: {', '.join(given)}")
        texts = [name for name in given if name in _TEXTS]
        _check(len(texts) <= 1, f"only one of these at a time: {', '.join(texts)}")
        _check("refusal" not in given or len(given) == 1, "`refusal` does not go with `tool_calls`")
        kind = kinds.pop()
        for option, allowed in _KINDS_OF_OPTION.items():
            name = option.rstrip("_")
            _check(
                not getattr(self, option) or kind in allowed,
                f"`{name}` has no effect on {kind} ({given[0]}); it goes with {_or(allowed)}",
            )
        _check_headers(self.headers)
        _check_json(self.json)
        no_done_raw = kind == _RAW and self.break_ and self.break_.kind == "no_done"
        _check(not no_done_raw, "raw bytes end as they are written; leave [DONE] out of them")


def _or(kinds: tuple[str, ...]) -> str:
    """Join alternatives for a sentence."""
    return " or ".join(kinds)


def _check_json(text: str | None) -> None:
    """Refuse a `json` that does not parse; a model's broken JSON is written as `text`."""
    if text is None:
        return
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        message = f"`json` is not JSON ({error}); write broken JSON as `text`"
        raise ValueError(message) from None


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Replies in order of precedence: the first that matches answers."""

    replies: tuple[Reply, ...]

    def __post_init__(self) -> None:
        """Refuse an empty script and replies that can never be reached."""
        _check(self.replies, "a script needs at least one reply")
        for number, reply in enumerate(self.replies[:-1], start=1):
            _check(
                reply.when is not None or reply.times is not None,
                f"reply {number} matches every request, so reply {number + 1} is never given; "
                "give it a `when` or `times`, or move it to the end",
            )


ECHO: Final = Script(replies=(Reply(echo=True),))
"""The script of a provider that has none: it repeats the last user message."""
