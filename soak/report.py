"""The page and its plot, made from the raw data and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import svg
from bench.tables import table
from soak import line
from soak.model import Outcome, Results, Sample, load

PAGE: Final = Path(__file__).parents[1] / "docs" / "soak.md"
PLOT: Final = PAGE.with_suffix("") / "memory.svg"
MB: Final = 1e6

_HEAD: Final = """\
# Long drills

This page is made by `python -m soak report` from [soak/raw.json](soak/raw.json), which
`make soak` writes.

    make soak                                         everything, in about 45 minutes
    make soak ARGS="--kills 1000 --requests 5000000"  more of it
    make soak ARGS="--only kills clock --seed 7"      these drills, with this seed
    make soak ARGS=--quick                            a little of everything, in two minutes

Three parties keep accounts of each request, apart from one another: the ledger, the upstream
(a process of its own, which writes down every call before it answers), and the client. Each
drill ends with a stop in order, `entente ledger verify`, and these three numbers:

- **lost**: calls at the upstream without a hold and a settlement, and whole answers at a client
  that are not settled as complete at the use that the upstream reported;
- **unsettled**: holds that are open when nothing runs any more;
- **unverified**: faults that a verification found: in the chain, the order, a balance, or where
  the accounts contradict each other.
"""

TITLES: Final[Mapping[str, str]] = {
    "kills": "`kill -9` at random instants, under load and while it starts, on one ledger",
    "endurance": "Many requests to one process, then a kill and a restart",
    "leavers": "Streams that their clients leave at random points",
    "hostile": "Slow, half-open, reset and over-large clients beside good ones",
    "locked": "The database locked by another process for seconds",
    "disk": "The disk full, and freed again",
    "upstream": "The upstream killed and started again",
    "clock": "The clock stepped back and forth, with kills in between",
    "lending": "Workers that share limits, in worlds of random faults",
    "minutes": "Tokens per minute over four workers, on PostgreSQL",
    "leases": "Two hosts of two workers each under one budget, on PostgreSQL",
}

_METHOD: Final = """\
## How it is done

- A seed decides the mixture of requests and the instants of all faults; what the scheduler
  does with them differs from run to run.
- A killed server may have sent a request whose answer it never saw. Its next start settles
  the hold at its upper bound, marked estimated and recovered; that is not lost.
- Good clients, attackers, upstream and server share the same processors, so the latencies
  among attackers include what it costs to attack. They are reported, not judged.
- The clock is stepped by giving the server, before it starts, a `time.time_ns` that adds an
  offset from a file; it is the only source of the time of day in the product. The kernel's
  clock is not touched, so time stamps of files do not move.
- Memory is what the kernel calls resident. The line is fitted without the first tenth of the
  requests; its error is widened by how much each sample resembles the one before.
- In worlds of random faults there is no process and no clock: messages between workers and the
  authority are lost, doubled and late by a seed, and promises are checked at every step.
- Under one budget, two hosts have an address each, 127.0.0.1 and 127.0.0.2, from which the
  database is asked, too; their clocks are ten minutes apart, by the same means. "kill" is `kill -9`
  of a worker, "hold" its SIGSTOP, "pause" that of the database, "power" its `kill -9`, "restart"
  its stop and start, "slow" a tenth of a second more for each commit, "sessions" the end of all
  its connections.
- Between such a host and the database stands a line that reads along. It ends a session when a
  transaction stands and before its answer has passed, so that entries, words about loans and sums
  are delivered again by who cannot know; and it lets every notice come a second time, late. The
  budget itself is made under an idempotency key by a request whose answer is lost so, and which
  is repeated at both hosts.
- Each request is followed by a name of its own through upstream, hold, settlement and client. The
  entries of all workers are replayed in the order in which the database committed them, by its
  clock: at no instant may more be spent and held than the budget has, and nobody may be refused
  before all of it is spent. Then entries, reports of usage, the meter, and calls by the upstream's
  count have to be the same, to the nano-unit. A request that a kill cut off between its hold and
  its call is settled at its bound; those are counted ("never sent").
- A lock is another process's write transaction. The full disk is a small one in memory, mounted
  for the drill, which needs root.
"""


def write(raw: Path) -> None:
    """Write the page and its plot."""
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    for path, text in files(raw).items():
        path.write_text(text)


def stale(raw: Path) -> list[Path]:
    """Give the files that are not what the raw data makes of them."""
    return [
        path for path, text in files(raw).items() if not path.exists() or path.read_text() != text
    ]


def files(raw: Path) -> dict[Path, str]:
    """Give the text of the page, and of the plot where memory was sampled, by path."""
    results = load(raw)
    made = {PAGE: page(results)}
    for outcome in results.outcomes:
        if outcome.samples:
            made[PLOT] = plot(outcome.samples)
    return made


def page(results: Results) -> str:
    """Write the page."""
    parts = [_HEAD, _conditions(results), f"## Outcome\n\n{_verdict(results)}\n"]
    parts.append(_summary(results.outcomes))
    for outcome in results.outcomes:
        parts += [f"## {TITLES[outcome.drill]}\n", *_details(outcome)]
    return "\n".join(parts) + "\n" + _METHOD


def _conditions(results: Results) -> str:
    """Say where, when and with what."""
    machine = results.machine
    place = f"{machine.cores} cores, {machine.memory_gib} GiB, {machine.system}"
    p50_ms, p99_ms = machine.fsync_p50_us / 1000, machine.fsync_p99_us / 1000
    lines = [
        f"{machine.date}, {machine.cpu}, {place}",
        ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        f"commit {machine.commit}, plan `{results.plan}`, seed {results.seed}",
        f"4 KB written and synced to disk: {p50_ms:.2f} ms (p50), {p99_ms:.2f} ms (p99)",
    ]
    lines += [f"{drill} run again apart: {run}" for drill, run in sorted(results.runs.items())]
    return "## Conditions\n\n" + "".join(f"- {text}\n" for text in lines)


def _verdict(results: Results) -> str:
    """Say in a sentence how it went."""
    ran = [outcome for outcome in results.outcomes if not outcome.skipped]
    failed = [outcome.drill for outcome in ran if not outcome.passed]
    skipped = len(results.outcomes) - len(ran)
    text = f"{len(ran) - len(failed)} of {len(ran)} drills passed."
    if failed:
        text = f"**{text} Not: {', '.join(failed)}.**"
    return text + (f" {skipped} could not be run here." if skipped else "")


def _summary(outcomes: Sequence[Outcome]) -> str:
    """One line a drill."""
    heads = [
        "drill",
        "durability",
        "requests in the ledger",
        "calls at the upstream",
        "answers at clients",
        "recovered",
        "lost",
        "unsettled",
        "unverified",
        "verified",
        "time",
    ]
    return table(heads, [_row(outcome) for outcome in outcomes]) + "\n"


def _row(outcome: Outcome) -> list[str]:
    """Write a drill's line; a drill that failed says so in front of its numbers."""
    if outcome.skipped:
        return [f"{outcome.drill}: skipped", *["–"] * 10]
    counts = (outcome.requests, outcome.calls, outcome.answered, outcome.recovered)
    faults = (outcome.lost, outcome.unsettled, outcome.unverified)
    return [
        outcome.drill if outcome.passed else f"**{outcome.drill}: failed**",
        outcome.durability,
        *(f"{count:,}" for count in counts),
        *(f"**{count:,}**" if count else "0" for count in faults),
        f"{outcome.verifications} ×",
        f"{outcome.seconds:,.0f} s",
    ]


def _details(outcome: Outcome) -> list[str]:
    """Say what else was seen in a drill."""
    if outcome.skipped:
        return [f"Not run: {outcome.skipped}\n"]
    parts = [f"**Failed**: {outcome.failed}\n"] if outcome.failed else []
    lines = [f"{name}: {_number(value)}" for name, value in outcome.facts.items()]
    if outcome.statuses:
        statuses = ", ".join(f"{name} {count:,}" for name, count in outcome.statuses.items())
        lines.append(f"settled as: {statuses}; {outcome.estimated:,} of them at an estimate")
    lines += outcome.notes
    parts.append("".join(f"- {text}\n" for text in lines))
    if outcome.samples:
        parts += [_memory(outcome.samples), f"![memory](soak/{PLOT.name})\n"]
    return parts


def _number(value: float) -> str:
    """Write a number with the digits that it has."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _memory(samples: Sequence[Sample]) -> str:
    """Say how memory went."""
    first, last = samples[0], samples[-1]
    children = max(sample.children_bytes for sample in samples)
    text = (
        f"{len(samples)} samples: {first.server_bytes / MB:.1f} MB resident before the first "
        f"request, {last.server_bytes / MB:.1f} MB after the last; "
        + (f"its children at most {children / MB:.1f} MB. " if children else "it has no children. ")
    )
    grown = line.growth(samples)
    if grown is None:
        return text + "Too few requests to fit a line.\n"
    return text + (
        f"A line fitted from request {grown.first:,} to {grown.last:,} rises by "
        f"{grown.slope:.2f} ± {grown.margin:.2f} bytes a request (95 %): {grown.verdict}.\n"
    )


def plot(samples: Sequence[Sample]) -> str:
    """Draw the samples and the fitted line."""
    series = {"sampled": [(float(s.requests), s.server_bytes / MB) for s in samples]}
    grown = line.growth(samples)
    if grown is not None:
        ends = (grown.first, grown.last)
        fitted = [(float(x), (grown.intercept + grown.slope * x) / MB) for x in ends]
        series["fitted"] = fitted
    return svg.lines(
        "Resident memory of the server over many requests",
        series,
        svg.colours(tuple(series)),
        x_name="requests",
        y_name="MB",
        dots=("sampled",),
    )
