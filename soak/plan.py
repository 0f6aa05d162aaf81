"""How long each drill is."""

from __future__ import annotations

from typing import Final

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """The measures of a run."""

    name: str
    kills: int
    kills_between_verifications: int
    requests: int
    """Of the drill that watches memory."""
    leavers: int
    attack_s: float
    """How long good clients are watched without attackers, and again with them."""
    locks_s: tuple[float, ...]
    """How long the database is locked, one lock after the other."""
    disk_rounds: int
    upstream_kills: int
    clock_steps: int
    lending_seeds: int
    lease_runs: int
    """On a real database."""
    lease_requests: tuple[int, ...]
    """What the budget of such a run may pay for."""
    lease_s: float
    """How long such a budget lasts where nothing is broken."""
    minutes: int
    """Of a limit per minute over several workers."""
    drill_s_max: float
    """A drill that takes longer than this hangs, and fails."""


FULL: Final = Plan(
    name="full",
    kills=200,
    kills_between_verifications=10,
    requests=1_000_000,
    leavers=500,
    attack_s=60.0,
    locks_s=(0.5, 2.0, 4.0, 7.0, 1.0, 12.0),
    disk_rounds=12,
    upstream_kills=30,
    clock_steps=40,
    lending_seeds=1_000,
    lease_runs=20,
    lease_requests=(300, 800, 1_500),
    lease_s=8.0,
    minutes=3,
    drill_s_max=2 * 3600.0,
)
QUICK: Final = Plan(
    name="quick",
    kills=6,
    kills_between_verifications=3,
    requests=6_000,
    leavers=50,
    attack_s=4.0,
    locks_s=(0.5, 6.0),
    disk_rounds=2,
    upstream_kills=3,
    clock_steps=8,
    lending_seeds=50,
    lease_runs=1,
    lease_requests=(300,),
    lease_s=5.0,
    minutes=1,
    drill_s_max=120.0,
)
