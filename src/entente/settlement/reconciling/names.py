"""Which of our models a provider's line is about: the same name, or that of a dated version.

`gpt-4o-mini-2024-07-18` is what answers for `gpt-4o-mini`, `Claude Opus 4.6` is how a console
writes `claude-opus-4-6`, and a meter of Azure calls `gpt-4o` of August `gpt 4o 0806`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_APART: Final = re.compile(r"[^a-z0-9]")
_DATE: Final = re.compile(r"(?:20\d{6}|[01]\d[0-3]\d)?")


def plain(name: str) -> str:
    """Write a name without what separates its words."""
    return _APART.sub("", name.lower())


class Names:
    """Gives the name that both sides of a comparison go by: ours, where there is one."""

    def __init__(self, ours: Iterable[str], said: Mapping[str, str]) -> None:
        """Know our names, and what people have said that a provider's name stands for."""
        self._said = {plain(name): target for name, target in said.items()}
        self._ours = sorted(set(ours), key=lambda name: (-len(name), name))
        self._found: dict[str, str] = {}

    def of(self, theirs: str) -> str:
        """Give our name for a provider's; the provider's own where we have none."""
        found = self._found.get(theirs)
        if found is None:
            found = self._found[theirs] = self._look_up(plain(theirs)) or theirs
        return found

    def _look_up(self, theirs: str) -> str | None:
        if not theirs:
            return None
        if theirs in self._said:
            return self._said[theirs]
        exact = [name for name in self._ours if plain(name) == theirs]
        dated = [name for name in self._ours if _dated(plain(name), theirs)]
        return next(iter(exact + dated), None)


def _dated(ours: str, theirs: str) -> bool:
    """Say whether one name is the other with a date behind it."""
    short, long = sorted((ours, theirs), key=len)
    return long.startswith(short) and _DATE.fullmatch(long.removeprefix(short)) is not None
