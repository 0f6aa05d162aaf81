"""Looks at what is used and refused, and tells of what somebody may want to hear.

It is called on the event loop, behind each settlement and each refusal, so that it only
compares numbers; what is to be told goes to a line that a task of its own writes to the
outbox. Each thing has a name there under which it is told once: by whichever worker, after
however many starts.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from entente.control.events import Event, EventType
from entente.control.reports import utc
from entente.domain.money import format_nano
from entente.domain.rules import Unit
from entente.ledger.meters import Meter, read_meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from entente.domain.ids import NowNs
    from entente.domain.rules import Rule
    from entente.ledger.meters import Counter, Draw
    from entente.ledger.model import Hold
    from entente.policy.rules import RuleBook

METERS_KEPT_MAX: Final = 65_536
TOLD_KEPT_MAX: Final = 16_384
"""Names of what was told, so that the database is not asked for each request."""
PERCENT: Final = 100
DAY_CHARS: Final = len("2026-11-22")
HOUR_CHARS: Final = len("2026-11-22T04")


class Step(NamedTuple):
    """An amount that is told of when it is reached."""

    amount: int
    percent: int | None
    """None for more than the whole amount of a rule that only tells."""


class Watch:
    """What is looked at. `tell` puts an event in line; `rules` gives those in force."""

    def __init__(
        self, rules: Callable[[], RuleBook], tell: Callable[[Event], None], *, now_ns: NowNs
    ) -> None:
        """Take the parts."""
        self._rules = rules
        self._tell = tell
        self._now_ns = now_ns
        self._book = rules()
        self._ahead: dict[str, list[Step]] = {}
        """By meter, the next one last."""
        self._told: OrderedDict[str, None] = OrderedDict()
        self._trouble: str | None = None

    def settled(self, draws: Iterable[Draw], standing: Callable[[str], Counter]) -> None:
        """Look whether what a request used has made its meters reach anything."""
        self._renew()
        for draw in draws:
            ahead = self._ahead.get(draw.meter)
            if ahead is None:
                ahead = self._look(draw.meter)
            if ahead:
                self._compare(draw.meter, standing(draw.meter), ahead)

    def used(self, meter: str, counter: Counter) -> None:
        """Look whether what is used of a meter has reached anything."""
        self._renew()
        ahead = self._ahead.get(meter)
        self._compare(meter, counter, self._look(meter) if ahead is None else ahead)

    def telling(self) -> list[str]:
        """Name the rules that tell of something, however much is used of them."""
        return [rule.id for rule in self._rules().by_id.values() if steps_of(rule)]

    def refused(self, hold: Hold, draw: Draw | None, counter: Counter | None) -> None:
        """Tell that a hold does not fit, into a meter or into what its key was granted."""
        self._renew()
        if draw is None or counter is None:
            day = utc(hold.at_ns)[:DAY_CHARS]
            data: dict[str, object] = {
                "key": hold.key, "currency": hold.asset, "model": hold.model,
            }  # fmt: skip
            once = f"{EventType.BUDGET_EXCEEDED}/granted/{hold.key}/{day}"
            self._say(EventType.BUDGET_EXCEEDED, data, once)
            return
        meter = read_meter(draw.meter)
        data = {**_standing(meter, counter, self._book.by_id.get(meter.rule), draw.limit),
                "key": hold.key, "model": hold.model}  # fmt: skip
        self._exceeded(draw.meter, meter, data, hold.at_ns)

    def unpriced(self, model: str) -> None:
        """Tell that a model that is asked has no price, once a day."""
        day = utc(self._now_ns())[:DAY_CHARS]
        once = f"{EventType.PRICE_MISSING}/{model}/{day}"
        self._say(EventType.PRICE_MISSING, {"model": model}, once)

    def trouble(self, text: str | None) -> None:
        """Tell that the ledger cannot be written, and that it can be again."""
        if (text is None) is (self._trouble is None):
            return
        self._trouble = text
        data = {"trouble": text, "over": text is None}
        self._tell(Event(type=EventType.LEDGER_TROUBLE, at_ns=self._now_ns(), data=data))

    def _renew(self) -> None:
        """Begin anew where the rules have changed."""
        book = self._rules()
        if book is not self._book:
            self._book = book
            self._ahead.clear()

    def _compare(self, meter: str, counter: Counter, ahead: list[Step]) -> None:
        """Tell of the steps that are reached."""
        while ahead and counter.used >= ahead[-1].amount:
            self._reached(meter, counter, ahead.pop())

    def _look(self, name: str) -> list[Step]:
        """Find what a meter may reach, in the order from last to first."""
        if len(self._ahead) >= METERS_KEPT_MAX:
            self._ahead.clear()
        rule = self._book.by_id.get(read_meter(name).rule)
        self._ahead[name] = steps = [] if rule is None else steps_of(rule)
        return steps

    def _reached(self, name: str, counter: Counter, step: Step) -> None:
        """Tell of a step."""
        meter = read_meter(name)
        rule = self._book.by_id.get(meter.rule)
        limit = None if rule is None else rule.amount
        data = _standing(meter, counter, rule, limit)
        if step.percent is None:
            self._exceeded(name, meter, data, self._now_ns())
            return
        what = EventType.BUDGET_THRESHOLD_REACHED
        once = f"{what}/{name}/{step.percent}/{limit}"
        self._say(what, {**data, "threshold_percent": step.percent}, once)

    def _exceeded(self, name: str, meter: Meter, data: Mapping[str, object], at_ns: int) -> None:
        """Tell that more was wanted than there is, once a window."""
        is_spend = meter.unit is Unit.SPEND
        what = EventType.BUDGET_EXCEEDED if is_spend else EventType.LIMIT_EXCEEDED
        hour = utc(at_ns)[:HOUR_CHARS] if meter.unit is Unit.CONCURRENCY else ""
        self._say(what, data, f"{what}/{name}/{data['limit']}/{hour}")

    def _say(self, what: EventType, data: Mapping[str, object], once: str) -> None:
        """Tell of something, unless this process has told of it."""
        if once in self._told:
            return
        if len(self._told) >= TOLD_KEPT_MAX:
            self._told.popitem(last=False)
        self._told[once] = None
        self._tell(Event(type=what, at_ns=self._now_ns(), data=data, once=once))


def steps_of(rule: Rule) -> list[Step]:
    """Give what a rule tells of, the largest amount first."""
    steps = [
        Step(-(-rule.amount * percent // PERCENT), percent) for percent in sorted(rule.thresholds)
    ]
    if not rule.hard:
        steps.append(Step(rule.amount + 1, None))
    return sorted(steps, reverse=True, key=lambda step: (step.amount, step.percent or 0))


def _standing(
    meter: Meter, counter: Counter, rule: Rule | None, limit: int | None
) -> dict[str, object]:
    """Say where a meter stands."""
    is_spend = meter.unit is Unit.SPEND
    amount = format_nano if is_spend else str
    level, _, name = meter.subject.partition(":")
    return {
        "rule": meter.rule,
        "level": level,
        "name": name,
        "unit": meter.unit,
        "window": meter.window,
        "currency": (rule.asset or None) if rule is not None else None,
        "limit": None if limit is None else amount(limit),
        "used": amount(counter.used),
        "pending": amount(counter.pending),
    }
