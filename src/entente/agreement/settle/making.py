"""Making the statement of what two folds found: as known now, and as the books were closed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.load import Book, Version
from entente.agreement.log import Issued
from entente.agreement.money import Base, Meter
from entente.agreement.money import Statement as Terms
from entente.agreement.settle import captable
from entente.agreement.settle.calendar import Period
from entente.agreement.settle.fold import Folded, Move, Slot, View
from entente.agreement.settle.paying import clause_of, payments, subtotals
from entente.agreement.settle.statement import (
    Adjustment,
    Applied,
    Balance,
    Carried,
    Event,
    Holder,
    Line,
    Measured,
    Posting,
    Settled,
    SourceNote,
    Statement,
    canonical,
)
from entente.agreement.settle.tally import Sources
from entente.agreement.settle.works import Flow
from entente.agreement.values import NANO, midnight_ns, shown

SCALE_MAX: Final = 9
ID_CHARS: Final = 32


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, as known now and as known when the period before was closed."""

    now: Folded
    then: Folded
    periods: tuple[Period, ...]
    view: View
    problems: tuple[str, ...]

    @property
    def last(self) -> int:
        """The number of the period that is settled."""
        return len(self.periods) - 1


def make(book: Book, terms: Terms, books: Books, *, known_ns: int, closes_ns: int) -> Settled:
    """Put the statement together."""
    head = book.first.agreement.agreement
    period = books.periods[-1]
    nano_per_unit: int = 10 ** (SCALE_MAX - head.scale)
    postings = (
        *_current(book, terms, books, nano_per_unit),
        *_adjusting(book, terms, books, nano_per_unit),
    )
    dispute_ns = midnight_ns(
        datetime.fromtimestamp(closes_ns // NANO, UTC).astimezone(book.zone).date()
        + timedelta(days=terms.dispute_days),
        book.zone,
    )
    statement = Statement(
        id="",
        agreement=head.id,
        title=head.title,
        statement=terms.id,
        parties=terms.parties,
        period=period.label,
        begins=instant(max(period.begins_ns, book.first.effective_ns), book.zone),
        ends=instant(period.ends_ns, book.zone),
        zone=head.zone,
        closes=instant(closes_ns, book.zone),
        dispute_until=instant(dispute_ns, book.zone),
        known_at=instant(known_ns, book.zone),
        final=known_ns >= closes_ns,
        currency=head.currency,
        scale=head.scale,
        rounding=head.rounding,
        exchange=terms.exchange.source if terms.exchange else "",
        versions=_versions(books),
        measured=tuple(_measured(books, head.currency)),
        applied=tuple(_applied(books, postings)),
        carried=tuple(_carried(books)),
        adjustments=tuple(_adjustments(books, postings, nano_per_unit)),
        postings=postings,
        payments=payments(terms, (*books.view.versions, *_before(books)), postings),
        subtotals=subtotals(terms, postings),
        stakes=tuple(_stakes(books, book.zone)),
        events=tuple(_events(books, book.zone)),
        problems=(*books.problems, *sorted(books.now.ignored), *_unknown(books)),
    )
    digest = hashlib.sha256(canonical(statement)).hexdigest()
    return Settled(statement=msgspec.structs.replace(statement, id=digest))


def instant(at_ns: int, zone: ZoneInfo) -> str:
    """Write an instant in a zone: `2026-03-29T00:00:00+01:00`."""
    seconds, part = divmod(at_ns, NANO)
    moment = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}"
    offset = moment.isoformat()[-6:]
    return f"{text}.{part:09d}{offset}" if part else f"{text}{offset}"


def _versions(books: Books) -> tuple[str, ...]:
    """Give the versions that were in force in the period."""
    period, found = books.periods[-1], []
    for version in books.view.versions:
        if version.effective_ns <= period.begins_ns:
            found = [version.hash]
        elif version.effective_ns < period.ends_ns:
            found.append(version.hash)
    return tuple(found)


def _note(sources: Sources) -> SourceNote:
    if sources.first is None or sources.last is None:
        return SourceNote(count=0)
    return SourceNote(
        count=sources.count,
        first=sources.first[1],
        last=sources.last[1],
        seal=sources.seal(),
        ids=sources.named(),
    )


def _posting(
    names: tuple[str, str, str], slot: Slot, flow: Flow, nano: int, adjusts: str, sources: Sources
) -> Posting:
    """Make a posting; what flows back goes the other way."""
    source, destination, why = flow if nano > 0 else (flow[1], flow[0], flow[2])
    text = "\n".join((*names, slot.clause, slot.version.hash, *flow, adjusts))
    return Posting(
        id=hashlib.sha256(text.encode()).hexdigest()[:ID_CHARS],
        source=source,
        destination=destination,
        nano=abs(nano),
        asset=slot.version.agreement.agreement.currency,
        clause=slot.clause,
        version=slot.version.hash,
        why=why,
        adjusts=adjusts,
        facts=_note(sources),
    )


def _names(book: Book, terms: Terms, books: Books) -> tuple[str, str, str]:
    return (book.id, terms.id, books.periods[-1].label)


def _current(book: Book, terms: Terms, books: Books, nano_per_unit: int) -> Iterator[Posting]:
    """Post what belongs to the period."""
    names = _names(book, terms, books)
    for slot in books.now.slots.values():
        for flow, move in slot.moves.items() if slot.period == books.last else ():
            if move.units:
                nano = move.units * nano_per_unit
                yield _posting(names, slot, flow, nano, "", slot.used.sources)


def _changed(books: Books) -> Iterator[tuple[Slot, Flow, Move, Move]]:
    """Give what closed periods come to now and came to then, where that is different."""
    now, then = books.now.slots, books.then.slots
    for key in dict.fromkeys((*then, *now)):
        if key[1] == books.last:
            continue
        slot = now.get(key) or then[key]
        was = then[key].moves if key in then else {}
        will = now[key].moves if key in now else {}
        for flow in dict.fromkeys((*was, *will)):
            before, after = was.get(flow, Move()), will.get(flow, Move())
            if before.units != after.units:
                yield slot, flow, before, after


def _adjusting(book: Book, terms: Terms, books: Books, nano_per_unit: int) -> Iterator[Posting]:
    """Post what became known of closed periods."""
    names = _names(book, terms, books)
    for slot, flow, before, after in _changed(books):
        nano = (after.units - before.units) * nano_per_unit
        label = books.periods[slot.period].label
        yield _posting(names, slot, flow, nano, label, _behind(books, slot))


def _behind(books: Books, slot: Slot) -> Sources:
    """Give the facts behind an adjustment: the late ones, or all where the terms changed."""
    if slot.used.late.count:
        return slot.used.late
    was = books.then.slots.get(_key(slot))
    return slot.used.sources if slot.used.sources.count or was is None else was.used.sources


def _key(slot: Slot) -> tuple[str, int, str]:
    return (slot.clause, slot.period, slot.version.hash)


def _adjustments(
    books: Books, postings: Iterable[Posting], nano_per_unit: int
) -> Iterator[Adjustment]:
    found = (posting for posting in postings if posting.adjusts)
    for (slot, flow, before, after), posting in zip(_changed(books), found, strict=True):
        yield Adjustment(
            clause=slot.clause,
            version=slot.version.hash,
            period=posting.adjusts,
            source=flow[0],
            destination=flow[1],
            why=flow[2],
            stated_nano=before.units * nano_per_unit,
            now_nano=after.units * nano_per_unit,
            reason=_reason(books, slot, before, after),
            facts=posting.facts,
        )


def _reason(books: Books, slot: Slot, before: Move, after: Move) -> str:
    """Say why a closed period comes to something else."""
    was, is_now = books.then.slots.get(_key(slot)), books.now.slots.get(_key(slot))
    if was is None or is_now is None or was.under != is_now.under:
        return "the agreement was amended for a time that had been settled"
    if slot.used.late.count:
        count = slot.used.late.count
        return f"{count} {'fact' if count == 1 else 'facts'} became known after the close"
    if before.exact == after.exact:
        return "rounding of what was owed before"
    return "what became known of an earlier time changes what followed"


def _before(books: Books) -> Iterator[Version]:
    """Give the versions that closed periods were settled by."""
    return (slot.version for slot in books.then.slots.values())


def _lines(slot: Slot) -> tuple[Line, ...]:
    return tuple(
        Line(what=each.what, quantity=each.quantity, times=each.times, amount=each.amount)
        for each in slot.workings
        if each.quantity or each.amount
    )


def _applied(books: Books, postings: tuple[Posting, ...]) -> Iterator[Applied]:
    for slot in books.now.slots.values():
        if slot.period != books.last:
            continue
        own = [
            each
            for each in postings
            if (each.clause, each.version, each.adjusts) == (slot.clause, slot.version.hash, "")
        ]
        lines, clause = _lines(slot), clause_of(slot.version, slot.clause)
        if not lines and not own:
            continue
        yield Applied(
            clause=slot.clause,
            kind=slot.kind,
            version=slot.version.hash,
            source=clause.source if clause else "",
            quote=clause.quote if clause else "",
            trust=str(clause.trust or "") if clause else "",
            lines=lines,
            postings=tuple(each.id for each in own),
            nano=sum(each.nano for each in own),
        )


def _measured(books: Books, currency: str) -> Iterator[Measured]:
    for (id, period, hash_), found in books.now.measures.items():
        clause = clause_of(found.version, id)
        if period != books.last or not isinstance(clause, Base | Meter):
            continue
        counts = clause.counts if isinstance(clause, Meter) else "amount"
        yield Measured(
            clause=id,
            kind=f"{clause.measure} base" if isinstance(clause, Base) else "meter",
            version=hash_,
            counts=currency if counts == "amount" else counts,
            note=clause.note,
            amount=found.amount.value,
            facts=_note(found.amount.sources),
        )


def _carried(books: Books) -> Iterator[Carried]:
    for (period, id), balances in books.now.balances.items():
        if period != books.last or not balances:
            continue
        opening = dict(books.now.balances.get((period - 1, id), ()))
        yield Carried(
            clause=id,
            balances=tuple(
                Balance(what=what, opening=opening.get(what), closing=closing)
                for what, closing in balances
            ),
        )


def _stakes(books: Books, zone: ZoneInfo) -> Iterator[Holder]:
    """Give the tables that hold when the period ends, as they stand then."""
    end_ns = books.periods[-1].ends_ns
    issued = [t for t in books.view.terms if isinstance(t, Issued) and t.at_ns < end_ns]
    last = [v for v in books.view.versions if v.effective_ns < end_ns][-1]
    occurred_ns = books.now.occurred.get(books.last, {})
    for stake in last.agreement.stakes:
        if not stake.holds_at(end_ns - 1, zone, occurred_ns):
            continue
        for holder, share in captable.shares(stake, issued).items():
            yield Holder(
                company=stake.company,
                holder=holder,
                basis=stake.basis,
                share=share,
                value=None if stake.valuation is None else stake.valuation * share,
            )


def _events(books: Books, zone: ZoneInfo) -> Iterator[Event]:
    for state, since_ns in sorted(books.now.occurred.get(books.last, {}).items()):
        yield Event(state=state, since=instant(since_ns, zone))


def _unknown(books: Books) -> Iterator[str]:
    """Say what is in no total because nobody knows its amount or its exchange rate."""
    for (id, period, _), found in books.now.measures.items():
        label = books.periods[period].label
        if found.amount.unknown:
            several = "fact has" if found.amount.unknown == 1 else "facts have"
            yield f"{id}: {found.amount.unknown} {several} no amount in {label}; not in any total"
        for asset, nano in sorted(found.amount.without_rate.items()):
            amount = shown(Fraction(nano, NANO), SCALE_MAX)
            yield f"{id}: {amount} {asset} have no exchange rate in {label}; not in any total"
