"""What a run leaves behind: `docs/soak/raw.json` is a `Results`, and the page is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

RAW: Final = Path(__file__).parents[1] / "docs" / "soak" / "raw.json"


class Machine(msgspec.Struct, frozen=True):
    """Where and with what it ran. Nothing in it names the machine."""

    date: str
    cpu: str
    cores: int
    memory_gib: int
    system: str
    fsync_p50_us: float
    fsync_p99_us: float
    versions: dict[str, str]
    commit: str


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Resident memory when so many requests had been answered."""

    requests: int
    server_bytes: int
    children_bytes: int
    """All processes below the server's together; 0 when there is none."""


class Outcome(msgspec.Struct):
    """What came of one drill."""

    drill: str
    seed: int
    durability: str = ""
    seconds: float = 0.0
    requests: int = 0
    """Settled in the ledger."""
    entries: int = 0
    calls: int = 0
    """By the upstream's own count."""
    answered: int = 0
    """Whole answers, by the clients' own count."""
    estimated: int = 0
    recovered: int = 0
    statuses: dict[str, int] = {}
    lost: int = 0
    """Calls without a hold and a settlement, and answers without a settlement that says so."""
    unsettled: int = 0
    """Holds that were open when nothing ran any more."""
    unverified: int = 0
    """Faults that `ledger verify` found, and verifications that failed."""
    verifications: int = 0
    facts: dict[str, float] = {}
    """What else was measured, by its words with the unit in them."""
    notes: list[str] = []
    samples: list[Sample] = []
    failed: str = ""
    skipped: str = ""

    def expect(self, condition: bool, otherwise: str) -> None:
        """Note what a drill fails by, once, and let it go on."""
        if not condition and otherwise not in self.failed:
            self.failed = "; ".join(filter(None, (self.failed, otherwise)))

    @property
    def passed(self) -> bool:
        """Whether it ran, came to its end, and nothing is missing."""
        faults = self.lost + self.unsettled + self.unverified
        return not (self.failed or self.skipped or faults)


class Results(msgspec.Struct):
    """A run."""

    machine: Machine
    seed: int
    plan: str
    outcomes: list[Outcome] = []
    runs: dict[str, str] = {}
    """Date and commit of drills that were run again apart."""


def merged(path: Path, new: Results) -> Results:
    """Put drills that were run apart in the place of what is there of them."""
    results = load(path)
    fresh = {outcome.drill: outcome for outcome in new.outcomes}
    results.outcomes = [fresh.get(each.drill, each) for each in results.outcomes]
    run = f"{new.machine.date}, commit {new.machine.commit}, seed {new.seed}"
    results.runs |= dict.fromkeys(fresh, run)
    return results


def load(path: Path) -> Results:
    """Read a run. Raises msgspec.ValidationError for what is not one."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(results: Results, path: Path) -> None:
    """Write a run, so that people can read it too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
