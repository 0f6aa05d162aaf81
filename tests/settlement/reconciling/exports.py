"""Exports and entries in the words of the tests."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, Hold, Settlement, hold, settlement
from entente.metering.prices import Price, compile_price
from entente.settlement.reconciling.booked import Booked
from entente.settlement.reconciling.comparing import compare
from entente.settlement.reconciling.formats import read
from entente.settlement.reconciling.model import Line, Report
from entente.settlement.reconciling.source import Source
from entente.settlement.reconciling.theirs import Question

DAY_S: Final = 86_400
START_S: Final = 1_785_024_000
"""2026-07-26T00:00:00Z."""
NS: Final = 1_000_000_000
M: Final = 1_000_000


def price(**rates: str) -> Price:
    """Make a price in dollars per million tokens."""
    return compile_price("USD", {name: Fraction(rate) for name, rate in rates.items()}, M)


OLD: Final = price(input="5", cache_read="0.50", cache_write="6.25", output="30")
NEW: Final = price(input="4", cache_read="0.40", cache_write="5.00", output="24")
BOOKS: Final = {"old": OLD, "new": NEW}


def settled(
    number: int,
    usage: Usage,
    *,
    at_s: int = START_S + 3600,
    version: str = "old",
    model: str = "big",
    target: str = "main/big-1",
    upstream_id: str | None = None,
    asset: str = "USD",
) -> tuple[Hold, Settlement]:
    """Make a request that was priced at a version of the book."""
    opened = hold(
        id=f"req_{number}",
        at_ns=at_s * NS,
        key="key_a",
        asset=asset,
        model=model,
        nano=0,
        bounded=False,
        input_tokens=0,
        output_tokens=0,
        prices=version,
    )
    closed = settlement(
        opened,
        at_ns=at_s * NS,
        status=Status.COMPLETE,
        usage=usage,
        cost_nano=BOOKS[version].cost(usage) if version in BOOKS else None,
        provider=target.partition("/")[0],
        target=target,
        upstream_id=f"up_{number}" if upstream_id is None else upstream_id,
    )
    return opened, closed


def source(text: str | bytes, name: str = "export") -> Source:
    """Open a text as a file."""
    data = text.encode() if isinstance(text, str) else text
    return Source(name, io.BufferedReader(io.BytesIO(data)))


def lines(text: str | bytes, form: str | None = None) -> list[Line]:
    """Read an export."""
    return list(read(source(text), form))


def bucket(*results: dict[str, Any], day: int = 0, days: int = 1) -> dict[str, Any]:
    """Make a bucket of OpenAI's."""
    since = START_S + day * DAY_S
    return {
        "object": "bucket",
        "start_time": since,
        "end_time": since + days * DAY_S,
        "results": list(results),
    }


def pages(*buckets: dict[str, Any]) -> str:
    """Make a page of OpenAI's on one line."""
    return json.dumps({"object": "page", "data": list(buckets), "has_more": False}) + "\n"


def used(
    requests: int,
    into: int,
    cached: int = 0,
    out: int = 0,
    *,
    model: str = "big-1",
    written: int = 0,
) -> dict[str, Any]:
    """Make a result of OpenAI's usage."""
    return {
        "object": "organization.usage.completions.result",
        "num_model_requests": requests,
        "input_tokens": into,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": written,
        "output_tokens": out,
        "model": model,
    }


def cost(amount: str | float, *, item: str | None = "big-1") -> dict[str, Any]:
    """Make a result of OpenAI's costs."""
    return {
        "object": "organization.costs.result",
        "amount": {"value": amount, "currency": "usd"},
        "line_item": item,
    }


def compared(
    text: Iterable[Line] | str,
    entries: Iterable[tuple[AnyEntry, ...]],
    question: Question | None = None,
    *,
    books: Booked | None = None,
) -> Report:
    """Compare an export with requests."""

    def flat() -> Iterator[AnyEntry]:
        for each in entries:
            yield from each

    return compare(
        question or Question(provider="main"),
        lines(text) if isinstance(text, str) else text,
        flat(),
        price_of=books.owed_of if books else lambda each: (each.prices, BOOKS.get(each.prices)),
        versions_of=books.versions_of if books else lambda _, name: BOOKS if name == "big" else {},
    )
