"""Entries in, sums out: what settled requests add up to. Pure, exact, and in any order.

A line is read only as far as it is counted. Requests gather under the minute, or the
hour, and the place that they belong to; days are sums of these. What a client can say freely has a
bound, so that nobody can make rows without end by inventing words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from entente.domain.errors import LedgerCorrupt
from entente.domain.origin import Origin, plain
from entente.domain.usage import Usage

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
NS_PER_S: Final = 1_000_000_000
OTHER: Final = "other"
"""Stands for a word of a client's that no vendor has."""
TIERS: Final = frozenset(
    {
        "",
        "auto",
        "default",
        "fast",
        "flex",
        "on_demand",
        "priority",
        "scale",
        "standard",
        "standard_only",
    }
)

ADJUSTMENT: Final = "adjustment"
"""Stands where the surface of a request does: what an invoice had more or less."""

_COUNTED: Final = (b'{"kind":"settle"', b'{"kind":"adjust"')
_SIZE: Final = re.compile(r"(?:\d{2,5}x\d{2,5}|auto)?", re.ASCII)


class Place(NamedTuple):
    """What requests are told apart by."""

    project: str
    key_id: str
    owner: str
    """Whom the key was given to."""
    model: str
    target: str
    """`provider/model`; empty where none was reached. Of an adjustment, the provider."""
    api: str
    """As `Surface` names it."""
    tier: str
    """In which it was served; what was asked for, where that is not known."""
    batch: int
    """1 for a request of a batch, else 0."""
    size: str
    """Of pictures."""
    asset: str


class Label(NamedTuple):
    """A word of a client's that requests are put down to."""

    kind: str
    """`end_user` or `tag`."""
    project: str
    model: str
    word: str
    asset: str


class Sums(NamedTuple):
    """What requests add up to; costs in nano-units of the place's asset."""

    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    audio_ms: int = 0
    characters: int = 0
    images: int = 0
    estimated: int = 0
    """Requests whose tokens are an upper bound."""
    unpriced: int = 0
    """Requests that nobody knows the cost of; they are not in `nano`."""
    nano: int = 0

    @property
    def usage(self) -> Usage:
        """Tokens and measures."""
        return Usage(*self[1:_USED])


_USED: Final = 1 + len(Usage.__struct_fields__)
"""Behind these columns stand those that are no usage."""
END_USER: Final = "end_user"
TAG: Final = "tag"

At: TypeAlias = tuple[int, Place]
"""The second at which a minute, hour or day begins, and where."""
AtLabel: TypeAlias = tuple[int, Label]
K = TypeVar("K")


_USUAL: Final = msgspec.Raw(b"{}")


class _Settled(msgspec.Struct, frozen=True, tag="settle", tag_field="kind"):
    """What is counted of a settlement."""

    at_ns: int
    key: str
    asset: str
    model: str
    usage: Usage
    cost_nano: int | None
    target: str = ""
    estimated: bool = False
    project: str = ""
    service_tier: str = ""
    origin: msgspec.Raw = _USUAL
    """As it stands: many requests have the same, and it is read once for all of them."""


class _Adjusted(msgspec.Struct, frozen=True, tag="adjust", tag_field="kind"):
    """What is counted of an adjustment."""

    at_ns: int
    asset: str
    provider: str
    nano: int


class _Group(NamedTuple):
    """Requests of one minute or hour that are alike in all that is told apart."""

    start_s: int
    key: str
    asset: str
    model: str
    target: str
    project: str
    tier: str
    origin: bytes


_read_origin: Final = msgspec.json.Decoder(Origin)
_decoder: Final[msgspec.json.Decoder[_Settled | _Adjusted]] = msgspec.json.Decoder(
    _Settled | _Adjusted
)


class Tally:
    """Sums of the lines that were added since it was made.

    They are by the minute from `minutes_since_s` on, by the hour before.
    """

    def __init__(self, minutes_since_s: int) -> None:
        """Start with nothing."""
        self._minutes_since_s = minutes_since_s
        self._groups: dict[tuple[int | str | bytes, ...], list[tuple[int, ...]]] = {}
        self._adjusted: dict[At, list[tuple[int, ...]]] = {}

    def add(self, line: bytes) -> None:
        """Count a line of the journal. Raises LedgerCorrupt for one that does not read."""
        if not line.startswith(_COUNTED):
            return
        try:
            entry = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(error) from error
        at_s = entry.at_ns // NS_PER_S
        start_s = at_s - at_s % (MINUTE_S if at_s >= self._minutes_since_s else HOUR_S)
        if isinstance(entry, _Adjusted):
            place = Place("", "", "", "", entry.provider, ADJUSTMENT, "", 0, "", entry.asset)
            self._adjusted.setdefault((start_s, place), []).append(Sums(nano=entry.nano))
            return
        cost_nano = entry.cost_nano
        # Measured: what is done here for each request is most of what folding takes.
        group = (
            start_s,
            entry.key,
            entry.asset,
            entry.model,
            entry.target,
            entry.project,
            entry.service_tier,
            bytes(entry.origin),
        )
        rows = self._groups.get(group)
        if rows is None:
            rows = self._groups[group] = []
        rows.append(
            (
                1,
                *msgspec.structs.astuple(entry.usage),
                entry.estimated,
                cost_nano is None,
                cost_nano or 0,
            )
        )

    def sums(self) -> tuple[dict[At, Sums], dict[AtLabel, Sums]]:
        """Give the sums by minute and hour, and those of labels by day."""
        minutes: dict[At, list[tuple[int, ...]]] = dict(self._adjusted)
        labels: dict[AtLabel, list[tuple[int, ...]]] = {}
        for values, rows in self._groups.items():
            group = _Group._make(values)
            origin, total = _origin(group.origin), _total(rows)
            minutes.setdefault((group.start_s, _place(group, origin)), []).append(total)
            day_s = group.start_s - group.start_s % DAY_S
            for label in _labels(group, origin):
                labels.setdefault((day_s, label), []).append(total)
        return _totals(minutes), _totals(labels)


def _origin(text: bytes) -> Origin:
    """Read where requests came from."""
    try:
        return _read_origin.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> LedgerCorrupt:
    return LedgerCorrupt(f"A journal line does not read as an entry: {error}.")


def _place(group: _Group, origin: Origin) -> Place:
    """Say where requests are counted."""
    tier = group.tier or origin.service_tier
    return Place(
        group.project or origin.project,
        group.key,
        plain(origin.user),
        plain(group.model),
        group.target,
        origin.api,
        tier if tier in TIERS else OTHER,
        int(origin.is_batch),
        origin.size if _SIZE.fullmatch(origin.size) else OTHER,
        group.asset,
    )


def _labels(group: _Group, origin: Origin) -> Iterator[Label]:
    """Give the words that requests are put down to."""
    project, model = group.project or origin.project, plain(group.model)
    for tag in origin.tags:
        yield Label(TAG, project, model, plain(tag), group.asset)
    if origin.end_user:
        yield Label(END_USER, project, model, plain(origin.end_user), group.asset)


def wider(sums: Mapping[At, Sums], width_s: int) -> dict[At, Sums]:
    """Add up sums of shorter times to sums of times of `width_s`."""
    gathered: dict[At, list[tuple[int, ...]]] = {}
    for (start_s, place), each in sums.items():
        gathered.setdefault((start_s - start_s % width_s, place), []).append(each)
    return _totals(gathered)


def _totals(gathered: Mapping[K, list[tuple[int, ...]]]) -> dict[K, Sums]:
    """Add up each group."""
    return {at: _total(counted) for at, counted in gathered.items()}


def _total(counted: list[tuple[int, ...]]) -> Sums:
    """Add up column by column."""
    if len(counted) == 1:
        return Sums._make(map(int, counted[0]))
    return Sums._make(map(sum, zip(*counted, strict=True)))


def added(many: Iterator[Sums]) -> Sums:
    """Add up sums."""
    return _total([Sums(), *many])
