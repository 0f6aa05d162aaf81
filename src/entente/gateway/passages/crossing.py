"""Ways between two dialects: request and answer cross over as canonical values."""

from __future__ import annotations

from functools import partial
from typing import Final

from entente.domain.chat import Call, Status
from entente.domain.errors import EntenteError, UpstreamProtocolError
from entente.domain.features import OnLoss
from entente.domain.inference import ChatAnswer
from entente.gateway.client import Headers
from entente.gateway.passages.base import NO_HEADERS, Stream, Whole
from entente.gateway.sides import ClientSide, Made, ProviderSide
from entente.wire import azure_errors, openai, openai_errors
from entente.wire.dialect import StreamReader, StreamWriter, Written
from entente.wire.progress import Followed, status_of

NO_ANSWER: Final = "The provider's answer is not one of its API's."


class Crossing:
    """A passage between two dialects."""

    crosses: bool = True

    def __init__(self, client: ClientSide, provider: ProviderSide) -> None:
        """Take both sides."""
        self._client = client
        self._codec = provider.codec
        self.surface = provider.surface
        self.stream_types = provider.stream_types

    def request(
        self, call: Call, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
    ) -> Written:
        """Translate the call."""
        asked = self._client.codec.read_request(call)
        write = partial(
            self._codec.write_request,
            asked,
            model=model,
            output_tokens_max=output_tokens_max,
            on_loss=on_loss,
        )
        return self._client.wording.write(write)

    def headers(self, call: Call) -> Headers:  # noqa: ARG002
        """Let nothing through: what one vendor's header means, no other knows."""
        return NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Translate a whole answer."""
        answer = self._codec.read_answer(body)
        if answer is None:
            raise UpstreamProtocolError(NO_ANSWER)
        written = self._client.codec.write_answer(answer, self._client.head(call, made))
        return Whole(written, _status(answer), answer.usage, answer.service_tier or "")

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Translate a stream."""
        return CrossingStream(
            self._codec.stream_reader(choices=call.choices),
            self._client.codec.stream_writer(self._client.head(call, made)),
        )

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:
        """Say in the client's dialect what the provider said in its own."""
        words = self._codec.read_error(body) or openai_errors.NO_REASON.format(status)
        return self._client.refusal(status, words, request_id)


class AzurePassage(Crossing):
    """From OpenAI's chat completions to Azure's and back.

    The request is the same. Of the answer, what only clients of Azure expect (annotations of
    its content filter, a first event without a choice) breaks those of OpenAI, and stays out.
    """

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(openai.encode_chat(call, model=model, output_tokens_max=output_tokens_max))

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:  # noqa: ARG002
        """Say what Azure refused as OpenAI would."""
        return azure_errors.for_openai(status, body)


class CrossingStream(Followed):
    """A stream that is read in one dialect and written in another."""

    __slots__ = ("_write", "_writer")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take both ends."""
        super().__init__(reader)
        self._writer = writer
        self._write = writer.feed

    def feed(self, data: bytes) -> bytes:
        """Read on, and write what that gives."""
        return b"".join([self._write(event) for event in self._reader.feed(data)])

    def close(self) -> bytes:
        """Read to the end."""
        return b"".join([self._write(event) for event in self._reader.close()])

    def fail(self, error: EntenteError) -> bytes:
        """Give the event that ends the stream in failure."""
        return self._writer.fail(error)

    @property
    def end(self) -> bytes:
        """The end marker, or the error that the provider gave in its place."""
        return self._writer.end()

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far."""
        return self._reader.output_tokens_bound


def _status(answer: ChatAnswer) -> Status:
    """Say how a whole answer ended: it did when each of its choices did, and there is one."""
    stops = [choice.stop for choice in answer.choices]
    ended = [stop for stop in stops if stop is not None]
    return status_of(ended) if ended and len(ended) == len(stops) else Status.TRUNCATED
