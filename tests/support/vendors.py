"""A stand-in for a vendor's API: it keeps what it was sent, and answers as it is told."""

from __future__ import annotations

from typing import Final

from tests.support.rawserver import Peer, RawServer

OK: Final = b'{"ok":true}'


class Vendor(RawServer):
    """Answers each request with `status` and `body`; `requests` are heads and bodies."""

    def __init__(self) -> None:
        """Answer 200 until told otherwise."""
        super().__init__(self._answer)
        self.status = 200
        self.body = OK
        self.content_type = b"application/json"
        self.requests: list[tuple[bytes, bytes]] = []

    async def _answer(self, peer: Peer) -> None:
        """Answer request after request on one connection."""
        while True:
            self.requests.append(await peer.request())
            head = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
            await peer.send(head % (self.status, self.content_type, len(self.body)) + self.body)

    @property
    def target(self) -> str:
        """Path and query of the last request."""
        return self.requests[-1][0].split(b" ", 2)[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the last request, by lower-case name."""
        lines = self.requests[-1][0].decode().split("\r\n")[1:]
        pairs = (line.partition(": ") for line in lines if line)
        return {name.lower(): value for name, _, value in pairs}

    @property
    def sent(self) -> bytes:
        """The body of the last request."""
        return self.requests[-1][1]
