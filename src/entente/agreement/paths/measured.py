"""What the streams come to for the agreement: bases and meters, by path and step.

Every array has one column more than there are steps: the first one is what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import msgspec
import numpy as np

from entente.agreement.conditions import Condition, nodes
from entente.agreement.conditions import Fact as StateOf
from entente.agreement.decide.words import Words
from entente.agreement.document import Agreement
from entente.agreement.log import Attribute
from entente.agreement.money import Base, Meter
from entente.agreement.paths.exacts import Ints, denominator, roomy
from entente.agreement.paths.plan import MONEY, Stream
from entente.agreement.settle.match import Around, holds, weight
from entente.domain.errors import ConfigError


class Counted(msgspec.Struct, frozen=True):
    """Amounts in whole grains; `grains` of them are one unit of what is counted."""

    amounts: Ints
    grains: int


Weigh = Callable[[Agreement, Mapping[str, Attribute]], Fraction | None]
"""How much of a stream counts under a version; None where the version has no such clause."""


def base_weights(name: str) -> Weigh:
    """Weigh streams for a base."""

    def weigh(agreement: Agreement, attributes: Mapping[str, Attribute]) -> Fraction | None:
        base = next((each for each in agreement.bases if each.id == name), None)
        return None if base is None else weight(_timeless(base), attributes, _around(agreement))

    return weigh


def meter_weights(name: str) -> Weigh:
    """Weigh streams for a meter."""

    def weigh(agreement: Agreement, attributes: Mapping[str, Attribute]) -> Fraction | None:
        meter = next((each for each in agreement.meters if each.id == name), None)
        if meter is None:
            return None
        _without_events(meter, (meter.when,))
        return Fraction(holds(meter.when, attributes, _around(agreement)))

    return weigh


def counted(
    weigh: Weigh,
    streams: Sequence[Stream],
    amounts: Mapping[str, Ints],
    versions: Sequence[Agreement | None],
    counts: str = MONEY,
) -> Counted:
    """Add up the streams that count in each step, by the version that holds there."""
    rows = {
        stream.id: [
            None if version is None else weigh(version, stream.attributes) for version in versions
        ]
        for stream in streams
        if stream.attributes and stream.counts == counts
    }
    known = [number for row in rows.values() for number in row if number]
    grains = denominator(known)
    total: Ints = np.zeros((1, len(versions)), np.int64)
    for name, row in rows.items():
        if any(row):
            factors = [int((number or 0) * grains) for number in row]
            own = roomy(amounts[name], 1, Fraction(grains), len(versions) * len(rows))
            total = total + own * np.array(factors, own.dtype)
    return Counted(total, grains)


def _around(agreement: Agreement) -> Around:
    return Around(words=Words(agreement))


def _timeless(base: Base) -> Base:
    conditions = [base.when, *(bundle.when for bundle in base.bundles)]
    _without_events(base, [*conditions, *([base.less] if base.less is not None else [])])
    return base


def _without_events(clause: Base | Meter, conditions: Sequence[Condition]) -> None:
    """Refuse conditions that change on the way. Raises ConfigError."""
    if any(isinstance(node, StateOf) for each in conditions for node in nodes(each.node)):
        message = (
            f"{clause.id} asks for an event in its conditions, which differs between paths: "
            "give the clauses that use it an `until` with the event instead"
        )
        raise ConfigError(message)
