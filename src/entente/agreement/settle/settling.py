"""`settle`: from a document and a log to what is owed for a period, and the statement of it.

What is owed through a period is a function of what is known. A period's statement is the
difference between what is owed through its end, as known when its books close, and what was
owed through the end of the period before, as known when those were closed:

    now(through this period) - then(through the one before)
      = now(this period)                                        what was measured in it
      + now(periods before) - then(periods before)              adjustments of closed ones

So the statements of all periods sum to what is owed in all; none is ever edited; and whatever
comes late, a fact, a correction or an amendment, is an adjustment in the period that is open
when it is learnt. Pure: the same document, log and instant give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from entente.agreement.load import Book, Version
from entente.agreement.log import Corrected, Log
from entente.agreement.money import Statement as Terms
from entente.agreement.settle import edges
from entente.agreement.settle.calendar import Period, named, through
from entente.agreement.settle.fold import Fold, View
from entente.agreement.settle.making import Books, make
from entente.agreement.settle.statement import Settled
from entente.agreement.settle.tally import Tally, TooManyBuckets
from entente.domain.errors import InvalidParameter

NEVER_NS: Final = -(1 << 63)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled, and when its books close."""

    terms: Terms
    periods: tuple[Period, ...]
    """From inception through the one that is settled."""
    closes_ns: int
    known_ns: int
    """What is settled is as known then: at the close, or before it."""
    closed_ns: int
    """When the books of the period before were closed; as known then."""


def settle(book: Book, log: Log, *, period: str, known_ns: int, statement: str = "") -> Settled:
    """Settle a period (`2026-Q2`) as known at an instant.

    `statement` is the id of a `statement` clause; without it the document has only one.
    Raises InvalidParameter for a statement or period that there is not, and for a document or
    log that cannot be settled.
    """
    frame = _frame(book, statement, period, known_ns)
    versions = book.versions(frame.known_ns)
    now = View.at(versions, log.terms, frame.known_ns)
    then = View.at(book.versions(frame.closed_ns), log.terms, frame.closed_ns)
    try:
        return _settle(book, log, frame, now, then)
    except TooManyBuckets as error:
        raise _refused(str(error)) from error
    except ValueError as error:
        raise _refused(f"The agreement cannot be settled: {error}.") from error


def _settle(book: Book, log: Log, frame: Frame, now: View, then: View) -> Settled:
    zone, periods = book.zone, frame.periods
    every = (*now.versions, *then.versions)
    instants = edges.edges(
        every,
        [view.courses(version) for view in (now, then) for version in view.versions],
        now.terms,
        periods,
        zone,
    )
    tally = Tally(
        instants,
        edges.attributes(every),
        edges.counts(every),
        known_ns=frame.known_ns,
        since_ns=periods[-1].begins_ns,
        closed_ns=frame.closed_ns,
        corrections=[term for term in now.terms if isinstance(term, Corrected)],
    )
    tally.add_all(log.measured())
    folded = _fold(now, instants, periods, frame, book).run(tally.sums, tally.late)
    before = folded
    if len(periods) > 1 and (tally.late or now != then):
        sums = {
            key: found.less(tally.late.get(key))
            for key, found in tally.sums.items()
            if instants[key[0]] < periods[-1].begins_ns
        }
        before = _fold(then, instants, periods[:-1], frame, book).run(sums, {})
    missing = [f"{id} is corrected, and is not in the log" for id in tally.missing()]
    books = Books(
        now=folded, then=before, periods=periods, view=now, problems=(*log.problems, *missing)
    )
    return make(book, frame.terms, books, known_ns=frame.known_ns, closes_ns=frame.closes_ns)


def _fold(
    view: View, instants: tuple[int, ...], periods: tuple[Period, ...], frame: Frame, book: Book
) -> Fold:
    head = view.versions[0].agreement.agreement
    return Fold(
        view,
        instants,
        periods,
        book.zone,
        currency=head.currency,
        scale=head.scale,
        statement=frame.terms.id,
    )


def _frame(book: Book, statement: str, label: str, known_ns: int) -> Frame:
    """Find the statement's terms and the periods, and when their books close."""
    versions = book.versions(known_ns)
    _check_heads(versions)
    terms = _terms(versions, statement)
    span, last = named(label, book.zone)
    if span != terms.period:
        message = f"{terms.id} is stated by the {terms.period}; {label} is a {span}."
        raise InvalidParameter(message, param="period", code=None)
    periods = through(book.first.effective_ns, last, span, book.zone)
    if not periods:
        message = f"{label} lies before {book.id} began."
        raise InvalidParameter(message, param="period", code=None)
    closed_ns = max((_closes_ns(book, terms, each) for each in periods[:-1]), default=NEVER_NS)
    closes_ns = max(closed_ns, _closes_ns(book, terms, last))
    return Frame(
        terms=terms,
        periods=periods,
        closes_ns=closes_ns,
        known_ns=min(known_ns, closes_ns),
        closed_ns=min(known_ns, closed_ns),
    )


def _terms(versions: Sequence[Version], id: str) -> Terms:
    """Give a statement clause as it was first agreed. Its period cannot change."""
    found: dict[str, Terms] = {}
    for version in versions:
        for clause in version.agreement.statements:
            first = found.setdefault(clause.id, clause)
            if first.period != clause.period:
                raise _refused(
                    f"{clause.id} changes its period. End it and add another statement instead."
                )
    if id in found:
        return found[id]
    if not id and len(found) == 1:
        return next(iter(found.values()))
    message = (
        f"Say which statement: the agreement has {', '.join(found)}."
        if found
        else "This agreement has no statement, so there is nothing to settle: add one under "
        "`statements`."
    )
    raise InvalidParameter(message, param="statement", code=None)


def _closes_ns(book: Book, terms: Terms, period: Period) -> int:
    """Give the close of a period's books by what was agreed when the period ended.

    An amendment that is learnt later moves no close that is past. Books close in the order of
    their periods: where a lag is shortened, none before the one before it.
    """
    lag_days = terms.close_lag_days
    for version in book.versions(period.ends_ns):
        for clause in version.agreement.statements:
            if clause.id == terms.id and version.effective_ns < period.ends_ns:
                lag_days = clause.close_lag_days
    return period.closes_ns(lag_days, book.zone)


def _check_heads(versions: Sequence[Version]) -> None:
    first = versions[0].agreement.agreement
    for version in versions:
        head = version.agreement.agreement
        if (head.currency, head.scale, head.zone) != (first.currency, first.scale, first.zone):
            raise _refused(
                "An amendment changes the currency, the scale or the zone. Write another document."
            )


def _refused(message: str) -> InvalidParameter:
    return InvalidParameter(message, param=None, code=None)
