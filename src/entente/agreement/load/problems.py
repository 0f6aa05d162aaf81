"""What is wrong with a document, collected until all of it is known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from entente.agreement.load.tree import Mark
from entente.domain.errors import ConfigError


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `text` says what, and what to do.

    `line` and `column` count from 1, and are 0 where a file as a whole is meant. `clause` is
    the id of the clause that it is in, `path` the place in it: `tiers[1].split`.
    """

    file: str
    line: int
    column: int
    clause: str
    path: str
    text: str

    def __str__(self) -> str:
        """Write it as compilers do, so that editors can jump to it."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        named = ".".join(part for part in (self.clause, self.path) if part)
        return f"{place}: {named}: {self.text}" if named else f"{place}: {self.text}"


class AgreementProblems(ConfigError):
    """A document with one problem or more; `problems` has them one by one."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Put one problem on each line of the message."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Problems:
    """A growing list of problems. What several versions have in common is said once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[Problem, None] = {}

    def add(self, mark: Mark, text: str, *, clause: str = "", path: str = "") -> None:
        """Note a problem at a place."""
        problem = Problem(
            file=mark.file,
            line=mark.line,
            column=mark.column,
            clause=clause,
            path=path,
            text=text,
        )
        self._found.setdefault(problem)

    def found(self) -> tuple[Problem, ...]:
        """Give all problems in the order of the files."""
        return tuple(sorted(self._found, key=lambda each: (each.file, each.line, each.column)))

    def stop(self) -> None:
        """Raise AgreementProblems if there are any."""
        if self._found:
            raise AgreementProblems(self.found())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give " Did you mean `x`?" for the nearest known word, or nothing if none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
