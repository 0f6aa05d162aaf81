"""Answers of these surfaces, followed to their end and their usage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import EntenteError, UpstreamProtocolError
from entente.domain.usage import Usage
from entente.wire.openai import REPORTED_TOKENS_MAX, stream_error
from entente.wire.sse import Splitter, events, payload

MS_PER_S: Final = 1000
SECONDS_MAX: Final = 10**7
"""No recording is so long; a report above it is none."""
JSON_FORMS: Final = frozenset({"json", "verbose_json", "diarized_json"})
"""Forms of a transcription that are JSON; the others are the text alone."""

_NOT_JSON: Final = "The provider's answer is not whole: it does not read as JSON."
_NO_ERRORS: Final = (b"null", b"{}", b'""', b"false", b"0")


class _Split(msgspec.Struct):
    """Tokens by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _Used(msgspec.Struct):
    """What an answer says that it used: tokens, in and out, or a length of time."""

    type: str | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: _Split | None = None
    input_tokens_details: _Split | None = None
    output_tokens_details: _Split | None = None

    def split(self) -> tuple[_Split, _Split]:
        """Give the kinds of both sides."""
        inward = self.input_token_details or self.input_tokens_details or _Split()
        return inward, self.output_tokens_details or _Split()


class _Answer(msgspec.Struct):
    """What settling needs of an answer, or of an event."""

    type: str | None = None
    usage: Raw = Raw(b"null")
    error: Raw = Raw(b"null")
    data: list[Raw] | None = None
    duration: float | str | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)
_used_decoder = msgspec.json.Decoder(_Used | None)

Measure: TypeAlias = Callable[[Call, _Answer, _Used], Usage | None]
"""Gives what an answer used, None where it does not say."""


class Seen(NamedTuple):
    """How a whole answer ended, and what it used."""

    status: Status
    usage: Usage | None


def follow(call: Call, body: bytes) -> Seen:
    """Follow a whole answer. Raises UpstreamProtocolError for half of one in JSON."""
    if call.form is not None and call.form not in JSON_FORMS:
        return Seen(Status.COMPLETE, None)
    answer = _read(body)
    if answer is None:
        raise UpstreamProtocolError(_NOT_JSON)
    if bytes(answer.error) not in _NO_ERRORS:
        return Seen(Status.FAILED, None)
    return Seen(Status.COMPLETE, _usage(call, answer))


def _read(data: bytes) -> _Answer | None:
    """Read an answer or an event; None for what is no JSON object, or has other types."""
    try:
        return _answer_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _usage(call: Call, answer: _Answer) -> Usage | None:
    """Give what an answer used. What makes no sense is unknown."""
    try:
        used = _used_decoder.decode(answer.usage) or _Used()
    except (msgspec.DecodeError, UnicodeDecodeError):
        used = _Used()
    usage = _MEASURES[call.surface](call, answer, used)
    if usage is None or min(msgspec.structs.astuple(usage)) < 0 or usage.total > _MOST:
        return None
    return usage


_MOST: Final = 2 * REPORTED_TOKENS_MAX


def _moderation(_: Call, __: _Answer, used: _Used) -> Usage | None:
    """A check has no price by the token where nothing is said of tokens: requests are counted."""
    return Usage(input=used.prompt_tokens or used.input_tokens or 0)


def _transcription(_: Call, answer: _Answer, used: _Used) -> Usage | None:
    """Tokens, or the time that was heard, whichever the model is paid by."""
    if used.input_tokens is not None:
        heard = used.split()[0].audio_tokens
        heard = used.input_tokens if heard is None else heard
        return Usage(
            input=used.input_tokens - heard, audio_input=heard, output=used.output_tokens or 0
        )
    seconds = used.seconds if used.seconds is not None else _seconds(answer.duration)
    if seconds is None or not 0 <= seconds <= SECONDS_MAX:
        return None
    return Usage(audio_ms=-int(-seconds * MS_PER_S // 1))


def _seconds(duration: float | str | None) -> float | None:
    """Read a length of time, which some servers write as text."""
    try:
        return None if duration is None else float(duration)
    except ValueError:
        return None


def _speech(call: Call, _: _Answer, used: _Used) -> Usage | None:
    """The characters that were to be said; and tokens, where they are told."""
    return Usage(
        characters=call.characters,
        input=used.input_tokens or 0,
        audio_output=used.output_tokens or 0,
    )


def _images(call: Call, answer: _Answer, used: _Used) -> Usage | None:
    """The pictures that were made; and tokens, where they are told."""
    inward, outward = used.split()
    seen, written = inward.image_tokens or 0, outward.text_tokens or 0
    return Usage(
        images=call.choices if answer.data is None else len(answer.data),
        image_input=seen,
        input=(used.input_tokens or 0) - seen,
        output=written,
        image_output=(used.output_tokens or 0) - written,
    )


_MEASURES: Final[Mapping[Surface, Measure]] = {
    Surface.MODERATIONS: _moderation,
    Surface.TRANSCRIPTIONS: _transcription,
    Surface.TRANSLATIONS: _transcription,
    Surface.SPEECH: _speech,
    Surface.IMAGE_GENERATIONS: _images,
    Surface.IMAGE_EDITS: _images,
    Surface.IMAGE_VARIATIONS: _images,
}


# ---- streams ----

_ENDS: Final[Mapping[Surface, frozenset[str]]] = {
    Surface.TRANSCRIPTIONS: frozenset({"transcript.text.done"}),
    Surface.TRANSLATIONS: frozenset({"transcript.text.done"}),
    Surface.SPEECH: frozenset({"speech.audio.done"}),
    Surface.IMAGE_GENERATIONS: frozenset({"image_generation.completed"}),
    Surface.IMAGE_EDITS: frozenset({"image_edit.completed"}),
    Surface.IMAGE_VARIATIONS: frozenset(),
}
"""The events that end an answer, or one picture of it."""
_NOTABLE: Final = re.compile(rb'"error"|"type"\s*:\s*"[a-z_.]+\.(?:done|completed)"|\[DONE\]')
_DONE: Final = b"[DONE]"


class EventStream:
    """What has come of a stream of events, and what it means.

    Events pass as they came. The one that ends the answer is kept back for the settlement.
    """

    service_tier: str = ""
    """These APIs have none."""
    __slots__ = (
        "_bytes_seen",
        "_call",
        "_ended",
        "_ends",
        "_splitter",
        "_used",
        "done",
        "end",
        "failed",
    )

    def __init__(self, call: Call) -> None:
        """Start before the first byte."""
        self._splitter = Splitter()
        self._call = call
        self._ends = _ENDS.get(call.surface, frozenset())
        self._ended = 0
        self._bytes_seen = 0
        self._used: Usage | None = None
        self.failed = False
        self.done = False
        self.end = b""
        """The event that ends the answer and what follows it, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = self._splitter.feed(data)
        self._bytes_seen += len(block)
        if not self.done and not _NOTABLE.search(block):
            return block
        return b"".join([self._event(event) for event in events(block)])

    def _event(self, event: bytes) -> bytes:
        """Note what an event means; give it back unless it is of the end."""
        if not self.done and _NOTABLE.search(event):
            self._note(payload(event))
        if self.done:
            self.end += event
            return b""
        return event

    def _note(self, data: bytes) -> None:
        if data.strip() == _DONE:
            self.done = True
            return
        found = _read(data)
        if found is None:
            return
        if bytes(found.error) not in _NO_ERRORS:
            self.failed = True
        if found.type in self._ends:
            used = _usage(msgspec.structs.replace(self._call, choices=1), found)
            self._used = _sum(self._used, used) if self._ended else used
            self._ended += 1
            self.done = self._ended >= self._call.choices

    def close(self) -> bytes:
        """Take the end of the bytes; give what of an event without its blank line may go."""
        rest = self._splitter.rest
        self._bytes_seen += len(rest)
        last = self._event(rest) if rest else b""
        return last if self.whole else b""

    def fail(self, error: EntenteError) -> bytes:
        """Give the event that ends the stream in failure; no end follows it."""
        return stream_error(error)

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own: every picture has.

        A provider that makes fewer than were asked for says so by an end marker.
        """
        enough = 1 if self.done else self._call.choices
        return self._ended >= enough and not self.failed

    @property
    def usage(self) -> Usage | None:
        """What the provider reported for the whole answer; None is unknown."""
        return self._used if self.whole else None

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        if self.failed:
            return Status.FAILED
        return Status.COMPLETE if self.whole else Status.TRUNCATED

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far: an event's bytes are more than its tokens."""
        return self._bytes_seen


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """Add two usages; with one unknown the sum is unknown."""
    if one is None or other is None:
        return None
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Usage(*(left + right for left, right in pairs))


class SoundStream:
    """Sound that passes as it comes. All of it but the last byte goes before the settlement.

    Its end is the end of the bytes, which HTTP tells from a connection that is lost. There is
    no room in it for an error: to fail is to leave it cut off.
    """

    service_tier: str = ""
    """These APIs have none."""
    __slots__ = ("_bytes_seen", "_call", "_closed", "end")

    done = False
    """Nothing marks the end before the bytes end."""

    def __init__(self, call: Call) -> None:
        """Start before the first byte."""
        self._call = call
        self._bytes_seen = 0
        self._closed = False
        self.end = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece; give it but for its last byte, behind the one that was kept."""
        kept, self.end = self.end, data[-1:]
        self._bytes_seen += len(data)
        return kept + data[:-1]

    def close(self) -> bytes:
        """Take the end of the bytes."""
        self._closed = True
        return b""

    def fail(self, error: EntenteError) -> bytes:
        """Raise the error: the connection is to be cut."""
        raise error

    @property
    def whole(self) -> bool:
        """Whether the sound came to its end."""
        return self._closed

    @property
    def status(self) -> Status:
        """How it ended, once no more comes."""
        return Status.COMPLETE if self._closed else Status.TRUNCATED

    @property
    def usage(self) -> Usage | None:
        """The characters that were to be said; tokens are not told."""
        return Usage(characters=self._call.characters) if self._closed else None

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the tokens so far: no sound has a token in less than a byte."""
        return self._bytes_seen
