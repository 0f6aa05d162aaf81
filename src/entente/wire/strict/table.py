"""Parameters of an API of OpenAI's as a table: types, bounds and choices, in its order. Pure.

The type of each parameter is a field of a struct; what types cannot say stands in the table
beside it. `wire.openai_responses.faults` has the words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias, get_type_hints

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.openai_responses import faults, form
from entente.wire.parameters import MALFORMED
from entente.wire.shapes import Kinds, Shape

Bounds: TypeAlias = tuple[float, float | None]

NULL: Final = b"null"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What one API takes. Names of parameters inside others are written `outer.inner`."""

    decoders: Mapping[str, msgspec.json.Decoder[Any]]
    """By parameter, in the order in which they are checked."""
    also: frozenset[str]
    """Parameters that are checked elsewhere."""
    bounds: Mapping[str, Bounds] = {}
    """The least and the most that a number may be, both allowed."""
    lengths: Mapping[str, int] = {}
    """The most characters of a text, or items of an array."""
    filled: frozenset[str] = frozenset()
    """Arrays that must not be empty."""
    inner: Mapping[str, Shape | Kinds] = {}
    """What those parameters are inside whose unknown members are refused."""
    choices: Mapping[str, tuple[str, ...]] = {}
    """The words that a parameter takes, in the vendor's order."""
    expected: Mapping[str, str] = {}
    """What a parameter should be, where that is not plain from its type."""

    def check_names(self, members: Mapping[str, Raw], *, more: Collection[str] = ()) -> None:
        """Refuse the first name that is none, `more` apart."""
        for name in members:
            if name not in self.decoders and name not in self.also and name not in more:
                known = (*self.decoders, *self.also, *more)
                raise faults.unknown(name, known, members.keys())

    def check(self, members: Mapping[str, Raw]) -> None:
        """Refuse the first parameter, in the order of the table, that is not as it has to be."""
        for name, decoder in self.decoders.items():
            raw = members.get(name)
            if raw is not None and bytes(raw) != NULL:
                self._check(name, decoder, raw)

    def _check(self, name: str, decoder: msgspec.json.Decoder[Any], raw: Raw) -> None:
        try:
            value = decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise faults.invalid(error, name, self.choices, self.expected) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedJson(MALFORMED) from None
        if name in self.inner:
            faults.check_inside(name, raw, self.inner[name])
        if name == "metadata":
            form.check_metadata(value)
        if name in self.bounds:
            least, most = self.bounds[name]
            if value < least or (most is not None and value > most):
                raise faults.out_of_bounds(name, value, least, most)
        if name in self.filled and not value:
            raise faults.empty_array(name)
        if name in self.lengths and len(value) > self.lengths[name]:
            raise _too_long(name, value, self.lengths[name])


def decoders(types: type) -> dict[str, msgspec.json.Decoder[Any]]:
    """Give a decoder for each field of a struct, in their order."""
    return {name: msgspec.json.Decoder(hint) for name, hint in get_type_hints(types).items()}


def _too_long(name: str, value: str | list[Any], most: int) -> InvalidParameter:
    if isinstance(value, str):
        return faults.too_long(name, len(value), most)
    return faults.array_too_long(name, len(value), most)
