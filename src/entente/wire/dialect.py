"""What a dialect's modules offer, as protocols. Pure.

Inbound is the client's side: requests are read, answers are written. Outbound is the
provider's side: requests are written, answers are read. A dialect may have one or both.
The functions of a module are its dialect; no class is needed.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from entente.domain.chat import Call, Status
from entente.domain.errors import EntenteError
from entente.domain.events import Event
from entente.domain.features import OnLoss
from entente.domain.inference import ChatAnswer, ChatRequest
from entente.domain.usage import Usage


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer to a client needs and not every provider gives."""

    id: str
    """Unique; stands in for an id that the provider did not give."""
    model: str
    """The model's name as the client gave it; stands in likewise."""
    created_s: int
    """Seconds since 1970; stands in likewise."""
    include_usage: bool = True
    """The client asked for the usage of the stream, in dialects where it may ask."""


class Written(msgspec.Struct, frozen=True):
    """A request in a provider's dialect."""

    body: bytes
    dropped: tuple[str, ...] = ()
    """What of the client's request it leaves out or bends: `Feature`s and names of members."""


class StreamWriter(Protocol):
    """Writes the events of one answer for a client."""

    def feed(self, event: Event, /) -> bytes:
        """Take the next event; give what may be sent now, b"" when nothing.

        What says that the answer is whole is kept for `end`.
        """
        ...

    def end(self) -> bytes:
        """Give the last bytes, to be sent after the settlement.

        That is the end in the dialect's form only if every choice that began has ended;
        for an answer that failed or broke off it is the dialect's error event.
        """
        ...

    def fail(self, error: EntenteError, /) -> bytes:
        """Give the last bytes for an answer that we break off: the dialect's error event."""
        ...


class StreamReader(Protocol):
    """Reads a provider's stream, however it is cut into pieces."""

    usage: Usage | None
    """As reported last; None is unknown."""
    service_tier: str
    """As reported; empty is unknown."""
    done: bool
    """The end marker has come; nothing that matters follows."""

    def feed(self, data: bytes, /) -> list[Event]:
        """Take a piece of the stream; give the events that it completes.

        Raises UpstreamProtocolError for an event beyond the bound of `wire.sse`.
        """
        ...

    def close(self) -> list[Event]:
        """Take the end of the bytes; give what of a last event without its end still counts."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own."""
        ...

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        ...

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far, for a stream that reports none."""
        ...


class Inbound(Protocol):
    """The client's side of a dialect."""

    def read_request(self, call: Call, /) -> ChatRequest:
        """Read the whole of a call. Raises InvalidParameter in the vendor's words."""
        ...

    def write_answer(self, answer: ChatAnswer, head: Head, /) -> bytes:
        """Write a whole answer."""
        ...

    def stream_writer(self, head: Head, /) -> StreamWriter:
        """Start to write a streamed answer."""
        ...


class Outbound(Protocol):
    """The provider's side of a dialect."""

    def write_request(
        self,
        request: ChatRequest,
        /,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,
    ) -> Written:
        """Write a request for a provider that knows the model as `model`.

        `output_tokens_max` bounds the output where the client gave no bound; None adds
        none, unless the dialect cannot do without. A stream is made to report its usage.
        Raises InvalidParameter for what the dialect cannot express and must not drop.
        """
        ...

    def read_answer(self, body: bytes, /) -> ChatAnswer | None:
        """Read a whole answer; None when the body is no such answer."""
        ...

    def read_error(self, body: bytes, /) -> str | None:
        """Read the sentence of the body of an answer that is an error; None if it has none."""
        ...

    def stream_reader(self, *, choices: int = 1) -> StreamReader:
        """Start to read a streamed answer of so many choices."""
        ...
