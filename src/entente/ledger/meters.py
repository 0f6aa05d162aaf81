"""Meters: what rules count, in one window for one subject each. Pure.

A request draws on a meter: at its hold an upper bound, at its settlement the truth. So

    used (settled) + pending (held) <= limit

holds at every entry of the journal, and a limit is never passed by what is still running.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from entente.domain.rules import Level, Unit
from entente.domain.usage import Usage
from entente.domain.windows import LIFETIME_KEY, end_ns

SPEND: Final = f"{Unit.SPEND}|"
"""How the names of meters begin that count money."""
_S: Final = SPEND[0]
"""With this no other unit begins, and one letter is seen faster than a beginning."""
NAMES_KEPT_MAX: Final = 16_384
GRANT_RULE: Final = "grant:"
"""In the place of a rule's id: the budget that a key was granted, in the asset behind it."""
METER: Final = "meter"
"""In the place of an asset: what stands there counts what a rule limits."""
NS_PER_DAY: Final = 24 * 3600 * 1_000_000_000


class Draw(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What one request takes from a meter at most; `limit` is None where a rule only tells."""

    meter: str
    amount: int
    limit: int | None = None


class Counter(msgspec.Struct, array_like=True):
    """What a meter stands at."""

    used: int = 0
    pending: int = 0


class Meter(NamedTuple):
    """What the name of a meter says."""

    unit: Unit
    rule: str
    window: str
    """A key, as `domain.windows` writes it."""
    subject: str
    """`LEVEL:NAME`."""


_NOTHING_DRAWN: Final = Counter()
"""Where a meter stands that is not counted yet; never changed."""


def meter_name(unit: Unit, rule: str, window: str, subject: str) -> str:
    """Name a meter. The subject comes last: it may hold any character."""
    return f"{unit}|{rule}|{window}|{subject}"


@lru_cache(NAMES_KEPT_MAX)
def read_meter(name: str) -> Meter:
    """Read the name of a meter. Raises ValueError for what is none."""
    unit, rule, window, subject = name.split("|", 3)
    return Meter(Unit(unit), rule, window, subject)


class Granted(NamedTuple):
    """Whose granted budget a meter counts, and in what."""

    key: str
    asset: str


def grant_meter(key: str, asset: str) -> str:
    """Name the meter of what a key was granted, which is one only where workers share it."""
    return meter_name(Unit.SPEND, f"{GRANT_RULE}{asset}", LIFETIME_KEY, f"{Level.KEY}:{key}")


@lru_cache(NAMES_KEPT_MAX)
def granted_by(name: str) -> Granted | None:
    """Say whose granted budget a meter counts, if it does."""
    meter = read_meter(name)
    if not meter.rule.startswith(GRANT_RULE):
        return None
    return Granted(meter.subject.partition(":")[2], meter.rule.removeprefix(GRANT_RULE))


class Taken(NamedTuple):
    """What a request used in the end, as meters count it."""

    cost_nano: int
    usage: Usage

    def of(self, unit: Unit) -> int:
        """Give the truth behind a draw of this unit."""
        match unit:
            case Unit.SPEND:
                return self.cost_nano
            case Unit.TOKENS:
                return self.usage.total
            case Unit.REQUESTS:
                return 1
            case Unit.CONCURRENCY:
                return 0


class Meters(msgspec.Struct):
    """Where all meters stand."""

    counters: dict[str, Counter] = {}

    def of(self, name: str) -> Counter:
        """Give the counter of a meter, an empty one where nothing was drawn yet."""
        return self.counters.get(name) or Counter()

    def full(self, draws: Iterable[Draw]) -> list[Draw]:
        """Give the draws for which there is no room, each by itself."""
        counters = self.counters
        found = []
        for draw in draws:
            limit = draw.limit
            if limit is None:
                continue
            counter = counters.get(draw.meter, _NOTHING_DRAWN)
            if counter.used + counter.pending + draw.amount > limit:
                found.append(draw)
        return found

    def can_ever_fit(self, draw: Draw) -> bool:
        """Say whether there would be room if all that is pending came back whole."""
        return draw.limit is None or self.of(draw.meter).used + draw.amount <= draw.limit

    def hold(self, draws: Iterable[Draw]) -> None:
        """Take upper bounds."""
        counters = self.counters
        for draw in draws:
            counter = counters.get(draw.meter)
            if counter is None:
                counter = counters[draw.meter] = Counter()
            counter.pending += draw.amount

    def release(self, draws: Iterable[Draw]) -> None:
        """Give upper bounds back, as if nothing had been."""
        counters = self.counters
        for draw in draws:
            counter = counters.get(draw.meter)
            if counter is not None:  # else it was pruned: nothing was drawn
                counter.pending -= draw.amount

    def take_pending(self, former: Meters) -> None:
        """Take over what is pending on others."""
        for name, counter in former.counters.items():
            if counter.pending:
                self.counters.setdefault(name, Counter()).pending += counter.pending

    def settle(self, draws: Iterable[Draw], taken: Taken) -> None:
        """Put the truth in the place of upper bounds."""
        counters, cost_nano = self.counters, taken.cost_nano
        for draw in draws:
            meter = draw.meter
            counter = counters.get(meter)
            if counter is None:  # pruned: nothing was drawn
                counter = counters[meter] = Counter()
            counter.pending -= draw.amount
            counter.used += cost_nano if meter[0] == _S else taken.of(read_meter(meter).unit)

    def add(self, draws: Iterable[Draw], taken: Taken) -> None:
        """Count what was held and settled between two looks at these meters."""
        counters, cost_nano = self.counters, taken.cost_nano
        for draw in draws:
            meter = draw.meter
            counter = counters.get(meter)
            if counter is None:
                counter = counters[meter] = Counter()
            counter.used += cost_nano if meter[0] == _S else taken.of(read_meter(meter).unit)

    def copy(self) -> Meters:
        """Make meters of their own that stand the same."""
        return Meters({name: Counter(c.used, c.pending) for name, c in self.counters.items()})

    def prune(self, now_ns: int) -> None:
        """Forget meters whose window has been over for a day and on which nothing is pending."""
        over = [
            name
            for name, counter in self.counters.items()
            if not counter.pending
            and (ends_ns := end_ns(read_meter(name).window)) is not None
            and ends_ns + NS_PER_DAY < now_ns
        ]
        for name in over:
            del self.counters[name]
