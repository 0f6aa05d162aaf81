"""What the raw data says: medians over rounds, ratios within rounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bench.model import Beside, Endurance, Footprint, Paced, Results
from bench.numbers import Line, Spread, fit, spread
from bench.subjects import DIRECT
from bench.wrk import Load

SETTLED_SHARE: Final = 0.2
"""The first part of the many requests, in which pools and caches fill, is not fitted."""

Rounds = Mapping[int, float]
"""A number for each round."""


def unary(
    results: Results,
    subject: str,
    case: tuple[int, int],
    what: Callable[[Load], float] = lambda load: load.per_s,
) -> Rounds:
    """Give a number of each closed loop of a subject; `case` is (body's bytes, connections)."""
    return {
        row.round: what(row.load)
        for row in results.unary
        if row.subject == subject and (row.body_bytes, row.connections) == case
    }


def crossed(results: Results, client: str, provider: str) -> Rounds:
    """Requests per second from a client's dialect to a provider's, by round."""
    return {
        row.round: row.load.per_s
        for row in results.crossed
        if (row.client, row.provider) == (client, provider)
    }


def beside(rows: Iterable[Beside]) -> tuple[Rounds, Rounds]:
    """Requests per second with what governs them and without it, by round."""
    listed = list(rows)
    return (
        {row.round: row.ruled.per_s for row in listed},
        {row.round: row.free.per_s for row in listed},
    )


def shared(results: Results, workers: int, connections: int) -> Rounds:
    """Requests per second of so many workers, by round."""
    return {
        row.round: row.load.per_s
        for row in results.shared
        if (row.workers, row.connections) == (workers, connections)
    }


def unpaced(results: Results, subject: str) -> Rounds:
    """Give the chunks per second of each round."""
    return {row.round: row.seen.per_s for row in results.unpaced if row.subject == subject}


def paced(results: Results, subject: str, streams: int, what: Callable[[Paced], float]) -> Rounds:
    """Give a number of each round of paced streams."""
    return {
        row.round: what(row)
        for row in results.paced
        if (row.subject, row.streams) == (subject, streams)
    }


def added_ms(
    results: Results, subject: str, streams: int, what: Callable[[Paced], float]
) -> Rounds:
    """Give how much a subject adds to a time in microseconds, against the same streams direct.

    Only rounds in which all streams were served count: what else came is not a sample of it.
    """
    direct = paced(results, DIRECT, streams, what)
    return {
        row.round: (what(row) - direct[row.round]) / 1000
        for row in results.paced
        if (row.subject, row.streams) == (subject, streams)
        and row.seen.served == streams
        and row.seen.chunks
        and row.round in direct
    }


def ratios(ours: Rounds, theirs: Rounds) -> Rounds:
    """Divide round by round."""
    return {n: ours[n] / theirs[n] for n in ours if theirs.get(n)}


def over_rounds(numbers: Rounds) -> Spread | None:
    """Give the median with its spread; None when nothing was measured."""
    return spread(list(numbers.values())) if numbers else None


def footprint(results: Results, subject: str) -> Footprint | None:
    """Give what a subject takes."""
    return next((row for row in results.footprints if row.subject == subject), None)


def bytes_per_stream(row: Footprint) -> float:
    """Give the resident memory that each open stream adds."""
    return (row.streaming_bytes - row.before_bytes) / row.streams


class Growth:
    """A line through the resident memory over many requests, without their beginning."""

    def __init__(self, row: Endurance) -> None:
        """Fit. Needs some samples behind the beginning."""
        first = row.requests[-1] * SETTLED_SHARE
        points = [(x, y) for x, y in zip(row.requests, row.rss_bytes, strict=True) if x >= first]
        xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
        self.line: Line = fit(xs, ys)
        self.requests = xs[-1] - xs[0]
        self.first_request = xs[0]
        off = [y - self.line.intercept - self.line.slope * x for x, y in points]
        self.noise_bytes: float = (sum(o * o for o in off) / len(off)) ** 0.5
        """Standard deviation of the samples around the line."""

    @property
    def grown_bytes(self) -> float:
        """What the line rises by from its first request to its last."""
        return self.line.slope * self.requests


def growth(results: Results) -> Growth | None:
    """Give the growth over many requests; None when there are too few samples."""
    for row in results.endurance:
        if sum(x >= row.requests[-1] * SETTLED_SHARE for x in row.requests) > 3:  # noqa: PLR2004
            return Growth(row)
    return None
