"""From a tree to the typed structs, problem by problem.

The walk follows the types. A value that cannot be read is noted with its place and left
out, and the walk goes on, so that a person sees everything at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from entente.agreement.clauses import Clause
from entente.agreement.conditions import Condition
from entente.agreement.document import Amendment, Parameter, Scenario, dec_hook
from entente.agreement.load.problems import Problems, did_you_mean
from entente.agreement.load.tree import Branch, Fork, Leaf, Mark, Tree, plain, text_at
from entente.agreement.values import Exact

SHOWN_CHARS_MAX: Final = 80

_CLAUSES: Final = (Clause, Parameter, Amendment, Scenario)
"""What problems are named by."""
_WORDS: Final[dict[type, str]] = {str: "text", int: "a whole number", bool: "true or false"}


class _Unreadable:
    """Stands for a value whose problem has been noted."""


UNREADABLE: Final = _Unreadable()


class Reader:
    """Reads trees as types; what is wrong goes to `problems`."""

    def __init__(self, problems: Problems) -> None:
        """Take where problems go."""
        self._problems = problems
        self._clause = ""

    # The type is data here, hence `Any`: the result has that type, or is UNREADABLE.
    def read(  # noqa: PLR0911  (one return for each kind of type)
        self, kind: Any, tree: Tree, path: str = ""
    ) -> Any:
        """Read one value of a type."""
        origin = get_origin(kind)
        if origin is Annotated:
            return self._annotated(kind, tree, path)
        if origin in (Union, UnionType):
            return self._union(get_args(kind), tree, path)
        if origin is tuple:
            return self._tuple(get_args(kind)[0], tree, path)
        if origin in (dict, Mapping):
            return self._dict(get_args(kind), tree, path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(kind, tree, path)
        if kind is Any:
            return plain(tree)
        return self._plain(kind, tree, path)

    def _bad(self, mark: Mark, path: str, text: str) -> _Unreadable:
        self._problems.add(mark, text, clause=self._clause, path=path)
        return UNREADABLE

    def _annotated(self, kind: Any, tree: Tree, path: str) -> Any:
        inner, *notes = get_args(kind)
        if get_origin(inner) is None:
            return self._plain(kind, tree, path)
        value = self.read(inner, tree, path)
        meta = next(note for note in notes if isinstance(note, Meta))
        least, most = meta.min_length or 0, meta.max_length
        if value is not UNREADABLE and not least <= len(value) <= (most or len(value)):
            return self._bad(tree.mark, path, f"must have {least} to {most} items")
        return value

    def _union(self, kinds: tuple[Any, ...], tree: Tree, path: str) -> Any:
        some = [kind for kind in kinds if kind not in (NoneType, msgspec.UnsetType)]
        if NoneType in kinds and isinstance(tree, Leaf) and tree.value is None:
            return None
        if len(some) == 1:
            return self.read(some[0], tree, path)
        if all(isinstance(kind, type) and issubclass(kind, msgspec.Struct) for kind in some):
            return self._tagged(some, tree, path)
        lists = [kind for kind in some if _is_list(kind)]
        if lists:
            others = [kind for kind in some if not _is_list(kind)]
            return self.read(lists[0] if isinstance(tree, Branch) else others[0], tree, path)
        return self._plain(reduce(or_, some), tree, path)

    def _tagged(self, kinds: list[Any], tree: Tree, path: str) -> Any:
        """Read a struct of several kinds, told apart by one field."""
        field = str(kinds[0].__struct_config__.tag_field)
        by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
        tag = text_at(tree, field) or ""
        if tag in by_tag:
            return self._struct(by_tag[tag], tree, path, tag_field=field)
        choices = ", ".join(f"`{word}`" for word in by_tag)
        mark = tree.entries[field].mark if isinstance(tree, Fork) and tag else tree.mark
        self._problems.add(
            mark,
            f"`{field}` must be one of {choices}.{did_you_mean(tag, by_tag)}",
            clause=text_at(tree, "id") or self._clause,
        )
        return UNREADABLE

    def _tuple(self, kind: Any, tree: Tree, path: str) -> Any:
        if not isinstance(tree, Branch):
            return self._bad(tree.mark, path, f"must be a list, not {_shown(tree)}")
        read = tuple(
            self.read(kind, item, f"{path}[{position}]") for position, item in enumerate(tree.items)
        )
        return UNREADABLE if UNREADABLE in read else read

    def _dict(self, kinds: tuple[Any, ...], tree: Tree, path: str) -> Any:
        key_kind, kind = kinds
        if not isinstance(tree, Fork):
            return self._bad(tree.mark, path, f"must be a mapping, not {_shown(tree)}")
        read = {
            self.read(key_kind, Leaf(key, tree.keys[key]), _below(path, key)): self.read(
                kind, item, _below(path, key)
            )
            for key, item in tree.entries.items()
        }
        return UNREADABLE if UNREADABLE in (*read, *read.values()) else read

    def _enter(self, tree: Tree) -> None:
        """Name problems by the clause that is being read."""
        name = text_at(tree, "id")
        if name is not None:
            self._clause = name

    def _struct(self, kind: type[Any], tree: Tree, path: str, *, tag_field: str = "") -> Any:
        if not isinstance(tree, Fork):
            return self._bad(tree.mark, path, f"must be a mapping of fields, not {_shown(tree)}")
        outside = self._clause
        if issubclass(kind, _CLAUSES):
            self._enter(tree)
        if self._clause != outside:
            path = ""
        values = self._values(kind, tree, path, tag_field)
        try:
            return UNREADABLE if values is None else kind(**values)
        except ValueError as error:
            return self._bad(tree.mark, path, str(error))
        finally:
            self._clause = outside

    def _values(self, kind: Any, tree: Fork, path: str, tag_field: str) -> dict[str, object] | None:
        """Read a struct's fields; None where one that is there or needed cannot be read."""
        hints, fields = _hints(kind), _fields(kind)
        read: dict[str, object] = {}
        for key, item in tree.entries.items():
            if key in fields:
                read[key] = self.read(hints[key], item, _below(path, key))
            elif key != tag_field:
                near = did_you_mean(key, fields) or f" There are {', '.join(fields)}."
                self._bad(tree.keys[key], path, f"`{key}` is no field here.{near}")
        for name, field in fields.items():
            if field.required and name not in tree.entries:
                read[name] = self._bad(tree.mark, path, f"`{name}` is missing: add it")
        return None if UNREADABLE in read.values() else read

    def _plain(self, kind: Any, tree: Tree, path: str) -> Any:
        value = plain(tree)
        try:
            if kind is Exact or kind is Condition:
                return dec_hook(kind, value)
            return msgspec.convert(value, kind, dec_hook=dec_hook)
        except msgspec.ValidationError:
            return self._bad(tree.mark, path, f"must be {_expected(kind)}, not {_shown(tree)}")
        except ValueError as error:
            return self._bad(tree.mark, path, str(error))


@lru_cache(maxsize=256)
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


@lru_cache(maxsize=256)
def _fields(kind: Any) -> Mapping[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_list(kind: Any) -> bool:
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(inner) is tuple


def _expected(kind: Any) -> str:  # noqa: PLR0911  (one return for each kind of type)
    """Say in words which values a type allows."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        said = next((note for note in notes if isinstance(note, Meta)), None)
        if said is not None and said.description:
            return said.description[0].lower() + said.description[1:].rstrip(".")
        if said is not None and said.max_length is not None:
            return f"{_expected(inner)} of {said.min_length or 0} to {said.max_length} characters"
        if said is not None and said.ge is not None:
            return f"{_expected(inner)} from {said.ge}" + (f" to {said.le}" if said.le else "")
        return _expected(inner)
    if get_origin(kind) is Literal:
        return _choices(map(str, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_expected(part) for part in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _choices(member.value for member in kind)
    return _WORDS.get(kind, str(kind))


def _choices(words: Iterable[str]) -> str:
    return "one of " + ", ".join(words)


def _shown(tree: Tree) -> str:
    match tree:
        case Branch():
            return "a list"
        case Fork():
            return "a mapping"
        case Leaf(None, _):
            return "nothing"
        case Leaf(bool() as value, _):
            return "true" if value else "false"
    return repr(tree.value)[:SHOWN_CHARS_MAX]
