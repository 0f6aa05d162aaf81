"""The locator finds the line that a rendered document was written on."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from entente.config.locate import Path, line_of, lines_of

EXAMPLES = 100

BARE = st.text("abcXYZ019_-", min_size=1, max_size=5)
QUOTED = st.text(st.sampled_from("ab .\"'\\#[]{}=,\né☃𝄞\t"), max_size=6)
KEYS = st.one_of(BARE, QUOTED)

SCALARS = [
    "1",
    "-1_000.5e3",
    "true",
    "nan",
    "1979-05-27 07:32:00Z",
    '"a # [x] \\" = {"',
    "'b \\ # ] \"'",
    '""',
    "''",
    '"""\n# no comment\n[not.a.table]\nk = "v"\n"""',
    '"""ends with quotes"""""',
    '"""\\""" \\\n   folded"""',
    "'''\nx = 1\n''''",
    "''''''",
    '""""""',
]
BLANKS = ["", "\n", "# [comment]\n", '\n  # x = 1 "\n\n', "\t\n"]


class Writer:
    """Writes TOML and remembers the line on which each path first stands."""

    def __init__(self, draw: st.DrawFn) -> None:
        """Take random choices from `draw`."""
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    @property
    def line(self) -> int:
        """The line being written."""
        return self.text.count("\n") + 1

    def note(self, path: Path) -> None:
        """Remember that `path` stands here."""
        self.lines[path] = self.line

    def space(self) -> None:
        """Write spaces or none."""
        self.text += self.draw(st.sampled_from(["", " ", "\t "]))

    def blank(self) -> None:
        """Write anything that may stand between items of an array."""
        self.text += self.draw(st.sampled_from(["", " ", "\n", ' # ]} "\n', "\n\n  "]))

    def key(self, name: str) -> None:
        """Write a key in one of its forms."""
        bare = name != "" and all(char in "abcXYZ019_-" for char in name)
        literal = "'" not in name and "\n" not in name and name.isprintable()
        forms = [json.dumps(name, ensure_ascii=False)]
        if bare:
            forms.append(name)
        if literal:
            forms.append(f"'{name}'")
        self.text += self.draw(st.sampled_from(forms))

    def assignment(self, table: Path, name: str, depth: int) -> None:
        """Write `key = value`, the key dotted now and then."""
        path = (*table, name)
        self.note(path)
        self.key(name)
        for _ in range(self.draw(st.integers(0, 2)) if depth < 3 else 0):
            self.space()
            self.text += "."
            self.space()
            name = self.draw(KEYS)
            path = (*path, name)
            self.note(path)
            self.key(name)
        self.space()
        self.text += "="
        self.space()
        self.value(path, depth)

    def value(self, path: Path, depth: int) -> None:
        """Write a scalar, an array or an inline table."""
        kind = self.draw(st.sampled_from("sai" if depth < 3 else "s"))
        if kind == "s":
            self.text += self.draw(st.sampled_from(SCALARS))
        elif kind == "a":
            self.array(path, depth)
        else:
            self.inline(path, depth)

    def array(self, path: Path, depth: int) -> None:
        """Write an array over one line or several, with or without a last comma."""
        count = self.draw(st.integers(0, 3))
        self.text += "["
        self.blank()
        for position in range(count):
            self.note((*path, position))
            self.value((*path, position), depth + 1)
            self.blank()
            if position < count - 1 or self.draw(st.booleans()):
                self.text += ","
                self.blank()
        self.text += "]"

    def inline(self, path: Path, depth: int) -> None:
        """Write an inline table."""
        names = self.draw(st.lists(KEYS, max_size=3, unique=True))
        self.text += "{"
        for position, name in enumerate(names):
            self.space()
            self.assignment(path, name, depth + 1)
            self.space()
            self.text += "," if position < len(names) - 1 else ""
        self.space()
        self.text += "}"

    def body(self, table: Path) -> None:
        """Write the assignments under a header."""
        for name in self.draw(st.lists(KEYS, max_size=3, unique=True)):
            self.text += self.draw(st.sampled_from(BLANKS))
            self.assignment(table, name, 0)
            self.text += self.draw(st.sampled_from(["\n", " # = [\n", "  \n"]))

    def header(self, written: list[str], path: Path, brackets: tuple[str, str]) -> None:
        """Write `[a.b]` or `[[a.b]]`; `path` is what it means."""
        self.text += self.draw(st.sampled_from(BLANKS))
        self.note(path)
        self.text += brackets[0]
        for position, name in enumerate(written):
            self.space()
            self.key(name)
            self.space()
            self.text += "." if position < len(written) - 1 else ""
        self.text += brackets[1] + self.draw(st.sampled_from(["\n", " # [x]\n"]))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    """Make a document of root settings, tables, sub-tables and arrays of tables."""
    writer = Writer(draw)
    writer.body(())
    taken = {str(path[0]) for path in writer.lines}
    for name in draw(st.lists(KEYS.filter(lambda key: key not in taken), max_size=3, unique=True)):
        if draw(st.booleans()):
            writer.header([name], (name,), ("[", "]"))
            writer.body((name,))
            _sub_table(writer, [name], (name,))
        else:
            for position in range(draw(st.integers(1, 3))):
                writer.header([name], (name, position), ("[[", "]]"))
                writer.lines.setdefault((name,), writer.lines[(name, position)])
                writer.body((name, position))
                _sub_table(writer, [name], (name, position))
    return writer.text, writer.lines


def _sub_table(writer: Writer, written: list[str], path: Path) -> None:
    """Add `[a.b]` under a table or under the last item of an array of tables."""
    taken = {part[len(path)] for part in writer.lines if part[: len(path)] == path != part}
    for name in writer.draw(st.lists(KEYS, max_size=2, unique=True)):
        if name not in taken:
            writer.header([*written, name], (*path, name), ("[", "]"))
            writer.body((*path, name))


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    """List every path that a parsed document has."""
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    found = {path} if path else set()
    for key, item in pairs:
        found |= paths_of(item, (*path, key))
    return found


def parsed_or_none(text: str) -> dict[str, Any] | None:
    """Parse; None where random dotted keys clash, which never reaches the locator."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if any(word in str(error) for word in ("overwrite", "twice", "utable", "uplicate")):
            return None
        raise


@settings(derandomize=True, deadline=None, max_examples=EXAMPLES)
@given(documents())
def test_every_path_has_the_line_it_was_written_on(document: tuple[str, dict[Path, int]]) -> None:
    """And the locator knows exactly the paths that tomllib does."""
    text, written = document
    parsed = parsed_or_none(text)
    event("read" if parsed is not None else "clash")
    if parsed is None:
        return
    assert lines_of(text) == written
    assert set(written) == paths_of(parsed)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a.b = 1\n\nc = 2\n", ("c",), 3),
        ("[a.b]\nx = 1\n[a]\ny = 2\n", ("a",), 3),
        ("[a.b]\nx = 1\n", ("a",), 1),
        ("[a]\n[[a.b]]\n[[a.b]]\n[a.b.c]\nx = 1\n", ("a", "b", 1, "c", "x"), 5),
        ("a = [\n1,\n[2,\n3],\n]\n", ("a", 1, 1), 4),
        ("a = { b = { c = [\n1,\n2] } }\n", ("a", "b", "c", 1), 3),
        ('"a.b"."c" = 1\n', ("a.b", "c"), 1),
        ('"\\u0061" = 1\n', ("a",), 1),
        ("[a]\nb = 1\n", ("a", "gone"), 1),
        ("\n[a]\nb = 1\n", ("a", "b", "deeper", 3), 3),
        ("[a]\n", ("b",), None),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
        ("a = 1", ("a",), 1),
        ("", ("a",), None),
    ],
)
def test_lines_of_known_documents(text: str, path: Path, line: int | None) -> None:
    """A path that is not there has the line of what would hold it."""
    assert line_of(lines_of(text), path) == line
