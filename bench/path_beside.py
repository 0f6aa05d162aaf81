"""What may stand beside the request path, an agreement or budgets, and what it adds.

See `bench.path`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from entente.agreement.decide import Rules
from entente.agreement.occasions import NOTHING
from entente.config.agreements import load_agreement
from entente.domain.rules import EACH, Level, Rule, Unit
from entente.domain.windows import Window
from entente.gateway.enforcing import Enforcer

AGREEMENT: Final = Path(__file__).parents[1] / "examples/agreements/two-storefronts/agreement.yaml"


def enforcer() -> Enforcer:
    """Make an agreement that has a say in every request: the library's two storefronts."""
    book = load_agreement(AGREEMENT)
    traits = {"provider": {"main": {"host": "lab-cloud", "seller": "lab", "region": "eu"}}}
    rules = Rules(book.versions())
    return Enforcer(rules, NOTHING, traits, enforces=False, count=lambda _: None)


def budgets() -> tuple[Rule, ...]:
    """Make a budget at each of five levels, each with a window of its own."""
    levels = {
        Level.ORGANIZATION: ("", Window.YEAR),
        Level.PROJECT: ("default", Window.MONTH),
        Level.MODEL: (EACH, Window.WEEK),
        Level.TAG: (EACH, Window.DAY),
        Level.KEY: (EACH, Window.LIFETIME),
    }
    return tuple(
        Rule(
            id=f"rule_{number}",
            level=level,
            name=name,
            unit=Unit.SPEND,
            amount=10**18,
            window=window,
            asset="USD",
        )
        for number, (level, (name, window)) in enumerate(levels.items())
    )


def compare(what: str, use: Callable[[bool], None], measure: Callable[[], float], n: int) -> None:
    """Print the request without and with something, measured in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(n):
        for used, found in enumerate(times):
            use(bool(used))
            found.append(measure())
    without, with_ = min(times[0]), min(times[1])
    print(f"{without:.1f} µs per request without {what}, {with_:.1f} with: ", end="")
    print(f"{(with_ / without - 1):+.1%}")
