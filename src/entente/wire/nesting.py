"""How deep JSON of clients may be nested, which is known before anything is read of it. Pure.

Every reader gives up at a depth of its own: Python 3.11 at about a thousand levels, later ones
where their stack ends, a provider or a colleague's client wherever it likes. Within a bound far
below all of these, what one has taken in no other fails on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

from entente.domain.errors import MalformedJson

DEPTH_MAX: Final = 128
"""Levels of arrays and objects, the outermost among them."""

_BEGINS: Final = re.compile(rb"[ \t\n\r]*[\[{]")
_STEPS: Final[Mapping[int, int]] = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_MARKS: Final = bytes(set(range(256)) - set(_STEPS) - {ord('"')})


def check_depth(text: bytes) -> None:
    """Refuse JSON that is nested too deep; what is none is for its reader. Raises MalformedJson."""
    if is_deep(text):
        message = f"The JSON is nested more than {DEPTH_MAX} levels deep. Send it flatter."
        raise MalformedJson(message)


def is_deep(text: bytes) -> bool:
    """Say whether JSON is nested more than `DEPTH_MAX` levels deep."""
    if not _may_be_deep(text) or not _BEGINS.match(text):
        return False
    brackets = _outside_strings(text)
    return max(accumulate(map(_STEPS.__getitem__, brackets))) > DEPTH_MAX


def _may_be_deep(text: bytes) -> bool:
    """Say whether so much as enough opens, be it in strings; in most requests it does not."""
    opened = 0
    for bracket in (b"[", b"{"):
        at = text.find(bracket)
        while at >= 0:
            opened += 1
            if opened > DEPTH_MAX:
                return True
            at = text.find(bracket, at + 1)
    return False


def _outside_strings(text: bytes) -> bytes:
    """Give the brackets between strings; a quote that is escaped ends none."""
    if b"\\" in text:
        if b'\\\\"' in text:  # of two backslashes the second escapes nothing
            text = text.replace(b"\\\\", b"")
        text = text.replace(b'\\"', b"")
    marks = text.translate(None, _NO_MARKS)
    return b"".join(marks.split(b'"')[::2])
