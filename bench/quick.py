"""Requests per second at one number of connections, beside nginx, in about a minute.

    make bench-quick
    make bench-quick ARGS=--translation     what crossing between dialects costs instead

Entente and nginx as reverse proxy take turns in front of the same provider, on the same
cores as provider and load. What counts is the ratio of each round, and of those the
median; the ledger is verified afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bench import subjects, translation
from bench.entente import DURABILITIES, verify
from bench.machine import alone
from bench.peers import CACHE
from bench.plan import KB
from bench.process import needed
from bench.traffic import chat_body
from bench.wrk import Wrk


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--durability", default="full", choices=DURABILITIES)
    parser.add_argument(
        "--translation", action="store_true", help="dialects against each other, without nginx"
    )
    options = parser.parse_args()
    if options.translation:
        translation.measure(options.connections, options.rounds, options.seconds)
        return
    programs = needed("nginx", "wrk")
    name = f"entente {options.durability}"
    with alone(), tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        folder = Path(temporary)
        wrk = Wrk(programs["wrk"], folder)
        with subjects.providers(programs, folder) as ports:
            stand = subjects.prepare(programs, ports, {}, {subjects.NGINX, name})
            with (
                stand.starters[subjects.NGINX](folder / "nginx") as limit,
                stand.starters[name](folder / "entente") as ours,
            ):
                ratios = []
                for number in range(options.rounds):
                    loads = [
                        wrk.load(target, chat_body(KB), options.connections, options.seconds)
                        for target in (limit.unary, ours.unary)
                    ]
                    if any(load.failed for load in loads):
                        sys.exit(f"Requests failed: {loads}")
                    theirs, own = (load.per_s for load in loads)
                    ratios.append(own / theirs)
                    print(
                        f"round {number + 1}: nginx {theirs:,.0f}/s, entente {own:,.0f}/s, "
                        f"ratio {own / theirs:.3f}",
                        flush=True,
                    )
            print(verify(folder / "entente"))
    print(
        f"{options.connections} connections, durability {options.durability}: "
        f"median ratio {statistics.median(ratios):.3f} of nginx as reverse proxy "
        f"(from {min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
