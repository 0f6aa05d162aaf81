"""How long many paths take: `python -m bench.simulating`.

10,000 paths of 80 quarters through the ladder of 2023, first the ladder alone with profits
that are there already, then everything: drawing amounts, the ladder, two revenue shares, a
commitment, and the quantiles of all of them. The exact engine's time for a few of the same
paths stands beside it. Figures are processor time of this machine.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np

from bench.model import Work
from entente.agreement.paths.engine import simulate
from entente.agreement.paths.ladders import compile_ladder, settled
from entente.agreement.paths.read import read
from entente.agreement.paths.summary import summarise
from entente.agreement.paths.terms import Terms
from entente.agreement.paths.times import steps
from entente.agreement.settle.cascade import ladder_of
from entente.agreement.settle.ladder import START, advance, paid
from entente.config.agreements import load_agreement

FOLDER: Final = Path(__file__).parents[1] / "examples" / "agreements" / "three-outcomes"
PATHS: Final = 10_000
STEPS: Final = 80
ROUNDS: Final = 3
EXACT_PATHS: Final = 20
UNITS: Final = 100
MS_PER_S: Final = 1_000

T = TypeVar("T")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=int, metavar="N", help="N paths; figures for a program")
    options = parser.parse_args()
    paths: int = options.json or PATHS
    book = load_agreement(FOLDER / "agreement.yaml", scenario="compromise")
    plan, _ = read((FOLDER / "paths" / "compromise.yaml").read_bytes(), "compromise.yaml")
    outline = msgspec.structs.replace(plan.scenario, paths=paths, steps=STEPS)
    plan = msgspec.structs.replace(plan, scenario=outline, sweeps=())
    before_bytes = resident_bytes()
    begun_s = time.perf_counter()
    outcome, whole_s = _least(lambda: simulate(book, plan))
    if options.json:
        took_s = (time.perf_counter() - begun_s) / ROUNDS
        grown = resident_bytes() - before_bytes
        work = Work(f"simulating {STEPS} quarters", paths, took_s, whole_s, grown)
        sys.stdout.write(msgspec.json.encode(work).decode())
        return
    _, summary_s = _least(lambda: summarise(outcome))
    terms = Terms(book, steps(outline, book.zone), ())
    version = book.versions()[-1].agreement
    ladder = ladder_of(version.waterfalls[0], terms.cut(1))
    pieces = compile_ladder(ladder, UNITS)
    profits = np.cumsum(outcome.streams["profit"], axis=1)
    _, ladder_s = _least(lambda: settled(pieces, profits))

    def exact() -> None:
        for row in outcome.streams["profit"][:EXACT_PATHS]:
            path = START
            for profit in row:
                path = advance(ladder, path, Fraction(int(profit), UNITS))
                paid(path)

    _, exact_s = _least(exact)
    cells = f"{paths:,} paths of {STEPS} quarters"
    print(f"the ladder alone, {cells}: {ladder_s * MS_PER_S:.0f} ms")
    print(f"drawn, run through every clause, {cells}: {whole_s * MS_PER_S:.0f} ms")
    print(f"summed up: {summary_s * MS_PER_S:.0f} ms")
    each_ms = exact_s / EXACT_PATHS * MS_PER_S
    print(f"the exact engine, the ladder alone, for each path: {each_ms:.1f} ms")


def resident_bytes() -> int:
    """Give the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _least(work: Callable[[], T]) -> tuple[T, float]:
    """Do it several times; give its result and the least processor time, in seconds."""
    times: list[float] = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        result = work()
        times.append(time.process_time() - begun)
    return result, min(times)


if __name__ == "__main__":
    main()
