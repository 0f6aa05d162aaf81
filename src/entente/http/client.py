"""One client's request and answer over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeAlias

from entente.domain.errors import BodyTimeout, BodyTooLarge, InvalidParameter
from entente.gateway.client import Headers

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Coroutine[None, None, Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


_MS_PER_S = 1_000


class ClientGone(Exception):
    """The client left before its request was whole; nobody is there to be answered."""


class HttpClient:
    """The connection of one request: implements the gateway's `Client`.

    `stalled_since_s` is when the client stopped taking what is written, None while it
    does; `left_at_s` is when it was seen to have left. Both are read by the watch, which
    cuts off a client that stalls too long and ends the drain of one that left.
    """

    __slots__ = (
        "_arrived_s",
        "_receive",
        "_request_id",
        "_send",
        "body_read",
        "cut",
        "left_at_s",
        "stalled_since_s",
        "started",
        "task",
    )

    def __init__(self, receive: Receive, send: Send, request_id: str, now_s: float) -> None:
        """Wrap the ASGI connection of a request that arrived at loop time `now_s`."""
        self._receive = receive
        self._send = send
        self._request_id = request_id.encode()
        self._arrived_s = now_s
        self.body_read = False
        self.started = False
        self.cut = False
        self.left_at_s: float | None = None
        self.stalled_since_s: float | None = None
        self.task = asyncio.current_task()

    @property
    def gone(self) -> bool:
        """Whether the client has left: known already, or to be seen at once."""
        if self.left_at_s is None and self._sees_disconnect():
            self.left_at_s = asyncio.get_running_loop().time()
        return self.left_at_s is not None

    @property
    def left_for_s(self) -> float:
        """How long ago the client was seen to have left; 0 while it is there."""
        if self.left_at_s is None:
            return 0.0
        return asyncio.get_running_loop().time() - self.left_at_s

    def cut_off(self) -> None:
        """End the request's task: its client has left, or might as well have."""
        if not self.cut and self.task is not None:
            self.cut = True
            self.left_at_s = self.left_at_s or asyncio.get_running_loop().time()
            self.task.cancel()

    def _sees_disconnect(self) -> bool:
        """Look for a disconnect without waiting for one.

        The ASGI server answers `receive` at once when the client has left and waits
        otherwise; one step of the coroutine tells which, without a task of its own.
        """
        step = self._receive()
        try:
            step.send(None)
        except StopIteration as stop:
            return bool(stop.value["type"] == "http.disconnect")
        step.close()
        return False

    async def body(
        self, headers: list[tuple[bytes, bytes]], *, bytes_max: int, idle_s: float
    ) -> bytes:
        """Read the whole body.

        Raises BodyTooLarge as soon as that is known, BodyTimeout when no byte comes for
        `idle_s`, ClientGone when the client leaves.
        """
        for name, value in headers:
            if name == b"content-length" and int(value) > bytes_max:
                raise BodyTooLarge(_too_large(bytes_max))
            if name == b"content-encoding" and value.lower() != b"identity":
                text = "Compressed request bodies are not supported. Send the JSON as it is."
                raise InvalidParameter(text, param=None, code="unsupported_content_encoding")
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message["more_body"]:
            body: bytes = message["body"]
            if len(body) > bytes_max:
                raise BodyTooLarge(_too_large(bytes_max))
        else:
            body = await self._rest_of_body(message["body"], bytes_max=bytes_max, idle_s=idle_s)
        self.body_read = True
        return body

    async def _rest_of_body(self, first: bytes, *, bytes_max: int, idle_s: float) -> bytes:
        """Read on until the body is whole."""
        pieces, size = [first], len(first)
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    message = await self._receive()
            except TimeoutError:
                text = f"No byte of the request's body came for {idle_s:g} seconds."
                raise BodyTimeout(text) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            pieces.append(message["body"])
            size += len(pieces[-1])
            if size > bytes_max:
                raise BodyTooLarge(_too_large(bytes_max))
            if not message["more_body"]:
                return b"".join(pieces)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of the answer, with the request's id and how long it took."""
        self.started = True
        elapsed_ms = (asyncio.get_running_loop().time() - self._arrived_s) * _MS_PER_S
        fixed = (
            (b"x-request-id", self._request_id),
            (b"openai-processing-ms", b"%d" % elapsed_ms),
        )
        await self._put(
            {"type": "http.response.start", "status": status, "headers": [*fixed, *headers]}
        )

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client reads more slowly."""
        if self.left_at_s is None:
            await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes) -> None:
        """Send the last piece."""
        await self._put({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, (*headers, length))
        await self.finish(body)

    async def _put(self, message: Message) -> None:
        """Send, and let the watch know for how long it takes."""
        self.stalled_since_s = asyncio.get_running_loop().time()
        await self._send(message)
        self.stalled_since_s = None


def _too_large(bytes_max: int) -> str:
    """Say what the bound is."""
    return (
        f"The request's body is larger than the server's bound of {bytes_max} bytes "
        "(server.body_bytes_max)."
    )
