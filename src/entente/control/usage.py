"""Usage and costs in buckets of time, as the organisation's API of OpenAI asks for them.

A bucket is a whole minute, hour or day of UTC; one in which nothing was is there, and empty.
What is not told apart stays null. Costs are told by currency, exactly: a number in JSON has
as many digits as it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from entente.domain.chat import Surface
from entente.domain.errors import InvalidParameter
from entente.domain.money import format_nano
from entente.ledger.rollups.fold import kept_since_s
from entente.ledger.rollups.table import Filters, Line, Rollups
from entente.ledger.rollups.tally import DAY_S, HOUR_S, MINUTE_S, Sums

MS_PER_S: Final = 1_000
WIDTHS: Final = {"1m": MINUTE_S, "1h": HOUR_S, "1d": DAY_S}
PAGES: Final = {MINUTE_S: (60, 1440), HOUR_S: (24, 168), DAY_S: (7, 31)}
"""How many buckets a page of usage has, and how many it has at most."""
COST_PAGE: Final = (7, 180)
COSTS: Final = "costs"

SOURCES: Final = {
    "image.generation": Surface.IMAGE_GENERATIONS.value,
    "image.edit": Surface.IMAGE_EDITS.value,
    "image.variation": Surface.IMAGE_VARIATIONS.value,
}
_SOURCE_OF: Final = {api: source for source, api in SOURCES.items()}
_KEYED: Final = {
    "project_id": "project",
    "user_id": "owner",
    "api_key_id": "key_id",
    "model": "model",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of usage: which requests it is of, and how a sum of them is told."""

    object: str
    apis: tuple[Surface, ...] = ()
    """None are those of which nothing happens here: their buckets stay empty."""
    columns: Mapping[str, str]
    """What it can be grouped by, and the column that says it."""
    told: Callable[[Sums], Mapping[str, Any]] = lambda _: {}


def _completions(sums: Sums) -> Mapping[str, Any]:
    usage = sums.usage
    return {
        "input_tokens": usage.input_total,
        "input_cached_tokens": usage.cache_read,
        "input_cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        "input_uncached_tokens": usage.input + usage.audio_input + usage.image_input,
        "output_tokens": usage.output_total,
        "input_text_tokens": usage.input,
        "output_text_tokens": usage.output + usage.reasoning,
        "input_audio_tokens": usage.audio_input,
        "output_audio_tokens": usage.audio_output,
        "input_image_tokens": usage.image_input,
        "output_image_tokens": usage.image_output,
        "num_model_requests": sums.requests,
    }


def _of_input(sums: Sums) -> Mapping[str, Any]:
    return {"input_tokens": sums.usage.input_total, "num_model_requests": sums.requests}


def _images(sums: Sums) -> Mapping[str, Any]:
    return {"images": sums.images, "num_model_requests": sums.requests}


def _spoken(sums: Sums) -> Mapping[str, Any]:
    return {"characters": sums.characters, "num_model_requests": sums.requests}


def _heard(sums: Sums) -> Mapping[str, Any]:
    seconds = -(-sums.audio_ms // MS_PER_S)
    return {"seconds": seconds, "num_model_requests": sums.requests}


REPORTS: Final[Mapping[str, Report]] = {
    "completions": Report(
        object="completions",
        apis=(
            Surface.CHAT,
            Surface.MESSAGES,
            Surface.RESPONSES,
            Surface.COMPACTION,
            Surface.COMPLETIONS,
            Surface.REALTIME,
        ),
        columns={**_KEYED, "batch": "batch", "service_tier": "tier"},
        told=_completions,
    ),
    "embeddings": Report(
        object="embeddings", apis=(Surface.EMBEDDINGS,), columns=_KEYED, told=_of_input
    ),
    "moderations": Report(
        object="moderations", apis=(Surface.MODERATIONS,), columns=_KEYED, told=_of_input
    ),
    "images": Report(
        object="images",
        apis=(Surface.IMAGE_GENERATIONS, Surface.IMAGE_EDITS, Surface.IMAGE_VARIATIONS),
        columns={**_KEYED, "size": "size", "source": "api"},
        told=_images,
    ),
    "audio_speeches": Report(
        object="audio_speeches", apis=(Surface.SPEECH,), columns=_KEYED, told=_spoken
    ),
    "audio_transcriptions": Report(
        object="audio_transcriptions",
        apis=(Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS),
        columns=_KEYED,
        told=_heard,
    ),
    "vector_stores": Report(object="vector_stores", columns={"project_id": "project"}),
    "code_interpreter_sessions": Report(
        object="code_interpreter_sessions", columns={"project_id": "project"}
    ),
    "file_search_calls": Report(
        object="file_searches", columns={**_KEYED, "vector_store_id": "model"}
    ),
    "web_search_calls": Report(object="web_searches", columns={**_KEYED, "context_level": "model"}),
    COSTS: Report(
        object=COSTS,
        columns={"project_id": "project", "line_item": "model", "api_key_id": "key_id"},
    ),
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: whole buckets from `start_s` to before `end_s`."""

    report: str
    width_s: int
    start_s: int
    end_s: int
    buckets_max: int
    by: tuple[str, ...] = ()
    """In the words of the report."""
    where: Mapping[str, tuple[str | int, ...]] = {}
    """By column."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Buckets, and where the next page begins."""

    data: list[dict[str, Any]]
    next_s: int | None
    unpriced: int = 0
    """Requests of it that nobody knows the cost of."""


def page_of(rollups: Rollups, asked: Asked, now_s: int) -> Page:
    """Make a page. Raises InvalidParameter for minutes of which there are no sums any more."""
    width_s = asked.width_s
    if width_s == MINUTE_S and asked.start_s < kept_since_s(now_s):
        message = (
            f"Sums by the minute are kept from {kept_since_s(now_s)} on. "
            "Ask for later ones, or for bucket_width=1h."
        )
        raise InvalidParameter(message, param="start_time", code="invalid_value")
    first_s = asked.start_s - asked.start_s % width_s
    count = max(0, min(asked.buckets_max, -((first_s - asked.end_s) // width_s)))
    until_s = first_s + count * width_s
    results: dict[int, list[dict[str, Any]]] = {}
    unpriced = 0
    for line in _lines(rollups, asked, first_s, until_s):
        unpriced += line.sums.unpriced
        found = results.setdefault(line.start_s, [])
        found.append(_result(asked, line))
    starts = range(first_s, until_s, width_s)
    return Page(
        data=[
            {
                "object": "bucket",
                "start_time": start_s,
                "end_time": start_s + width_s,
                "results": results.get(start_s, []),
            }
            for start_s in starts
        ],
        next_s=until_s if until_s < asked.end_s else None,
        unpriced=unpriced,
    )


def _lines(rollups: Rollups, asked: Asked, since_s: int, until_s: int) -> Iterator[Line]:
    """Ask for the sums."""
    report = REPORTS[asked.report]
    where: dict[str, Sequence[str | int]] = dict(asked.where)
    if asked.report != COSTS:
        if not report.apis:
            return iter(())
        where.setdefault("api", [api.value for api in report.apis])
    columns = [report.columns[name] for name in asked.by]
    if asked.report == COSTS:
        columns.append("asset")
    filters: Filters = where
    return rollups.sums(asked.width_s, since_s, until_s, columns, filters)


def _result(asked: Asked, line: Line) -> dict[str, Any]:
    """Tell one sum."""
    report = REPORTS[asked.report]
    is_cost = asked.report == COSTS
    group = dict(zip(asked.by, line.group, strict=not is_cost))
    said: dict[str, Any] = {name: _said(name, group.get(name)) for name in report.columns}
    if not is_cost:
        name = f"organization.usage.{report.object}.result"
        return {"object": name, **report.told(line.sums), **said}
    amount = {
        "value": msgspec.Raw(format_nano(line.sums.nano).encode()),
        "currency": str(line.group[-1]).lower(),
    }
    is_known = not line.sums.requests or line.sums.unpriced < line.sums.requests
    quantity, unit = _quantity(line.sums) if "line_item" in asked.by else (None, None)
    return {
        "object": "organization.costs.result",
        **({"amount": amount} if is_known else {}),
        **said,
        "quantity": quantity,
        "quantity_unit": unit,
    }


def _said(name: str, value: str | int | None) -> str | bool | None:
    """Write a value of a group; what is not known is null."""
    if value in (None, ""):
        return None
    if name == "batch":
        return bool(value)
    if name == "source":
        return _SOURCE_OF.get(str(value))
    return str(value)


def _quantity(sums: Sums) -> tuple[int | msgspec.Raw | None, str | None]:
    """Say how much of one unit there was; of several there is no one number."""
    counts: list[tuple[int | msgspec.Raw, str]] = []
    if sums.usage.total:
        counts.append((sums.usage.total, "tokens"))
    if sums.images:
        counts.append((sums.images, "images"))
    if sums.characters:
        counts.append((sums.characters, "characters"))
    if sums.audio_ms:
        whole, rest = divmod(sums.audio_ms, MS_PER_S)
        counts.append((msgspec.Raw(f"{whole}.{rest:03d}".encode()), "duration_seconds"))
    return counts[0] if len(counts) == 1 else (None, None)
