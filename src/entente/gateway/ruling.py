"""What the rules say of a request: what it draws on meters, and whether it may be unpriced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from entente.domain.errors import Unpriced
from entente.domain.origin import Origin
from entente.domain.principal import Principal
from entente.domain.quota import Quota
from entente.gateway.pricing import BUDGET_ASSET
from entente.ledger.meters import Counter, Draw
from entente.ledger.model import Hold
from entente.policy.rules import RuleBook, Rules, Standing, Subject, standings

_OWN: Final = frozenset({BUDGET_ASSET})
"""What a key's own budget is counted in."""


class Ruling(NamedTuple):
    """The rules that a request is under."""

    rules: Rules
    guarded: bool
    """A hard budget stands behind the request: its cost must be known."""
    budgeted: bool = False
    """The key has a hard budget of its own."""

    @property
    def asset(self) -> str | None:
        """What the one kind of hard budget behind it is counted in; None for none or several."""
        if not self.guarded:
            return None
        assets = self._assets
        return next(iter(assets)) if len(assets) == 1 else None

    @property
    def _assets(self) -> frozenset[str]:
        """What the hard budgets behind it are counted in."""
        return self.rules.assets | _OWN if self.budgeted else self.rules.assets

    def check(self, model: str, asset: str | None) -> None:
        """Refuse what a hard budget could not count. Raises Unpriced.

        `asset` is what the most that the request can cost is in, None where it has no price.
        """
        if not self.guarded:
            return
        if asset is None:
            within = f" in {self.asset}" if self.asset else ""
            message = (
                f"The model `{model}` has no price{within} for this, and a hard budget{within} "
                "stands behind this key. Give the model a price in the configuration, or activate "
                "a price book that has it, and a rate of exchange where it is in another currency "
                "(entente prices, entente rates)."
            )
            raise Unpriced(message)
        others = self._assets - {asset}
        if others:
            message = (
                f"A request is charged in one currency, here in {asset}, and a hard budget behind "
                f"this key is in {', '.join(sorted(others))}. An administrator has to give all "
                "hard budgets behind a key in one currency (`entente limits`; a key's own "
                f"budget is in {BUDGET_ASSET})."
            )
            raise Unpriced(message)

    def draws(self, at_ns: int, *, tokens: int, nano: int, asset: str) -> tuple[Draw, ...]:
        """Give what the request draws at most."""
        applied = self.rules.applied
        return self.rules.draws(at_ns, tokens=tokens, nano=nano, asset=asset) if applied else ()

    def standings(self, opened: Hold, counter_of: Callable[[str], Counter]) -> tuple[Standing, ...]:
        """Say where the limits stand that clients are told of, now that a request is held."""
        if not self.rules.are_told:
            return ()
        return standings(opened.draws, counter_of, opened.at_ns)


def ruling_of(
    book: RuleBook, who: Principal, model: str, origin: Origin, quota: Quota | None
) -> Ruling:
    """Find the rules that a request is under."""
    subject = Subject(who.project, who.key_id, who.user or "", model, origin.end_user, origin.tags)
    rules = book.of(who, subject, quota)
    return Ruling(rules, who.budgeted or bool(rules.assets), who.budgeted)
