"""What is different between two price books, name by name and class by class. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.money import format_rate, round_half_even
from entente.metering.book import Book, Line, classes

PERCENT_DIGITS: Final = 2


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that is not the same; None where a book has none."""

    name: str
    rate: str
    before: Fraction | None
    after: Fraction | None
    unit: str
    """Currency and number of units, of the later book where both have one."""

    @property
    def percent(self) -> str:
        """How much more it is, such as `+12.50`; empty where there is nothing to compare."""
        if not self.before or self.after is None:
            return ""
        change = (self.after - self.before) / self.before * 10 ** (PERCENT_DIGITS + 2)
        digits = round_half_even(change.numerator, change.denominator)
        whole, part = divmod(abs(digits), 10**PERCENT_DIGITS)
        return f"{'-' if digits < 0 else '+'}{whole}.{part:0{PERCENT_DIGITS}d}"

    @property
    def texts(self) -> tuple[str | None, str | None]:
        """Both rates, exactly."""
        before, after = self.before, self.after
        return (
            None if before is None else format_rate(before),
            None if after is None else format_rate(after),
        )


def differences(before: Book, after: Book, at_ns: int) -> Iterator[Difference]:
    """Give what two books say differently of an instant, by name."""
    for name in sorted({*before.by_name, *after.by_name}):
        old, new = before.line(name, at_ns), after.line(name, at_ns)
        if old is None and new is None:
            continue
        units = {_unit(line) for line in (old, new) if line is not None}
        if len(units) > 1:  # nothing of the one can be compared with anything of the other
            yield from _between(name, old, None)
            yield from _between(name, None, new)
        else:
            yield from _between(name, old, new)


def _between(name: str, old: Line | None, new: Line | None) -> Iterator[Difference]:
    """Give what two lines of one unit say differently."""
    said = new or old
    was = dict(classes(old)) if old else {}
    is_now = dict(classes(new)) if new else {}
    for rate in dict.fromkeys([*was, *is_now]):
        before, after = was.get(rate), is_now.get(rate)
        if before != after and said is not None:
            yield Difference(name=name, rate=rate, before=before, after=after, unit=_unit(said))


def _unit(line: Line) -> str:
    return f"{line.currency} per {line.per}"
