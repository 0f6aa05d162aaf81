"""Requests per second at one number of connections, beside nginx, in about a minute.

    make bench-quick

Entente and nginx as reverse proxy take turns in front of the same provider, on the same
cores as provider and load. What counts is the ratio of each round, and of those the
median; the ledger is verified afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from bench.stack import entente, needed, nginx, verify
from bench.wrk import requests_per_s


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--durability", default="full", choices=["full", "settle", "async"])
    options = parser.parse_args()
    programs = needed("nginx", "wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx(programs["nginx"], folder) as ports:
            with entente(folder / "entente", ports.upstream, options.durability) as port:
                ratios = []
                for number in range(options.rounds):
                    limit, ours = (
                        requests_per_s(
                            programs["wrk"], folder, target, options.connections, options.seconds
                        )
                        for target in (ports.proxy, port)
                    )
                    ratios.append(ours / limit)
                    print(
                        f"round {number + 1}: nginx {limit:,.0f}/s, entente {ours:,.0f}/s, "
                        f"ratio {ours / limit:.3f}",
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
