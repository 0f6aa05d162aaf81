"""OpenAI's usage and costs: pages of `/organization/usage/*` and `/organization/costs`, and CSV.

The dashboard's CSV files have the same words as columns, one row a result, and a row with
nothing but times for a bucket in which nothing happened. `input_tokens` contains cached
tokens and those written to the cache, and those of sound and pictures, too.
https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from entente.settlement.reconciling.model import Line, Tokens
from entente.settlement.reconciling.source import (
    NS_PER_S,
    Count,
    Row,
    Seconds,
    Source,
    clean,
    exact,
    mark,
    nano,
)

NAME: Final = "openai"
_COSTS: Final = frozenset({"start_time", "end_time", "amount_value"})
_COST: Final = "organization.costs.result"
_USAGE: Final = frozenset({"start_time", "end_time", "num_model_requests"})
_ITEMS: Final = {
    "input": "input",
    "cached input": "cache_read",
    "cache write": "cache_write",
    "cached write input": "cache_write",
    "audio input": "audio_input",
    "image input": "image_input",
    "output": "output",
    "audio output": "audio_output",
    "image output": "image_output",
}
"""What stands behind the model in the name of a line item, and the class that it is about."""
_UNITS: Final = {"tokens": 1, "1000_tokens": 1000}
_MS_PER_S: Final = 1000


class _Amount(msgspec.Struct):
    value: Decimal
    currency: str


class _Result(msgspec.Struct):
    object: str = ""
    amount: _Amount | None = None
    line_item: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    user_id: str | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None
    num_model_requests: Count | None = None
    input_tokens: Count | None = None
    input_cached_tokens: Count | None = None
    input_cache_write_tokens: Count | None = None
    input_text_tokens: Count | None = None
    input_audio_tokens: Count | None = None
    input_image_tokens: Count | None = None
    output_tokens: Count | None = None
    output_text_tokens: Count | None = None
    output_audio_tokens: Count | None = None
    output_image_tokens: Count | None = None
    images: Count | None = None
    seconds: Count | None = None
    characters: Count | None = None


_COUNTS: Final = tuple(
    name
    for name in _Result.__struct_fields__
    if name.endswith(("_tokens", "_requests")) or name in ("images", "seconds", "characters")
)


class _Bucket(msgspec.Struct):
    start_time: Seconds
    end_time: Seconds
    results: list[_Result]


class _Page(msgspec.Struct):
    data: list[_Bucket]


_PAGES: Final[msgspec.json.Decoder[_Page | list[_Page]]] = msgspec.json.Decoder(_Page | list[_Page])


def recognises(source: Source) -> bool:
    """Say whether a file is one of these."""
    if source.is_json:
        return b"organization." in source.start or b'"start_time"' in source.start
    columns = source.columns()
    return columns >= _COSTS or columns >= _USAGE


def read(source: Source) -> Iterator[Line]:
    """Give the lines of an export. Raises InvalidParameter with the place."""
    if not source.is_json:
        for row in source.rows():
            yield _of_row(row)
        return
    for number, pages in source.documents(_PAGES):
        for page in pages if isinstance(pages, list) else [pages]:
            for at, bucket in enumerate(page.data):
                place = f"{source.name}:{number}: data[{at}]"
                if not bucket.results:
                    yield _empty(place, bucket)
                for result in bucket.results:
                    _check(source, place, result)
                    yield _line(place, bucket, result, mark(bucket.start_time, result))


def _check(source: Source, place: str, result: _Result) -> None:
    """Refuse numbers that are out of all bounds."""
    amount = None if result.amount is None else result.amount.value
    for number in (amount, result.quantity):
        if number is not None:
            source.amount(number, place.removeprefix(f"{source.name}:"))


def _of_row(row: Row) -> Line:
    """Read a row as the result that it stands for."""
    bucket = _Bucket(row.instant("start_time") // NS_PER_S, row.instant("end_time") // NS_PER_S, [])
    result = _Result(
        line_item=row.text("line_item", default="") or None,
        project_id=row.text("project_id", default="") or None,
        api_key_id=row.text("api_key_id", default="") or None,
        model=row.text("model", default="") or None,
    )
    if row.fields.get("amount_value"):
        row.decimal("amount_value")
        value = Decimal(row.text("amount_value"))
        result.amount = _Amount(value, row.text("amount_currency"))
        if row.fields.get("quantity"):
            row.decimal("quantity")
            result.quantity = Decimal(row.text("quantity"))
            result.quantity_unit = row.text("quantity_unit", default="tokens")
    elif not any(row.fields.get(name) for name in _COUNTS):
        return _empty(row.place, bucket)
    counts = {name: row.count(name) for name in _COUNTS if row.fields.get(name)}
    return _line(row.place, bucket, msgspec.structs.replace(result, **counts), row.mark)


def _empty(place: str, bucket: _Bucket) -> Line:
    """Give a time of which nothing is said."""
    since, until = bucket.start_time * NS_PER_S, bucket.end_time * NS_PER_S
    return Line(place=place, since_ns=since, until_ns=until)


def _line(place: str, bucket: _Bucket, result: _Result, mark_: bytes) -> Line:
    if result.amount is None and result.object == _COST:
        return _empty(place, bucket)  # nobody knows what it cost
    groups = (("project", result.project_id), ("key", result.api_key_id))
    line = Line(
        place=place,
        since_ns=bucket.start_time * NS_PER_S,
        until_ns=bucket.end_time * NS_PER_S,
        groups=tuple((name, said) for name, said in groups if said),
        mark=mark_,
    )
    if result.amount is None:
        return msgspec.structs.replace(
            line,
            model=result.model or "",
            requests=result.num_model_requests,
            tokens=_tokens(result),
        )
    model, about = _item(result.line_item or "")
    return msgspec.structs.replace(
        line,
        model=model,
        about=about,
        cost=nano(exact(result.amount.value)),
        asset=result.amount.currency.upper(),
        tokens=_quantity(result, about),
    )


def _item(name: str) -> tuple[str, str]:
    """Take a line item apart: the model, and the class that is charged.

    What is no model and a class, a search tool perhaps, goes by its whole name.
    """
    model, _, what = name.rpartition(", ")
    about = _ITEMS.get(what.strip().lower(), "")
    return (model, about) if about else (name, "")


def _quantity(result: _Result, about: str) -> Tokens | None:
    """Give the tokens that a cost is for, where it says so."""
    factor = _UNITS.get(result.quantity_unit or "")
    if result.quantity is None or factor is None or not about:
        return None
    count = exact(result.quantity) * factor
    return {about: count.numerator} if count.denominator == 1 else None


def _tokens(result: _Result) -> Tokens:
    """Take the counts apart, so that no token is in two classes."""
    cached, written = result.input_cached_tokens or 0, result.input_cache_write_tokens or 0
    other_in = (result.input_audio_tokens or 0) + (result.input_image_tokens or 0)
    other_out = (result.output_audio_tokens or 0) + (result.output_image_tokens or 0)
    rest = (result.input_tokens or 0) - cached - written - other_in
    if rest < 0:  # older exports count text alone as input_tokens
        rest += other_in
    out = (result.output_tokens or 0) - other_out
    if out < 0:
        out += other_out
    return clean(
        {
            "input": rest if result.input_text_tokens is None else result.input_text_tokens,
            "cache_read": cached,
            "cache_write": written,
            "audio_input": result.input_audio_tokens or 0,
            "image_input": result.input_image_tokens or 0,
            "output": out if result.output_text_tokens is None else result.output_text_tokens,
            "audio_output": result.output_audio_tokens or 0,
            "image_output": result.output_image_tokens or 0,
            "images": result.images or 0,
            "audio_ms": (result.seconds or 0) * _MS_PER_S,
            "characters": result.characters or 0,
        }
    )
