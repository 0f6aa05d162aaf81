"""One document from several files: the lists of an included file come before one's own.

Files are named by paths relative to the file that includes them, and stay inside the
document's folder. Where the bytes come from is the caller's business: a `Source` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

from entente.agreement.load.problems import AgreementProblems, Problems
from entente.agreement.load.text import parse
from entente.agreement.load.tree import Branch, Fork, Leaf, Mark, Tree, items_at, without

FILES_MAX: Final = 64
DEPTH_MAX: Final = 8
BYTES_MAX: Final = 16 * 1024 * 1024
"""Of all files together."""

_MAIN_ONLY: Final = ("agreement",)


class Source(Protocol):
    """Where the files of a document are."""

    def read(self, name: str) -> bytes:
        """Give a file's content by its path in the document's folder.

        Raises FileNotFoundError with a sentence where there is none that may be read.
        """

    def shown(self, name: str) -> str:
        """Write a file's path as people should see it."""


class Texts:
    """Files in memory, by their paths."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the texts."""
        self._texts = texts

    def read(self, name: str) -> bytes:
        """Give a text as a file has it."""
        if name not in self._texts:
            message = f"there is no {name}"
            raise FileNotFoundError(message)
        return self._texts[name].encode()

    def shown(self, name: str) -> str:
        """Write the path as it is."""
        return name


def gather(source: Source, name: str) -> Fork:
    """Read a document and everything that it includes. Raises AgreementProblems."""
    gathering = _Gathering(source)
    tree = gathering.file(name, Mark(source.shown(name), 0, 0), ())
    gathering.problems.stop()
    return tree


class _Gathering:
    """The reading of one document's files."""

    def __init__(self, source: Source) -> None:
        self.problems = Problems()
        self._source = source
        self._seen: set[str] = set()
        self._bytes = 0

    def file(self, name: str, asked: Mark, above: tuple[str, ...]) -> Fork:
        """Read one file, after the ones that it includes."""
        tree = self._tree(name, asked)
        if tree is None:
            return Fork({}, {}, asked)
        merged = without(tree, frozenset({"include"}))
        for leaf in reversed(items_at(tree, "include")):
            inner = self._inner(leaf, name, (*above, name))
            if inner is not None:
                merged = self._joined(inner, merged)
        return merged

    def _tree(self, name: str, asked: Mark) -> Fork | None:
        self._seen.add(name)
        try:
            content = self._source.read(name)
            tree = parse(content, self._source.shown(name))
        except FileNotFoundError as error:
            self.problems.add(asked, f"{error}")
            return None
        except AgreementProblems as error:
            for problem in error.problems:
                mark = Mark(problem.file, problem.line, problem.column)
                self.problems.add(mark, problem.text)
            return None
        self._bytes += len(content)
        if self._bytes > BYTES_MAX:
            self.problems.add(asked, f"the files come to more than {BYTES_MAX} bytes: split it")
            return None
        if not isinstance(tree, Fork):
            self.problems.add(tree.mark, "an agreement is a mapping that begins `agreement:`")
            return None
        return tree

    def _inner(self, leaf: Tree, name: str, above: tuple[str, ...]) -> Fork | None:
        """Read an included file, if it may be."""
        path = leaf.value if isinstance(leaf, Leaf) else None
        inner = _inside(name, path) if isinstance(path, str) else None
        if inner is None:
            text = "`include` takes paths to files inside the document's folder, without `..`"
        elif inner in above:
            text = f"{inner} includes itself, by way of {' and '.join(above)}: remove one"
        elif inner in self._seen:
            text = f"{inner} is included twice: remove one"
        elif len(above) > DEPTH_MAX or len(self._seen) >= FILES_MAX:
            text = f"includes may be {DEPTH_MAX} deep, and {FILES_MAX} files in all: join some"
        else:
            return self.file(inner, leaf.mark, above)
        self.problems.add(leaf.mark, text)
        return None

    def _joined(self, first: Fork, second: Fork) -> Fork:
        """Join two mappings: lists behind one another, everything else may stand in one only."""
        entries = dict(first.entries)
        for key in _MAIN_ONLY:
            if key in entries:
                self.problems.add(first.keys[key], f"`{key}` belongs to the main file: move it")
        for key, item in second.entries.items():
            here = entries.get(key)
            if isinstance(here, Branch) and isinstance(item, Branch):
                entries[key] = Branch((*here.items, *item.items), item.mark)
            else:
                entries[key] = item
        return Fork(entries, {**first.keys, **second.keys}, second.mark)


def _inside(name: str, path: str) -> str | None:
    """Give a path in the document's folder for one relative to a file; None for others."""
    asked = PurePosixPath(path)
    if not path or asked.is_absolute() or ".." in asked.parts or "\\" in path or "\0" in path:
        return None
    return str(PurePosixPath(name).parent / asked)
