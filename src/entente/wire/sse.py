"""Server-sent events as bytes: where they end, and what they carry. Pure.

Events are passed on as they came; only their ends are looked for. A line ends with LF,
CR LF or CR, and a blank line ends an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from entente.domain.errors import UpstreamProtocolError

EVENT_BYTES_MAX: Final = 16 * 1024 * 1024

_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r(?!\n)|\n\r\n")
_END_BYTES_MAX: Final = 4
_DATA: Final = re.compile(rb"(?:^|[\r\n])data:[ ]?([^\r\n]*)")


class Splitter:
    """Cuts a byte stream behind the last whole event; what follows waits for its end."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        """Start between two events."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Give all whole events of what has come so far, b"" when none has ended.

        Takes time that grows with `data`, however much waits for its end already.
        Raises UpstreamProtocolError for an event longer than `EVENT_BYTES_MAX`.
        """
        rest = self._rest
        if not rest:
            if data.endswith(b"\n\n"):
                return data
            cut = _last_end(data, 0)
            rest += memoryview(data)[cut:]
            block = data[:cut]
        else:
            searched = max(len(rest) - _END_BYTES_MAX + 1, 0)
            rest += data
            cut = _last_end(rest, searched)
            block = bytes(rest[:cut])
            del rest[:cut]
        if len(rest) > EVENT_BYTES_MAX:
            message = f"The provider sent an event of more than {EVENT_BYTES_MAX} bytes."
            raise UpstreamProtocolError(message)
        return block

    @property
    def rest(self) -> bytes:
        """What stands after the last whole event."""
        return bytes(self._rest)


def _last_end(data: bytes | bytearray, start: int) -> int:
    """Give the position behind the last end of an event at or after `start`, 0 for none."""
    if data.endswith(b"\n\n"):
        return len(data)
    cut = data.rfind(b"\n\n", start) + 2
    if cut == 1:
        cut = 0
    if data.find(b"\r", start) >= 0:
        for match in _END.finditer(data, max(cut - 1, start)):
            cut = max(cut, match.end())
    return cut


def events(block: bytes) -> Iterator[bytes]:
    """Cut a block of whole events into single ones, each with its blank line."""
    start = 0
    for match in _END.finditer(block):
        yield block[start : match.end()]
        start = match.end()
    if start < len(block):
        yield block[start:]


def payload(event: bytes) -> bytes:
    """Give the data of an event, its lines joined by LF; b"" when it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2:
        return event[6:].rstrip(b"\r\n")
    return b"\n".join(_DATA.findall(event))


def rewritten(event: bytes, data: bytes) -> bytes:
    """Give an event with other data; its name and comments stay."""
    lines = [line for line in event.splitlines() if line and not line.startswith(b"data:")]
    return b"".join([*(line + b"\n" for line in lines), b"data: ", data, b"\n\n"])
