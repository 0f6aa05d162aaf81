"""A receiver of webhooks: a real HTTP server that keeps what it gets and answers as told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.support.server import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Delivered(NamedTuple):
    """A request that came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """The event that it tells of."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]

    def is_genuine(self, secret: str) -> bool:
        """Verify the signature, as a receiver does that knows nothing but the specification."""
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        signed = b".".join(
            (self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body)
        )
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Listens on loopback; `answer` decides on the status of each request."""

    def __init__(
        self, answer: Callable[[Delivered], int] = lambda _: 204, *, port: int = 0
    ) -> None:
        """Bind; nothing is served yet."""
        self.got: list[Delivered] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """Takes one delivery."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Keep it, and answer."""
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                delivered = Delivered(self.path, headers, body)
                receiver.got.append(delivered)
                self.send_response(answer(delivered))
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?a=b"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let go of the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, count: int, what: str) -> list[Delivered]:
        """Wait until so much has come in."""
        wait_until(lambda: len(self.got) >= count, what)
        return self.got

    def of(self, kind: str) -> list[Any]:
        """Give the events of a kind that came in, each once."""
        events = {each.id: each.event for each in list(self.got)}
        return [event for event in events.values() if event["type"] == kind]

    def wait_for(self, kind: str, count: int = 1) -> list[Any]:
        """Wait for so many events of a kind."""
        wait_until(lambda: len(self.of(kind)) >= count, f"{count} of {kind}")
        return self.of(kind)
