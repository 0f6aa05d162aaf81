"""The seam between the gateway and the client's connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from entente.domain.errors import EntenteError

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Fail: TypeAlias = Callable[[EntenteError], bytes]
"""Gives the event that ends a stream in failure; raises the error where there is none."""


class Client(Protocol):
    """Where an answer goes. Writing to a client that has gone is no error."""

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left."""

    async def start(self, status: int, headers: Headers, *, fail: Fail | None = None) -> None:
        """Send the head of the answer; `fail` ends it where it must not go on."""

    def send(self, data: bytes) -> bool:
        """Send a piece of the body; False while the client reads more slowly than it is sent to."""

    async def caught_up(self) -> None:
        """Wait until the client has read what it was sent, or has left."""

    def decide(self) -> None:
        """Take note that how the answer ends is decided: it is not cut short any more."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer, with its length."""

    async def finish(self, data: bytes) -> None:
        """Send the last piece."""
