"""Rates of exchange as people keep them: one of a pair and day, and that one for ever."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from entente.control.table import Base, admit
from entente.domain.errors import InvalidParameter
from entente.domain.exchange import Rate, checked
from entente.domain.money import format_rate, parse_rate

if TYPE_CHECKING:
    from entente.control.audit import Audit
    from entente.domain.principal import Principal

RATES_MAX: Final = 100_000
SOURCE_CHARS_MAX: Final = 256
CURRENCY_CHARS: Final = 3


class RateView(msgspec.Struct, frozen=True, kw_only=True):
    """A rate of exchange: what one unit of `base` is worth in `quote`."""

    base: str
    quote: str
    day: str
    rate: str
    source: str


class Rates:
    """The use cases."""

    def __init__(self, base: Base, audit: Audit) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._database = base.database
        self._audit = audit

    def set(self, actor: Principal, rate: Rate, source: str = "") -> RateView:
        """Keep a rate; of a pair and day there is one, for ever.

        Raises InvalidParameter for what is no rate, and for another one of that day.
        """
        admit(actor)
        if len(source) > SOURCE_CHARS_MAX or not source.isprintable():
            message = f"`source` must be at most {SOURCE_CHARS_MAX} printable characters."
            raise InvalidParameter(message, param="source", code="invalid_value")
        value = format_rate(rate.value)
        with self._database.transaction():
            row = self._database.execute(
                "SELECT rate FROM exchange_rates WHERE base = ? AND quote = ? AND day = ?",
                (rate.base, rate.quote, rate.day),
            ).fetchone()
            if row is not None and row[0] != value:
                message = (
                    f"{rate.base}/{rate.quote} of {rate.day} is {row[0]} already, and entries may "
                    "name it: a rate is never changed. Set that of a later day."
                )
                raise InvalidParameter(message, param="rate", code="already_exists")
            if row is None:
                self._database.execute(
                    "INSERT INTO exchange_rates (base, quote, day, rate, source, kept_ns)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (rate.base, rate.quote, rate.day, value, source, self._base.now_ns()),
                )
                self._audit.note(actor, "prices.rate", str(rate))
        return RateView(base=rate.base, quote=rate.quote, day=rate.day, rate=value, source=source)

    def list(self, since: str = "") -> tuple[RateView, ...]:
        """Give the rates of a day and later, the latest first."""
        rows = self._database.execute(
            "SELECT base, quote, day, rate, source FROM exchange_rates WHERE day >= ?"
            " ORDER BY day DESC, base, quote LIMIT ?",
            (since, RATES_MAX),
        )
        return tuple(
            RateView(base=row[0], quote=row[1], day=row[2], rate=row[3], source=row[4])
            for row in rows.fetchall()
        )


def rate_of(base: str, quote: str, value: str, day: str) -> Rate:
    """Read a rate as people write it. Raises InvalidParameter."""
    try:
        date.fromisoformat(day)
        rate = checked(Rate(day, base.upper(), quote.upper(), parse_rate(value)))
    except ValueError as error:
        message = f"{base} {quote} {value} {day}: {error}."
        raise InvalidParameter(message, param="rate", code="invalid_value") from error
    if not all(len(each) == CURRENCY_CHARS and each.isalpha() for each in (rate.base, rate.quote)):
        message = "Currencies are three letters each, such as EUR and USD."
        raise InvalidParameter(message, param="rate", code="invalid_value")
    return rate
