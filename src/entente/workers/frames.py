"""What a parent and its workers say to each other: frames of MessagePack on a socket pair."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from entente.config import Config
from entente.db.address import Address, address_of
from entente.domain.secret import Secret

LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


class Lent(msgspec.Struct, frozen=True, tag="lent"):
    """Where the parent's local runtime serves; without an address, why it does not."""

    base_url: str | None
    api_key: Secret
    phase: str
    trouble: str | None


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """All that a worker needs to begin."""

    config: Config
    environ: dict[str, str]
    number: int
    workers: int
    is_first: bool
    """Nobody has served from the data folder since the parent took it."""
    listener: int
    """Descriptor of the port."""
    folder: Path
    """Where the doors of the workers are."""
    door: int
    """Descriptor of this worker's own."""
    lock: int
    """Descriptor of the data folder's lock."""
    lent: Lent | None
    """The local runtime, if the settings need one."""
    program: str
    """What the parent was begun by, as the lines for people name it."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker serves."""

    greeting: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker cannot start."""

    message: str


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """The worker's event loop turns."""


FromParent: TypeAlias = Begin | Lent
FromWorker: TypeAlias = Ready | Failed | Alive


def _enc(value: object) -> object:
    """Write what MessagePack has no form for; secrets are for the worker's eyes only."""
    match value:
        case MappingProxyType():
            return dict(value)
        case Path() | Fraction():
            return str(value)
        case Secret():
            return value.reveal()
        case Address():
            return value.url.reveal()
        case Address():
            return value.url.reveal()
        case _:
            raise NotImplementedError(type(value).__name__)


def _dec(kind: type, value: Any) -> object:
    """Read it again."""
    if kind is Address:
        return address_of(Secret(value))
    if kind is Address:
        return address_of(Secret(value))
    if kind in (Path, Fraction, Secret):
        return kind(value)
    raise NotImplementedError(kind.__name__)


_encoder = msgspec.msgpack.Encoder(enc_hook=_enc)
_of_parent = msgspec.msgpack.Decoder(FromParent, dec_hook=_dec)
_of_worker = msgspec.msgpack.Decoder(FromWorker, dec_hook=_dec)


def frame(message: FromParent | FromWorker) -> bytes:
    """Write a message with its length in front."""
    data = _encoder.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def heard_from_parent(reader: asyncio.StreamReader) -> FromParent | None:
    """Read a message; None where the parent has gone."""
    data = await _read(reader)
    return None if data is None else _of_parent.decode(data)


async def heard_from_worker(reader: asyncio.StreamReader) -> FromWorker | None:
    """Read a message; None where the worker has gone."""
    data = await _read(reader)
    return None if data is None else _of_worker.decode(data)


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        return await reader.readexactly(length) if length <= FRAME_BYTES_MAX else None
    except (asyncio.IncompleteReadError, OSError):
        return None
