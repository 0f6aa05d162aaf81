"""A stand-in for a vendor's API, over real sockets: strict in what it takes, exact in what it says.

A vendor is a subclass: it reads requests in its own form and refuses all others, and writes
scenes in its own form. How they get over the wire, and break off, is the same for all.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple, TypeVar
from urllib.parse import unquote

import msgspec

from tests.support.rawserver import Peer, RawServer
from tests.support.standins.scenes import SCENES, Asked, Break, Scene, Told, results_fit

KEY: Final = "vendor-key-1f3a9c"
"""What every vendor wants to be shown."""
JSON: Final = b"application/json"
PIECE_BYTES: Final = 61
"""Streams arrive in pieces of this size, which no event has."""

_REASONS: Final = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Slow Down"}
_WORDS: Final = {
    400: "The stand-in finds fault with the request.",
    429: "The stand-in has had enough for now.",
    500: "The stand-in has failed.",
}
T = TypeVar("T")


class Request(NamedTuple):
    """A request as it arrived."""

    target: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, head: bytes, body: bytes) -> Request:
        """Take a head apart."""
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return cls(first.split(" ")[1], {name.lower(): value for name, _, value in pairs}, body)

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        """The query as it is."""
        return self.target.partition("?")[2]

    def read(self, form: type[T]) -> T:
        """Read the body; what the form does not have is refused."""
        try:
            return msgspec.json.decode(self.body, type=form)
        except msgspec.ValidationError as error:
            raise Refused(400, str(error)) from None


class Refused(Exception):
    """The vendor answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        """Say why."""
        super().__init__(message)
        self.status = status
        self.message = message


class StandIn(RawServer, ABC):
    """One vendor. `asked` is what it understood, `requests` what it got, in order."""

    stream_type: ClassVar[bytes] = b"text/event-stream"
    counts_on_the_way: ClassVar[bool] = False
    """Its streams tell what was used so far, not only at the end."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        super().__init__(self._connection)
        self.requests: list[Request] = []
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        """Why requests that were no such request were refused."""
        self.raw: bytes | None = None
        """Sent in place of the body of the next answers."""
        self.go_on = asyncio.Event()
        """What a scene waits for that waits; to be set on the stand-in's own loop."""

    # ---- what a vendor is ----

    @abstractmethod
    def read(self, request: Request) -> Asked:
        """Read a request. Raises Refused for what the vendor does not take."""

    @abstractmethod
    def whole(self, scene: Scene, asked: Asked) -> bytes:
        """Write a whole answer."""

    @abstractmethod
    def events(self, scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
        """Write a stream: what comes first, and the events of its end."""

    @abstractmethod
    def failure(self, message: str, asked: Asked, sent: int) -> bytes:
        """Write the event of an answer that fails in the middle, behind so many events."""

    @abstractmethod
    def error(self, status: int, message: str) -> bytes:
        """Write the body of an error."""

    @abstractmethod
    def tells(self, scene: Scene, *, stream: bool) -> Told:
        """Say what of a scene this API can tell."""

    def also(self, headers: bytes = b"") -> bytes:
        """Give further headers of every answer."""
        return headers

    # ---- how it is served ----

    async def _connection(self, peer: Peer) -> None:
        """Answer request after request on one connection."""
        while True:
            request = Request.of(*await peer.request())
            self.requests.append(request)
            try:
                asked = self._understood(request)
            except Refused as refusal:
                self.refused.append(refusal.message)
                await self._answer(
                    peer, self.error(refusal.status, refusal.message), refusal.status
                )
                continue
            self.asked.append(asked)
            await self._play(peer, SCENES[asked.scene], asked)

    def _understood(self, request: Request) -> Asked:
        """Read a request that can be played; whatever it is, it breaks nothing here."""
        try:
            return _playable(self.read(request))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(400, f"The stand-in cannot read this: {error}") from None

    async def _play(self, peer: Peer, scene: Scene, asked: Asked) -> None:
        """Play a scene."""
        if self.raw is not None:
            await self._answer(peer, self.raw, kind=self.stream_type if asked.stream else JSON)
        elif scene.status in _WORDS:
            body = self.error(scene.status, _WORDS[scene.status])
            await self._answer(peer, body, scene.status)
        elif asked.stream:
            await self._stream(peer, scene, asked)
        else:
            body = self.whole(scene, asked)
            if scene.breaks is None:
                await self._answer(peer, body)
            else:
                await peer.send(self._head(200, b"Content-Length: %d" % len(body)))
                await peer.send(body[: len(body) // 2])
                await self._hang_up(peer)

    async def _answer(self, peer: Peer, body: bytes, status: int = 200, kind: bytes = JSON) -> None:
        """Send a whole answer."""
        await peer.send(self._head(status, b"Content-Length: %d" % len(body), kind) + body)

    async def _stream(self, peer: Peer, scene: Scene, asked: Asked) -> None:
        """Send a stream in pieces that cut through its events, and its end, if it has one."""
        first, end = self.events(scene, asked)
        if scene.breaks is Break.EVENT:
            end = [self.failure("The stand-in breaks off.", asked, len(first))]
        elif scene.breaks is not None:
            end = []
        kind = b"Transfer-Encoding: chunked"
        await peer.send(self._head(200, kind, self.stream_type))
        if scene.waits:
            await _chunks(peer, b"".join(first))
            await self.go_on.wait()
            first = []
        await _chunks(peer, b"".join(first + end))
        if scene.breaks is Break.CUT:
            await self._hang_up(peer)
        await peer.send(b"0\r\n\r\n")

    async def _hang_up(self, peer: Peer) -> None:
        """Close the connection behind what was sent, and serve it no more."""
        peer.writer.close()
        await peer.writer.wait_closed()
        raise ConnectionAbortedError

    def _head(self, status: int, length: bytes, kind: bytes = JSON) -> bytes:
        reason = _REASONS.get(status, "OK").encode()
        head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n" % (status, reason, kind)
        return head + length + b"\r\n" + self.also() + b"\r\n"


async def _chunks(peer: Peer, data: bytes) -> None:
    """Send data in pieces."""
    for at in range(0, len(data), PIECE_BYTES):
        piece = data[at : at + PIECE_BYTES]
        await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))


def _playable(asked: Asked) -> Asked:
    """See that there is a scene for a request, and a call for each result in it."""
    if not results_fit(asked.said):
        raise Refused(400, "a result without its call")
    if asked.scene not in SCENES:
        raise Refused(400, f"no scene {asked.scene}")
    return asked


def sse(value: object, event: str = "") -> bytes:
    """Write a server-sent event."""
    named = b"event: %b\n" % event.encode() if event else b""
    return named + b"data: %b\n\n" % msgspec.json.encode(value)
