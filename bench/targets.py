"""What the product holds itself to, and whether the raw data bears it out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bench import views
from bench.model import Results
from bench.plan import KB
from bench.subjects import FULL, LITELLM, NGINX, SETTLE
from bench.views import Rounds

MB: Final = 1_000_000
KIB: Final = 1024
IDLE_MB_MAX: Final = 100
INSTALL_MB_MAX: Final = 80
STREAM_KIB_MAX: Final = 48
START_S_MAX: Final = 1.5
GROWTH_BYTES_MAX: Final = 1
"""The smallest object that could be forgotten takes sixteen."""
WORK_S_MAX: Final = {"settling": 30, "simulating": 2, "folding": 300, "asking": 2}
"""For a million requests, ten thousand paths, and, the last two, ten million entries."""
ADDED_MS_MAX: Final = {512: 5, 1024: 20}


class Target(NamedTuple):
    """One line: what is asked, what was measured, and whether it holds."""

    text: str
    measured: str
    holds: bool


def targets(results: Results) -> list[Target]:
    """Give every line for which there is a measurement."""
    return [
        *_throughput(results),
        *_latency(results),
        *_streams(results),
        *_resources(results),
        *_parts(results),
    ]


def _throughput(results: Results) -> Iterator[Target]:
    """Requests per second."""
    asked = (
        (FULL, NGINX, KB, 32, 0.25),
        (FULL, NGINX, KB, 128, 0.30),
        (SETTLE, NGINX, KB, 32, 0.33),
        (FULL, NGINX, 100 * KB, 32, 0.3),
        (FULL, NGINX, 400 * KB, 32, 0.3),
        (FULL, LITELLM, KB, 32, 80),
    )
    for ours, theirs, body_bytes, connections, least in asked:
        case = (body_bytes, connections)
        found = views.ratios(views.unary(results, ours, case), views.unary(results, theirs, case))
        times = "times" if least > 1 else "of"
        text = (
            f"{ours}, {connections} connections, {body_bytes // KB} KB: at least {least:g} "
            f"{times} {theirs}'s requests per second"
        )
        yield from _line(text, found, least=least)


def _latency(results: Results) -> Iterator[Target]:
    """Times of whole answers in the closed loop."""
    one, many = (KB, 1), (KB, 32)
    found = views.ratios(
        views.unary(results, FULL, one, lambda load: load.p50_us),
        views.unary(results, LITELLM, one, lambda load: load.p50_us),
    )
    text = f"{FULL}, 1 connection: p50 at most a tenth of {LITELLM}'s"
    yield from _line(text, found, most=0.1)
    found = views.ratios(
        views.unary(results, FULL, many, lambda load: load.p99_us),
        views.unary(results, NGINX, many, lambda load: load.p99_us),
    )
    text = f"{FULL}, 32 connections: p99 at most 10 times {NGINX}'s"
    yield from _line(text, found, most=10)


def _streams(results: Results) -> Iterator[Target]:
    """Paced and unpaced streams."""
    for streams, most in ADDED_MS_MAX.items():
        found = views.added_ms(results, FULL, streams, lambda row: row.seen.chunk_p99_us)
        text = f"{FULL}, {streams:,} paced streams: added p99 per chunk at most {most} ms"
        yield from _line(text, found, most=most, unit=" ms")
        served = views.paced(results, FULL, streams, lambda row: row.seen.served)
        if served:
            least = int(min(served.values()))
            yield Target(
                f"{FULL}, {streams:,} paced streams: all are served",
                f"{least:,} in the worst round",
                least == streams,
            )
    found = views.ratios(views.unpaced(results, FULL), views.unpaced(results, NGINX))
    text = f"{FULL}, unpaced: at least 0.2 of {NGINX}'s chunks per second"
    yield from _line(text, found, least=0.2)


def _resources(results: Results) -> Iterator[Target]:
    """Time to start, disk and memory."""
    starts = {row.round: row.seconds for row in results.starts if row.subject == FULL}
    text = f"{FULL}: from start to the first answer at most {START_S_MAX:g} s"
    yield from _line(text, starts, most=START_S_MAX, unit=" s")
    row = views.footprint(results, FULL)
    if row is not None:
        idle = {0: row.idle_bytes / MB}
        text = f"{FULL}: at most {IDLE_MB_MAX} MB resident when idle"
        yield from _line(text, idle, most=IDLE_MB_MAX, unit=" MB")
        each = {0: views.bytes_per_stream(row) / KIB}
        text = f"{FULL}: at most {STREAM_KIB_MAX} KB resident per open stream, of {row.streams:,}"
        yield from _line(text, each, most=STREAM_KIB_MAX, unit=" KB")
        size = {0: (row.install_bytes or 0) / MB}
        text = f"Core install: at most {INSTALL_MB_MAX} MB"
        yield from _line(text, size, most=INSTALL_MB_MAX, unit=" MB")
    growth = views.growth(results)
    if growth is not None:
        slope, error = growth.line.slope, growth.line.slope_error
        yield Target(
            f"{FULL}: resident memory grows by less than {GROWTH_BYTES_MAX} byte per request",
            f"{slope:+.2f} ± {error:.2f} bytes: {growth.grown_bytes / MB:+.2f} MB over "
            f"{growth.requests:,.0f} requests, noise ± {growth.noise_bytes / MB:.2f} MB",
            slope < GROWTH_BYTES_MAX,
        )


def _parts(results: Results) -> Iterator[Target]:
    """What dialects, agreements and budgets cost."""
    same = views.crossed(results, "chat", "chat")
    for client, provider in (("chat", "messages"), ("messages", "chat"), ("responses", "chat")):
        found = views.ratios(views.crossed(results, client, provider), same)
        text = f"{client} -> {provider}, 32 connections: at least 0.5 of chat -> chat"
        yield from _line(text, found, least=0.5)
    for streamed in results.crossed_streams:
        yield Target(
            f"{streamed.client} -> chat, {streamed.streams} paced streams: all are served",
            f"{streamed.seen.served}",
            streamed.seen.served == streamed.streams,
        )
    for rows, least in ((results.agreements, 0.97), (results.budgets, 0.85)):
        what = rows[0].what if rows else ""
        text = f"under {what}, 32 connections: at least {least} of the throughput without"
        yield from _line(text, views.ratios(*views.beside(rows)), least=least)
    for connections in (32, 128, 512):
        one = views.shared(results, 1, connections)
        for workers, over, least, against in (
            (1, views.shared(results, 0, connections), 0.5, "one on SQLite"),
            (4, one, 1.2, "one of them"),
        ):
            found = views.ratios(views.shared(results, workers, connections), over)
            who = f"PostgreSQL, workers: {workers}, {connections} connections"
            yield from _line(f"{who}: at least {least} of {against}", found, least=least)
    for row in (*results.works, *results.sums):
        most = WORK_S_MAX[row.name.split()[0]]
        yield from _line(
            f"{row.name}, {row.amount:,}: at most {most} s", {0: row.seconds}, most=most, unit=" s"
        )


def _line(
    text: str,
    found: Rounds,
    *,
    least: float | None = None,
    most: float | None = None,
    unit: str = "",
) -> Iterator[Target]:
    """Give the line if something was measured; the median counts."""
    summary = views.over_rounds(found)
    if summary is None:
        return
    median = summary.median
    measured = f"{median:.3g}{unit}"
    if len(found) > 1:
        measured += f" ({summary.least:.3g} to {summary.most:.3g})"
    holds = (least is None or median >= least) and (most is None or median <= most)
    yield Target(text, measured, holds)
