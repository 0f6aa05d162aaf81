"""Ways of the surfaces that are no conversation: embeddings, sound, pictures, moderation.

Where a provider has the surface, bytes pass, and are followed. Vectors are given in the form
that the client asked for, whichever the provider has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import UpstreamProtocolError
from entente.domain.features import Losses, OnLoss
from entente.domain.usage import Usage
from entente.gateway.client import Headers
from entente.gateway.passages.base import NO_HEADERS, Stream, Whole
from entente.gateway.sides import SSE, Made
from entente.wire import embeddings, openai_errors
from entente.wire.dialect import Written
from entente.wire.media.answers import EventStream, SoundStream, follow
from entente.wire.media.requests import encode

Refusal = Callable[[int, bytes, str], bytes]
"""What the body of an error becomes."""

SOUND: Final = (b"audio/", b"application/octet-stream", b"video/")
"""Content types of an answer that is sound."""
OPERATIONS: Final[Mapping[Surface, str]] = {
    Surface.COMPACTION: "compaction of responses",
    Surface.EMBEDDINGS: "embeddings",
    Surface.MODERATIONS: "moderations",
    Surface.TRANSCRIPTIONS: "audio transcriptions",
    Surface.TRANSLATIONS: "audio translations",
    Surface.SPEECH: "speech",
    Surface.IMAGE_GENERATIONS: "image generations",
    Surface.IMAGE_EDITS: "image edits",
    Surface.IMAGE_VARIATIONS: "image variations",
}
"""The surfaces that nothing else can stand in for, by their names in sentences."""


class MediaPassage:
    """A surface of sound, pictures or moderation, from client to provider and back."""

    crosses: bool = False

    def __init__(self, surface: Surface, refusal: Refusal) -> None:
        """Take the surface, and what the body of an error becomes."""
        self.surface = surface
        self.refusal = refusal
        self.stream_types: tuple[bytes, ...] = SSE
        if surface is Surface.SPEECH:
            self.stream_types += SOUND

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (no request has such a bound)
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(encode(call, model=model))

    def headers(self, call: Call) -> Headers:  # noqa: ARG002
        """Let nothing through."""
        return NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        seen = follow(call, body)
        return Whole(body, seen.status, seen.usage)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return SoundStream(call) if kind.startswith(SOUND) else EventStream(call)


class EmbeddingsPassage:
    """Embeddings, from client to provider and back."""

    surface: Surface = Surface.EMBEDDINGS
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def __init__(self, refusal: Refusal) -> None:
        """Take what the body of an error becomes."""
        self.refusal = refusal

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (there is no output)
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(embeddings.encode_embeddings(call, model=model))

    def headers(self, call: Call) -> Headers:  # noqa: ARG002
        """Let nothing through."""
        return NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer, in the form that was asked for."""
        shown, usage = embeddings.follow(body, call.form)
        return Whole(shown, Status.COMPLETE, usage)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Refuse a stream: the API has none."""
        raise UpstreamProtocolError(NO_STREAM)


class Embedder(Protocol):
    """A provider's own form of embeddings."""

    def write_request(self, asked: embeddings.Asked, /, *, model: str, losses: Losses) -> bytes:
        """Write a request. Raises InvalidParameter for what cannot be said."""
        ...

    def read_vectors(self, body: bytes, /) -> embeddings.Vectors | None:
        """Read an answer; None when it is none."""
        ...

    def read_error(self, body: bytes, /) -> str | None:
        """Read the sentence of an error."""
        ...


class EmbeddingsCrossing:
    """Embeddings of a provider that has them in a form of its own."""

    surface: Surface = Surface.EMBEDDINGS
    crosses: bool = True
    stream_types: tuple[bytes, ...] = SSE

    def __init__(self, embedder: Embedder, refusal: Callable[[int, str, str], bytes]) -> None:
        """Take the provider's form, and how the client is refused."""
        self._embedder = embedder
        self._refusal = refusal

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (there is no output)
        on_loss: OnLoss,
    ) -> Written:
        """Translate the call."""
        losses = Losses(model, on_loss)
        asked = embeddings.read_request(call)
        for name in asked.others:
            losses.note(name)
        body = self._embedder.write_request(asked, model=model, losses=losses)
        return Written(body, losses.names)

    def headers(self, call: Call) -> Headers:  # noqa: ARG002
        """Let nothing through."""
        return NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Translate a whole answer. Tokens that nobody counted are shown as they are bounded."""
        found = self._embedder.read_vectors(body)
        if found is None:
            raise UpstreamProtocolError(embeddings.NO_VECTORS)
        usage = None if found.tokens is None else Usage(input=found.tokens)
        tokens = len(call.body) if found.tokens is None else found.tokens
        shown = embeddings.write_answer(
            found.vectors, wanted=call.form, model=call.model, tokens=tokens
        )
        return Whole(shown, Status.COMPLETE, usage)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Refuse a stream: the API has none."""
        raise UpstreamProtocolError(NO_STREAM)

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:
        """Say in the client's dialect what the provider said in its own."""
        words = self._embedder.read_error(body) or openai_errors.NO_REASON.format(status)
        return self._refusal(status, words, request_id)


NO_STREAM: Final = "The provider answered with a stream, which this API does not have."
