"""What asking an agreement costs: `python -m bench.deciding`.

The largest document of the library, in one of its readings: a request that was decided before
(memory), one that was not (rules), the first in a stretch of time (making the rules), loading.
The figure is the least of several rounds of the thread's CPU time: what disturbs a round only
ever adds to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from entente.agreement.conditions import Scalar
from entente.agreement.decide import Rules
from entente.agreement.load import Version
from entente.agreement.occasions import NOTHING
from entente.agreement.values import instant_ns
from entente.config.agreements import load_agreement

DOCUMENT: Final = Path(__file__).parents[1] / "examples/agreements/microsoft-openai/agreement.yaml"
ROUNDS: Final = 7
HITS: Final = 200_000
MISSES: Final = 5_000
DAYS: Final = ("2024-06-01", "2025-03-01", "2025-11-15", "2026-03-15", "2026-05-15")
HIT_US_MAX: Final = 2.0
MISS_US_MAX: Final = 50.0


def best_us(times: int, work: Callable[[], object]) -> float:
    """Give microseconds for one of `times`, in the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        work()
        found.append((time.thread_time() - begun) / times * 1e6)
    return min(found)


def request(number: int) -> dict[str, Scalar]:
    """Give a request as a gateway makes it."""
    return {
        "model": "gpt-4o",
        "surface": "api_stateless",
        "host": f"host-{number}",
        "provider": "main",
        "seller": "openai",
        "segment": "enterprise",
        "region": "eu-west",
        "project": "p1",
        "key": "k1",
    }


def measure(versions: tuple[Version, ...], day: str) -> tuple[float, float, float]:
    """Give a hit, a miss and the making of rules, in microseconds."""
    at_ns = instant_ns(day, ZoneInfo("UTC"))
    rules = Rules(versions)
    standing = rules.given(NOTHING)
    asked = request(0)
    standing.decide(asked, at_ns)
    fresh = iter(range(1, 10**9))

    def hits() -> None:
        for _ in range(HITS):
            standing.decide(asked, at_ns)

    def misses() -> None:
        for _ in range(MISSES):
            standing.decide(request(next(fresh)), at_ns)

    def making() -> None:
        Rules(versions).given(NOTHING).decide(asked, at_ns)

    return best_us(HITS, hits), best_us(MISSES, misses), best_us(1, making)


def main() -> None:
    """Print the figures."""
    begun = time.perf_counter()
    book = load_agreement(DOCUMENT, scenario="cap_after_recoup")
    loading_ms = (time.perf_counter() - begun) * 1e3
    versions = book.versions()
    print(f"loading and checking {len(versions)} versions: {loading_ms:.0f} ms")
    print(f"at most: a hit {HIT_US_MAX:.0f} µs, a miss {MISS_US_MAX:.0f} µs")
    for day in DAYS:
        hit, miss, making = measure(versions, day)
        verdict = "ok" if hit < HIT_US_MAX and miss < MISS_US_MAX else "too slow"
        print(
            f"{day}: hit {hit:5.2f} µs   miss {miss:5.1f} µs   rules {making:6.0f} µs   {verdict}"
        )


if __name__ == "__main__":
    main()
