"""The log that `settle` reads: facts, each with when it counts and when we learnt it.

A fact is never changed. What turns out to be wrong is said by a later fact (`Corrected`).
Facts are in one declared order: by the instant at which they count, at one instant by kind
(what changes the terms comes before what is measured under them), then by id:

    Attested, Contributed, Issued, Quoted, Corrected, Measured

A fact's id is unique. The same fact told twice counts once; two facts of one id that say
different things are a problem, and the one that was known first counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from entente.agreement.money import Form
from entente.agreement.values import Exact, enc_hook

FACTS_MAX: Final = 2_000_000
"""Facts of a log that is held in memory; a longer one is streamed from the ledger."""
PROBLEMS_MAX: Final = 100

Attribute: TypeAlias = str | int | bool
Attributes: TypeAlias = tuple[tuple[str, Attribute], ...]
"""Names and values, sorted by name."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What all facts have. Both instants are nanoseconds since 1970 (UTC)."""

    id: str
    at_ns: int
    """When it counts."""
    known_ns: int
    """When we learnt it."""


class Attested(Fact, frozen=True, kw_only=True, tag="attested"):
    """Somebody says that an event is in a state: `declared`, `verified`, `rejected`."""

    event: str
    verdict: str
    by: str
    evidence: str = ""
    """SHA-256 of the evidence, in hex."""
    subject: str = ""
    """Which value of the event's `per`: which product, say."""


class Contributed(Fact, frozen=True, kw_only=True, tag="contributed"):
    """A part of a contribution was given."""

    contribution: str
    """Id of the `contribution` clause."""
    amount: Exact
    """Units of the document's currency; below zero takes some back."""
    form: Form


class Issued(Fact, frozen=True, kw_only=True, tag="issued"):
    """A company has given out securities, or, below zero, taken some back."""

    company: str
    holder: str
    security: str
    units: Exact


class Quoted(Fact, frozen=True, kw_only=True, tag="quoted"):
    """From this instant on, one unit of `asset` is `rate` units of `currency`."""

    asset: str
    currency: str
    rate: Exact
    source: str = ""


class Corrected(Fact, frozen=True, kw_only=True, tag="corrected"):
    """A measured fact is to count with these numbers instead; zeros take it back.

    It counts when the corrected fact does. Of several, the one known last holds.
    """

    of: str
    nano: int | None
    numbers: dict[str, int] = {}
    reason: str = ""


class Measured(Fact, frozen=True, kw_only=True, tag="measured"):
    """Something was used, sold or paid: attributes, and numbers that add up."""

    attributes: Attributes
    nano: int | None
    """Nano-units of `asset`; None: nobody knows, which is not zero. Below zero: a refund."""
    asset: str
    numbers: dict[str, int] = {}
    """What can be counted: input, output, requests, …"""
    entry: str = ""
    """Hash of the ledger's entry that it was read from, in hex."""
    seq: int = 0
    """Number of that entry in the journal."""


Term: TypeAlias = Attested | Contributed | Issued | Quoted | Corrected
"""Facts that change terms. There are few of them, and they are kept in memory."""
AnyFact: TypeAlias = Term | Measured

_KINDS: Final = (Attested, Contributed, Issued, Quoted, Corrected, Measured)
_encoder: Final = msgspec.json.Encoder(enc_hook=enc_hook, order="deterministic")


def order(fact: AnyFact) -> tuple[int, int, str]:
    """Give a fact's place in the declared order."""
    return (fact.at_ns, _KINDS.index(type(fact)), fact.id)


def attributes(**values: Attribute) -> Attributes:
    """Make attributes from names and values."""
    return tuple(sorted(values.items()))


def source_hash(fact: Measured) -> int:
    """Give the 256 bits that stand for a measured fact where many are summed up."""
    if fact.entry:
        return int(fact.entry, 16)
    return int.from_bytes(hashlib.sha256(fact.id.encode()).digest(), "big")


class Log:
    """Facts, ready to be settled.

    `measured` gives the measured facts anew each time, in any order, each id once. Make one by
    `Log.of` from facts in memory, or by the settlement package from a ledger.
    """

    __slots__ = ("measured", "problems", "terms")

    def __init__(
        self,
        terms: Iterable[Term],
        measured: Callable[[], Iterator[Measured]],
        problems: tuple[str, ...] = (),
    ) -> None:
        """Keep terms in their order."""
        self.terms: tuple[Term, ...] = tuple(sorted(terms, key=order))
        self.measured = measured
        self.problems = problems

    @classmethod
    def of(cls, facts: Iterable[AnyFact], problems: tuple[str, ...] = ()) -> Log:
        """Put facts in order, each once. Raises ValueError for more than `FACTS_MAX`."""
        kept: dict[str, AnyFact] = {}
        conflicts: set[str] = set()
        for fact in facts:
            first = kept.setdefault(fact.id, fact)
            if len(kept) > FACTS_MAX:
                message = f"a log in memory takes {FACTS_MAX} facts; settle from the ledger"
                raise ValueError(message)
            if first is fact:
                continue
            if _said(first) != _said(fact):
                conflicts.add(fact.id)
            kept[fact.id] = min(first, fact, key=lambda each: (each.known_ns, _said(each)))
        found = [f"{id} stands in the log with different contents" for id in sorted(conflicts)]
        ordered = sorted(kept.values(), key=order)
        measured = [fact for fact in ordered if isinstance(fact, Measured)]
        terms = [fact for fact in ordered if not isinstance(fact, Measured)]
        return cls(terms, lambda: iter(measured), (*problems, *found)[:PROBLEMS_MAX])


def _said(fact: AnyFact) -> bytes:
    """Write what a fact says, apart from when we learnt it."""
    return _encoder.encode(msgspec.structs.replace(fact, known_ns=0))
