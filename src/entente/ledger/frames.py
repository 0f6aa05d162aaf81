"""What the ledger and the journal's writer tell each other, and how it is framed. Pure.

A frame is its length in four bytes, then one message in MessagePack.
"""

from __future__ import annotations

from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from entente.domain.errors import LedgerCorrupt

LENGTH_BYTES: Final = 4
RECEIVE_BYTES: Final = 64 * 1024
"""Read at once. A larger buffer would be mapped and unmapped by the system for each read."""
FRAME_BYTES_MAX: Final = 2**31
"""A larger frame is none of ours."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """An entry in line. `number` counts the entries of one ledger's lifetime, from 0."""

    number: int
    name: str
    """Its idempotency key."""
    line: bytes
    fsync: bool
    """It is done when it is on the disk, not merely in the file."""
    keep: bool
    """If it cannot be written now, it is tried again until it can."""


class Append(msgspec.Struct, frozen=True, array_like=True, tag="append"):
    """Write these, in this order, behind everything before."""

    items: list[Item]


class Seen(msgspec.Struct, frozen=True, array_like=True, tag="seen"):
    """What other processes wrote up to `seq` has been applied; what follows knows of it."""

    seq: int


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """Write what is in line, then end."""


ToWriter: TypeAlias = Append | Seen | Stop


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The writer has begun, and found these lines behind the entry that it was told of."""

    lines: list[bytes]
    seq: int
    head: bytes


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """These entries stand in the journal, whose last one now has this number and hash."""

    numbers: list[int]
    seq: int
    head: bytes


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """These entries are not written. Those to be kept are, until they can be."""

    numbers: list[int]
    message: str
    conflict: bool = False
    """Another entry has the same idempotency key."""


class Foreign(msgspec.Struct, frozen=True, array_like=True, tag="foreign"):
    """Other processes have written these lines, up to `seq` with hash `head`."""

    lines: list[bytes]
    seq: int
    head: bytes


class Changed(msgspec.Struct, frozen=True, array_like=True, tag="changed"):
    """Another process has written something to the database."""


class Trouble(msgspec.Struct, frozen=True, array_like=True, tag="trouble"):
    """Why the last write failed; None once one has worked again."""

    text: str | None


FromWriter: TypeAlias = Ready | Written | Failed | Foreign | Changed | Trouble

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


def frame(message: ToWriter | FromWriter) -> bytes:
    """Write a message with its length in front."""
    data = _encoder.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class Frames(Generic[_T]):
    """Gives messages back from bytes that come in any pieces."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[_T]) -> None:
        """Read messages of the decoder's type."""
        self._decoder = decoder
        self._held = b""

    def feed(self, data: bytes) -> list[_T]:
        """Take bytes; give the messages that are whole now. Raises LedgerCorrupt."""
        held = self._held + data if self._held else data
        found: list[_T] = []
        start, end = 0, len(held)
        while end - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            length = int.from_bytes(held[start:body], "big")
            if length > FRAME_BYTES_MAX:
                message = f"The journal's writer was sent a frame of {length} bytes."
                raise LedgerCorrupt(message)
            if end - body < length:
                break
            start = body + length
            found.append(self._decoder.decode(memoryview(held)[body:start]))
        self._held = held[start:]
        return found


def to_writer() -> Frames[ToWriter]:
    """Read what the ledger says."""
    return Frames(msgspec.msgpack.Decoder(ToWriter))


def from_writer() -> Frames[FromWriter]:
    """Read what the writer says."""
    return Frames(msgspec.msgpack.Decoder(FromWriter))
