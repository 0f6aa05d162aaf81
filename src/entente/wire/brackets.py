"""Where a JSON object that comes in pieces has its end, without keeping it. Pure."""

from __future__ import annotations

import re
from typing import Final

_SIGN: Final = re.compile(r"[\"\\{}\[\]]")
_IN_TEXT: Final = re.compile(r"[\"\\]")
_OPENING: Final = "{["
_QUOTE: Final = '"'
_ESCAPE: Final = "\\"


class Brackets:
    """The brackets of what has come so far; takes time that grows with each piece alone."""

    __slots__ = ("_begun", "_depth", "_escaped", "_in_text")

    def __init__(self) -> None:
        """Start before the first piece."""
        self._begun = False
        self._depth = 0
        self._in_text = False
        self._escaped = False

    @property
    def closed(self) -> bool:
        """Whether the first bracket has been closed again."""
        return self._begun and self._depth <= 0

    def feed(self, piece: str) -> None:
        """Take the next piece."""
        at = 1 if self._escaped and piece else 0
        self._escaped = self._escaped and not piece
        while found := (_IN_TEXT if self._in_text else _SIGN).search(piece, at):
            sign, at = found[0], found.end()
            if sign == _QUOTE:
                self._in_text = not self._in_text
            elif sign == _ESCAPE:
                self._escaped = at == len(piece)
                at += 1
            elif sign in _OPENING:
                self._begun = True
                self._depth += 1
            else:
                self._depth -= 1
