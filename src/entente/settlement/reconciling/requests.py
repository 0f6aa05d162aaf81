"""Exports with one line a request: JSON with one object a line, or CSV.

`request_id` (or `id`) is the id under which the provider answered, which the ledger keeps;
`time`; `model`; tokens either in classes that do not overlap (`input`, `cache_read`,
`cache_write`, `output`, …: as `entente ledger export` writes them, for a provider that runs
Entente) or in totals (`input_tokens` with the cached ones in it, `cached_tokens`,
`cache_write_tokens`, `output_tokens`); `cost` in whole units; `currency`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

import msgspec

from entente.settlement.reconciling.model import CLASSES, Line, Tokens
from entente.settlement.reconciling.source import Row, Source, clean, exact, mark, nano

NAME: Final = "requests"
_Object: TypeAlias = dict[str, msgspec.Raw]
_OBJECTS: Final[msgspec.json.Decoder[_Object | list[_Object]]] = msgspec.json.Decoder(
    dict[str, msgspec.Raw] | list[dict[str, msgspec.Raw]]
)
_IDS: Final = ("request_id", "id")
_TIMES: Final = ("time", "timestamp", "created_at", "created")


def recognises(source: Source) -> bool:
    """Say whether a file is one of these."""
    if source.is_json:
        return b'"id"' in source.start or b'"request_id"' in source.start
    columns = source.columns()
    return any(name in columns for name in _IDS) and any(name in columns for name in _TIMES)


def read(source: Source) -> Iterator[Line]:
    """Give one line a request. Raises InvalidParameter with line and column."""
    if not source.is_json:
        for row in source.rows():
            yield _line(row)
        return
    for number, objects in source.documents(_OBJECTS):
        for said in objects if isinstance(objects, list) else [objects]:
            try:
                fields = {name: _text(bytes(each)) for name, each in said.items()}
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                source.wrong(f"{error}", number)
            yield _line(Row(source, number, fields, mark(sorted(fields.items()))))


def _text(member: bytes) -> str:
    """Give a member as a field of CSV has it: a number as it is written, digit by digit."""
    if member.startswith(b'"'):
        return msgspec.json.decode(member, type=str)
    return "" if member == b"null" else member.decode()


def _line(row: Row) -> Line:
    at_ns = row.instant(*_TIMES)
    target = row.text("target", default="")
    groups = (("project", row.text("project", default="")), ("key", row.text("key", default="")))
    cost = row.text("cost", default="")
    try:
        amount = nano(exact(Decimal(cost))) if cost else None
    except (InvalidOperation, ValueError):
        row.wrong("cost", f"{cost!r} is no number")
    return Line(
        place=row.place,
        since_ns=at_ns,
        until_ns=at_ns + 1,
        model=row.text("model", default=target.partition("/")[2]),
        request=row.text(*_IDS),
        requests=1,
        tokens=_tokens(row),
        cost=amount,
        asset=row.text("currency", default="USD").upper() if cost else "",
        groups=tuple(each for each in groups if each[1]),
        mark=row.mark,
    )


def _tokens(row: Row) -> Tokens | None:
    """Read the counts in the one or the other form; None where there are none."""
    if "input" in row.fields or "output" in row.fields:
        tokens = {name: row.count(name) for name in CLASSES if row.fields.get(name)}
        tokens["output"] = tokens.get("output", 0) + row.count("reasoning")
        return clean(tokens)
    if "input_tokens" not in row.fields and "output_tokens" not in row.fields:
        return None
    read_, written = row.count("cached_tokens"), row.count("cache_write_tokens")
    rest = row.count("input_tokens") - read_ - written
    if rest < 0:
        row.wrong("input_tokens", "it is less than what of it was cached")
    return clean(
        {
            "input": rest,
            "cache_read": read_,
            "cache_write": written,
            "output": row.count("output_tokens"),
        }
    )
