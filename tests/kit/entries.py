"""Entries in the words of the tests: grant, hold and settle some nano-units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.journal import GENESIS, Row, chain, encode
from entente.ledger.model import (
    Adjustment,
    AnyEntry,
    Grant,
    Hold,
    Settlement,
    adjustment,
    grant,
    hold,
    settlement,
)

AT_NS: Final = 1_700_000_000_000_000_000
KEY: Final = "key_a"
USD: Final = "USD"


def now_ns() -> int:
    """Stand still: no test of the ledger depends on the time."""
    return AT_NS


def granted(id: str, nano: int, key: str = KEY, asset: str = USD, note: str = "") -> Grant:
    """Make a grant."""
    return grant(id=id, at_ns=AT_NS, key=key, asset=asset, nano=nano, actor="test", note=note)


def adjusted(id: str, nano: int, provider: str = "p", note: str = "") -> Adjustment:
    """Make what a provider's invoice has more or less."""
    return adjustment(
        id=id,
        at_ns=AT_NS,
        provider=provider,
        asset=USD,
        nano=nano,
        since_ns=AT_NS - 10,
        until_ns=AT_NS,
        parts={"cache": nano + 3, "rounding": -3},
        reference="f" * 64,
        actor="test",
        note=note,
    )


def held(id: str, nano: int, key: str = KEY, *, bounded: bool = True, asset: str = USD) -> Hold:
    """Make a hold of a model called `m`."""
    return hold(
        id=id,
        at_ns=AT_NS,
        key=key,
        asset=asset,
        model="m",
        nano=nano,
        bounded=bounded,
        input_tokens=3,
        output_tokens=4,
        prices="book",
    )


def settled(opened: Hold, cost: int | None = 0, *, upstream_id: str = "") -> Settlement:
    """Make the settlement of a hold."""
    return settlement(
        opened,
        at_ns=AT_NS,
        status=Status.COMPLETE,
        usage=Usage(input=1, output=2),
        cost_nano=cost,
        provider="p",
        upstream_id=upstream_id,
    )


def rows_of(entries: Iterable[AnyEntry]) -> list[Row]:
    """Write entries as a journal would."""
    rows: list[Row] = []
    for entry in entries:
        line = encode(entry)
        previous = rows[-1].hash if rows else GENESIS
        rows.append(Row(len(rows) + 1, entry.idempotency_key, line, chain(previous, line)))
    return rows


AMOUNTS: Final = st.integers(0, 10**22)
"""Nano-units up to ten times 10^12 dollars."""


@st.composite
def journals(draw: st.DrawFn, *, least: int = 1) -> list[AnyEntry]:
    """Draw entries that a ledger could have written: covered holds, each settled at most once."""
    entries: list[AnyEntry] = []
    left: dict[str, int] = {}
    open_holds: list[Hold] = []
    for number in range(draw(st.integers(least, 12))):
        key = draw(st.sampled_from(["key_a", "key_b"]))
        match draw(st.sampled_from(["grant", "hold", "settle", "adjust"])):
            case "adjust":
                nano = draw(st.integers(-(10**22), 10**22).filter(bool))
                entries.append(adjusted(f"a{number}", nano))
            case "settle" if open_holds:
                opened = open_holds.pop(draw(st.integers(0, len(open_holds) - 1)))
                cost = draw(st.none() | st.integers(0, opened.nano))
                entries.append(settled(opened, cost))
                left[opened.key] += opened.nano - (cost or 0)
            case "hold" if left.get(key, 0) > 0:
                opened = held(f"r{number}", draw(st.integers(0, left[key])), key)
                open_holds.append(opened)
                left[key] -= opened.nano
                entries.append(opened)
            case _:
                nano = draw(AMOUNTS.filter(bool))
                left[key] = left.get(key, 0) + nano
                entries.append(granted(f"g{number}", nano, key))
    return entries
