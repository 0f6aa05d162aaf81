"""The command: measure, and write the page.

    python -m bench [--quick]       measure everything, or a little of everything
    python -m bench report          write docs/benchmarks.md from docs/benchmarks/raw.json
    python -m bench report --check  fail if that page is not what the raw data makes of it

A whole run writes docs/benchmarks/raw.json and the page. A quick one, or one of some stages
only, leaves both alone: its numbers go to a cache folder and its page to the terminal.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bench import footprint, model, parts, peers, report, sharing, subjects
from bench.machine import OthersWatch, alone, describe, raise_limits
from bench.meter import Meter
from bench.plan import FULL, INTERVAL_US, QUICK, Plan
from bench.process import needed
from bench.suite import LOADS, Suite, steps
from bench.wrk import Wrk

APART: Final = {**footprint.STAGES, **parts.STAGES, **sharing.STAGES}
STAGES: Final = (*LOADS, *APART)
BUSY_MAX: Final = 0.1
"""With more than this many processors busy besides there are no numbers to quote."""
REST_S: Final = 3.0
"""How long it is watched what the machine does without us."""


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", default="run", choices=["run", "report"])
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    parser.add_argument("--rounds", type=int, help="rounds of every stage")
    parser.add_argument("--requests", type=int, help="requests of the endurance stage")
    parser.add_argument("--only", nargs="+", choices=STAGES, help="these stages only")
    parser.add_argument("--subjects", nargs="+", choices=subjects.ALL, help="these subjects only")
    parser.add_argument("--litellm", default=peers.LITELLM, help="version of LiteLLM")
    parser.add_argument("--portkey", default=peers.PORTKEY, help="version of Portkey")
    parser.add_argument(
        "--into", action="store_true", help="put the stages of --only into the page's raw data"
    )
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    parser.add_argument("--raw", type=Path, help="where the raw data is, or goes")
    options = parser.parse_args()
    if options.what == "report":
        _report(options.raw or model.RAW, check=options.check)
        return
    # A stop from outside has to end what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    _run(options)


def _report(raw: Path, *, check: bool) -> None:
    """Write the page, or say whether it is what the raw data makes of it."""
    if not raw.exists():
        sys.exit(f"There is no raw data yet in {raw.name}. Run `make bench`.")
    if not check:
        report.write(raw)
    elif stale := report.stale(raw):
        names = ", ".join(path.name for path in stale)
        sys.exit(f"{names}: not what the raw data says. Run `python -m bench report`.")


def _run(options: argparse.Namespace) -> None:
    """Measure and write, while no other run does."""
    console = Console(stderr=True)
    programs = needed("nginx", "wrk")
    raise_limits()
    partial = options.quick or options.only or options.subjects
    raw = options.raw or (peers.CACHE / "last.json" if partial else model.RAW)
    with alone():
        results = _measure(options, programs, raw, console)
    if options.into:
        model.save(model.merged(model.RAW, results, options.only or STAGES), model.RAW)
        report.write(model.RAW)
    elif partial or options.raw:
        sys.stdout.write(report.page(results))
        console.print(f"Raw data: {raw}", highlight=False)
    else:
        report.write(raw)


def _measure(
    options: argparse.Namespace, programs: dict[str, str], raw: Path, console: Console
) -> model.Results:
    """Run the stages; the raw data is written after each."""
    plan = _plan(options)
    versions = {subjects.LITELLM: options.litellm, subjects.PORTKEY: options.portkey}
    watch = OthersWatch()
    time.sleep(REST_S)
    busy_before = watch.processors()
    if busy_before > BUSY_MAX:
        console.print(
            f"[yellow]{busy_before:.1f} processors are busy with something else: "
            "do not quote the numbers."
        )
    # Not in /tmp, which on many machines is no disk: ledgers have to be synced to one.
    with tempfile.TemporaryDirectory(prefix="run-", dir=peers.CACHE) as name:
        folder = Path(name)
        with subjects.providers(programs, folder) as ports:
            console.print("Preparing the peers; the first time this takes some minutes.")
            wanted = set(options.subjects or subjects.ALL)
            stand = subjects.prepare(programs, ports, versions, wanted)
            for reason in stand.missing.values():
                console.print(f"[yellow]Not measured: {reason}", highlight=False)
            results = model.Results(
                machine=describe(
                    programs,
                    {name: versions[name] for name in stand.installed},
                    busy_before,
                    folder,
                ),
                plan=plan.name,
                interval_us=INTERVAL_US,
                missing=dict(stand.missing),
            )
            counts = steps(plan, stand)
            stages = [stage for stage in STAGES if stage in (options.only or STAGES)]
            with Meter(sum(counts[stage] for stage in stages), console) as meter:
                suite = Suite(plan, stand, Wrk(programs["wrk"], folder), folder, results, meter)
                _stages(suite, stages, lambda: model.save(results, raw))
    results.machine = msgspec.structs.replace(results.machine, busy_during=watch.processors())
    model.save(results, raw)
    return results


def _stages(suite: Suite, wanted: list[str], save: Callable[[], None]) -> None:
    """Run the wanted stages; save after each."""
    loads = [stage for stage in wanted if stage in LOADS]
    if loads:
        with suite.all_started("load"):
            for stage in loads:
                LOADS[stage](suite)
                save()
    for stage in wanted:
        if stage in APART:
            APART[stage](suite)
            save()


def _plan(options: argparse.Namespace) -> Plan:
    """Give the plan that the options ask for."""
    plan = QUICK if options.quick else FULL
    if options.rounds:
        kinds = ("rounds", "turns", "open_rounds", "paced_rounds", "unpaced_rounds", "start_rounds")
        plan = msgspec.structs.replace(plan, **dict.fromkeys(kinds, options.rounds))
    if options.requests:
        plan = msgspec.structs.replace(plan, endurance_requests=options.requests)
    return plan


if __name__ == "__main__":
    main()
