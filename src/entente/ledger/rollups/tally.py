"""Entries in, sums out: what settled requests add up to. Pure, exact, and in any order.

A line is read only as far as it is counted. Requests gather under the minute and the place
that they belong to; hours and days are sums of these. What a client can say freely has a
bound, so that nobody can make rows without end by inventing words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from entente.domain.errors import LedgerCorrupt
from entente.domain.origin import USUAL, Origin
from entente.domain.usage import Usage

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
NS_PER_S: Final = 1_000_000_000
OTHER: Final = "other"
"""Stands for a word of a client's that no vendor has."""
TIERS: Final = frozenset(
    {"", "auto", "default", "fast", "flex", "priority", "scale", "standard", "standard_only"}
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
    origin: Origin = USUAL


class _Adjusted(msgspec.Struct, frozen=True, tag="adjust", tag_field="kind"):
    """What is counted of an adjustment."""

    at_ns: int
    asset: str
    provider: str
    nano: int


_decoder: Final[msgspec.json.Decoder[_Settled | _Adjusted]] = msgspec.json.Decoder(
    _Settled | _Adjusted
)


class Tally:
    """Sums of the lines that were added since it was made."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.entries = 0
        self._minutes: dict[At, list[tuple[int, ...]]] = {}
        self._labels: dict[AtLabel, list[tuple[int, ...]]] = {}

    def add(self, line: bytes) -> None:
        """Count a line of the journal. Raises LedgerCorrupt for one that does not read."""
        self.entries += 1
        if not line.startswith(_COUNTED):
            return
        try:
            entry = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"A journal line does not read as an entry: {error}."
            raise LedgerCorrupt(message) from error
        at_s = entry.at_ns // NS_PER_S
        minute_s = at_s - at_s % MINUTE_S
        if isinstance(entry, _Adjusted):
            place = Place("", "", "", "", entry.provider, ADJUSTMENT, "", 0, "", entry.asset)
            moved = Sums(nano=entry.nano)
            self._minutes.setdefault((minute_s, place), []).append(moved)
            return
        self._add_request(entry, at_s, minute_s)

    def _add_request(self, entry: _Settled, at_s: int, minute_s: int) -> None:
        """Count a settled request."""
        origin, cost_nano = entry.origin, entry.cost_nano
        project = entry.project or origin.project
        tier = entry.service_tier or origin.service_tier
        counted = (
            1,
            *msgspec.structs.astuple(entry.usage),
            int(entry.estimated),
            int(cost_nano is None),
            cost_nano or 0,
        )
        place = Place(
            project,
            entry.key,
            origin.user,
            entry.model,
            entry.target,
            origin.api,
            tier if tier in TIERS else OTHER,
            int(origin.is_batch),
            origin.size if _SIZE.fullmatch(origin.size) else OTHER,
            entry.asset,
        )
        self._minutes.setdefault((minute_s, place), []).append(counted)
        if origin.end_user or origin.tags:
            self._add_labels(at_s - at_s % DAY_S, project, entry, counted)

    def _add_labels(
        self, day_s: int, project: str, entry: _Settled, counted: tuple[int, ...]
    ) -> None:
        """Count a request under the words that it is put down to."""
        labels = [(TAG, tag) for tag in entry.origin.tags]
        if entry.origin.end_user:
            labels.append((END_USER, entry.origin.end_user))
        for kind, word in labels:
            label = Label(kind, project, entry.model, word, entry.asset)
            self._labels.setdefault((day_s, label), []).append(counted)

    def minutes(self) -> dict[At, Sums]:
        """Give the sums by minute."""
        return {at: _total(counted) for at, counted in self._minutes.items()}

    def labels(self) -> dict[AtLabel, Sums]:
        """Give the sums of labels by day."""
        return {at: _total(counted) for at, counted in self._labels.items()}


def wider(sums: Mapping[At, Sums], width_s: int) -> dict[At, Sums]:
    """Add up sums of shorter times to sums of times of `width_s`."""
    gathered: dict[At, list[tuple[int, ...]]] = {}
    for (start_s, place), each in sums.items():
        gathered.setdefault((start_s - start_s % width_s, place), []).append(each)
    return {at: _total(counted) for at, counted in gathered.items()}


def _total(counted: list[tuple[int, ...]]) -> Sums:
    """Add up column by column."""
    if len(counted) == 1:
        return Sums._make(counted[0])
    return Sums._make(map(sum, zip(*counted, strict=True)))


def added(many: Iterator[Sums]) -> Sums:
    """Add up sums."""
    return _total([Sums(), *many])
