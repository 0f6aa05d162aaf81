"""The client of a request that nobody waits for on a connection: it keeps the answer."""

from __future__ import annotations

from entente.gateway.client import Fail, Headers


class Collector:
    """Collects one answer."""

    def __init__(self) -> None:
        """Start without an answer."""
        self.gone = False
        """Nobody wants the answer any more."""
        self.held = False
        """What it may cost is held: a provider may have been asked."""
        self.status = 0
        self.headers: Headers = ()
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return b"".join(self._pieces)

    def hold(self) -> None:
        """Take note that what the answer may cost is held."""
        self.held = True

    async def start(self, status: int, headers: Headers, *, fail: Fail | None = None) -> None:  # noqa: ARG002
        """Take the head of an answer."""
        self.status, self.headers = status, headers

    def send(self, data: bytes) -> bool:
        """Take a piece of the body."""
        self._pieces.append(data)
        return True

    async def caught_up(self) -> None:
        """Wait for nothing: it takes all at once."""

    def decide(self) -> None:
        """Take no note: who made the request looks at its settlement."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Take a whole answer."""
        await self.start(status, headers)
        self._pieces = [body]

    async def finish(self, data: bytes) -> None:
        """Take the last piece."""
        self._pieces.append(data)
