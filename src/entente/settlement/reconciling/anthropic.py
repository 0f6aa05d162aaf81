"""Anthropic's usage and cost reports: pages of the administration's API, and the console's CSV.

The API says amounts in the smallest unit of the currency, as text; the console's files in
dollars. Input tokens are those that are not cached. Requests are not counted.
https://platform.claude.com/docs/en/api/admin/cost_report
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from entente.settlement.reconciling.model import Line, Tokens
from entente.settlement.reconciling.source import Count, Row, Source, clean, mark, moment_ns, nano

NAME: Final = "anthropic"
_USAGE: Final = frozenset({"usage_date_utc", "usage_output_tokens"})
_COSTS: Final = frozenset({"usage_date_utc", "cost_usd"})
_SMALL_UNITS: Final = 100
"""Cents in a dollar."""
_ABOUT: Final = {
    "uncached_input_tokens": "input",
    "input_no_cache": "input",
    "cache_read_input_tokens": "cache_read",
    "input_cache_read": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "input_cache_write_5m": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "output_tokens": "output",
    "output": "output",
}
"""The class that a cost's type of token is about."""


class _Creation(msgspec.Struct):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class _Result(msgspec.Struct):
    amount: Decimal | None = None
    currency: str | None = None
    cost_type: str | None = None
    description: str | None = None
    token_type: str | None = None
    model: str | None = None
    workspace_id: str | None = None
    api_key_id: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    uncached_input_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation: _Creation | None = None
    output_tokens: Count = 0


class _Bucket(msgspec.Struct):
    starting_at: str
    ending_at: str
    results: list[_Result]


class _Page(msgspec.Struct):
    data: list[_Bucket]


_PAGES: Final[msgspec.json.Decoder[_Page | list[_Page]]] = msgspec.json.Decoder(_Page | list[_Page])


def recognises(source: Source) -> bool:
    """Say whether a file is one of these."""
    if source.is_json:
        return b'"starting_at"' in source.start
    columns = source.columns()
    return columns >= _USAGE or columns >= _COSTS


def read(source: Source) -> Iterator[Line]:
    """Give the lines of an export. Raises InvalidParameter with the place."""
    if not source.is_json:
        costs = "cost_usd" in source.columns()
        for row in source.rows():
            yield _cost_row(row) if costs else _usage_row(row)
        return
    for number, pages in source.documents(_PAGES):
        for page in pages if isinstance(pages, list) else [pages]:
            for at, bucket in enumerate(page.data):
                yield from _bucket(source, number, at, bucket)


def _bucket(source: Source, number: int, at: int, bucket: _Bucket) -> Iterator[Line]:
    try:
        since, until = moment_ns(bucket.starting_at), moment_ns(bucket.ending_at)
    except ValueError as error:
        source.wrong(f"data[{at}]: {error}", number)
    if not bucket.results:
        yield Line(place=f"{source.name}:{number}: data[{at}]", since_ns=since, until_ns=until)
    for result in bucket.results:
        groups = (("project", result.workspace_id), ("key", result.api_key_id))
        line = Line(
            place=f"{source.name}:{number}: data[{at}]",
            since_ns=since,
            until_ns=until,
            model=result.model or "",
            groups=tuple((name, said) for name, said in groups if said),
            mark=mark(bucket.starting_at, result),
        )
        if result.amount is None:
            yield msgspec.structs.replace(line, tokens=_tokens(result))
            continue
        other = result.cost_type not in (None, "tokens")
        yield msgspec.structs.replace(
            line,
            model=(result.description or result.cost_type or "") if other else line.model,
            cost=nano(source.amount(result.amount, f"{number}: data[{at}]")) / _SMALL_UNITS,
            asset=(result.currency or "USD").upper(),
            about=_ABOUT.get(result.token_type or "", ""),
        )


def _tokens(result: _Result) -> Tokens:
    made = result.cache_creation or _Creation()
    return clean(
        {
            "input": result.uncached_input_tokens,
            "cache_read": result.cache_read_input_tokens,
            "cache_write": made.ephemeral_5m_input_tokens,
            "cache_write_1h": made.ephemeral_1h_input_tokens,
            "output": result.output_tokens,
        }
    )


def _row(row: Row) -> Line:
    since, until = row.day("usage_date_utc")
    said = (("project", "workspace"), ("key", "api_key_id"), ("key", "api_key"))
    groups = tuple((name, row.text(column, default="")) for name, column in said)
    return Line(
        place=row.place,
        since_ns=since,
        until_ns=until,
        model=row.text("model_version", "model", default=""),
        groups=tuple(each for each in groups if each[1]),
        mark=row.mark,
    )


def _usage_row(row: Row) -> Line:
    tokens = {
        "input": row.count("usage_input_tokens_no_cache"),
        "cache_read": row.count("usage_input_tokens_cache_read"),
        "cache_write": row.count("usage_input_tokens_cache_write_5m"),
        "cache_write_1h": row.count("usage_input_tokens_cache_write_1h"),
        "output": row.count("usage_output_tokens"),
    }
    return msgspec.structs.replace(_row(row), tokens=clean(tokens))


def _cost_row(row: Row) -> Line:
    line, kind = _row(row), row.text("cost_type", default="token")
    about = _ABOUT.get(row.text("token_type", default=""), "")
    return msgspec.structs.replace(
        line,
        model=line.model if kind.startswith("token") else kind,
        cost=nano(row.decimal("cost_usd")),
        asset="USD",
        about=about,
    )
