"""What providers say in a realtime session, as far as it governs; and what we say ourselves. Pure.

Whatever cannot be read governs nothing, but it is never taken for nothing: its usage is
unknown, and unknown is estimated upwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entente.domain.chat import Status
from entente.domain.errors import EntenteError
from entente.domain.usage import Usage
from entente.wire import openai_errors
from entente.wire.members import split

CONFIGURED: Final = frozenset(
    {
        "session.created",
        "session.updated",
        "transcription_session.created",
        "transcription_session.updated",
    }
)
"""Events that carry a session's configuration."""
CANCEL: Final = b'{"type":"response.cancel"}'
_ENDINGS: Final[Mapping[str, Status]] = {
    "completed": Status.COMPLETE,
    "cancelled": Status.CANCELLED,
    "failed": Status.FAILED,
}
_REASONS: Final[Mapping[str, Status]] = {
    "max_output_tokens": Status.LENGTH,
    "content_filter": Status.FILTERED,
}


class _Typed(msgspec.Struct):
    type: str


_typed = msgspec.json.Decoder(_Typed)


class _Tokens(msgspec.Struct):
    text_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0


class _InputTokens(_Tokens):
    cached_tokens: int = 0
    cached_tokens_details: _Tokens | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: _InputTokens | None = None
    output_token_details: _Tokens | None = None

    def disjoint(self) -> Usage | None:
        """Count each token in one class; None where nothing was counted.

        A cached token is read from a cache, whatever it stands for; a token of an image is
        one of input. What no detail accounts for is text.
        """
        if self.input_tokens is None or self.output_tokens is None:
            return None
        took, gave = self.input_token_details or _InputTokens(), self.output_token_details
        of_cached = took.cached_tokens_details or _Tokens()
        cached = max(took.cached_tokens, 0)
        audio = max(took.audio_tokens - of_cached.audio_tokens, 0)
        spoken = max(gave.audio_tokens, 0) if gave else 0
        return Usage(
            input=max(self.input_tokens - cached - audio, 0),
            cache_read=cached,
            audio_input=audio,
            output=max(self.output_tokens - spoken, 0),
            audio_output=spoken,
        )


class _StatusDetails(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str = ""
    status: str = ""
    status_details: _StatusDetails | None = None
    usage: _Usage | None = None


class _ResponseEvent(msgspec.Struct):
    response: _Response


class Done(msgspec.Struct, frozen=True):
    """A response that has come to its end. A usage of None is unknown."""

    id: str
    status: Status
    usage: Usage | None


class _Turns(msgspec.Struct):
    create_response: bool | None = None


class _Transcription(msgspec.Struct):
    model: str | None = None


class _Input(msgspec.Struct):
    turn_detection: _Turns | msgspec.UnsetType | None = msgspec.UNSET
    transcription: _Transcription | msgspec.UnsetType | None = msgspec.UNSET


class _Audio(msgspec.Struct):
    input: _Input | None = None


class _Session(msgspec.Struct):
    """A session in either form: the interface's own, and that of its beta."""

    type: str = "realtime"
    audio: _Audio | None = None
    turn_detection: _Turns | msgspec.UnsetType | None = msgspec.UNSET
    input_audio_transcription: _Transcription | msgspec.UnsetType | None = msgspec.UNSET


class _SessionEvent(msgspec.Struct):
    session: _Session
    type: str = ""


class Shape(msgspec.Struct, frozen=True):
    """What of a session's configuration decides over what may cost something."""

    automatic: bool | None
    """Whether the provider begins responses by itself; None where nothing is said of it."""
    transcriber: str | None
    """The model that transcribes what is heard; None for none, "" for one without a name."""
    says_transcriber: bool


class _Error(msgspec.Struct):
    event_id: str | None = None


class _ErrorEvent(msgspec.Struct):
    error: _Error


class _TranscriptUsage(_Usage):
    seconds: float | None = None


class _ItemEvent(msgspec.Struct):
    item_id: str = ""
    usage: _TranscriptUsage | None = None


_response = msgspec.json.Decoder(_ResponseEvent)
_session = msgspec.json.Decoder(_SessionEvent)
_error = msgspec.json.Decoder(_ErrorEvent)
_item = msgspec.json.Decoder(_ItemEvent)
_FAILED_TO_READ: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def type_of(data: bytes) -> str:
    """Give the type of a provider's event, "" where there is none."""
    try:
        return _typed.decode(data).type
    except _FAILED_TO_READ:
        return ""


def read_response(data: bytes) -> Done:
    """Read `response.created` or `response.done`. What cannot be read has no id or usage."""
    try:
        said = _response.decode(data).response
    except _FAILED_TO_READ:
        return Done("", Status.TRUNCATED, None)
    status = _ENDINGS.get(said.status, Status.TRUNCATED)
    if said.status == "incomplete" and said.status_details is not None:
        status = _REASONS.get(said.status_details.reason or "", Status.TRUNCATED)
    return Done(said.id, status, said.usage.disjoint() if said.usage else None)


def read_transcript(data: bytes) -> Done:
    """Read what tells of an item's transcription; its usage may be unknown."""
    try:
        said = _item.decode(data)
    except _FAILED_TO_READ:
        return Done("", Status.TRUNCATED, None)
    failed = type_of(data).endswith(".failed")
    usage = said.usage.disjoint() if said.usage else None
    return Done(said.item_id, Status.FAILED if failed else Status.COMPLETE, usage)


def read_session(data: bytes) -> Shape:
    """Read `session.created`, `session.updated`, or a client's `session.update`."""
    try:
        event = _session.decode(data)
    except _FAILED_TO_READ:
        return Shape(None, None, says_transcriber=False)
    session = event.session
    only_hears = session.type == "transcription" or event.type.startswith("transcription_")
    heard = (session.audio.input if session.audio else None) or _Input()
    turns = (
        session.turn_detection if heard.turn_detection is msgspec.UNSET else heard.turn_detection
    )
    scribe = heard.transcription
    if scribe is msgspec.UNSET:
        scribe = session.input_audio_transcription
    automatic: bool | None = None
    if only_hears or turns is None:
        automatic = False
    elif isinstance(turns, _Turns):
        automatic = turns.create_response is not False
    if not isinstance(scribe, _Transcription):
        return Shape(automatic, None, says_transcriber=scribe is None)
    return Shape(automatic, scribe.model or "", says_transcriber=True)


def read_error(data: bytes) -> str | None:
    """Give the id of the client's event that an error is about, None where it says none."""
    try:
        return _error.decode(data).error.event_id
    except _FAILED_TO_READ:
        return None


def as_created(data: bytes) -> bytes:
    """Make of `session.updated` the `session.created` that the client waits for."""
    kind = type_of(data).replace(".updated", ".created")
    return msgspec.json.encode({**(split(data) or {}), "type": kind})


def error_event(error: EntenteError, event_id: str, about: str | None = None) -> bytes:
    """Write an error as an event; `about` is the id of the client's event that caused it."""
    said = msgspec.json.decode(openai_errors.render(error).body)["error"]
    body = {
        "type": "error",
        "event_id": event_id,
        "error": {
            "type": said["type"],
            "code": said["code"],
            "message": said["message"],
            "param": said["param"],
            "event_id": about,
        },
    }
    return msgspec.json.encode(body)
