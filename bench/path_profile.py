"""Where the time of the request path goes, by part of the product; see `bench.path`."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

FUNCTIONS_SHOWN: Final = 40
_PARTS: Final = {
    "http/": "HTTP in front",
    "gateway/keeping/": "keeping answers",
    "objects/": "keeping answers",
    "gateway/": "pipeline and relay",
    "auth/": "key",
    "policy/": "limits, access",
    "metering/": "bounds and prices",
    "ledger/": "ledger",
    "routing/": "routing",
    "providers/": "provider",
    "net/": "upstream client",
    "wire/": "dialect",
    "telemetry/": "metrics",
    "domain/": "values",
}
_OTHER: Final = "event loop"
"""And the standard library."""
_STAND_INS: Final = str(Path(__file__).with_name("path.py"))


def _part(where: tuple[str, int, str]) -> str | None:
    """Name the part of the path that a function belongs to; None for C functions."""
    file = where[0]
    if file.startswith(("~", "<")):
        return None
    if file == _STAND_INS:
        return "stand-ins"
    name = file.rpartition("/entente/")[2]
    return next((part for prefix, part in _PARTS.items() if name.startswith(prefix)), _OTHER)


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Give each part's share of the time; a C function's counts for who calls it."""
    parts: dict[str, float] = {}
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for where, (_, _, own_s, _, callers) in stats.items():
        part = _part(where)
        if part is not None:
            parts[part] = parts.get(part, 0.0) + own_s
            continue
        for caller, (_, _, called_s, _) in callers.items():
            part = _part(caller) or _OTHER
            parts[part] = parts.get(part, 0.0) + called_s
    total = sum(parts.values())
    return {part: spent / total for part, spent in sorted(parts.items(), key=lambda p: -p[1])}


def profiled(measure: Callable[[], float]) -> None:
    """Print where the time of one round goes: by function, then by part."""
    profile = cProfile.Profile()
    profile.runcall(measure)
    pstats.Stats(profile).sort_stats("tottime").print_stats(FUNCTIONS_SHOWN)
    for part, share in shares(profile).items():
        print(f"{share:6.1%}  {part}")
