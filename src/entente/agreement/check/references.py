"""Where clauses name others: one list of it, for names that lead nowhere and for uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from entente.agreement.decide.rules import overriding
from entente.agreement.document import Agreement
from entente.agreement.money import Counted, Waterfall
from entente.agreement.rights import ANYONE, FirstShip, listed

Path = tuple[str | int, ...]

_PARTIES = {
    "entity_graph": ("party", "of"),
    "assets": ("owner",),
    "channels": ("seller",),
    "grants": ("to",),
    "exclusivities": ("holder",),
    "prohibitions": ("binds",),
    "precedences": ("holder",),
    "contributions": ("party", "to"),
    "rates": ("payer", "payee"),
    "bases": ("owner",),
    "shares": ("payer", "payee"),
    "waterfalls": ("payer",),
    "commitments": ("buyer", "seller"),
    "stakes": ("company",),
    "statements": ("parties",),
}
"""The fields of each list that name parties."""


class Reference(NamedTuple):
    """A name in a clause; `kind` is what it has to be the name of."""

    clause: str
    path: Path
    kind: str
    name: str
    there: Collection[str] | None = None
    """The names that there are, where they are not ids of the document."""


def references(agreement: Agreement) -> Iterator[Reference]:
    """Give every name of another clause, but for those in conditions and ends."""
    yield from _parties(agreement)
    yield from _rights(agreement)
    yield from _occasions(agreement)
    yield from _money(agreement)


def _parties(agreement: Agreement) -> Iterator[Reference]:
    for section, fields in _PARTIES.items():
        for clause in getattr(agreement, section):
            for field in fields:
                for name in listed(getattr(clause, field)):
                    if name != ANYONE or section != "grants":
                        yield Reference(clause.id, (field,), "parties", name)
    for stake in agreement.stakes:
        for position, holding in enumerate(stake.holdings):
            path = ("holdings", position, "holder")
            yield Reference(stake.id, path, "parties", holding.holder)
            path = ("holdings", position, "security")
            yield Reference(stake.id, path, "securities", holding.security, stake.securities)


def _rights(agreement: Agreement) -> Iterator[Reference]:
    for asset in agreement.assets:
        if asset.part_of is not None:
            yield Reference(asset.id, ("part_of",), "assets", asset.part_of)
    for product in agreement.products:
        if product.asset is not None:
            yield Reference(product.id, ("asset",), "assets", product.asset)
    for grant in agreement.grants:
        for name in listed(grant.asset):
            yield Reference(grant.id, ("asset",), "assets", name)
        for name in listed(grant.exclude):
            yield Reference(grant.id, ("exclude",), "assets", name)
    for clause, _, name in overriding(agreement):
        yield Reference(clause.id, ("overrides",), "overridable", name)


_REFUSAL = ("offered", "accepted", "declined")


def _occasions(agreement: Agreement) -> Iterator[Reference]:
    for precedence in agreement.precedences:
        fields = ("shipped",) if isinstance(precedence, FirstShip) else _REFUSAL
        for field in fields:
            yield Reference(precedence.id, (field,), "events", getattr(precedence, field))
    for event in agreement.events:
        for name in listed(event.declared_by):
            yield Reference(event.id, ("declared_by",), "members", name)
        if event.verified_by is not None:
            path = ("verified_by", "panel")
            yield Reference(event.id, path, "parties", event.verified_by.panel)


def _money(agreement: Agreement) -> Iterator[Reference]:
    for rate in agreement.rates:
        yield Reference(rate.id, ("meter",), "meters", rate.meter)
    for share in agreement.shares:
        yield Reference(share.id, ("base",), "bases", share.base)
    for commitment in agreement.commitments:
        yield Reference(commitment.id, ("eligible",), "bases", commitment.eligible)
    for waterfall in agreement.waterfalls:
        yield Reference(waterfall.id, ("base",), "bases", waterfall.base)
        yield from _ladder(waterfall)
    for section in ("rates", "shares", "waterfalls", "commitments"):
        for clause in getattr(agreement, section):
            if clause.netting is not None:
                yield Reference(clause.id, ("netting",), "netting", clause.netting)


def _ladder(waterfall: Waterfall) -> Iterator[Reference]:
    tiers = {tier.id for tier in waterfall.tiers} | {"inception"}
    for position, tier in enumerate(waterfall.tiers):
        path: Path = ("tiers", position)
        for party in tier.split:
            yield Reference(waterfall.id, (*path, "split", party), "parties", party)
        if tier.on_cap is not None and tier.on_cap.revert_to is not None:
            name = tier.on_cap.revert_to
            yield Reference(waterfall.id, (*path, "on_cap", "revert_to"), "parties", name)
        for party, limit in tier.until.items():
            inside = (*path, "until", party)
            yield Reference(
                waterfall.id, (*inside, "counts_from"), "tiers", limit.counts_from, tiers
            )
            if limit.of is not None:
                yield from _counted(waterfall.id, inside, limit.of)


def _counted(clause: str, path: Path, counted: Counted) -> Iterator[Reference]:
    for position, name in enumerate(counted.contributions):
        yield Reference(clause, (*path, "of", "contributions", position), "contributions", name)
