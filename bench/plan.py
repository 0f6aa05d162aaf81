"""How much is measured: the whole thing, and a variant for a quick look."""

from __future__ import annotations

from typing import Final

import msgspec

KB: Final = 1000
INTERVAL_US: Final = 20_000
"""Between two chunks of a paced stream: fifty tokens a second."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a run. Seconds are of each single measurement."""

    name: str
    rounds: int
    unary: tuple[tuple[int, int], ...]
    """(bytes of the body, connections) of each closed loop."""
    unary_s: int
    warm_s: int
    turns: int
    """Of the product against itself: more and shorter ones, since less than half is to be seen."""
    turn_s: int
    rates: tuple[int, ...]
    """Requests per second of the open loops."""
    open_rounds: int
    open_s: float
    streams: tuple[int, ...]
    paced_rounds: int
    paced_chunks: int
    ramp_s: float
    grace_s: float
    unpaced_connections: int
    unpaced_chunks: int
    unpaced_rounds: int
    unpaced_s: int
    start_rounds: int
    footprint_streams: int
    held_us: int
    """Between two chunks of streams that are only held open, slow enough for every subject."""
    endurance_requests: int
    endurance_connections: int
    settled_requests: int
    folded_entries: int


FULL: Final = Plan(
    name="full",
    rounds=5,
    unary=((KB, 1), (KB, 32), (KB, 128), (100 * KB, 32), (400 * KB, 32)),
    unary_s=4,
    warm_s=2,
    turns=25,
    turn_s=1,
    rates=(50, 500, 2000, 4000),
    open_rounds=3,
    open_s=4.0,
    streams=(1, 32, 128, 512, 1024),
    paced_rounds=5,
    paced_chunks=250,
    ramp_s=2.0,
    grace_s=5.0,
    unpaced_connections=8,
    unpaced_chunks=200,
    unpaced_rounds=5,
    unpaced_s=3,
    start_rounds=3,
    footprint_streams=1024,
    held_us=1_000_000,
    endurance_requests=1_000_000,
    endurance_connections=32,
    settled_requests=1_000_000,
    folded_entries=10_000_000,
)

QUICK: Final = Plan(
    name="quick",
    rounds=1,
    unary=((KB, 1), (KB, 32), (400 * KB, 32)),
    unary_s=1,
    warm_s=1,
    turns=1,
    turn_s=1,
    rates=(500,),
    open_rounds=1,
    open_s=1.0,
    streams=(128,),
    paced_rounds=1,
    paced_chunks=75,
    ramp_s=0.5,
    grace_s=1.0,
    unpaced_connections=8,
    unpaced_chunks=200,
    unpaced_rounds=1,
    unpaced_s=1,
    start_rounds=0,
    footprint_streams=128,
    held_us=300_000,
    endurance_requests=10_000,
    endurance_connections=32,
    settled_requests=50_000,
    folded_entries=200_000,
)
