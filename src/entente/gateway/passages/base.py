"""What a way between two dialects offers: the protocols, and a whole answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import EntenteError
from entente.domain.features import OnLoss
from entente.domain.usage import Usage
from entente.gateway.client import Headers
from entente.gateway.sides import Made
from entente.wire.dialect import Written

NO_HEADERS: Headers = ()


class Whole(msgspec.Struct, frozen=True):
    """A whole answer as the client gets it, how it ended, and what it used."""

    body: bytes
    status: Status
    usage: Usage | None
    service_tier: str = ""
    """As the provider reported it."""


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
    def service_tier(self) -> str:
        """The tier that the provider says it is served in; empty while it has not."""

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

    def fail(self, error: EntenteError) -> bytes:
        """Give the event that ends the stream in failure, in the client's dialect."""


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

    def headers(self, call: Call) -> Headers:
        """Choose those of the client's headers that the provider is sent, too."""

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Take a whole answer. Raises UpstreamProtocolError for half of one."""

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:
        """Start to take a streamed answer of a content type."""

    def refusal(self, status: int, body: bytes, request_id: str) -> bytes:
        """Take the body of an answer that is an error."""
