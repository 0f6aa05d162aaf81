"""What is wrong with a file, collected until all of it is known."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from entente.config.locate import line_of, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entente.config.locate import Path

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong setting: `setting` is its full name, `text` what is wrong and what to do.

    `line` counts from 1; None where the file as a whole is meant.
    """

    file: str
    line: int | None
    setting: str
    text: str

    def __str__(self) -> str:
        """Write it as compilers do, so that editors can jump to it."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.setting}: {self.text}" if self.setting else f"{place}: {self.text}"


class Problems:
    """A growing list of problems in one file."""

    def __init__(self, file: str, text: str) -> None:
        """Take the file's name for messages and its text for line numbers."""
        self._file = file
        self._text = text
        self._lines: Mapping[Path, int] | None = None
        self._found: list[Problem] = []

    def add(self, path: Path, text: str) -> None:
        """Note that the setting at `path` is wrong."""
        if self._lines is None:
            self._lines = lines_of(self._text)
        line = line_of(self._lines, path)
        self._found.append(
            Problem(file=self._file, line=line, setting=setting_name(path), text=text)
        )

    def found(self) -> tuple[Problem, ...]:
        """Give all problems in the order of the file."""
        return tuple(sorted(self._found, key=lambda problem: problem.line or 0))


def setting_name(path: Path) -> str:
    """Write a path as TOML would: `models."gpt-4.1".targets[0].provider`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            key = part if _BARE_KEY.fullmatch(part) else msgspec.json.encode(part).decode()
            name += f".{key}" if name else key
    return name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give " Did you mean `x`?" for the nearest known word, or nothing if none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
