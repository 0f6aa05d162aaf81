"""What a check has found."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong in a clause, at a path in it; an empty id means the document's head."""

    clause: str
    path: tuple[str | int, ...]
    text: str
