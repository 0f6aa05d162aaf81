"""The statement: a typed value with everything that a rendering shows, and its bytes."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import msgspec

from entente.agreement.values import NANO, Exact, enc_hook


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a statement."""


class SourceNote(_Value, frozen=True, kw_only=True):
    """Which facts of the log an amount was made of."""

    count: int
    first: str = ""
    """Id of the earliest one."""
    last: str = ""
    seal: str = ""
    """Sum of the SHA-256 hashes of all of them, to 256 bits, in hex: in any order the same."""
    ids: tuple[str, ...] = ()
    """All of them, where they are few."""


class Posting(_Value, frozen=True, kw_only=True):
    """Move `nano` nano-units (above zero) of `asset` from one account to another."""

    id: str
    """The same for the same log, version and instant of knowledge: it can be booked once only."""
    source: str
    destination: str
    nano: int
    asset: str
    clause: str
    version: str
    """SHA-256 of the version of the agreement that it follows from."""
    why: str
    """share, deferred, released, rate, payout or true_up."""
    adjusts: str = ""
    """The closed period that it corrects; empty for what belongs to this one."""
    facts: SourceNote


class Line(_Value, frozen=True, kw_only=True):
    """A line of how an amount came about."""

    what: str
    quantity: Exact | None
    times: Exact | None
    amount: Exact


class Balance(_Value, frozen=True, kw_only=True):
    """What is carried from period to period."""

    what: str
    opening: Exact | None
    """None where there was none before."""
    closing: Exact


class Measured(_Value, frozen=True, kw_only=True):
    """What a base or a meter came to in the period."""

    clause: str
    kind: str
    version: str
    counts: str
    """The currency, or what a meter counts."""
    note: str
    amount: Exact
    facts: SourceNote


class Applied(_Value, frozen=True, kw_only=True):
    """A clause as it was applied in the period, under one version."""

    clause: str
    kind: str
    version: str
    source: str
    quote: str
    trust: str
    lines: tuple[Line, ...]
    postings: tuple[str, ...]
    nano: int
    """What it moved between parties in the period."""


class Carried(_Value, frozen=True, kw_only=True):
    """The balances of a clause."""

    clause: str
    balances: tuple[Balance, ...]


class Adjustment(_Value, frozen=True, kw_only=True):
    """What became known after the books of an earlier period were closed."""

    clause: str
    version: str
    period: str
    source: str
    destination: str
    why: str
    stated_nano: int
    """What earlier statements say."""
    now_nano: int
    reason: str
    facts: SourceNote


class Payment(_Value, frozen=True, kw_only=True):
    """What one party pays another, after netting."""

    payer: str
    payee: str
    nano: int
    of: str
    """The netting set or the clause."""


class Subtotal(_Value, frozen=True, kw_only=True):
    """What a party pays and receives in all."""

    party: str
    pays_nano: int
    receives_nano: int


class Holder(_Value, frozen=True, kw_only=True):
    """A stake at the end of the period."""

    company: str
    holder: str
    basis: str
    share: Exact
    value: Exact | None


class Event(_Value, frozen=True, kw_only=True):
    """An event state or a trigger that was so at the end of the period."""

    state: str
    since: str


class Statement(_Value, frozen=True, kw_only=True):
    """What the parties owe one another for a period, and why."""

    id: str
    agreement: str
    title: str
    statement: str
    """Id of the `statement` clause."""
    parties: tuple[str, ...]
    period: str
    begins: str
    ends: str
    """The first instant that is no longer in it."""
    zone: str
    closes: str
    dispute_until: str
    known_at: str
    final: bool
    """Whether the books are closed. Until then later facts still change it."""
    currency: str
    scale: int
    rounding: str
    exchange: str
    versions: tuple[str, ...]
    """Hashes of the versions that were in force in the period, in order."""
    measured: tuple[Measured, ...]
    applied: tuple[Applied, ...]
    carried: tuple[Carried, ...]
    adjustments: tuple[Adjustment, ...]
    postings: tuple[Posting, ...]
    payments: tuple[Payment, ...]
    subtotals: tuple[Subtotal, ...]
    stakes: tuple[Holder, ...] = ()
    events: tuple[Event, ...] = ()
    problems: tuple[str, ...] = ()


class Settled(_Value, frozen=True, kw_only=True):
    """What settling gives."""

    statement: Statement

    @property
    def postings(self) -> tuple[Posting, ...]:
        """Give what moves; each balances by itself."""
        return self.statement.postings


_encoder: Final = msgspec.json.Encoder(enc_hook=enc_hook, order="sorted")


def canonical(statement: Statement) -> bytes:
    """Write a statement in its one form: the same bytes for the same log and knowledge."""
    return _encoder.encode(statement)


def units(nano: int) -> Fraction:
    """Give nano-units as whole units."""
    return Fraction(nano, NANO)
