"""The ledger's settled requests as measured facts: one pass, in bounded memory.

A request is measured when it is settled and known from then on. Its attributes are what the
entry says (`kind: request`, model, provider, target, key, status, estimated, …) and what the
platform's owner says about these (`Traits`): that a provider is a certain cloud, that a key's
requests are sold by a certain party. Its amount is what it cost; None where it has no price.

What was adjusted to agree with a provider's invoice is measured, too, as `kind: adjustment` of
that provider: it counts at the end of the time that was compared, and is known from its entry on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from entente.agreement.log import (
    AnyFact,
    Attribute,
    Attributes,
    Log,
    Measured,
    Term,
    attributes,
)
from entente.ledger.journal import Row, decode
from entente.ledger.model import Adjustment, Settlement
from entente.ledger.places import Place, rows

KIND: Final = "request"
ADJUSTED: Final = "adjustment"
SAID: Final = ("project", "surface", "region", "segment", "channel", "product")
"""Further fields of an entry that are attributes where the ledger's entries have them."""
SHAPES_MAX: Final = 50_000
"""Combinations of attributes that are remembered."""

_SETTLED: Final = b'{"kind":"settle"'
"""How the line of a settlement begins; holds and grants are passed over unread."""
_ADJUSTED: Final = b'{"kind":"adjust"'
_FIELDS: Final = tuple(name for name in SAID if name in Settlement.__struct_fields__)

Traits = Mapping[str, Mapping[str, Mapping[str, Attribute]]]
"""By attribute and its value, further attributes: `{"provider": {"east": {"host": "azure"}}}`."""


class _Shapes:
    """Reads attributes off entries, each combination once."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits
        self._made: dict[tuple[object, ...], Attributes] = {}

    def of(self, entry: Settlement) -> Attributes:
        """Give an entry's attributes."""
        said = tuple([getattr(entry, name) for name in _FIELDS]) if _FIELDS else ()
        key = (entry.model, entry.target, entry.key, entry.status, entry.estimated, said)
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= SHAPES_MAX:
                self._made.clear()
            found = self._made[key] = self._make(entry, said)
        return found

    def _make(self, entry: Settlement, said: tuple[object, ...]) -> Attributes:
        values: dict[str, Attribute] = {
            "kind": KIND,
            "model": entry.model,
            "key": entry.key,
            "status": str(entry.status),
            "estimated": entry.estimated,
        }
        if entry.target:
            values["target"] = entry.target
            values["provider"] = entry.target.partition("/")[0]
        values |= {name: str(value) for name, value in zip(_FIELDS, said, strict=True) if value}
        for name, by_value in self._traits.items():
            values |= by_value.get(str(values.get(name)), {})
        return attributes(**values)


def measured(journal: Iterable[Row], traits: Traits | None = None) -> Iterator[Measured]:
    """Give the settled requests of a journal, one by one."""
    shapes = _Shapes(traits or {})
    for row in journal:
        if row.line.startswith(_SETTLED):
            entry = decode(row.line)
            if isinstance(entry, Settlement):
                yield _measured(entry, row, shapes)
        elif row.line.startswith(_ADJUSTED):
            entry = decode(row.line)
            if isinstance(entry, Adjustment):
                yield _adjusted(entry, row, traits or {})


def _adjusted(entry: Adjustment, row: Row, traits: Traits) -> Measured:
    return Measured(
        id=entry.idempotency_key,
        at_ns=entry.until_ns - 1,
        known_ns=entry.at_ns,
        attributes=attributes(
            kind=ADJUSTED,
            provider=entry.provider,
            **traits.get("provider", {}).get(entry.provider, {}),
        ),
        nano=entry.nano,
        asset=entry.asset,
        numbers={},
        entry=row.hash.hex(),
        seq=row.seq,
    )


def _measured(entry: Settlement, row: Row, shapes: _Shapes) -> Measured:
    used = entry.usage
    into, out = used.input_total, used.output_total
    numbers = {
        "requests": 1,
        "tokens": into + out,
        "input_total": into,
        "output_total": out,
        "input": used.input,
        "cache_read": used.cache_read,
        "cache_write": used.cache_write,
        "cache_write_1h": used.cache_write_1h,
        "audio_input": used.audio_input,
        "output": used.output,
        "reasoning": used.reasoning,
        "audio_output": used.audio_output,
        "owed_nano": entry.owed[0] or 0,
    }
    return Measured(
        id=entry.id,
        at_ns=entry.at_ns,
        known_ns=entry.at_ns,
        attributes=shapes.of(entry),
        nano=entry.cost_nano,
        asset=entry.asset,
        numbers=numbers,
        entry=row.hash.hex(),
        seq=row.seq,
    )


def traffic_log(
    database: Place, facts: Iterable[AnyFact] = (), traits: Traits | None = None
) -> Log:
    """Make the log of a ledger's requests and of other facts.

    The requests are read from the ledger whenever they are asked for and never held; the
    journal's own rule is that a request is settled once. The other facts are held.
    """
    others = Log.of(facts)
    terms: tuple[Term, ...] = others.terms
    return Log(
        terms,
        lambda: chain(measured(rows(database), traits), others.measured()),
        others.problems,
    )
