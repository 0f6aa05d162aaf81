"""From a setting's path to its line in the file.

`tomllib` says what a document means and, for syntax errors only, where. People who
mistype a setting need its line as well, so this reads the text a second time and
notes where each key stands. It runs only after something was found to be wrong, and
only on text that `tomllib` has accepted, so it may trust the grammar: it looks no
closer than it must to tell keys, strings, comments and brackets apart.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top: `("models", "a", "targets", 0, "provider")`."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """Give the line, counted from 1, of every key, table and list item in valid TOML.

    A table has the line of its header or, where it has none, of the first key that
    implies it.
    """
    # A lone CR is not allowed in TOML and CRLF is one line end, as it is here.
    return _Scanner(text).scan()


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """Give the line of `path` or, where it is not in the text, of what would hold it.

    `lines` are those of `lines_of`. None for the top of the document.
    """
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Scanner:
    """One pass over the text; `_at` is the position, `_lines` what was found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {}
        self._items: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        """Read headers and assignments to the end."""
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._skip(_BLANK)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()

    def _note(self, path: Path, at: int) -> None:
        """Remember where `path` and everything above it was first seen."""
        line = bisect_right(self._starts, at)
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`; give the table that assignments now go to."""
        start = self._at
        is_item = self._text.startswith("[[", start)
        self._at += 2 if is_item else 1
        keys = self._keys()
        self._at += 2 if is_item else 1
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._items:
                path = (*path, self._items[path])
        path = (*path, keys[-1])
        if is_item:
            self._items[path] = self._items.get(path, -1) + 1
            path = (*path, self._items[path])
        self._note(path, start)
        # A header beats the sub-table or dotted key that implied the table before it.
        self._lines[path] = bisect_right(self._starts, start)
        return path

    def _keys(self) -> list[str]:
        """Read a key: bare, quoted or dotted, with the spaces around it."""
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            match = _BARE_KEY.match(self._text, self._at) or _STRING.match(self._text, self._at)
            if match is None:
                return keys
            written = match.group()
            self._at = match.end()
            keys.append(_unquoted(written) if written[0] in "\"'" else written)
            self._skip(_SPACE)
            if self._text[self._at : self._at + 1] != ".":
                return keys
            self._at += 1

    def _assignment(self, table: Path) -> None:
        """Read `key = value` inside `table`."""
        start = self._at
        path = (*table, *self._keys())
        self._note(path, start)
        self._at += 1
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        """Step over a value, noting the keys and items inside it."""
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if opening in {'"', "'"} else _SCALAR)

    def _array(self, path: Path) -> None:
        """Step over `[…]`; its items have lines of their own."""
        self._at += 1
        self._skip(_BLANK)
        position = 0
        while self._text[self._at : self._at + 1] not in {"]", ""}:
            self._note((*path, position), self._at)
            self._value((*path, position))
            position += 1
            self._separator()
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        """Step over `{…}`."""
        self._at += 1
        self._skip(_BLANK)
        while self._text[self._at : self._at + 1] not in {"}", ""}:
            self._assignment(path)
            self._separator()
        self._at += 1

    def _separator(self) -> None:
        """Step over blanks, one comma if there is one, and blanks again."""
        self._skip(_BLANK)
        if self._text[self._at : self._at + 1] == ",":
            self._at += 1
            self._skip(_BLANK)


def _unquoted(written: str) -> str:
    """Give the key that a quoted key means, escapes resolved."""
    return next(iter(tomllib.loads(f"{written} = 0")))
