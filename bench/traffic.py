"""The requests that are sent, and where: one body in several sizes, one target a server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Final

import httptools
import msgspec

KEY: Final = "sk-bench-0123456789abcdef"
ANSWER_TIMEOUT_S: Final = 30.0
READY_PAUSE_S: Final = 0.005
READ_BYTES: Final = 65_536
SUCCESS: Final = 200
MODEL: Final = "m"
"""Answers whole, from nginx."""
MESSAGES_MODEL: Final = "c"
"""Answers whole, from nginx, in Anthropic's dialect."""
STREAM_MODEL: Final = "s"
"""Answers as a stream, from the stream server."""


class Target(msgspec.Struct, frozen=True):
    """Where a subject takes a kind of request, and what it wants to have with it."""

    port: int
    headers: dict[str, str] = {}
    path: str = "/v1/chat/completions"

    @property
    def authorization(self) -> str:
        """Give what proves that we may."""
        return f"Bearer {KEY}"

    def request(self, body: bytes) -> bytes:
        """Write a whole HTTP/1.1 request."""
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": self.authorization,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def chat_body(body_bytes: int) -> bytes:
    """Write a chat request of a size: as much history as it takes."""
    document = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": ""},
            {"role": "user", "content": "Hello! How are you today? Tell me something nice."},
        ],
        "temperature": 0.7,
        "max_tokens": 128,
    }
    bare = json.dumps(document, separators=(",", ":"))
    text = "The quick brown fox jumps over the lazy dog. "
    length = max(body_bytes - len(bare), 0)
    filler = (text * (length // len(text) + 1))[:length]
    return bare.replace('"content":""', f'"content":"{filler}"').encode()


def stream_body(chunks: int, interval_us: int) -> bytes:
    """Ask the stream server for a number of chunks, one per interval.

    It reads both from members that every gateway passes on as they are.
    """
    document = {
        "model": STREAM_MODEL,
        "messages": [{"role": "user", "content": "Count."}],
        "stream": True,
        "max_tokens": chunks,
        "seed": interval_us,
    }
    return json.dumps(document, separators=(",", ":")).encode()


class _Answer:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.whole = False
        self.body = b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True


def ask(target: Target, body: bytes) -> bytes:
    """Send one request on a connection of its own; give the body of its answer.

    Raises OSError, and ValueError for an answer that is not a success.
    """
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    with socket.create_connection(("127.0.0.1", target.port), ANSWER_TIMEOUT_S) as client:
        client.sendall(target.request(body))
        while not answer.whole and (data := client.recv(READ_BYTES)):
            parser.feed_data(data)
    if not answer.whole or parser.get_status_code() != SUCCESS:
        message = f"not a success: {answer.body[:500].decode(errors='replace')}"
        raise ValueError(message)
    return answer.body


def until_answered(target: Target, body: bytes, within_s: float, check: Callable[[], None]) -> None:
    """Ask until there is a successful answer. `check` raises if waiting is in vain."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            ask(target, body)
        except (OSError, ValueError) as error:
            check()
            if time.monotonic() > deadline:
                message = f"no answer within {within_s:g} s: {error}"
                raise TimeoutError(message) from error
            time.sleep(READY_PAUSE_S)
        else:
            return
