"""The head of a request, as bytes. Refuses whatever could end a line or a head early."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_METHOD: Final = re.compile(rb"[A-Z]{1,20}")
_TARGET: Final = re.compile(rb"[\x21-\x7e]*")
_FIELD: Final = (
    rb"(?!(?:host|content-length|transfer-encoding|connection|upgrade)[ \t]*:)"
    rb"[!#$%&'*+.^_`|~0-9a-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n"
)
_BLOCK: Final = re.compile(rb"(?:" + _FIELD + rb")*", re.IGNORECASE)


class Encoder:
    """Writes request heads for one origin: what never changes is encoded once.

    `target_prefix` goes before each target: the base path, and behind a plain HTTP proxy
    the scheme and authority as well. `fixed` is the block of headers of the client's own.
    """

    __slots__ = ("_asked", "_front", "_line_end", "_target_prefix")

    def __init__(self, target_prefix: bytes, host_header: str, fixed: bytes = b"") -> None:
        """Encode the constant parts."""
        self._target_prefix = target_prefix
        self._line_end = b" HTTP/1.1\r\nHost: " + host_header.encode("ascii") + b"\r\n" + fixed
        self._asked: tuple[bytes, bytes, bytes] | None = None
        self._front = b""
        """What came of the method, target and block of headers that were asked for last."""

    def whole(
        self,
        method: bytes,
        target: bytes,
        headers: bytes | Sequence[tuple[bytes, bytes]],
        body: bytes,
    ) -> bytes:
        """Head and body in one piece: one join, so one write."""
        length = b"Content-Length: %d\r\n" % len(body) if body or method in _WITH_BODY else b""
        return b"".join((self._start(method, target, headers), length, b"\r\n", body))

    def head(
        self,
        method: bytes,
        target: bytes,
        headers: bytes | Sequence[tuple[bytes, bytes]],
        length: int | None,
    ) -> bytes:
        """Write the head of a request whose body follows: of a known length, or chunked (None)."""
        end = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
        return b"".join((self._start(method, target, headers), end, b"\r\n\r\n"))

    def _start(
        self, method: bytes, target: bytes, headers: bytes | Sequence[tuple[bytes, bytes]]
    ) -> bytes:
        """Request line and headers. What was checked last is not checked again."""
        block = headers if isinstance(headers, bytes) else _joined(headers)
        asked = (method, target, block)
        if asked != self._asked:
            line = self._line(method, target)
            if _BLOCK.fullmatch(block) is None:
                msg = (
                    "A header block is lines of `name: value` CRLF, without Host, "
                    "Content-Length, Transfer-Encoding, Connection and Upgrade, "
                    "which the client writes itself."
                )
                raise ValueError(msg)
            self._front = line + block
            self._asked = asked
        return self._front

    def _line(self, method: bytes, target: bytes) -> bytes:
        """Request line and fixed headers. Raises ValueError."""
        if _METHOD.fullmatch(method) is None:
            msg = "A request method is 1 to 20 upper-case letters."
            raise ValueError(msg)
        if _TARGET.fullmatch(target) is None:
            msg = "A request target is visible ASCII; percent-encode the rest."
            raise ValueError(msg)
        return b"".join((method, b" ", self._target_prefix, target, self._line_end))


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write pairs as lines, each with its CRLF. Raises ValueError."""
    block = b"".join([b"%b: %b\r\n" % field for field in headers])
    if block.count(b"\n") != len(headers):
        msg = "A header name or value must not contain a line break."
        raise ValueError(msg)
    return block
