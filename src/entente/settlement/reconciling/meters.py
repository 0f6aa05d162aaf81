"""The names of Azure's meters: which model and which class of tokens a charge is about.

They are abbreviations that have changed with the years: `gpt-4o-0806-Inp-glbl Tokens`,
`gpt 4o 0806 cached Inp glbl Tokens`, `gpt 5 mini cchd inpt DZ Tokens`, `gpt 4.1 opt regnl Tokens`.
What is left when the words about class and place are taken out is the model.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, NamedTuple

_IN: Final = frozenset({"inp", "inpt", "input", "in", "prompt"})
_OUT: Final = frozenset({"outp", "outpt", "output", "out", "opt", "otpt", "completion"})
_CACHED: Final = frozenset({"cached", "cchd", "cache", "cach", "cd"})
_WRITE: Final = frozenset({"write", "wrt", "wr"})
_AUDIO: Final = frozenset({"audio", "aud", "ad"})
_IMAGE: Final = frozenset({"image", "img"})
_BATCH: Final = frozenset({"batch", "bat"})
_PLACE: Final = frozenset(
    ("glbl", "glb", "gl", "global", "regnl", "regional", "rgnl", "data", "zone", "datazone")
) | frozenset(("dzone", "dz", "dzn", "token", "tokens"))
_TEXT: Final = frozenset({"text", "txt"})
_UNIT: Final = re.compile(r"([\d,.]+)\s*([KMB]?)\b", re.IGNORECASE)
_LETTERS: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


class Meter(NamedTuple):
    """What a meter's name says. `about` is empty where it names no class of tokens."""

    model: str
    about: str
    batch: bool


def meter(name: str) -> Meter:
    """Take the name of a meter apart."""
    words = re.split(r"[\s\-_]+", name.strip())
    low = [word.lower() for word in words]
    said = set(low)
    about = ""
    if said & _IN:
        about = "input"
        if said & _CACHED:
            about = "cache_write" if said & _WRITE else "cache_read"
    elif said & _OUT:
        about = "output"
    if about in ("input", "output"):
        kind = "audio_" if said & _AUDIO else "image_" if said & _IMAGE else ""
        about = f"{kind}{about}"
    elif not about and said & _CACHED:
        about = "cache_write" if said & _WRITE else "cache_read"
    elif not about and "embedding" in said:
        about = "input"  # they have no other class
    if not about:
        return Meter(name.strip(), "", batch=False)
    taken = _IN | _OUT | _CACHED | _WRITE | _AUDIO | _IMAGE | _BATCH | _PLACE
    taken = taken if "embedding" in said else taken | _TEXT
    left = [word for word, small in zip(words, low, strict=True) if small not in taken]
    return Meter(" ".join(left), about, batch=bool(said & _BATCH))


def unit(text: str) -> Fraction:
    """Read how many a unit of measure is: `1K`, `1M Tokens`, `1000`; one where it says none."""
    found = _UNIT.search(text)
    if found is None:
        return Fraction(1)
    return Fraction(found[1].replace(",", "").strip(".")) * _LETTERS[found[2].upper()]
