"""How a call gets to a provider and its answer to the client, each in its own dialect.

Where both speak the same dialect, bytes pass as they are, and are only followed. Where
they do not, request and answer cross over as the values of `domain.inference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, Protocol

import msgspec

from entente.domain.chat import Call, Front, Status, Surface
from entente.domain.errors import UpstreamError, UpstreamProtocolError
from entente.domain.features import OnLoss
from entente.domain.inference import ChatAnswer
from entente.domain.usage import Usage
from entente.gateway.sides import CHAT, PROVIDERS, SSE, ClientSide, Made, ProviderSide, client_side
from entente.wire import anthropic, openai
from entente.wire.dialect import StreamReader, StreamWriter, Written
from entente.wire.openai_stream import ChatStream
from entente.wire.progress import status_of
from entente.wire.quirks import Quirks, adapt

_NOT_JSON: Final = "The provider's answer is not whole: it does not read as JSON."
_NO_ANSWER: Final = "The provider's answer is not one of its API's."
_NO_REASON: Final = "The provider answered with status {} and did not say why."


class Whole(msgspec.Struct, frozen=True):
    """A whole answer as the client gets it, how it ended, and what it used."""

    body: bytes
    status: Status
    usage: Usage | None


class Stream(Protocol):
    """A streamed answer on its way to the client."""

    @property
    def done(self) -> bool:
        """Whether the provider's end marker has come."""

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own."""

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""

    @property
    def usage(self) -> Usage | None:
        """What the provider reported; None is unknown."""

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far."""

    @property
    def end(self) -> bytes:
        """The end marker, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the provider's stream; give what may go to the client now."""

    def close(self) -> bytes:
        """Take the end of the provider's bytes; give what still goes before the end marker."""


class Passage(Protocol):
    """The way between the dialect of a surface and that of a provider."""

    surface: Surface
    """What the provider is asked as."""
    crosses: bool
    """The bytes do not pass as they are."""
    stream_types: tuple[bytes, ...]
    """Content types, or their beginnings, of the provider's streams."""

    def request(
        self, call: Call, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
    ) -> Written:
        """Write the call for a provider that knows the model as `model`.

        Raises InvalidParameter for what cannot be said to it, before anything is sent.
        """

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Take a whole answer. Raises UpstreamProtocolError for half of one."""

    def stream(self, call: Call, made: Made) -> Stream:
        """Start to take a streamed answer."""

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:
        """Take the body of an answer that is an error."""


class ChatPassage:
    """OpenAI's chat completions, from client to provider and back."""

    surface: Surface = Surface.CHAT
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        body = openai.encode_chat(call, model=model, output_tokens_max=output_tokens_max)
        return Written(body)

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        completion = openai.read_completion(body)
        if completion is None and not _is_json(body):
            raise UpstreamProtocolError(_NOT_JSON)
        if completion is None or completion.failed or not completion.choices:
            status = Status.FAILED
        elif reasons := completion.reasons:
            status = openai.ending(reasons.values())
        else:
            status = Status.TRUNCATED
        usage = completion.usage.disjoint() if completion and completion.usage else None
        return Whole(body, status, usage)

    def stream(self, call: Call, made: Made) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return ChatStream(hide_usage=not call.wants_usage, choices=call.choices)

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:  # noqa: ARG002
        """Leave the error as it is."""
        return body


class MessagesPassage:
    """Anthropic's messages, from client to provider and back."""

    surface: Surface = Surface.MESSAGES
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (the dialect's own bound is required)
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(anthropic.encode_messages(call, model=model))

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        answer = anthropic.read_answer(body)
        if answer is None and not _is_json(body):
            raise UpstreamProtocolError(_NOT_JSON)
        return Whole(body, _status(answer), answer.usage if answer else None)

    def stream(self, call: Call, made: Made) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return anthropic.MessagesStream()

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:  # noqa: ARG002
        """Leave the error as it is."""
        return body


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
        return self._codec.write_request(
            asked, model=model, output_tokens_max=output_tokens_max, on_loss=on_loss
        )

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Translate a whole answer."""
        answer = self._codec.read_answer(body)
        if answer is None:
            raise UpstreamProtocolError(_NO_ANSWER)
        written = self._client.codec.write_answer(answer, self._client.head(call, made))
        return Whole(written, _status(answer), answer.usage)

    def stream(self, call: Call, made: Made) -> Stream:
        """Translate a stream."""
        return CrossingStream(
            self._codec.stream_reader(choices=call.choices),
            self._client.codec.stream_writer(self._client.head(call, made)),
        )

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:
        """Say in the client's dialect what the provider said in its own."""
        words = self._codec.read_error(body) or _NO_REASON.format(status)
        return self._client.refusal(status, words, request_id)


class AzurePassage(Crossing):
    """From OpenAI's chat completions to Azure's and back.

    The request is the same. Of the answer, what only clients of Azure expect (annotations of
    its content filter, a first event without a choice) breaks those of OpenAI, and stays out.
    """

    def request(
        self, call: Call, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return _CHAT.request(
            call, model=model, output_tokens_max=output_tokens_max, on_loss=on_loss
        )


class CrossingStream:
    """A stream that is read in one dialect and written in another."""

    __slots__ = ("_reader", "_write", "_writer")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take both ends."""
        self._reader = reader
        self._writer = writer
        self._write = writer.feed

    def feed(self, data: bytes) -> bytes:
        """Read on, and write what that gives."""
        return b"".join([self._write(event) for event in self._reader.feed(data)])

    def close(self) -> bytes:
        """Read to the end."""
        return b"".join([self._write(event) for event in self._reader.close()])

    def fail(self, error: UpstreamError) -> bytes:
        """Give the event that ends the stream in failure."""
        return self._writer.fail(error)

    @property
    def end(self) -> bytes:
        """The end marker, or the error that the provider gave in its place."""
        return self._writer.end()

    @property
    def done(self) -> bool:
        """Whether the provider's end marker has come."""
        return self._reader.done

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own."""
        return self._reader.whole

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes."""
        return self._reader.status

    @property
    def usage(self) -> Usage | None:
        """What the provider reported; None is unknown."""
        return self._reader.usage

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far."""
        return self._reader.output_tokens_bound


_CHAT: Final = ChatPassage()
_SPECIAL: Final[Mapping[tuple[Surface, str], Passage]] = {
    (Surface.CHAT, "openai"): _CHAT,
    (Surface.CHAT, "azure"): AzurePassage(CHAT, PROVIDERS["azure"]),
    (Surface.MESSAGES, "anthropic"): MessagesPassage(),
}
"""Ways that are not a plain crossing, by surface and dialect."""


def adapted(written: Written, quirks: Quirks, target: str, on_loss: OnLoss) -> Written:
    """Make a request fit a server that differs from its dialect."""
    fitting = adapt(written.body, quirks, target=target, on_loss=on_loss)
    return Written(fitting.body, written.dropped + fitting.dropped)


@cache
def passage(surface: Surface, front: Front, dialect: str) -> Passage:
    """Give the way from a surface of a front to providers of a dialect."""
    if (surface, front, dialect) == (Surface.CHAT, Front.AZURE, "azure"):
        return _CHAT
    special = _SPECIAL.get((surface, dialect))
    if special is not None:
        return special
    return Crossing(client_side(surface, front), PROVIDERS[dialect])


def _status(answer: ChatAnswer | None) -> Status:
    """Say how a whole answer ended."""
    if answer is None or not answer.choices:
        return Status.FAILED
    stops = [choice.stop for choice in answer.choices if choice.stop is not None]
    return status_of(stops) if stops else Status.TRUNCATED


def _is_json(body: bytes) -> bool:
    """Say whether a body is JSON, of whatever form."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    except RecursionError:
        pass  # too deep for us to read, which makes it no less JSON
    return True
