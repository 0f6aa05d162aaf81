"""A parsed text in which every value knows where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

Plain: TypeAlias = str | int | bool | None


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Write it as compilers do."""
        return f"{self.file}:{self.line}:{self.column}"


class Leaf(NamedTuple):
    """A text, a whole number, a truth value, or nothing."""

    value: Plain
    mark: Mark


class Branch(NamedTuple):
    """A list."""

    items: tuple[Tree, ...]
    mark: Mark


class Fork(NamedTuple):
    """A mapping. `keys` has the place of each key."""

    entries: Mapping[str, Tree]
    keys: Mapping[str, Mark]
    mark: Mark


Tree: TypeAlias = Leaf | Branch | Fork

NOWHERE: Final = Mark("", 0, 0)


def plain(tree: Tree) -> object:
    """Give the value without its places."""
    match tree:
        case Leaf(value, _):
            return value
        case Branch(items, _):
            return [plain(item) for item in items]
        case Fork(entries, _, _):
            return {key: plain(item) for key, item in entries.items()}


def planted(value: object, mark: Mark) -> Tree:
    """Make a tree of a plain value; all of it stands at one place.

    Raises TypeError for what no document can say, a float above all.
    """
    match value:
        case None | str() | bool() | int():
            return Leaf(value, mark)
        case list() | tuple():
            return Branch(tuple(planted(item, mark) for item in value), mark)
        case dict():
            entries = {str(key): planted(item, mark) for key, item in value.items()}
            return Fork(entries, dict.fromkeys(entries, mark), mark)
    message = f"{value!r} is not a value of a document"
    raise TypeError(message)


def child(tree: Tree, *path: str) -> Tree | None:
    """Give what stands at a path of keys; None where nothing does."""
    for key in path:
        if not isinstance(tree, Fork) or key not in tree.entries:
            return None
        tree = tree.entries[key]
    return tree


def text_at(tree: Tree, *path: str) -> str | None:
    """Give the text that stands at a path of keys; None where none does."""
    found = child(tree, *path)
    return found.value if isinstance(found, Leaf) and isinstance(found.value, str) else None


def items_at(tree: Tree, key: str) -> tuple[Tree, ...]:
    """Give the items of a list by its key; nothing where there is none."""
    found = child(tree, key)
    return found.items if isinstance(found, Branch) else ()


def with_entries(tree: Fork, changed: Mapping[str, Tree]) -> Fork:
    """Give a mapping with entries set; the keys of new ones stand where their values do."""
    keys = {**{key: item.mark for key, item in changed.items()}, **tree.keys}
    return Fork({**tree.entries, **changed}, keys, tree.mark)


def without(tree: Fork, keys: frozenset[str]) -> Fork:
    """Give a mapping without some keys."""
    kept = {key: item for key, item in tree.entries.items() if key not in keys}
    return Fork(kept, tree.keys, tree.mark)


def walk(tree: Tree) -> Iterator[Tree]:
    """Give a tree and everything in it, outermost first."""
    yield tree
    match tree:
        case Branch(items, _):
            for item in items:
                yield from walk(item)
        case Fork(entries, _, _):
            for item in entries.values():
                yield from walk(item)
