"""The routes of usage and costs, as OpenAI's organisation API has them; for admins only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from entente.control.usage import (
    COST_PAGE,
    COSTS,
    PAGES,
    REPORTS,
    SOURCES,
    WIDTHS,
    Asked,
    page_of,
)
from entente.domain.errors import InvalidParameter
from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.handler import JSON, Handler
from entente.http.queries import NUMBER_MAX, TRUTHS, Fields, number, read_query, text
from entente.http.routes import Match
from entente.ledger.rollups.table import Rollups
from entente.ledger.rollups.tally import DAY_S
from entente.wire.openai_responses import faults

TIME_S_MAX: Final = 253_402_300_800
"""The end of the year 9999."""
UNPRICED: Final = b"entente-unpriced-requests"
"""The header that says of how many requests nobody knows the cost."""

_LISTS: Final = {
    "project_ids": "project",
    "user_ids": "owner",
    "api_key_ids": "key_id",
    "models": "model",
    "sizes": "size",
}
"""Parameters that are lists of values of a column."""
_FILTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "completions": ("project_ids", "user_ids", "api_key_ids", "models", "batch"),
    "images": ("project_ids", "user_ids", "api_key_ids", "models", "sizes", "sources"),
    "vector_stores": ("project_ids",),
    "code_interpreter_sessions": ("project_ids",),
    "file_search_calls": ("project_ids", "user_ids", "api_key_ids", "vector_store_ids"),
    "web_search_calls": ("project_ids", "user_ids", "api_key_ids", "models", "context_levels"),
    COSTS: ("project_ids", "api_key_ids"),
}
_USUAL_FILTERS: Final = ("project_ids", "user_ids", "api_key_ids", "models")
_COMMON: Final = ("start_time", "end_time", "bucket_width", "group_by", "limit", "page")
_CURSOR: Final = "page_"

T = TypeVar("T")


class Asks(Protocol):
    """Answers questions about rollups that have all that is settled."""

    def ask(self, question: Callable[[Rollups], T]) -> Awaitable[T]:
        """Put a question."""


class Usage:
    """Serves usage and costs."""

    def __init__(self, folder: Asks, now_s: Callable[[], int]) -> None:
        """Take what knows the sums."""
        self._folder = folder
        self._now_s = now_s

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {action_of(report): self._handler(report) for report in REPORTS}

    def _handler(self, report: str) -> Handler:
        """Make the handler of one report."""

        async def handle(exchange: Exchange, _: Principal | None, __: Match) -> None:
            now_s = self._now_s()
            asked = read(report, exchange.query, now_s)
            page = await self._folder.ask(lambda rollups: page_of(rollups, asked, now_s))
            cursor = None if page.next_s is None else f"{_CURSOR}{page.next_s}"
            body = {
                "object": "page",
                "data": page.data,
                "has_more": cursor is not None,
                "next_page": cursor,
            }
            about = ((UNPRICED, b"%d" % page.unpriced),) if report == COSTS else ()
            await exchange.answer(200, (JSON, *about), msgspec.json.encode(body))

        return handle


def action_of(report: str) -> str:
    """Name the action of a report in the route table."""
    return "get_costs" if report == COSTS else f"get_usage_{report}"


def read(report: str, query: bytes, now_s: int) -> Asked:
    """Read what is asked for. Raises InvalidParameter, worded as OpenAI does."""
    fields = _unbracketed(read_query(query))
    filters = _FILTERS.get(report, _USUAL_FILTERS)
    for name in fields:
        if name not in (*_COMMON, *filters):
            shown = name[: faults.NAME_CHARS_MAX]
            message = f"Unknown parameter: '{shown}'."
            raise InvalidParameter(message, param=shown, code="unknown_parameter")
    widths = ("1d",) if report == COSTS else tuple(WIDTHS)
    width_s = WIDTHS[_choice(fields, "bucket_width", widths, "1d")]
    usual, most = COST_PAGE if report == COSTS else PAGES[width_s]
    if "start_time" not in fields:
        raise faults.missing("start_time")
    start_s = number(fields, "start_time", most=TIME_S_MAX, default=0)
    end_s = number(fields, "end_time", most=TIME_S_MAX, default=now_s)
    if "end_time" in fields and end_s <= start_s:
        message = "Invalid 'end_time': it has to be after 'start_time'."
        raise InvalidParameter(message, param="end_time", code="invalid_value")
    start_s = max(start_s, _cursor(fields, start_s, width_s))
    return Asked(
        report=report,
        width_s=width_s,
        start_s=start_s,
        end_s=end_s,
        buckets_max=number(fields, "limit", least=1, most=most, default=usual),
        by=_groups(report, fields),
        where=_where(fields, filters),
    )


def _unbracketed(fields: Fields) -> dict[str, list[str]]:
    """Take `models[]` for `models`, as clients write lists."""
    joined: dict[str, list[str]] = {}
    for name, values in fields.items():
        joined.setdefault(name.removesuffix("[]"), []).extend(values)
    return joined


def _choice(fields: Fields, name: str, allowed: tuple[str, ...], default: str) -> str:
    """Read a word of some."""
    value = text(fields, name) or default
    if value not in allowed:
        raise faults.wrong_value(name, value, allowed)
    return value


def _groups(report: str, fields: Fields) -> tuple[str, ...]:
    """Read what to group by; a list, or one text with commas."""
    allowed = tuple(REPORTS[report].columns)
    groups: list[str] = []
    for word in ",".join(fields.get("group_by", ())).split(","):
        if word not in ("", *allowed):
            raise faults.wrong_value("group_by", word, allowed)
        if word and word not in groups:
            groups.append(word)
    return tuple(groups)


def _where(fields: Fields, filters: tuple[str, ...]) -> dict[str, tuple[str | int, ...]]:
    """Read which values count, by column."""
    where: dict[str, tuple[str | int, ...]] = {}
    for name in filters:
        values = fields.get(name)
        if not values:
            continue
        if name in _LISTS:
            where[_LISTS[name]] = tuple(values)
        elif name == "sources":
            for value in values:
                if value not in SOURCES:
                    raise faults.wrong_value(name, value, tuple(SOURCES))
            where["api"] = tuple(SOURCES[value] for value in values)
        elif name == "batch":
            if values[-1].lower() not in TRUTHS:
                raise faults.wrong_type(name, "a boolean", "a string")
            where["batch"] = (int(TRUTHS[values[-1].lower()]),)
    return where


def _cursor(fields: Fields, start_s: int, width_s: int) -> int:
    """Read where a page begins; the first one does where it was asked to."""
    value = text(fields, "page")
    if value is None:
        return start_s
    digits = value.removeprefix(_CURSOR)
    is_ours = value.startswith(_CURSOR) and digits.isascii() and digits.isdigit()
    at_s = int(digits) if is_ours and len(digits) <= len(str(NUMBER_MAX)) else -1
    if at_s < start_s or at_s % width_s or at_s > TIME_S_MAX + DAY_S:
        message = "Invalid 'page': it is no cursor that an answer to this query gave."
        raise InvalidParameter(message, param="page", code="invalid_value")
    return at_s
