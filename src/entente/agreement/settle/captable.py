"""Stakes: a cap table that is made of events, on a declared basis.

Which papers count is never assumed: the same company is owned differently as its shares
stand, as if its preferred were converted, and as if every warrant were exercised.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from entente.agreement.log import Issued
from entente.agreement.money import Security, Stake
from entente.agreement.values import shown

ZERO: Final = Fraction(0)


def units(stake: Stake, issued: Iterable[Issued] = ()) -> dict[tuple[str, str], Fraction]:
    """Add up holdings and events: units by holder and security."""
    sums: dict[tuple[str, str], Fraction] = {}
    for holding in stake.holdings:
        name = (holding.holder, holding.security)
        sums[name] = sums.get(name, ZERO) + holding.units
    for event in issued:
        if event.company == stake.company:
            name = (event.holder, event.security)
            sums[name] = sums.get(name, ZERO) + event.units
    return sums


def counted(stake: Stake, issued: Iterable[Issued] = ()) -> dict[str, Fraction]:
    """Give what counts on the stake's basis, in common shares, by holder."""
    sums: dict[str, Fraction] = {}
    for (holder, name), number in units(stake, issued).items():
        security: Security | None = stake.securities.get(name)
        counts = security is not None and stake.basis in security.counts_in
        own = number * security.converts if security is not None and counts else ZERO
        sums[holder] = sums.get(holder, ZERO) + own
    return sums


def shares(stake: Stake, issued: Iterable[Issued] = ()) -> dict[str, Fraction]:
    """Give each holder's share of the company; they sum to 1."""
    sums = counted(stake, issued)
    whole = sum(sums.values(), ZERO)
    return {holder: own / whole for holder, own in sums.items()} if whole else {}


def problems(stake: Stake, issued: Iterable[Issued] = ()) -> tuple[str, ...]:
    """Say what is wrong with a table: a whole that is missed, unknown papers, negative units."""
    found = []
    table = units(stake, issued)
    for (holder, name), number in table.items():
        if name not in stake.securities:
            found.append(f"{stake.id}: {holder} holds {name}, which is none of its securities")
        if number < 0:
            found.append(f"{stake.id}: {holder} holds {shown(number)} {name}")
    whole = sum(counted(stake, issued).values(), ZERO)
    if stake.whole is not None and whole != stake.whole:
        missed = shown(stake.whole - whole)
        found.append(
            f"{stake.id}: the holdings sum to {shown(whole)}, not to {shown(stake.whole)}; "
            f"{missed} are missing on the basis {stake.basis}"
        )
    return tuple(found)
