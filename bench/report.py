"""The page and its plots, made from the raw data and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench import svg, tables, views
from bench.model import Paced, Results, load
from bench.numbers import spread
from bench.plan import KB
from bench.subjects import ALL, DIRECT, STREAMED, TITLES
from bench.targets import MB

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLOTS: Final = PAGE.with_suffix("")
BUSY_MAX: Final = 0.1
SUBJECT_COLOURS: Final = svg.colours(ALL)

_HEAD: Final = """\
# Benchmarks

This page is made by `python -m bench report` from
[benchmarks/raw.json](benchmarks/raw.json), which `make bench` measures: everything side by
side in one run, on the same cores as the provider and the load. What to compare are the
ratios, which are taken within each round; absolute times belong to this one machine.

    make bench                        everything, in about fifty minutes
    make bench ARGS=--quick           a little of everything, in two
    .venv/bin/python -m bench report  this page again, from the raw data

It needs nginx and wrk, and Node.js for Portkey; the peers are installed into
`~/.cache/entente-bench`, each in a folder of its own.
"""

_METHOD: Final = """\
## How it is measured

- **The provider** is nginx with a fixed answer of 0.6 KB. For streams it is a server of the
  suite, one thread on epoll, that sends each chunk (0.2 KB) in a write of its own with the
  time of sending in it. All gateways stand in front of the same two, each as one process or
  with one worker.
- **Subjects take turns** within a round, each round beginning with another one; between two
  measurements a subject has to come to rest. Ratios are taken round by round, and of those
  the median is given with the least and the most.
- **The product against itself** (budgets, agreements, workers): 25 turns of a second each, so
  that both sides of a pair meet the same machine, whose speed drifts within some seconds.
- **Closed loop**: wrk with one thread. **Open loop**: a constant rate; each latency counts
  from when the request was due, so that waiting cannot hide (coordinated omission). A rate
  above 0.8 of what a subject reaches in a closed loop is left out for it (–).
- **Paced streams**: one chunk each 20 ms; as an engine does, which computes a token of all its
  streams in one step, the provider sends what is due a millisecond at a time. Provider and
  client stay together on the last core and the subject may use both: else it is the system's
  placing of three busy processes on two cores that is measured. They begin evenly over two
  seconds; the time to the first event counts from when a stream was due. A chunk's time is from
  its sending to its arrival, for chunks sent after the last stream was due and before the first
  was over. Added times are against the same streams taken directly in the same round. A subject
  that does not serve all its streams to the end within five seconds of their due time has no
  times (–) and is not asked for more.
- **Unpaced streams**: 8 connections take streams of 200 chunks, one after the other. The
  provider writes each chunk apart, which is its own limit too: see the line of the provider.
- **Memory** is resident memory of a subject's processes: at rest after some requests; for
  streams, the most while they are held open, less what was there right before.
- **Entente** runs with one worker and its defaults, with an admin key without a budget. At
  durability `full` a hold is on disk before the provider is asked and a settlement before the
  last byte. Every ledger that was written is verified after its stage; one that does not verify
  ends the run.
- **LiteLLM** runs without a database, with one worker, `LITELLM_MODE=PRODUCTION`, its log at
  ERROR and its vendored price map; it records nothing. **Portkey** runs headless under Node.js
  with `@hono/node-server` held at 1.13.8, because with newer ones each stream fails
  (Portkey-AI/gateway#1389); it records nothing.
- **From one dialect to another**: one Entente in front of providers of two dialects, a body of
  1 KB, 32 connections; ways take turns, and what counts is the ratio to chat -> chat, whose bytes
  pass, in the same round. **Under an agreement, and under budgets**: two Ententes take turns, one
  of which decides each request by the document of `examples/agreements/two-storefronts`, or holds
  it to a budget at each of five levels.
- **Several workers**: servers at durability `full` take turns, each with a database of its own:
  one on SQLite, one on PostgreSQL, and two of two and of four workers there. PostgreSQL runs on
  the same cores as all the rest.
- Installed sizes leave out the interpreter (Python, Node.js), byte code and, for Entente, the
  optional local runtime with its model.
"""


def write(raw: Path) -> None:
    """Write the page and its plots beside it."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for path, text in files(raw).items():
        path.write_text(text)


def stale(raw: Path) -> list[Path]:
    """Give the files that are not what the raw data makes of them."""
    return [
        path for path, text in files(raw).items() if not path.exists() or path.read_text() != text
    ]


def files(raw: Path) -> dict[Path, str]:
    """Give the text of the page and of each plot, by path."""
    results = load(raw)
    drawn = {PLOTS / name: text for name, text in plots(results).items()}
    return {PAGE: page(results), **drawn}


def page(results: Results) -> str:
    """Write the page. Stages that were not measured are left out."""
    parts = [_HEAD, _conditions(results), "## Targets\n", tables.target_table(results)]
    parts += _loads(results)
    parts += _parts(results)
    if results.ledgers:
        parts += ["\n## Ledgers\n"]
        parts += [f"- {check.stage}, {check.subject}: {check.words}" for check in results.ledgers]
    return "\n".join(parts) + "\n\n" + _METHOD


def _loads(results: Results) -> list[str]:
    """Write about the loads that subjects took, and what that took of them."""
    parts: list[str] = []
    drawn = plots(results)
    if results.unary:
        parts += ["\n## Whole answers\n", *_plot(drawn, "throughput.svg")]
        for case in tables.cases(results):
            parts += [f"\n### {tables.case_title(case)}\n", tables.unary_table(results, case)]
    if results.open:
        parts += ["\n## Whole answers at a constant rate\n", tables.open_table(results)]
    if results.paced:
        parts += [
            "\n## Streams at the pace of a model\n",
            "Times in milliseconds; of the provider as they are, of the others what they add.\n",
            *_plot(drawn, "streams.svg"),
            tables.paced_table(results),
        ]
    if results.unpaced:
        parts += ["\n## Streams as fast as they go\n", tables.unpaced_table(results)]
    if results.starts or results.footprints:
        parts += ["\n## Start, size, memory\n", tables.footprint_table(results)]
    if results.endurance:
        parts += ["\n## Many requests\n", *_endurance(results), *_plot(drawn, "memory.svg")]
    return parts


def _parts(results: Results) -> list[str]:
    """Write about parts of the product."""
    parts: list[str] = []
    if results.crossed:
        parts += ["\n## From one dialect to another\n", tables.crossing_table(results)]
    if results.crossed_streams:
        parts += ["", tables.crossed_streams_table(results)]
    if results.agreements or results.budgets:
        parts += ["\n## Under an agreement, and under budgets\n", tables.beside_table(results)]
    if results.shared:
        parts += ["\n## Several workers\n", tables.shared_table(results)]
    if results.works or results.sums:
        parts += ["\n## Off the path of requests\n", tables.work_table(results)]
    return parts


def plots(results: Results) -> dict[str, str]:
    """Draw what there is, by the name of the file."""
    drawn = {}
    case = (KB, 32)
    rates = tables.rates_at(results, case)
    if rates:
        medians = {name: spread(list(found.values())).median for name, found in rates.items()}
        title = f"Requests per second, {tables.case_title(case)} (logarithmic)"
        drawn["throughput.svg"] = svg.bars(
            title, {n: v for n, v in medians.items() if v}, SUBJECT_COLOURS
        )
    added = _added(results)
    if added:
        drawn["streams.svg"] = svg.lines(
            "What a subject adds to each chunk of paced streams (p99)",
            added,
            SUBJECT_COLOURS,
            x_name="streams at once",
            y_name="ms",
            logarithmic=True,
        )
    growth = views.growth(results)
    if growth is not None:
        row = results.endurance[0]
        line = growth.line
        ends = (growth.first_request, growth.first_request + growth.requests)
        drawn["memory.svg"] = svg.lines(
            "Resident memory over many requests",
            {
                "sampled": [
                    (float(x), y / MB) for x, y in zip(row.requests, row.rss_bytes, strict=True)
                ],
                "fitted": [(x, (line.intercept + line.slope * x) / MB) for x in ends],
            },
            svg.colours(("sampled", "fitted")),
            x_name="requests",
            y_name="MB",
            dots=("sampled",),
        )
    return drawn


def _added(results: Results) -> dict[str, list[tuple[float, float]]]:
    """Give the added p99 per chunk of each subject by number of streams, where positive."""
    found = {}
    for name in STREAMED:
        points = []
        for streams in sorted({row.streams for row in results.paced}):
            added = views.over_rounds(views.added_ms(results, name, streams, _chunk_p99_us))
            if name != DIRECT and added is not None and added.median > 0:
                points.append((float(streams), added.median))
        if points:
            found[name] = points
    return found


def _chunk_p99_us(row: Paced) -> float:
    """Give the time that one chunk in a hundred takes longer than."""
    return row.seen.chunk_p99_us


def _plot(drawn: dict[str, str], name: str) -> list[str]:
    """Show a plot if it was drawn."""
    return [f"![{name.removesuffix('.svg')}](benchmarks/{name})\n"] if name in drawn else []


def _conditions(results: Results) -> str:
    """Say where, when and with what."""
    machine = results.machine
    place = f"{machine.cores} cores, {machine.memory_gib} GiB, {machine.system}"
    before, during = machine.busy_before, machine.busy_during
    disk = f"{_ms(machine.fsync_p50_us)} (p50), {_ms(machine.fsync_p99_us)} (p99)"
    lines = [
        f"{machine.date}, {machine.cpu}, {place}",
        ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        f"commit {machine.commit}, plan `{results.plan}`",
        f"4 KB written and synced to disk: {disk}",
        f"processors busy with something else: {before:g} before the run, {during:g} during it",
    ]
    if max(before, during) > BUSY_MAX:
        lines.append("**The machine was busy: these numbers are not to be quoted.**")
    lines += [f"{stage} measured apart: {run}" for stage, run in sorted(results.runs.items())]
    lines += [f"not measured: {reason}" for reason in results.missing.values()]
    return "## Conditions\n\n" + "".join(f"- {line}\n" for line in lines)


def _ms(us: float) -> str:
    """Write microseconds as milliseconds."""
    return f"{us / 1000:.2f} ms"


def _endurance(results: Results) -> list[str]:
    """Say how memory went over many requests."""
    said = [
        f"{TITLES[row.subject]}: {row.requests[-1]:,} requests, {row.failed} failed, "
        f"{row.rss_bytes[0] / MB:.1f} MB resident before the first and "
        f"{row.rss_bytes[-1] / MB:.1f} MB after the last.\n"
        for row in results.endurance
    ]
    growth = views.growth(results)
    if growth is not None:
        said.append(
            f"A line fitted from request {growth.first_request:,.0f} on rises by "
            f"{growth.line.slope:.2f} ± {growth.line.slope_error:.2f} bytes per request "
            f"(standard error); the samples lie within ± {growth.noise_bytes / MB:.2f} MB of it "
            "(standard deviation).\n"
        )
    return said
