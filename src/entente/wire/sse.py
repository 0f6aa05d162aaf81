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
_DATA: Final = re.compile(rb"(?:^|[\r\n])data:[ ]?([^\r\n]*)")


class Splitter:
    """Cuts a byte stream behind the last whole event; what follows waits for its end."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        """Start between two events."""
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Give all whole events of what has come so far, b"" when none has ended.

        Raises UpstreamProtocolError for an event longer than `EVENT_BYTES_MAX`.
        """
        if self._rest:
            data = self._rest + data
        if data.endswith(b"\n\n"):
            self._rest = b""
            return data
        cut = data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
        if b"\r" in data:
            for match in _END.finditer(data, max(cut - 1, 0)):
                cut = max(cut, match.end())
        self._rest = data[cut:]
        if len(self._rest) > EVENT_BYTES_MAX:
            message = f"The provider sent an event of more than {EVENT_BYTES_MAX} bytes."
            raise UpstreamProtocolError(message)
        return data[:cut]

    @property
    def rest(self) -> bytes:
        """What stands after the last whole event."""
        return self._rest


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
