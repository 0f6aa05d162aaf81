"""The shapes that every skill generator hands over.

An ``Example`` is one finished conversation whose last turn is the answer that
the model must give; an ``Infill`` is one piece of code with a hole.  Both carry
a ``key``: the identity of the instance, from which the split into training and
held-out instances is computed, so that the two can never overlap.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

HELD_OUT_ONE_IN = 10


@dataclass(frozen=True)
class Tool:
    """A function on offer: ``args`` maps argument names to JSON types.

    Names in ``optional`` need not be given.
    """

    name: str
    description: str
    args: tuple[tuple[str, str], ...]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Turn:
    """One message; an assistant's turn with ``call`` set calls a tool."""

    role: str
    content: str
    call: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Example:
    """A conversation whose last turn is the expected answer."""

    skill: str
    lang: str
    key: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True)
class Infill:
    """Code with a hole; without a suffix it is a plain continuation."""

    skill: str
    lang: str
    key: str
    prefix: str
    suffix: str | None
    middle: str


def is_held_out(key: str) -> bool:
    """Whether the instance belongs to the held-out tenth (a hash decides)."""
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=4).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_ONE_IN == 0


def listed(text: str) -> list[str]:
    """The words of a text, for word lists that stay readable in the source."""
    return text.split()


def single(skill: str, lang: str, key: str, prompt: str, answer: str) -> Example:
    """The commonest shape: one question and its answer."""
    turns = (Turn("user", prompt), Turn("assistant", answer))
    return Example(skill, lang, f"{skill}:{key}", turns)
