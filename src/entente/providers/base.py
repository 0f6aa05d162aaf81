"""The seam between the gateway and whoever serves a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from entente.domain.chat import Surface
from entente.net import Declined, Socket
from entente.wire.quirks import Quirks


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider, already in the provider's own dialect.

    `surface` is one that the provider serves natively or, where a call has crossed from
    another dialect, the one on which its own chats. `body` is the JSON or the form to send;
    `model` is the provider's name of the model, which the body carries as well where the dialect
    has it there.
    """

    surface: Surface
    model: str
    body: bytes
    stream: bool
    request_id: str
    choices: int = 1
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Of the client's, what a provider of the same dialect is sent, too."""


class Answer(Protocol):
    """A provider's answer, whose head has arrived.

    Errors while reading are `UpstreamError`s.
    """

    @property
    def status(self) -> int:
        """HTTP status, 100 to 599."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Headers by lower-case name."""

    @property
    def sends(self) -> int:
        """How often the request was sent until this answer came; each may have cost."""

    async def chunk(self) -> bytes:
        """Give the next piece of the body as it arrives, b"" at a clean end."""

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand the pieces of the body to `take` as they arrive, until it says False.

        Give False at a clean end, True where `take` wanted no more for now. Without a task
        to wake for each piece this is what streams are passed on by.
        """

    async def read(self, bytes_max: int) -> bytes:
        """Give the rest of the body. Raises UpstreamProtocolError past the bound."""

    async def aclose(self) -> None:
        """Let go of the exchange, finished or not. May be called twice."""


class Provider(Protocol):
    """Who serves a model."""

    @property
    def name(self) -> str:
        """The name in the configuration: `[providers.NAME]`."""

    @property
    def dialect(self) -> str:
        """The form of its bodies: `openai`, `anthropic`, `gemini` or `bedrock`."""

    @property
    def surfaces(self) -> frozenset[Surface]:
        """The surfaces whose calls it takes as clients sent them."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """The settings that say who we are there, for an administrator; at least one."""

    @property
    def quirks(self) -> Quirks | None:
        """Where it differs from its dialect, for `wire.quirks.adapt`; None where it does not."""

    async def open(self, ask: Ask) -> Answer:
        """Send the call and wait for the head of the answer.

        Raises UpstreamError, or InvalidParameter for what this provider cannot do; then
        nothing was sent.
        """

    async def aclose(self) -> None:
        """Close every connection."""


@runtime_checkable
class Countable(Protocol):
    """A provider that says how many tokens a call would take in, at no cost."""

    async def count(self, ask: Ask) -> Answer:
        """Ask for the count of a call in the provider's own dialect. Raises UpstreamError."""


class SessionAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A realtime session to be opened. `model` is the provider's name of the model."""

    model: str
    message_bytes_max: int
    """A longer message from the provider ends the session."""
    transcribes: bool = False
    """The session only transcribes, and learns later with which model."""
    beta: str | None = None
    """What the client says in `OpenAI-Beta`, for the provider to hear."""


@runtime_checkable
class RealtimeProvider(Protocol):
    """A provider that also speaks OpenAI's realtime events over WebSocket."""

    async def open_session(self, ask: SessionAsk) -> Socket | Declined:
        """Open a session, or give the answer with which it was declined.

        Raises UpstreamError. Nothing is asked of the model before the first event is sent.
        """
