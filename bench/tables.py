"""The tables of the page, each from the raw data. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench import views
from bench.model import Paced, Results
from bench.numbers import Spread
from bench.plan import KB
from bench.subjects import ALL, DIRECT, LITELLM, NGINX, STARTED, STREAMED, TITLES
from bench.targets import KIB, MB, targets
from bench.views import Rounds, over_rounds
from bench.wrk import Load

MS_PER_US = 0.001


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; all columns but the first are numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def target_table(results: Results) -> str:
    """What is asked and what was measured."""
    rows = [
        [line.text, line.measured, "holds" if line.holds else "**does not hold**"]
        for line in targets(results)
    ]
    return table(["target", "median (least to most)", ""], rows)


def unary_table(results: Results, case: tuple[int, int]) -> str:
    """Whole answers for one size of body and number of connections."""
    limit = views.unary(results, NGINX, case)
    litellm = views.unary(results, LITELLM, case)
    rows = []
    for name in ALL:
        rates = views.unary(results, name, case)
        if not rates:
            continue
        latencies = [
            _short(over_rounds(views.unary(results, name, case, what)), MS_PER_US)
            for what in _LATENCIES
        ]
        failed = int(sum(views.unary(results, name, case, lambda load: load.failed).values()))
        rows.append(
            [
                TITLES[name],
                _spread(over_rounds(rates)),
                _spread(over_rounds(views.ratios(rates, limit)), digits=3),
                _short(over_rounds(views.ratios(rates, litellm)), digits=3),
                *latencies,
                str(failed),
            ]
        )
    heads = ["", "requests/s", "of nginx's", "times LiteLLM's", "p50 ms", "p99 ms", "failed"]
    return table(heads, rows)


def cases(results: Results) -> list[tuple[int, int]]:
    """Give the cases of whole answers that were measured."""
    return sorted({(row.body_bytes, row.connections) for row in results.unary})


def case_title(case: tuple[int, int]) -> str:
    """Name a case."""
    body_bytes, connections = case
    plural = "" if connections == 1 else "s"
    return f"{body_bytes // KB} KB body, {connections} connection{plural}"


def open_table(results: Results) -> str:
    """Whole answers at constant rates."""
    rates = sorted({row.per_s for row in results.open})
    rows = []
    for name in ALL:
        cells = []
        for per_s in rates:
            seen = [r.seen for r in results.open if (r.subject, r.per_s) == (name, per_s)]
            if not seen:
                cells.append("–")
                continue
            times = [
                _short(over_rounds(dict(enumerate(values))), MS_PER_US)
                for values in (
                    [s.p50_us for s in seen],
                    [s.p99_us for s in seen],
                    [s.p999_us for s in seen],
                )
            ]
            lost = sum(s.intended - s.answered for s in seen)
            cells.append(" / ".join(times) + (f", {lost} lost" if lost else ""))
        if any(cell != "–" for cell in cells):
            rows.append([TITLES[name], *cells])
    return table(["p50 / p99 / p99.9 in ms at", *[f"{rate:,} a second" for rate in rates]], rows)


def paced_table(results: Results) -> str:
    """Paced streams: what each subject adds to the same streams taken directly."""
    counts = sorted({row.streams for row in results.paced})
    rows = []
    for name in STREAMED:
        for streams in counts:
            served = views.paced(results, name, streams, lambda row: row.seen.served)
            if not served:
                continue
            rows.append(
                [
                    TITLES[name],
                    f"{streams:,}",
                    f"{int(min(served.values())):,}",
                    *_times(results, name, streams),
                ]
            )
    heads = ["", "streams", "served", "first p50", "first p99", "chunk p50", "chunk p99"]
    return table(heads, rows)


def unpaced_table(results: Results) -> str:
    """Streams as fast as they go."""
    limit = views.unpaced(results, NGINX)
    rows = []
    for name in STREAMED:
        rates = views.unpaced(results, name)
        if rates:
            ratio = over_rounds(views.ratios(rates, limit))
            rows.append([TITLES[name], _spread(over_rounds(rates)), _spread(ratio, digits=3)])
    return table(["", "chunks/s", "of nginx's"], rows)


def crossing_table(results: Results) -> str:
    """Requests per second of each way between dialects."""
    same = views.crossed(results, "chat", "chat")
    ways = dict.fromkeys((row.client, row.provider) for row in results.crossed)
    rows = []
    for client, provider in ways:
        rates = views.crossed(results, client, provider)
        rows.append(
            [
                f"{client} -> {provider}",
                _spread(views.over_rounds(rates)),
                _spread(views.over_rounds(views.ratios(rates, same)), 2),
            ]
        )
    return table(["", "requests/s", "of chat -> chat"], rows)


def crossed_streams_table(results: Results) -> str:
    """Paced streams that cross, and those that do not."""
    rows = [
        [
            f"{row.client} -> chat",
            f"{row.streams:,}",
            f"{row.seen.served:,}",
            f"{row.seen.chunk_p50_us * MS_PER_US:.2f}",
            f"{row.seen.chunk_p99_us * MS_PER_US:.2f}",
        ]
        for row in results.crossed_streams
    ]
    return table(["", "paced streams", "served whole", "chunk p50 ms", "chunk p99 ms"], rows)


def beside_table(results: Results) -> str:
    """Requests per second with and without what governs them."""
    rows = []
    for pairs in (results.agreements, results.budgets):
        if pairs:
            what = pairs[0].what
            ruled, free = views.beside(pairs)
            ratios = views.over_rounds(views.ratios(ruled, free))
            rows += [
                [f"without {what}", _spread(views.over_rounds(free)), "1"],
                [f"with {what}", _spread(views.over_rounds(ruled)), _spread(ratios, 3)],
            ]
    return table(["", "requests/s", "of those without"], rows)


def shared_table(results: Results) -> str:
    """Requests per second of servers that share nothing, and of workers that share a database."""
    rows = []
    for connections in sorted({row.connections for row in results.shared}):
        one = views.shared(results, 1, connections)
        for workers in sorted({row.workers for row in results.shared}):
            found = views.shared(results, workers, connections)
            name = f"PostgreSQL, workers: {workers}" if workers else "SQLite"
            ratio = views.over_rounds(views.ratios(found, one))
            per_s = _spread(views.over_rounds(found))
            rows.append([name, f"{connections}", per_s, _spread(ratio, 3)])
    titles = ["", "connections", "requests/s", "of one worker on PostgreSQL"]
    return table(titles, rows)


def work_table(results: Results) -> str:
    """Settling and simulating."""
    rows = [
        [
            row.name,
            f"{row.amount:,}",
            f"{row.seconds:.2f}",
            f"{row.processor_s:.2f}",
            f"{row.grown_bytes / MB:.1f}",
        ]
        for row in (*results.works, *results.sums)
    ]
    return table(
        ["", "requests, paths or entries", "s", "s of a processor", "MB added at most"], rows
    )


def footprint_table(results: Results) -> str:
    """Time to start, disk and memory."""
    rows = []
    for name in STARTED:
        starts = {row.round: row.seconds for row in results.starts if row.subject == name}
        row = views.footprint(results, name)
        if not starts and row is None:
            continue
        cells = ["–"] * 3
        if row is not None:
            install = f"{row.install_bytes / MB:,.1f}" if row.install_bytes else "–"
            each = f"{views.bytes_per_stream(row) / KIB:,.1f} ({row.served:,} of {row.streams:,})"
            cells = [install, f"{row.idle_bytes / MB:,.1f}", each]
        rows.append([TITLES[name], _short(over_rounds(starts)), *cells])
    heads = ["", "first answer s", "installed MB", "idle MB", "KB per open stream (served)"]
    return table(heads, rows)


def _times(results: Results, name: str, streams: int) -> Iterator[str]:
    """Give the four times of a set of streams, in milliseconds."""
    for what in _PACED:
        if name == DIRECT:
            yield _short(over_rounds(views.paced(results, name, streams, what)), MS_PER_US)
        else:
            added = over_rounds(views.added_ms(results, name, streams, what))
            yield "–" if added is None else _signed(added.median)


_LATENCIES: tuple[Callable[[Load], float], ...] = (
    lambda load: load.p50_us,
    lambda load: load.p99_us,
)
_PACED: tuple[Callable[[Paced], float], ...] = (
    lambda row: row.seen.first_p50_us,
    lambda row: row.seen.first_p99_us,
    lambda row: row.seen.chunk_p50_us,
    lambda row: row.seen.chunk_p99_us,
)


def _spread(summary: Spread | None, digits: int = 0) -> str:
    """Write a median with its least and most."""
    if summary is None:
        return "–"
    median, least, most = (_number(value, digits) for value in summary)
    return median if least == most else f"{median} ({least} to {most})"


def _short(summary: Spread | None, scale: float = 1.0, digits: int = 3) -> str:
    """Write a median alone, scaled, to significant digits."""
    return "–" if summary is None else _number(summary.median * scale, digits)


def _signed(value: float) -> str:
    """Write a difference."""
    return f"{'-' if value < 0 else '+'}{_number(abs(value), 3)}"


def _number(value: float, digits: int) -> str:
    """Write a number: whole without digits, else with so many significant ones."""
    if not digits:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text else text


def rates_at(results: Results, case: tuple[int, int]) -> dict[str, Rounds]:
    """Give the requests per second of every subject for a plot."""
    found = {name: views.unary(results, name, case) for name in ALL}
    return {name: rates for name, rates in found.items() if rates}
