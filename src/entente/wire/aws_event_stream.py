"""AWS's event-stream framing (`application/vnd.amazon.eventstream`), both ways. Pure.

A message, all numbers big-endian:

    total length 4 │ headers' length 4 │ CRC-32 of these 8 │ headers │ payload │ CRC-32 of all 4

A header is a name (length 1, text), a type (1) and a value of a length that the type gives.
Both checksums are verified, and every length is checked before it is waited for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID
from zlib import crc32

import msgspec

from entente.domain.errors import UpstreamProtocolError

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"
HEADERS_BYTES_MAX: Final = 128 * 1024
MESSAGE_BYTES_MAX: Final = 24 * 1024 * 1024 + HEADERS_BYTES_MAX
"""AWS's own bounds on headers and payload."""

_PRELUDE: Final = struct.Struct(">III")
_SUM: Final = struct.Struct(">I")
_SHORT: Final = struct.Struct(">H")
_SIGNED: Final = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
}
_CHECKED_BYTES: Final = 8
_ENVELOPE_BYTES: Final = _PRELUDE.size + _SUM.size
_TRUE, _FALSE, _BYTES, _STRING, _TIMESTAMP, _UUID = 0, 1, 6, 7, 8, 9
_UUID_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

HeaderValue: TypeAlias = bool | int | bytes | str | datetime | UUID
"""Types 0 to 9 of a header; the four widths of integers are one."""


class Message(msgspec.Struct, frozen=True):
    """A message: its headers by name, such as `:event-type`, and its payload."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""

    def text(self, name: str) -> str:
        """Give a header of type string, "" where there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class Decoder:
    """Cuts a byte stream into messages, however the bytes are split."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        """Start before the first byte."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Give the messages that are whole now.

        Raises UpstreamProtocolError for what is not a message or breaks a bound; the stream
        is then of no use any more.
        """
        rest = self._rest
        rest += data
        messages, start = [], 0
        while len(rest) - start >= _PRELUDE.size:
            total, headers_bytes = _prelude(rest, start)
            if len(rest) - start < total:
                break
            messages.append(_message(bytes(rest[start : start + total]), headers_bytes))
            start += total
        del rest[:start]
        return messages

    @property
    def pending_bytes(self) -> int:
        """How much of a message that is not whole has come; 0 where a stream may end."""
        return len(self._rest)


def _prelude(data: bytearray, start: int) -> tuple[int, int]:
    """Read the lengths of a message and of its headers, verified and within bounds."""
    total, headers_bytes, expected = _PRELUDE.unpack_from(data, start)
    if crc32(data[start : start + _CHECKED_BYTES]) != expected:
        raise _broken("the checksum of a message's prelude is wrong")
    if headers_bytes > HEADERS_BYTES_MAX or total > MESSAGE_BYTES_MAX:
        raise _broken("a message is longer than AWS allows")
    if total < headers_bytes + _ENVELOPE_BYTES:
        raise _broken("the lengths of a message contradict each other")
    return total, headers_bytes


def _message(data: bytes, headers_bytes: int) -> Message:
    """Read a whole message."""
    end = len(data) - _SUM.size
    if crc32(memoryview(data)[:end]) != _SUM.unpack_from(data, end)[0]:
        raise _broken("the checksum of a message is wrong")
    headers_end = _PRELUDE.size + headers_bytes
    return Message(_headers(data[_PRELUDE.size : headers_end]), data[headers_end:end])


def _headers(data: bytes) -> dict[str, HeaderValue]:
    """Read the block of headers."""
    headers: dict[str, HeaderValue] = {}
    reader = _Reader(data)
    try:
        while not reader.done:
            name = reader.take(reader.byte()).decode()
            headers[name] = _value(reader)
    except (UnicodeDecodeError, OverflowError, IndexError):
        raise _broken("the headers of a message cannot be read") from None
    return headers


class _Reader:
    """A position in a block of bytes; reading past its end is an IndexError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise IndexError
        self._at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def sized(self) -> bytes:
        """Take a value with its length, of 2 bytes, before it."""
        return self.take(int(_SHORT.unpack(self.take(_SHORT.size))[0]))


def _value(reader: _Reader) -> HeaderValue:
    """Read a header's type and value."""
    kind = reader.byte()
    if kind in _SIGNED:
        number = _SIGNED[kind]
        return int(number.unpack(reader.take(number.size))[0])
    read = _READ.get(kind)
    if read is None:
        raise IndexError
    return read(reader)


def _timestamp(reader: _Reader) -> datetime:
    number = _SIGNED[5]
    return _EPOCH + timedelta(milliseconds=number.unpack(reader.take(number.size))[0])


_READ: Final[Mapping[int, Callable[[_Reader], HeaderValue]]] = {
    _TRUE: lambda _: True,
    _FALSE: lambda _: False,
    _BYTES: _Reader.sized,
    _STRING: lambda reader: reader.sized().decode(),
    _TIMESTAMP: _timestamp,
    _UUID: lambda reader: UUID(bytes=reader.take(_UUID_BYTES)),
}


def encode(message: Message) -> bytes:
    """Write a message. Raises ValueError for one that no decoder would take."""
    block = b"".join(_header(name, value) for name, value in message.headers.items())
    total = len(block) + len(message.payload) + _ENVELOPE_BYTES
    if len(block) > HEADERS_BYTES_MAX or total > MESSAGE_BYTES_MAX:
        text = "An event-stream message has to be within AWS's bounds."
        raise ValueError(text)
    lengths = struct.pack(">II", total, len(block))
    start = lengths + _SUM.pack(crc32(lengths)) + block + message.payload
    return start + _SUM.pack(crc32(start))


def _header(name: str, value: HeaderValue) -> bytes:
    """Write one header; an integer takes the narrowest type that holds it."""
    encoded = name.encode()
    try:
        return bytes((len(encoded),)) + encoded + _typed(value)
    except struct.error:
        text = f"The value of {name} does not fit into a header."
        raise ValueError(text) from None


def _typed(value: HeaderValue) -> bytes:
    """Write a header's type and value."""
    match value:
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case int():
            kinds = (k for k, s in _SIGNED.items() if -(1 << s.size * 8 - 1) <= value)
            kind = next((k for k in kinds if value < 1 << _SIGNED[k].size * 8 - 1), 5)
            return bytes((kind,)) + _SIGNED[kind].pack(value)
        case bytes():
            return bytes((_BYTES,)) + _SHORT.pack(len(value)) + value
        case str():
            encoded = value.encode()
            return bytes((_STRING,)) + _SHORT.pack(len(encoded)) + encoded
        case datetime():
            milliseconds = (value - _EPOCH) // timedelta(milliseconds=1)
            return bytes((_TIMESTAMP,)) + _SIGNED[5].pack(milliseconds)
        case UUID():
            return bytes((_UUID,)) + value.bytes


def _broken(reason: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The provider's event stream was refused: {reason}.")
