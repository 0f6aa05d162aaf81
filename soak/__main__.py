"""The command: run the drills, and write the page.

    python -m soak [--quick] [--only DRILL ...] [--seed N]   run all drills, or some
    python -m soak report                    write docs/soak.md from docs/soak/raw.json
    python -m soak report --check            fail if that page is not what the raw data says

A whole run writes docs/soak/raw.json and the page. A quick one, or one of some drills only,
leaves both alone: its raw data goes to a cache folder and its page to the terminal; unless
--into puts those drills in the place of what the whole run says of them, with their commit. The
exit status says whether every drill passed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bench.machine import alone, raise_limits
from bench.peers import CACHE
from entente.domain.errors import EntenteError
from soak import machine, report
from soak.model import RAW, Outcome, Results, merged, save
from soak.plan import FULL, QUICK, Plan
from soak.progress import Watch
from soak.registry import DRILLS
from soak.run import Run
from tests.support.loops import run as run_loop

LAST: Final = CACHE / "soak.json"
SEED: Final = 7
SAID_CHARS_MAX: Final = 500
FAILURES: Final = (
    AssertionError,
    EntenteError,
    LookupError,
    OSError,
    TimeoutError,
    ValueError,
    sqlite3.Error,
    subprocess.SubprocessError,
)
"""What a drill fails by; the others go on."""
KEPT: Final = CACHE / "soak-failed"
"""The folders of drills that failed: ledger, configuration, logs."""


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", default="run", choices=["run", "report"])
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    parser.add_argument("--only", nargs="+", choices=DRILLS, help="these drills only")
    parser.add_argument(
        "--into", action="store_true", help="put the drills of --only into the page's raw data"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="any other number is another run")
    parser.add_argument("--kills", type=int, help="kills of the server under load")
    parser.add_argument("--requests", type=int, help="requests of the drill that watches memory")
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    parser.add_argument("--raw", type=Path, help="where the raw data is, or goes")
    options = parser.parse_args()
    if options.into and (options.quick or not options.only or not RAW.exists()):
        parser.error("--into is for --only, beside a whole run, and at full length")
    if options.what == "report":
        _report(options.raw or RAW, check=options.check)
        return
    # A stop from outside has to end what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    sys.exit(_run(options))


def _report(raw: Path, *, check: bool) -> None:
    """Write the page, or say whether it is what the raw data makes of it."""
    if not check:
        report.write(raw)
    elif stale := report.stale(raw):
        names = ", ".join(path.name for path in stale)
        sys.exit(f"{names}: not what the raw data says. Run `python -m soak report`.")


def _run(options: argparse.Namespace) -> int:
    """Drill and write; give the exit status."""
    console = Console(stderr=True, highlight=False)
    raise_limits()
    plan = _plan(options)
    partial = options.quick or options.only
    raw = options.raw or (LAST if partial else RAW)
    # Not in /tmp, which on many machines is no disk: ledgers have to be synced to one.
    CACHE.mkdir(parents=True, exist_ok=True)
    with alone(), tempfile.TemporaryDirectory(prefix="soak-", dir=CACHE) as name:
        place = Path(name)
        results = Results(machine.describe(place), options.seed, plan.name)
        console.print(f"Seed {options.seed}, plan {plan.name}")
        _drill(results, plan, options.only or list(DRILLS), place, raw, console)
    if options.into:
        save(merged(RAW, results), RAW)
        report.write(RAW)
    elif partial or options.raw:
        sys.stdout.write(report.page(results))
        console.print(f"Raw data: {raw}")
    else:
        report.write(raw)
    failed = [one.drill for one in results.outcomes if not (one.passed or one.skipped)]
    if failed:
        names = " ".join(failed)
        console.print(
            f"[red]Failed: {names}.[/] Again with --only {names} --seed {options.seed}; "
            f"what they left is in {KEPT}"
        )
    return int(bool(failed))


def _plan(options: argparse.Namespace) -> Plan:
    """Give the plan that the options ask for."""
    plan = QUICK if options.quick else FULL
    asked = {name: getattr(options, name) for name in ("kills", "requests")}
    changes = {n: v for n, v in asked.items() if v is not None and v != getattr(plan, n)}
    return (
        msgspec.structs.replace(plan, name=f"{plan.name}, changed", **changes) if changes else plan
    )


def _drill(
    results: Results, plan: Plan, names: Sequence[str], place: Path, raw: Path, console: Console
) -> None:
    """Run drills one after the other; the raw data is written after each."""
    with Watch(len(names), console) as watch:
        for name in names:
            folder = place / name
            folder.mkdir()

            def tell(share: float, text: str, name: str = name) -> None:
                watch.tell(share, f"{name}: {text}")

            outcome = Outcome(name, results.seed)
            _one(Run(name, outcome, folder, plan, results.seed, tell), console)
            watch.end(f"{name}: {_end(outcome)}")
            _clear(folder, keep=not (outcome.passed or outcome.skipped))
            outcome.failed = _without_folders(outcome.failed)
            outcome.notes = [_without_folders(note) for note in outcome.notes]
            results.outcomes.append(outcome)
            save(results, raw)


def _end(outcome: Outcome) -> str:
    """Say how a drill has ended."""
    if outcome.skipped:
        return f"skipped, {outcome.skipped}"
    return f"{'passed' if outcome.passed else 'failed'} in {outcome.seconds:.0f} s"


def _clear(folder: Path, *, keep: bool) -> None:
    """Remove what a drill has left; or keep it, instead of what was kept of it before."""
    if keep:
        shutil.rmtree(KEPT / folder.name, ignore_errors=True)
        KEPT.mkdir(exist_ok=True)
        shutil.move(folder, KEPT / folder.name)
    else:
        shutil.rmtree(folder)


def _one(run: Run, console: Console) -> None:
    """Run one drill; what it fails by becomes its outcome, and the others go on."""
    began_s = time.monotonic()
    try:
        run_loop(DRILLS[run.drill](run), within_s=run.plan.drill_s_max)
    except* FAILURES as group:
        trace = "".join(traceback.format_exception(group))
        console.print(f"[red]{run.drill} failed[/] (seed {run.seed})")
        console.print(trace, markup=False)
        run.outcome.expect(False, _first(group))  # noqa: FBT003
    run.outcome.seconds = round(time.monotonic() - began_s, 1)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """Say the first error of a group in a line."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:SAID_CHARS_MAX]


def _without_folders(text: str) -> str:
    """Leave the folders of this machine out: what is said may go to a page."""
    return (
        text.replace(str(CACHE), "…").replace(str(machine.ROOT), ".").replace(str(Path.home()), "~")
    )


if __name__ == "__main__":
    main()
