"""What the ledger tells people: one line a request, and sums of usage by key, model, target or day.

Sums keep currencies apart and say how many requests had no price: unknown is not zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from entente.domain.errors import InvalidParameter
from entente.domain.money import format_nano
from entente.domain.usage import MEASURES, TOKEN_CLASSES
from entente.ledger.model import Settlement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from entente.ledger.model import AnyEntry

GROUPS: Final = ("key", "model", "target", "day")
NO_TARGET: Final = "-"
"""Where no provider was reached."""
_NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1000


class RequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """A settled request as `ledger export` writes it. Cost is an exact decimal, in text."""

    id: str
    time: str
    key: str
    model: str
    target: str
    status: str
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    image_input: int
    output: int
    reasoning: int
    audio_output: int
    image_output: int
    audio_ms: int
    characters: int
    images: int
    cost: str | None
    currency: str
    prices: str
    estimated: bool
    recovered: bool


class UsageLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Sums over the requests of one group. `costs` are nano-units by currency."""

    group: dict[str, str]
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    costs: dict[str, int] = msgspec.field(default_factory=dict)
    estimated: int = 0
    unpriced: int = 0


def utc(at_ns: int) -> str:
    """Write a moment as `2026-11-21T19:26:37.123456Z`."""
    seconds, rest_ns = divmod(at_ns, _NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // _NS_PER_US:06d}Z"


def settlements(entries: Iterable[AnyEntry]) -> Iterator[Settlement]:
    """Keep the settled requests."""
    return (entry for entry in entries if isinstance(entry, Settlement))


def request_line(entry: Settlement) -> RequestLine:
    """Write one settled request."""
    return RequestLine(
        id=entry.id,
        time=utc(entry.at_ns),
        key=entry.key,
        model=entry.model,
        target=entry.target,
        status=str(entry.status),
        **{name: getattr(entry.usage, name) for name in (*TOKEN_CLASSES, *MEASURES)},
        cost=None if entry.cost_nano is None else format_nano(entry.cost_nano),
        currency=entry.asset,
        prices=entry.prices,
        estimated=entry.estimated,
        recovered=entry.recovered,
    )


def parse_groups(text: str) -> tuple[str, ...]:
    """Read `key,model,target,day`. Raises InvalidParameter for other words."""
    groups = tuple(word.strip() for word in text.split(",") if word.strip())
    if not groups or not set(groups) <= set(GROUPS) or len(set(groups)) != len(groups):
        message = f"--group-by takes a list of {', '.join(GROUPS)}, such as key,model."
        raise InvalidParameter(message, param="group_by", code=None)
    return groups


def usage(
    entries: Iterable[Settlement], groups: Sequence[str], names: Mapping[str, str]
) -> list[UsageLine]:
    """Sum requests by `groups`, in the order of the groups' values.

    `names` are the names of keys by id; a key without one goes by its id.
    """
    lines: dict[tuple[str, ...], UsageLine] = {}
    for entry in entries:
        values = {
            "key": names.get(entry.key, entry.key),
            "model": entry.model,
            "target": entry.target or NO_TARGET,
            "day": utc(entry.at_ns)[:10],
        }
        group = tuple(values[name] for name in groups)
        line = lines.get(group)
        if line is None:
            line = lines[group] = UsageLine(group=dict(zip(groups, group, strict=True)))
        _add(line, entry)
    return [lines[group] for group in sorted(lines)]


def _add(line: UsageLine, entry: Settlement) -> None:
    line.requests += 1
    line.input_tokens += entry.usage.input_total
    line.output_tokens += entry.usage.output_total
    line.estimated += entry.estimated
    if entry.cost_nano is None:
        line.unpriced += 1
    else:
        line.costs[entry.asset] = line.costs.get(entry.asset, 0) + entry.cost_nano
