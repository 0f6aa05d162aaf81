"""A statement as tables of text: what every rendering shows, in one order and one form.

Amounts of money that move have as many decimal places as the agreement's scale. Amounts on
the way to them are exact: a decimal where it is short, `…` behind it where it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, Literal

import msgspec

from entente.agreement.settle.statement import Applied, Posting, SourceNote, Statement
from entente.agreement.values import NANO, shown

EXACT_PLACES: Final = 9
RATIO_DENOMINATOR_MAX: Final = 1_000
"""Up to here a ratio says more than its decimals."""
HASH_CHARS: Final = 12
"""Of a hash, where the whole of it stands elsewhere on the page."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    name: str
    align: Literal["left", "right"] = "left"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table with what to know before reading it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    quote: str = ""
    """The source's own words."""


def money(nano: int, scale: int) -> str:
    """Write nano-units at a scale, which they fit: `1,234.50`."""
    sign, (whole, part) = "-" if nano < 0 else "", divmod(abs(nano), NANO)
    decimals = f"{part:09d}"[:scale]
    return f"{sign}{whole:,}.{decimals}" if scale else f"{sign}{whole:,}"


def exact(number: Fraction | None) -> str:
    """Write an exact number; nothing where there is none."""
    return "" if number is None else shown(number, EXACT_PLACES)


def times(number: Fraction | None) -> str:
    """Write what a quantity is multiplied by, as a contract would: `0.2`, or `1/3`."""
    text = exact(number)
    if number is None or not text.endswith("…") or number.denominator > RATIO_DENOMINATOR_MAX:
        return text
    return f"{number.numerator:,}/{number.denominator}"


def account(name: str) -> str:
    """Write an account for people."""
    return name.removeprefix("party:")


def facts(note: SourceNote) -> str:
    """Say which facts an amount was made of."""
    if not note.count:
        return "none"
    if note.ids:
        return ", ".join(note.ids)
    return f"{note.count:,} from {note.first} to {note.last}"


def summary(statement: Statement) -> tuple[tuple[str, str], ...]:
    """Give the head of a statement: names and values."""
    state = "final" if statement.final else "provisional: the books are not closed yet"
    found = [
        ("Agreement", statement.title or statement.agreement),
        ("Statement", statement.statement),
        ("Parties", ", ".join(statement.parties)),
        ("Period", f"{statement.period}: from {statement.begins} up to {statement.ends}"),
        ("Time zone", statement.zone),
        ("Books close", f"{statement.closes} ({state})"),
        ("Objections until", statement.dispute_until),
        ("As known at", statement.known_at),
        ("Currency", f"{statement.currency}, {statement.scale} decimal places"),
        ("Rounding", "down; units that are left go to the earliest payees (floor_then_first)"),
    ]
    if statement.exchange:
        found.append(("Exchange rates", statement.exchange))
    found += [("Version of the agreement", version) for version in statement.versions]
    found.append(("Identity of this statement", statement.id))
    return tuple(found)


def tables(statement: Statement) -> Iterator[Table]:
    """Give the tables of a statement, in the order in which a reader needs them."""
    yield _payments(statement)
    yield _subtotals(statement)
    yield _measured(statement)
    for applied in statement.applied:
        yield _applied(statement, applied)
    yield from _adjustments(statement)
    yield from _carried(statement)
    yield from _stakes(statement)
    yield from _events(statement)
    yield _postings(statement)
    yield from _problems(statement)


def _payments(statement: Statement) -> Table:
    return Table(
        title="To be paid",
        columns=(Column("Payer"), Column("Payee"), Column("For"), _amount(statement)),
        rows=tuple(
            (each.payer, each.payee, each.of, money(each.nano, statement.scale))
            for each in statement.payments
        ),
        notes=() if statement.payments else ("Nothing is to be paid for this period.",),
    )


def _amount(statement: Statement) -> Column:
    return Column(statement.currency, "right")


def _subtotals(statement: Statement) -> Table:
    scale = statement.scale
    return Table(
        title="By account",
        columns=(
            Column("Account"),
            Column("Gives", "right"),
            Column("Receives", "right"),
            Column("Net", "right"),
        ),
        rows=tuple(
            (
                each.party,
                money(each.pays_nano, scale),
                money(each.receives_nano, scale),
                money(each.receives_nano - each.pays_nano, scale),
            )
            for each in statement.subtotals
        ),
        notes=("What flows between accounts, before netting. The net amounts sum to zero.",),
    )


def _measured(statement: Statement) -> Table:
    return Table(
        title="What was measured",
        columns=(
            Column("Clause"),
            Column("Kind"),
            Column("Amount", "right"),
            Column("Of"),
            Column("Facts"),
            Column("Seal"),
        ),
        rows=tuple(
            (
                each.clause,
                each.kind,
                exact(each.amount),
                each.counts,
                facts(each.facts),
                each.facts.seal[:HASH_CHARS],
            )
            for each in statement.measured
        ),
        notes=("A seal is the sum of the hashes of all facts; it changes when one of them does.",),
    )


def _applied(statement: Statement, applied: Applied) -> Table:
    rows = [
        (line.what, exact(line.quantity), times(line.times), exact(line.amount))
        for line in applied.lines
    ]
    own = frozenset(applied.postings)
    rows += [
        (_flow(posting), "", "posted", money(posting.nano, statement.scale))
        for posting in statement.postings
        if posting.id in own
    ]
    source = f"Source: {applied.source}" if applied.source else "No source is given"
    source += f" (trust {applied.trust})" if applied.trust else ""
    return Table(
        title=f"Clause {applied.clause} ({applied.kind})",
        columns=(
            Column("What"),
            Column("Quantity", "right"),
            Column("Times", "right"),
            _amount(statement),
        ),
        rows=tuple(rows),
        notes=(f"{source}. Version {applied.version[:HASH_CHARS]} of the agreement.",),
        quote=applied.quote,
    )


def _flow(posting: Posting) -> str:
    return f"{account(posting.source)} to {account(posting.destination)}: {posting.why}"


def _adjustments(statement: Statement) -> Iterator[Table]:
    if not statement.adjustments:
        return
    scale = statement.scale
    yield Table(
        title="Adjustments of closed periods",
        columns=(
            Column("Period"),
            Column("Clause"),
            Column("Flow"),
            Column("Stated", "right"),
            Column("Now", "right"),
            Column("Difference", "right"),
            Column("Because"),
            Column("Facts"),
        ),
        rows=tuple(
            (
                each.period,
                each.clause,
                f"{account(each.source)} to {account(each.destination)}: {each.why}",
                money(each.stated_nano, scale),
                money(each.now_nano, scale),
                money(each.now_nano - each.stated_nano, scale),
                each.reason,
                facts(each.facts),
            )
            for each in statement.adjustments
        ),
        notes=("Earlier statements stay as they are; what was learnt since is settled here.",),
    )


def _carried(statement: Statement) -> Iterator[Table]:
    rows = tuple(
        (each.clause, balance.what, exact(balance.opening), exact(balance.closing))
        for each in statement.carried
        for balance in each.balances
    )
    if rows:
        yield Table(
            title="Carried forward",
            columns=(
                Column("Clause"),
                Column("Balance"),
                Column("At the beginning", "right"),
                Column("At the end", "right"),
            ),
            rows=rows,
        )


def _stakes(statement: Statement) -> Iterator[Table]:
    if statement.stakes:
        yield Table(
            title="Stakes at the end of the period",
            columns=(
                Column("Company"),
                Column("Holder"),
                Column("Basis"),
                Column("Share in %", "right"),
                Column("Value", "right"),
            ),
            rows=tuple(
                (each.company, each.holder, each.basis, exact(each.share * 100), exact(each.value))
                for each in statement.stakes
            ),
        )


def _events(statement: Statement) -> Iterator[Table]:
    if statement.events:
        yield Table(
            title="Events and triggers",
            columns=(Column("State"), Column("Since")),
            rows=tuple((each.state, each.since) for each in statement.events),
        )


def _postings(statement: Statement) -> Table:
    return Table(
        title="Postings",
        columns=(
            Column("Id"),
            Column("From"),
            Column("To"),
            Column("Why"),
            Column("Clause"),
            Column("Version"),
            Column("Adjusts"),
            _amount(statement),
            Column("Facts"),
        ),
        rows=tuple(
            (
                each.id,
                account(each.source),
                account(each.destination),
                each.why,
                each.clause,
                each.version[:HASH_CHARS],
                each.adjusts,
                money(each.nano, statement.scale),
                facts(each.facts),
            )
            for each in statement.postings
        ),
        notes=("Each posting takes from one account what it gives to another.",),
    )


def _problems(statement: Statement) -> Iterator[Table]:
    if statement.problems:
        yield Table(
            title="Open questions",
            columns=(Column("What this statement does not answer"),),
            rows=tuple((each,) for each in statement.problems),
        )
