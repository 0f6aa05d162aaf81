"""Amounts: shares that do not sum to 1, ladders with steps that nothing reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from entente.agreement.check.finding import Finding
from entente.agreement.document import Agreement
from entente.agreement.money import (
    Base,
    Commitment,
    Contribution,
    Rate,
    Share,
    Stake,
    Statement,
    Tier,
    Waterfall,
)
from entente.agreement.values import shown

LAG_DAYS_MAX: Final = 3_650
"""Of a close, or of a time to object: ten years."""


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find sums, ratios and ladders that cannot be meant."""
    for waterfall in agreement.waterfalls:
        yield from _waterfall(waterfall)
        yield from _multiples(waterfall, agreement.contributions)
    for rate in agreement.rates:
        yield from _rate(rate)
    for base in agreement.bases:
        yield from _bundles(base)
    for share in agreement.shares:
        yield from _share(share)
    for commitment in agreement.commitments:
        yield from _commitment(commitment)
    for stake in agreement.stakes:
        yield from _stake(stake)
    for statement in agreement.statements:
        yield from _statement(statement)
    for event in agreement.events:
        verification = event.verified_by
        if verification is not None and not 0 < verification.quorum <= 1:
            text = f'must be above 0 and at most 1, such as "2/3", not {verification.quorum}'
            yield Finding(event.id, ("verified_by", "quorum"), text)


def _statement(statement: Statement) -> Iterator[Finding]:
    for field in ("close_lag_days", "dispute_days"):
        days = getattr(statement, field)
        if not 0 <= days <= LAG_DAYS_MAX:
            yield Finding(statement.id, (field,), f"must be 0 to {LAG_DAYS_MAX} days, not {days}")


def _share(share: Share) -> Iterator[Finding]:
    for ratio in (share.ratio, *(later.ratio for later in share.later)):
        if not 0 <= ratio <= 1:
            yield Finding(share.id, ("ratio",), f"must be from 0 to 1, not {shown(ratio)}")
    if share.cap is not None and share.cap.total < 0:
        yield Finding(share.id, ("cap", "total"), "must be at least 0")
    defer = share.defer
    if defer is not None and defer.pay_ratio is not None and not 0 <= defer.pay_ratio <= 1:
        text = f"must be from 0 to 1, not {shown(defer.pay_ratio)}"
        yield Finding(share.id, ("defer", "pay_ratio"), text)
    if defer is not None and defer.pay_max is not None and defer.pay_max < 0:
        yield Finding(share.id, ("defer", "pay_max"), "must be at least 0")


def _waterfall(waterfall: Waterfall) -> Iterator[Finding]:
    if not waterfall.tiers:
        yield Finding(waterfall.id, ("tiers",), "has no tier: add one")
    names = [tier.id for tier in waterfall.tiers]
    reached: dict[str, Fraction] = {}
    closed = ""
    for position, tier in enumerate(waterfall.tiers):
        path: tuple[str | int, ...] = ("tiers", position)
        if names.index(tier.id) != position:
            yield Finding(waterfall.id, (*path, "id"), f"tier {tier.id} stands here twice")
        total = sum(tier.split.values(), Fraction(0))
        if total != 1:
            text = f"the shares sum to {shown(total)}, not to 1: correct one of them"
            yield Finding(waterfall.id, (*path, "split"), text)
        yield from _tier(waterfall.id, path, tier, names[position + 1 :])
        if closed:
            yield Finding(waterfall.id, path, f"is never reached, as {closed}")
        else:
            yield from _limits(waterfall.id, path, tier, reached)
            closed = "" if tier.until else f"tier {tier.id} has no limit"
    if waterfall.tiers and waterfall.tiers[-1].until:
        text = "has a limit, and no tier follows: say where everything else goes"
        yield Finding(waterfall.id, ("tiers", len(names) - 1, "until"), text)


def _tier(
    waterfall: str, path: tuple[str | int, ...], tier: Tier, later: Sequence[str]
) -> Iterator[Finding]:
    """Find what a tier says that no ladder can be made of."""
    for party, share in tier.split.items():
        if share < 0:
            text = f"must be at least 0, not {shown(share)}"
            yield Finding(waterfall, (*path, "split", party), text)
    if tier.on_cap is not None and tier.on_cap.revert_to in tier.until:
        text = f"{tier.on_cap.revert_to} has a limit in this tier: name somebody who has none"
        yield Finding(waterfall, (*path, "on_cap", "revert_to"), text)
    for party, limit in tier.until.items():
        if limit.counts_from in later:
            text = f"tier {limit.counts_from} comes after this one: count from an earlier one"
            yield Finding(waterfall, (*path, "until", party, "counts_from"), text)


def _limits(
    waterfall: str, path: tuple[str | int, ...], tier: Tier, reached: dict[str, Fraction]
) -> Iterator[Finding]:
    """Find limits of parties without a share, and ones that are reached before the tier."""
    for party, limit in tier.until.items():
        inside = (*path, "until", party)
        if not tier.split.get(party):
            text = f"{party} has no share in this tier, so that its limit is never reached"
            yield Finding(waterfall, inside, text)
        comparable = (
            limit.amount is not None
            and limit.growth is None
            and limit.measured_on == "payouts"
            and limit.counts_from == "inception"
        )
        if comparable and limit.amount is not None:
            before = reached.get(party)
            if before is not None and limit.amount <= before:
                text = f"{party} has reached {shown(limit.amount)} in an earlier tier: raise it"
                yield Finding(waterfall, inside, text)
            reached[party] = limit.amount


def _multiples(waterfall: Waterfall, contributions: Sequence[Contribution]) -> Iterator[Finding]:
    """Find limits by each contribution's own multiple where one has none."""
    without = {each.id for each in contributions if each.cap_multiple is None}
    for position, tier in enumerate(waterfall.tiers):
        for party, limit in tier.until.items():
            if limit.of is None or limit.of.times is not None:
                continue
            for name in limit.of.contributions:
                if name in without:
                    path = ("tiers", position, "until", party, "of", "times")
                    text = f"{name} has no `cap_multiple`: give it one, or write the multiple here"
                    yield Finding(waterfall.id, path, text)


def _rate(rate: Rate) -> Iterator[Finding]:
    if not rate.tiers:
        yield Finding(rate.id, ("tiers",), "has no tier: add one")
    if rate.per <= 0:
        yield Finding(rate.id, ("per",), "must be above 0")
    before = Fraction(0)
    for position, tier in enumerate(rate.tiers):
        last = position == len(rate.tiers) - 1
        path = ("tiers", position)
        if tier.up_to is None:
            if not last:
                text = "has no end, so that the next tier is never reached: give it `up_to`"
                yield Finding(rate.id, path, text)
            continue
        if last:
            yield Finding(rate.id, path, "is the last tier, and has an end: remove `up_to`")
        if tier.up_to <= before:
            text = f"ends at {shown(tier.up_to)}, where it is never reached: sort the tiers"
            yield Finding(rate.id, path, text)
        before = tier.up_to


def _bundles(base: Base) -> Iterator[Finding]:
    for position, bundle in enumerate(base.bundles):
        path: tuple[str | int, ...] = ("bundles", position)
        total = sum(bundle.components.values(), Fraction(0))
        if bundle.by == "declared" and total != 1:
            text = f"the ratios sum to {shown(total)}, not to 1: correct one of them"
            yield Finding(base.id, (*path, "components"), text)
        if bundle.by == "stand_alone_price" and total <= 0:
            yield Finding(base.id, (*path, "components"), "have no price: give them")
        for name, price in bundle.components.items():
            if price < 0:
                text = f"must be at least 0, not {shown(price)}"
                yield Finding(base.id, (*path, "components", name), text)
        for name in bundle.counts:
            if name not in bundle.components:
                text = f"there is no component `{name}`: add it, or correct the name"
                yield Finding(base.id, (*path, "counts"), text)


def _commitment(commitment: Commitment) -> Iterator[Finding]:
    for position, step in enumerate(commitment.schedule):
        if step.before <= step.begins:
            text = "ends before it begins: correct a day"
            yield Finding(commitment.id, ("schedule", position), text)
    for position, (earlier, later) in enumerate(pairwise(commitment.schedule)):
        if later.begins < earlier.before:
            text = "begins before the step before it ends: correct a day"
            yield Finding(commitment.id, ("schedule", position + 1), text)
    total = sum((step.amount for step in commitment.schedule), Fraction(0))
    if commitment.schedule and total != commitment.total:
        text = f"the steps sum to {shown(total)}, not to {shown(commitment.total)}: correct one"
        yield Finding(commitment.id, ("schedule",), text)


def _stake(stake: Stake) -> Iterator[Finding]:
    if stake.whole is None:
        return
    total = Fraction(0)
    for holding in stake.holdings:
        security = stake.securities.get(holding.security)
        if security is not None and stake.basis in security.counts_in:
            total += holding.units * security.converts
    if total != stake.whole:
        text = f"sum to {shown(total)}, not to {shown(stake.whole)}: add who is missing"
        yield Finding(stake.id, ("holdings",), text)
