"""Where a server's dialect differs from the OpenAI's that it speaks, and a body made to fit. Pure.

Two differences cost money where nobody minds them. A server that does not know the name of
the bound on output tokens ignores it, and answers at any length; a server that refuses to be
asked for the usage of a stream would refuse every stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses, OnLoss
from entente.wire.dialect import Written
from entente.wire.members import split

OutputBound: TypeAlias = Literal["max_completion_tokens", "max_tokens"]

_NO_RENAMES: Final[Mapping[str, str]] = MappingProxyType({})
_NEW_BOUND: Final = "max_completion_tokens"
_OLD_BOUND: Final = "max_tokens"
_STREAM_OPTIONS: Final = "stream_options"
_NULL: Final = b"null"
_FALSE: Final = (_NULL, b"false")

_integer = msgspec.json.Decoder(int)


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How one server's chat requests differ from OpenAI's; the defaults are OpenAI's own."""

    output_bound: OutputBound = "max_completion_tokens"
    """The member that bounds the output. `max_tokens`: it ignores the newer name."""
    takes_stream_options: bool = True
    """Usage is asked for with `stream_options`; False: it comes unasked, and asking is refused."""
    renames: Mapping[str, str] = _NO_RENAMES
    """Members of the request that have another name there, by OpenAI's name."""
    refuses: frozenset[str] = frozenset()
    """Members that make the whole request fail, whatever their value."""
    choices_max: int | None = None
    """The largest `n` that it takes; None for OpenAI's own bound."""


def adapt(body: bytes, quirks: Quirks, *, target: str, on_loss: OnLoss) -> Written:
    """Make a chat request in OpenAI's dialect fit a server, each value byte for byte.

    A body in which nothing has to change comes back as it is. `target` is the server's name
    in sentences. Raises InvalidParameter for what it does not take and must not be dropped.
    """
    members = split(body)
    if members is None:
        return Written(body)
    losses = Losses(target, on_loss)
    kept: dict[str, bytes] = {}
    for name, raw in members.items():
        value = bytes(raw)
        said = _name(name, value, members, quirks, losses)
        if said is not None:
            kept[said] = value
    if list(kept) == list(members):
        return Written(body)
    pairs = (msgspec.json.encode(name) + b":" + value for name, value in kept.items())
    return Written(b"{%b}" % b",".join(pairs), losses.names)


def _name(
    name: str, value: bytes, members: Mapping[str, Raw], quirks: Quirks, losses: Losses
) -> str | None:
    """Give the name that a member has at the server; None where it is left out."""
    if quirks.output_bound == _OLD_BOUND and name in {_NEW_BOUND, _OLD_BOUND}:
        is_said = bytes(members.get(_OLD_BOUND, _NULL)) != _NULL
        # Of both at once the older stays: the server would have ignored the other.
        return _OLD_BOUND if value != _NULL and (name == _OLD_BOUND or not is_said) else None
    if name == _STREAM_OPTIONS and not quirks.takes_stream_options:
        return None
    if name == "n" and _exceeds(value, quirks.choices_max):
        losses.note(Feature.N)
        return None
    if name in quirks.refuses:
        if value not in _FALSE:
            losses.note(name)
        return None
    return quirks.renames.get(name, name)


def _exceeds(value: bytes, most: int | None) -> bool:
    """Tell whether a number is above a bound; what is no number the server will refuse."""
    if most is None:
        return False
    try:
        return _integer.decode(value) > most
    except msgspec.DecodeError:
        return False
