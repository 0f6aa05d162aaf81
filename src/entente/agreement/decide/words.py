"""The words of one document: groups, parts, affiliates, and what a request leaves unsaid.

Of an asset, a product and a channel the document knows more than a request says. What it
knows of surfaces, hosts and sellers fills in what is not said; what it knows of traits
(`asset.open_weight`) stands, whatever a request says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from entente.agreement.conditions import Scalar
from entente.agreement.decide.formulas import Request
from entente.agreement.decide.patterns import pattern_of
from entente.agreement.document import Agreement
from entente.agreement.rights import Asset, RelationKind

FILLING: Final = ("asset", "channel", "model", "product")
"""What a request may say from which the document knows more."""


class Words:
    """What one version of a document says about the words of requests."""

    def __init__(self, agreement: Agreement) -> None:
        """Index the document."""
        self._attributes = {each.id: each for each in agreement.attributes}
        self._assets = {each.id: each for each in agreement.assets}
        self._products = {each.id: each for each in agreement.products}
        self._channels = {each.id: each for each in agreement.channels}
        self._parts = _downwards((each.id, each.part_of) for each in agreement.assets)
        self._controlled = _downwards(
            (each.of, each.party)
            for each in agreement.entity_graph
            if each.kind is RelationKind.CONTROLS
        )
        forms = sorted(
            ((form, asset.id) for asset in agreement.assets for form in asset.models),
            key=lambda pair: (-len(pair[0].replace("*", "")), "*" in pair[0], pair),
        )
        self._forms = tuple((pattern_of(form), asset) for form, asset in forms)
        self._traits: dict[str, dict[str, Scalar]] = {
            name: self._traits_of(asset) for name, asset in self._assets.items()
        }

    def widened(self, attribute: str, value: Scalar) -> Collection[Scalar]:
        """Give the values that a value stands for, itself included."""
        if attribute == "asset" and isinstance(value, str):
            return self.parts(value)
        declared = self._attributes.get(attribute)
        if declared is None or not isinstance(value, str) or value not in declared.groups:
            return (value,)
        return (value, *declared.groups[value])

    def required(self, attribute: str) -> bool:
        """Say whether requests have to say an attribute."""
        declared = self._attributes.get(attribute)
        return declared is not None and declared.required

    def parts(self, asset: str) -> frozenset[str]:
        """Give an asset and all of its parts."""
        return self._parts.get(asset, frozenset({asset}))

    def affiliates(self, party: str) -> frozenset[str]:
        """Give a party and all whom it controls."""
        return self._controlled.get(party, frozenset({party}))

    def asset_of(self, model: Scalar | None) -> str | None:
        """Give the asset that a model is, by the longest form that its name has."""
        if not isinstance(model, str):
            return None
        return next((asset for pattern, asset in self._forms if pattern.fullmatch(model)), None)

    def completed(self, request: Request) -> Request:
        """Give a request with what the document knows of the things that it names."""
        said: dict[str, Scalar] = dict(request)
        product = self._products.get(_text(said.get("product")))
        if product is not None:
            _fill(
                said,
                surface=product.surface,
                asset=product.asset,
                developed_with=product.developed_with,
            )
            said.update({f"product.{name}": value for name, value in product.traits.items()})
        channel = self._channels.get(_text(said.get("channel")))
        if channel is not None:
            _fill(
                said,
                seller=channel.seller,
                host=channel.host,
                region=channel.region,
                segment=channel.segment,
            )
        _fill(said, asset=self.asset_of(said.get("model")))
        said.update(self._traits.get(_text(said.get("asset")), {}))
        return said

    def traits(self, asset: str) -> Mapping[str, Scalar]:
        """Give what conditions read of an asset, as `asset.NAME`."""
        return self._traits.get(asset, {})

    def _traits_of(self, asset: Asset) -> dict[str, Scalar]:
        """Give an asset's traits, and of those that it is part of what it does not say itself."""
        traits: dict[str, Scalar] = {}
        seen: set[str] = set()
        above: Asset | None = asset
        while above is not None and above.id not in seen:
            seen.add(above.id)
            for name, value in above.traits.items():
                traits.setdefault(f"asset.{name}", value)
            traits.setdefault("asset.kind", above.kind.value)
            above = self._assets.get(above.part_of or "")
        return traits


def _text(value: Scalar | None) -> str:
    return value if isinstance(value, str) else ""


def _fill(said: dict[str, Scalar], **known: str | None) -> None:
    """Add what is known and not said."""
    for name, value in known.items():
        if value is not None:
            said.setdefault(name, value)


def _downwards(pairs: Iterable[tuple[str, str | None]]) -> dict[str, frozenset[str]]:
    """Give for each name itself and everything below it, from (name, the one above)."""
    below: dict[str, set[str]] = {}
    for name, above in pairs:
        below.setdefault(name, set())
        if above is not None:
            below.setdefault(above, set()).add(name)
    found: dict[str, frozenset[str]] = {}
    for name in below:
        reached, waiting = {name}, [name]
        while waiting:
            fresh = below[waiting.pop()] - reached
            reached |= fresh
            waiting.extend(fresh)
        found[name] = frozenset(reached)
    return found
