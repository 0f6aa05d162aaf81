"""What sums of usage cost: folding a long journal, and asking for a report of it.

    python -m bench.usage [--entries N] [--keep FOLDER]

Writes the journal of `bench.journal`, folds all of it, and then runs `entente usage
--group-by project,model,day` as a person would: a new process that reads the settings, opens
the database, sees that nothing is left to fold, and sums.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from bench import journal
from bench.model import Work
from bench.process import clean_environment
from entente.ledger.rollups.beside import now_s, open_folding

STEP_ENTRIES: Final = 50_000
"""As `entente usage rebuild` takes."""
KIB: Final = 1024
GROUPS: Final = "project,model,day"


def fold(folder: Path, entries: int) -> Work:
    """Fold a journal from its first entry."""
    before = _resident_bytes()
    began_s, worked_s = time.perf_counter(), time.process_time()
    folding = open_folding(folder)
    folded = folding.run(now_s, most=STEP_ENTRIES)
    folding.close()
    took_s, worked_s = time.perf_counter() - began_s, time.process_time() - worked_s
    if folded != entries:
        message = f"{folded} of {entries} entries were folded"
        raise RuntimeError(message)
    return Work("folding a journal", entries, took_s, worked_s, _resident_bytes() - before)


def ask(folder: Path, entries: int) -> Work:
    """Run the command; its memory is that of its whole process."""
    config = folder / "entente.toml"
    config.write_text(f'[server]\ndata_dir = "{folder}"\n')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "entente.cli", "usage", "--json"),
            *("--group-by", GROUPS, "--config", str(config)),
        ],
        capture_output=True,
        check=True,
        env=clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")},
    )
    took_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests = sum(line["requests"] for line in json.loads(done.stdout))
    if requests != entries // 2:
        message = f"{requests} of {entries // 2} requests are in the report"
        raise RuntimeError(message)
    worked_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Work("asking for usage", entries, took_s, worked_s, after.ru_maxrss * KIB)


def _resident_bytes() -> int:
    """Give the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def main() -> None:
    """Write, fold, ask, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=journal.ENTRIES, metavar="N")
    parser.add_argument("--keep", type=Path, help="use the journal of this folder, or write it")
    parser.add_argument("--json", type=int, metavar="N", help="N entries; figures for a program")
    options = parser.parse_args()
    entries: int = options.json or options.entries
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        if not any(folder.glob("*.db")):
            journal.write(folder, entries)
        works = [fold(folder, entries), ask(folder, entries)]
    if options.json:
        sys.stdout.write(msgspec.json.encode(works).decode())
        return
    for work in works:
        print(
            f"{work.name}: {work.amount:,} entries in {work.seconds:.2f} s "
            f"({work.processor_s:.2f} s of processor), {work.grown_bytes / KIB / KIB:.0f} MiB"
        )


if __name__ == "__main__":
    main()
