"""Adding up what several processes expose, in Prometheus' text format. Pure.

Samples of the same name and labels become one. Labels come from the same code in the same
order, so a sample is known by its text up to the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_HELP: Final = "# HELP "
_TYPE: Final = "# TYPE "


class _Family:
    """A metric: its kind, what is said of it, and its samples in order."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.kind = ""
        self.samples: dict[str, float] = {}


def summed(texts: Iterable[bytes]) -> bytes:
    """Add up expositions; metrics are in the order in which they first come."""
    families: dict[str, _Family] = {}
    for text in texts:
        _add(families, text)
    return _written(families)


def counters(text: bytes) -> bytes:
    """Give what only grows of an exposition: without what is only so at one moment."""
    families: dict[str, _Family] = {}
    _add(families, text)
    return _written({name: of for name, of in families.items() if of.kind != "gauge"})


def _add(families: dict[str, _Family], text: bytes) -> None:
    family = _Family("")
    for line in text.decode().splitlines():
        if line.startswith(_HELP):
            name, _, said = line.removeprefix(_HELP).partition(" ")
            family = families.setdefault(name, _Family(said))
        elif line.startswith(_TYPE):
            family.kind = line.rpartition(" ")[2]
        elif line and not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            family.samples[sample] = family.samples.get(sample, 0.0) + float(value)


def _written(families: dict[str, _Family]) -> bytes:
    lines: list[str] = []
    for name, family in families.items():
        lines += [f"{_HELP}{name} {family.said}", f"{_TYPE}{name} {family.kind}"]
        lines += [f"{sample} {value!r}" for sample, value in family.samples.items()]
    return "".join(f"{line}\n" for line in lines).encode()
