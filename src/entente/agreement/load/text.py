"""From YAML to a tree with places; what has no one plain meaning is refused.

Scalars follow the core schema of YAML 1.2 (`on` and `yes` are texts), with one difference:
a number with a point or an exponent has to be quoted, as it would have lost digits before
anybody saw it. Anchors, aliases, tags, merge keys and second documents are refused: what a
party signs has no hidden copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from entente.agreement.load.problems import AgreementProblems, Problems
from entente.agreement.load.tree import Branch, Fork, Leaf, Mark, Plain, Tree

BYTES_MAX: Final = 4 * 1024 * 1024
DEPTH_MAX: Final = 40
VALUES_MAX: Final = 200_000
INTEGER_DIGITS_MAX: Final = 40

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(
    r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?|[+-]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_WORDS: Final[dict[str, Plain]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it was built in. Only its events are used; it makes no objects."""
_PLAIN_STYLES: Final = (None, "")
_HIDDEN: Final = "write out what it stands for; a document has no hidden copies"


def parse(content: bytes, file: str) -> Tree:
    """Read a file's content. Raises AgreementProblems with everything that is wrong in it."""
    problems = Problems()
    tree = _Reader(file, problems).document(_text(content, file))
    problems.stop()
    return tree


def parse_value(text: str, file: str) -> Tree:
    """Read a value that was given apart from a file, in the same form."""
    return parse(text.encode("utf-8", "surrogatepass"), file)


def _text(content: bytes, file: str) -> str:
    if len(content) > BYTES_MAX:
        raise _problem(Mark(file, 0, 0), f"is larger than {BYTES_MAX} bytes: is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        mark = Mark(file, line, 1)
        raise _problem(mark, "is not UTF-8 text: save it as UTF-8") from error


def _problem(mark: Mark, text: str) -> AgreementProblems:
    problems = Problems()
    problems.add(mark, text)
    return AgreementProblems(problems.found())


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._values = 0

    def document(self, text: str) -> Tree:
        """Read the one document of a text. Raises AgreementProblems where it is no YAML."""
        try:
            return self._document(yaml.parse(text, Loader=_LOADER))
        except yaml.MarkedYAMLError as error:
            place = error.problem_mark
            line, column = (place.line + 1, place.column + 1) if place is not None else (0, 0)
            mark = Mark(self._file, line, column)
            said = error.problem or "it cannot be parsed"
            raise _problem(mark, f"this is not valid YAML: {said}. Correct the line") from error
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise _problem(Mark(self._file, 0, 0), f"this is not valid YAML: {said}") from error

    def _document(self, events: Iterator[yaml.Event]) -> Tree:
        tree: Tree | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if tree is not None:
                    self._problems.add(self._mark(event), "a file has one document: remove `---`")
                    break
                tree = self._tree(next(events), events, 1)
        if tree is None:
            raise _problem(Mark(self._file, 1, 1), "is empty: an agreement begins `agreement:`")
        return tree

    def _mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        line, column = (start.line + 1, start.column + 1) if start is not None else (0, 0)
        return Mark(self._file, line, column)

    def _tree(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Tree:
        mark = self._mark(event)
        self._values += 1
        if depth > DEPTH_MAX:
            raise _problem(mark, f"is nested more than {DEPTH_MAX} deep: write it flatter")
        if self._values > VALUES_MAX:
            raise _problem(mark, f"has more than {VALUES_MAX} values: split the agreement")
        if isinstance(event, yaml.AliasEvent):
            self._problems.add(mark, f"`*{event.anchor}` is an alias: {_HIDDEN}")
            return Leaf(None, mark)
        if isinstance(event, yaml.ScalarEvent):
            self._plain_only(event, mark)
            return self._scalar(event, mark)
        if isinstance(event, yaml.CollectionStartEvent):
            self._plain_only(event, mark)
        if isinstance(event, yaml.SequenceStartEvent):
            return Branch(tuple(self._items(events, depth)), mark)
        return self._mapping(events, mark, depth)

    def _plain_only(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, mark: Mark) -> None:
        if event.anchor is not None:
            self._problems.add(mark, f"`&{event.anchor}` is an anchor: {_HIDDEN}")
        if event.tag is not None:
            self._problems.add(mark, f"`{event.tag}` is a tag: leave it out, and quote texts")

    def _items(self, events: Iterator[yaml.Event], depth: int) -> Iterator[Tree]:
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._tree(event, events, depth + 1)

    def _mapping(self, events: Iterator[yaml.Event], mark: Mark, depth: int) -> Fork:
        entries: dict[str, Tree] = {}
        keys: dict[str, Mark] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            place = self._mark(event)
            key = self._key(event, events, depth)
            value = self._tree(next(events), events, depth + 1)
            if key is None:
                self._problems.add(place, "a key has to be a word: write one")
            elif key == "<<":
                self._problems.add(place, f"`<<` is a merge key: {_HIDDEN}")
            elif key in entries:
                first = keys[key]
                text = f"`{key}` stands here twice (first in line {first.line}): remove one"
                self._problems.add(place, text)
            else:
                entries[key], keys[key] = value, place
        return Fork(entries, keys, mark)

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> str | None:
        """Read a key; None for one that is no scalar."""
        if isinstance(event, yaml.ScalarEvent):
            self._plain_only(event, self._mark(event))
            return str(event.value)
        self._tree(event, events, depth + 1)
        return None

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> Leaf:
        text: str = event.value
        if event.style not in _PLAIN_STYLES or not event.implicit[0]:
            return Leaf(text, mark)
        if text in _WORDS:
            return Leaf(_WORDS[text], mark)
        if _INTEGER.fullmatch(text):
            if len(text) > INTEGER_DIGITS_MAX:
                self._problems.add(mark, f"has more than {INTEGER_DIGITS_MAX} digits: shorten it")
                return Leaf(0, mark)
            return Leaf(int(text), mark)
        if _FLOAT.fullmatch(text):
            self._problems.add(
                mark, f'{text} is a floating number, which is inexact: quote it, "{text}"'
            )
            return Leaf(text, mark)
        return Leaf(text, mark)
