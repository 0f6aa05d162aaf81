"""Which triggers the ledger's totals have met, as settling reads them: at the end of periods."""

from __future__ import annotations

from typing import Final

from entente.agreement.load import Book
from entente.agreement.log import Log
from entente.agreement.occasions import Reading
from entente.agreement.settle.calendar import period_of
from entente.agreement.settle.settling import settle
from entente.agreement.values import instant_ns
from entente.domain.errors import ConfigError, InvalidParameter

FAR_NS: Final = 1 << 63


def met(book: Book, log: Log, now_ns: int) -> tuple[tuple[Reading, ...], int]:
    """Give a reading for each trigger that is met, and when to look again.

    What was met at the end of a period is so from the beginning of the next one, so the period
    that runs is settled, as it is known now. Raises ConfigError where the
    document has triggers and no one `statement` to say what a period is.
    """
    last = book.versions(now_ns)[-1].agreement
    if len(last.statements) != 1:
        message = (
            f"{book.id} has triggers, which are read at the end of a statement's periods: give "
            "it one `statement` clause"
        )
        raise ConfigError(message)
    running = period_of(now_ns, last.statements[0].period, book.zone)
    try:
        stated = settle(book, log, period=running.label, known_ns=now_ns).statement
    except InvalidParameter as error:
        message = f"{book.id}: its triggers cannot be read: {error.message}"
        raise ConfigError(message) from error
    since = {event.state: instant_ns(event.since, book.zone) for event in stated.events}
    found = tuple(
        Reading(total=trigger.total, at_ns=since[trigger.id], value=trigger.at_least)
        for trigger in last.triggers
        if trigger.id in since
    )
    return found, running.ends_ns
