"""Which rules a request is under, and what it draws on their meters. Pure.

The limits that stand on a key and on a deployment are rules like any other; they have ids of
their own kind, and windows of a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from entente.domain.principal import Principal
from entente.domain.quota import Quota
from entente.domain.rules import DEPLOYMENT_RULE, EACH, KEY_RULE, Level, Rule, Unit
from entente.domain.windows import LIFETIME_KEY, Window, end_ns, span_of
from entente.ledger.meters import SPEND, Counter, Draw, meter_name, read_meter

SETS_KEPT_MAX: Final = 4096
"""Kinds of requests whose rules are not looked for anew each time."""
NS_PER_MS: Final = 1_000_000


class Subject(NamedTuple):
    """Whom and what a request is about, as rules see it."""

    project: str
    key: str
    user: str
    model: str
    end_user: str = ""
    tags: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """Where a limit stands after a request was admitted."""

    unit: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_ms: int


class Applied:
    """A rule, and the subject that it counts a request for; remembers its meter of now."""

    __slots__ = (
        "asset",
        "by_token",
        "ends_ns",
        "limit",
        "meter",
        "rule",
        "since_ns",
        "spends",
        "subject",
    )

    def __init__(self, rule: Rule, subject: str) -> None:
        """Begin with the meter of no window."""
        self.rule = rule
        self.subject = subject
        self.asset = rule.asset
        self.spends = rule.unit is Unit.SPEND
        self.by_token = rule.unit is Unit.TOKENS
        self.limit = rule.amount if rule.hard else None
        self.meter = ""
        self.since_ns = self.ends_ns = 0

    def turn(self, at_ns: int) -> None:
        """Go over to the meter of the window that a moment is in."""
        rule = self.rule
        key, ends_ns = LIFETIME_KEY, None
        if rule.unit is not Unit.CONCURRENCY:
            key, ends_ns = span_of(rule.window, rule.zone, at_ns)
        self.meter = meter_name(rule.unit, rule.id, key, self.subject)
        self.since_ns = at_ns  # before that it may be another window: clocks are stepped back
        self.ends_ns = _NEVER if ends_ns is None else ends_ns


class Rules(msgspec.Struct, frozen=True):
    """What rules say of one request."""

    applied: tuple[Applied, ...] = ()
    assets: frozenset[str] = frozenset()
    """What the hard budgets among them are counted in."""
    are_told: bool = False
    """Clients are told where some of them stand."""

    def draws(self, at_ns: int, *, tokens: int, nano: int, asset: str) -> tuple[Draw, ...]:
        """Give what a request draws at most: so many tokens, so much of an asset."""
        draws = []
        for applied in self.applied:
            if not applied.spends:
                amount = tokens if applied.by_token else 1
            elif applied.asset == asset:
                amount = nano
            else:
                continue
            if not applied.since_ns <= at_ns < applied.ends_ns:
                applied.turn(at_ns)
            draws.append(Draw(applied.meter, amount, applied.limit))
        return tuple(draws)


_NONE: Final = Rules()


class RuleBook:
    """All rules in force; never changed, only replaced by a newer one of a higher `generation`."""

    def __init__(self, rules: Iterable[Rule] = (), generation: int = 0) -> None:
        """Index rules by what they are about."""
        self.generation = generation
        self._by_scope: dict[tuple[Level, str], list[Rule]] = {}
        self._by_id: dict[str, Rule] = {}
        for rule in rules:
            self._by_scope.setdefault((rule.level, rule.name), []).append(rule)
            self._by_id[rule.id] = rule
        self._found: dict[tuple[Subject, int | None, int | None, Quota | None], Rules] = {}

    @property
    def by_id(self) -> Mapping[str, Rule]:
        """Give the rules by their ids."""
        return self._by_id

    def of(self, who: Principal, subject: Subject, quota: Quota | None = None) -> Rules:
        """Find the rules that a request is under. O(1) for one like those before."""
        rpm, tpm = who.requests_per_minute, who.tokens_per_minute
        if not self._by_scope and rpm is None and tpm is None and quota is None:
            return _NONE
        kind = (subject, rpm, tpm, quota)
        found = self._found.get(kind)
        if found is None:
            if len(self._found) >= SETS_KEPT_MAX:
                self._found.clear()
            found = self._found[kind] = self._find(who, subject, quota)
        return found

    def _find(self, who: Principal, subject: Subject, quota: Quota | None) -> Rules:
        """Collect rules, the widest first."""
        members: list[tuple[Level, str]] = [
            (Level.ORGANIZATION, ""),
            (Level.PROJECT, subject.project),
            (Level.MODEL, subject.model),
            *((Level.TAG, tag) for tag in subject.tags),
            (Level.USER, subject.user),
            (Level.END_USER, subject.end_user),
            (Level.KEY, subject.key),
        ]
        found = [
            Applied(rule, f"{level}:{name}")
            for level, name in members
            if name or level is Level.ORGANIZATION
            for scope in ((level, name), (level, EACH))
            for rule in self._by_scope.get(scope, ())
        ]
        if quota is not None:
            found += _per_minute(
                DEPLOYMENT_RULE,
                quota.deployment.lower(),
                quota.requests_per_minute,
                quota.tokens_per_minute,
            )
        found += _per_minute(KEY_RULE, who.key_id, who.requests_per_minute, who.tokens_per_minute)
        hard = [applied for applied in found if applied.rule.hard]
        return Rules(
            tuple(found),
            frozenset(applied.asset for applied in hard if applied.spends),
            are_told=any(applied.rule.unit in (Unit.REQUESTS, Unit.TOKENS) for applied in hard),
        )


_NEVER: Final = 2**63


@lru_cache(SETS_KEPT_MAX)
def _per_minute(id: str, name: str, rpm: int | None, tpm: int | None) -> tuple[Applied, ...]:
    """Make the rules of a key or a deployment that limits requests or tokens per minute."""
    level, subject = Level.KEY, f"{id}:{name}"
    return tuple(
        Applied(
            Rule(id=id, level=level, name=name, unit=unit, amount=amount, window=Window.MINUTE),
            subject,
        )
        for unit, amount in ((Unit.REQUESTS, rpm), (Unit.TOKENS, tpm))
        if amount is not None
    )


def standings(
    draws: Iterable[Draw], counter_of: Callable[[str], Counter], at_ns: int
) -> tuple[Standing, ...]:
    """Say where the limits of requests and tokens stand: for each unit the one that leaves least.

    `counter_of` says where a meter stands, which is asked at the moment of the last draw on them,
    so that what a client is told is true.
    """
    least: dict[str, Standing] = {}
    for draw in draws:
        if draw.limit is None or draw.meter.startswith(SPEND):
            continue
        meter = read_meter(draw.meter)
        if meter.unit is Unit.REQUESTS:
            unit: Literal["requests", "tokens"] = "requests"
        elif meter.unit is Unit.TOKENS:
            unit = "tokens"
        else:
            continue
        counter = counter_of(draw.meter)
        ends_ns = end_ns(meter.window)
        reset_ms = 0 if ends_ns is None else max(-((at_ns - ends_ns) // NS_PER_MS), 0)
        remaining = max(draw.limit - counter.used - counter.pending, 0)
        if unit not in least or remaining < least[unit].remaining:
            least[unit] = Standing(unit, draw.limit, remaining, reset_ms)
    return tuple([least[unit] for unit in ("requests", "tokens") if unit in least])
