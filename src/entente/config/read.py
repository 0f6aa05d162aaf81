"""From a parsed document to the typed settings, problem by problem.

The walk follows the structs of `entente.config.model`: a field's type says how its
value is read, its `Meta` which values are allowed. A value that cannot be read is
noted and left out (an optional setting keeps its default, a table that lacks what it
needs goes), and the walk goes on, so that a person sees everything at once.
"""

from __future__ import annotations

import re
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from msgspec import inspect

from entente.config import secrets
from entente.config.model import TEXT_CHARS_MAX, ProviderKind
from entente.config.problems import did_you_mean, setting_name
from entente.db.address import Address, address_of
from entente.domain.money import parse_rate
from entente.domain.secret import Secret
from entente.providers.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum
    from pathlib import Path

    from entente.config.locate import Path as KeyPath
    from entente.config.problems import Problems

NAME_CHARS_MAX: Final = 256
_NAMED_DEPTH: Final = 2
"""How deep a table stands that has a name of the user's, such as [models.m]."""

_BAD_NAME: Final = f"a name must be 1 to {NAME_CHARS_MAX} printable characters: rename it"
_WORDS: Final = (
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a table"),
)


class _Unreadable:
    """Stands for a value whose problem has been noted."""


UNREADABLE: Final = _Unreadable()


class Reader:
    """Reads values; what is wrong goes to `problems`.

    Secrets come from `environ`; relative paths start at `folder`.
    """

    def __init__(self, problems: Problems, environ: Mapping[str, str], folder: Path) -> None:
        """Take where problems go and where references and paths lead."""
        self._problems = problems
        self._environ = environ
        self._folder = folder

    # The type of a field is data here, hence the one `Any`: the result has the type
    # that `kind` describes, or is UNREADABLE.
    def read(  # noqa: PLR0911  (one return for each kind of type)
        self, kind: inspect.Type, value: object, path: KeyPath
    ) -> Any:
        """Read one value of a described type."""
        match kind:
            case inspect.UnionType():
                return self.read(_fitting(kind, value), value, path)
            case inspect.StructType():
                return self._struct(kind, value, path)
            case inspect.DictType():
                return self._dict(kind, value, path)
            case inspect.VarTupleType():
                return self._tuple(kind, value, path)
            case inspect.EnumType():
                return self._enum(kind.cls, value, path)
            case inspect.CustomType():
                return self._custom(kind.cls, value, path)
            case _:
                return self._plain(kind, value, path)

    def _bad(self, path: KeyPath, text: str) -> _Unreadable:
        self._problems.add(path, text)
        return UNREADABLE

    def _struct(self, kind: inspect.StructType, value: object, path: KeyPath) -> object:
        if not isinstance(value, dict):
            return self._bad(path, f"must be a table of settings, not {_kind_of(value)}")
        fields = {field.name: field for field in kind.fields}
        read: dict[str, object] = {}
        for key, item in value.items():
            if key in fields:
                read[key] = self.read(fields[key].type, item, (*path, key))
            else:
                self._problems.add((*path, key), _unknown(key, fields, path, item))
        for name, field in fields.items():
            if field.required and name not in value:
                read[name] = self._bad(path, f"`{name}` is missing: add it")
        if any(read.get(name) is UNREADABLE for name, field in fields.items() if field.required):
            return UNREADABLE
        return kind.cls(**{name: item for name, item in read.items() if item is not UNREADABLE})

    def _dict(self, kind: inspect.DictType, value: object, path: KeyPath) -> object:
        if not isinstance(value, dict):
            inner = "tables" if isinstance(kind.value_type, inspect.StructType) else "texts"
            return self._bad(path, f"must be a table of {inner}, not {_kind_of(value)}")
        items = {}
        for key, item in value.items():
            if not key or not key.isprintable() or len(key) > NAME_CHARS_MAX:
                self._problems.add((*path, key), _BAD_NAME)
            read = self.read(kind.value_type, item, (*path, key))
            if read is not UNREADABLE:
                items[key] = read
        return MappingProxyType(items)

    def _tuple(self, kind: inspect.VarTupleType, value: object, path: KeyPath) -> object:
        least, most = kind.min_length or 0, kind.max_length or 0
        if not isinstance(value, list) or not least <= len(value) <= most:
            found = f"{len(value)}" if isinstance(value, list) else _kind_of(value)
            return self._bad(path, f"must be a list of {least} to {most} items, not {found}")
        items = (
            self.read(kind.item_type, item, (*path, position))
            for position, item in enumerate(value)
        )
        return tuple(item for item in items if item is not UNREADABLE)

    def _enum(self, cls: type[Enum], value: object, path: KeyPath) -> object:
        words = [str(member.value) for member in cls]
        if value in words:
            return cls(value)
        if cls is ProviderKind and value in PRESETS:
            return self._bad(
                path, f'"{value}" is a preset: write kind = "openai" and preset = "{value}"'
            )
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        choices = " | ".join(f'"{word}"' for word in words)
        return self._bad(path, f"must be one of {choices}.{hint}")

    def _custom(self, cls: type, value: object, path: KeyPath) -> object:
        try:
            if cls is Secret:
                return secrets.resolve(value, self._environ, self._folder)
            if cls is Address:
                return address_of(secrets.text_or_reference(value, self._environ, self._folder))
            if cls is Fraction:
                return _rate(value)
            return self._file(value)
        except ValueError as error:
            return self._bad(path, str(error))

    def _file(self, value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            message = f"must be a path in quotes, not {_kind_of(value)}"
            raise ValueError(message)
        return self._folder / value

    def _plain(self, kind: inspect.Type, value: object, path: KeyPath) -> object:
        match kind, value:
            case inspect.BoolType(), bool():
                return value
            case _, bool():
                pass
            case inspect.StrType(), str() if _text_fits(kind, value):
                return value
            case inspect.IntType(), int() if _number_fits(kind, value):
                return value
            case inspect.FloatType(), int() | float() if _number_fits(kind, value):
                return float(value)
        return self._bad(path, f"must be {_expected(kind)}, not {_shown(value)}")


def _fitting(kind: inspect.UnionType, value: object) -> inspect.Type:
    """Give the type of a union that a plain value is read as; else its main one."""
    plain: dict[type, type] = {
        bool: inspect.BoolType,
        int: inspect.IntType,
        str: inspect.StrType,
    }
    wanted = plain.get(type(value))
    found = (each for each in kind.types if wanted is not None and type(each) is wanted)
    return next(found, kind.types[0])


def _number_fits(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    """Compare with the bounds; every number has a lower one, so NaN fits nowhere."""
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
    )


def _text_fits(kind: inspect.StrType, value: str) -> bool:
    return (
        (kind.min_length or 0) <= len(value) <= (kind.max_length or TEXT_CHARS_MAX)
        and value.isprintable()
        and (kind.pattern is None or re.search(kind.pattern, value) is not None)
    )


def _expected(kind: inspect.Type) -> str:
    """Say in words which values a type allows."""
    match kind:
        case inspect.BoolType():
            return "true or false, without quotes"
        case inspect.StrType(pattern=str()):
            return 'a currency code of three capital letters in quotes, such as "USD"'
        case inspect.StrType():
            return f"text in quotes of 1 to {kind.max_length} characters on one line"
        case inspect.IntType() | inspect.FloatType():
            noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            least = f"above {kind.gt}" if kind.gt is not None else f"of at least {kind.ge}"
            return f"{noun} {least}" + ("" if kind.le is None else f" and at most {kind.le}")
    return "another kind of value"


def _rate(value: object) -> Fraction:
    """Read a price. A float is refused: 0.1 in binary is not a tenth."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        message = f'a price must be in quotes, so that it stays exact: write "{value}"'
        raise ValueError(message)  # noqa: TRY004  (the caller turns it into a problem)
    if not isinstance(value, str):
        message = f'a price must be text such as "0.15" or "1/3", not {_kind_of(value)}'
        raise ValueError(message)  # noqa: TRY004
    try:
        rate = parse_rate(value)
    except ValueError as error:
        message = 'this text is not a decimal such as "0.15" or a ratio such as "1/3"'
        raise ValueError(message) from error
    if rate < 0:
        message = "a price must not be negative"
        raise ValueError(message)
    return rate


def _unknown(key: str, known: Mapping[str, object], path: KeyPath, value: object) -> str:
    """Say that there is no such setting, with the nearest one or all of them."""
    place = setting_name(path) or "the file"
    hint = did_you_mean(key, known)
    if not hint and isinstance(value, dict) and len(path) == _NAMED_DEPTH:
        hint = f' A name with a dot in it stands in quotes: [{path[0]}."{path[1]}.{key}"].'
    hint = hint or f" Known here: {', '.join(known)}."
    return f"no such setting in {place}.{hint}"


def _kind_of(value: object) -> str:
    """Name the kind of a TOML value without showing it."""
    return next((word for cls, word in _WORDS if isinstance(value, cls)), "a date or time")


def _shown(value: object) -> str:
    """Show a number; of text only that it is text, for it may be a misplaced secret."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else _kind_of(value)
