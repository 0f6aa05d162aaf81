"""What a run of the suite leaves behind: every measurement of every round, as it was.

`docs/benchmarks/raw.json` is a `Results`; the page is made from it and from nothing else.
Names of subjects are those of `bench.subjects`. Nothing in it names the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from bench import open_loop, stream_client, stream_loop
from bench.wrk import Load

RAW: Final = Path(__file__).parents[1] / "docs" / "benchmarks" / "raw.json"


class Machine(msgspec.Struct, frozen=True):
    """Where and with what it was measured."""

    date: str
    cpu: str
    cores: int
    memory_gib: int
    system: str
    busy_before: float
    """How many of its processors were busy with something else right before the run."""
    busy_during: float
    """The same during the run, on average."""
    fsync_p50_us: float
    """What it takes to put 4 KB on the disk that the ledgers are on, alone."""
    fsync_p99_us: float
    versions: dict[str, str]
    commit: str


class Unary(msgspec.Struct, frozen=True):
    """One closed loop of whole answers."""

    round: int
    subject: str
    body_bytes: int
    connections: int
    load: Load


class Open(msgspec.Struct, frozen=True):
    """One open loop of whole answers."""

    round: int
    subject: str
    per_s: int
    seen: open_loop.Outcome


class Paced(msgspec.Struct, frozen=True):
    """One set of paced streams."""

    round: int
    subject: str
    streams: int
    seen: stream_client.Outcome


class Unpaced(msgspec.Struct, frozen=True):
    """One closed loop of streams as fast as they go."""

    round: int
    subject: str
    connections: int
    seen: stream_loop.Outcome


class Start(msgspec.Struct, frozen=True):
    """From nothing to the first successful answer."""

    round: int
    subject: str
    seconds: float


class Footprint(msgspec.Struct, frozen=True):
    """What a subject takes of disk and memory."""

    subject: str
    install_bytes: int | None
    idle_bytes: int
    """Resident, after it has answered some requests and rests."""
    streams: int
    served: int
    """Those of them that came whole."""
    before_bytes: int
    """Resident, right before that many streams are open at once."""
    streaming_bytes: int
    """The most that was resident while they were."""


class Endurance(msgspec.Struct, frozen=True):
    """Many requests to one process, with its resident memory now and then."""

    subject: str
    requests: list[int]
    """Answered so far."""
    rss_bytes: list[int]
    failed: int


class Crossed(msgspec.Struct, frozen=True):
    """One closed loop from a client's dialect to a provider's."""

    round: int
    client: str
    provider: str
    load: Load


class CrossedStreams(msgspec.Struct, frozen=True):
    """Paced streams from a client's dialect to chat."""

    client: str
    streams: int
    seen: stream_client.Outcome


class Beside(msgspec.Struct, frozen=True):
    """The same closed loop with something that governs requests, and without it."""

    what: str
    round: int
    ruled: Load
    free: Load


class Shared(msgspec.Struct, frozen=True):
    """One closed loop to so many workers on PostgreSQL; to 0, a server on SQLite."""

    round: int
    workers: int
    connections: int
    load: Load


class Work(msgspec.Struct, frozen=True):
    """Something that is done off the path of requests."""

    name: str
    amount: int
    """Of requests, of paths, or of entries."""
    seconds: float
    processor_s: float
    grown_bytes: int
    """What it added to resident memory at its peak."""


class Check(msgspec.Struct, frozen=True):
    """A ledger, verified after a stage."""

    stage: str
    subject: str
    words: str


class Results(msgspec.Struct):
    """A whole run."""

    machine: Machine
    plan: str
    interval_us: int
    """Between two chunks of a paced stream."""
    missing: dict[str, str] = {}
    """Subjects that could not be installed, with the reason."""
    unary: list[Unary] = []
    open: list[Open] = []
    paced: list[Paced] = []
    unpaced: list[Unpaced] = []
    starts: list[Start] = []
    footprints: list[Footprint] = []
    endurance: list[Endurance] = []
    crossed: list[Crossed] = []
    crossed_streams: list[CrossedStreams] = []
    agreements: list[Beside] = []
    budgets: list[Beside] = []
    shared: list[Shared] = []
    works: list[Work] = []
    sums: list[Work] = []
    ledgers: list[Check] = []
    runs: dict[str, str] = {}
    """When, and of which commit, the stages were measured that were not in one run with others."""


def save(results: Results, path: Path) -> None:
    """Write results, one measurement a line, so that versions can be compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.to_builtins(results)
    parts = []
    for name, value in encoded.items():
        if isinstance(value, list) and value:
            lines = ",\n  ".join(msgspec.json.encode(item).decode() for item in value)
            text = f"[\n  {lines}\n]"
        else:
            text = msgspec.json.encode(value).decode()
        parts.append(f'"{name}": {text}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


ROWS: Final = {
    "unary": ("unary",),
    "open": ("open",),
    "paced": ("paced",),
    "unpaced": ("unpaced",),
    "start": ("starts",),
    "footprint": ("footprints",),
    "endurance": ("endurance",),
    "crossings": ("crossed", "crossed_streams"),
    "agreements": ("agreements",),
    "budgets": ("budgets",),
    "workers": ("shared",),
    "works": ("works",),
    "usage": ("sums",),
}
"""What each stage measures."""


def merged(path: Path, new: Results, stages: Iterable[str]) -> Results:
    """Put stages that were measured apart into what is there, each with its date and commit."""
    results = load(path) if path.exists() else Results(new.machine, new.plan, new.interval_us)
    for stage in stages:
        for name in ROWS[stage]:
            setattr(results, name, getattr(new, name))
        results.runs[stage] = f"{new.machine.date}, commit {new.machine.commit}"
    fresh = {check.stage for check in new.ledgers}
    results.ledgers = [c for c in results.ledgers if c.stage not in fresh] + new.ledgers
    results.missing = results.missing | new.missing
    results.machine = new.machine
    return results


def load(path: Path) -> Results:
    """Read results. Raises msgspec.ValidationError for a file that is none."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
