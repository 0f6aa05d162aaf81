"""What a drill is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from soak.model import Outcome
from soak.plan import Plan


class Run(NamedTuple):
    """One drill's place, measures, seed, and where it says how far it is."""

    drill: str
    outcome: Outcome
    """What comes of it; what is known stands in it even where the drill fails."""
    folder: Path
    plan: Plan
    seed: int
    tell: Callable[[float, str], None]
    """Takes the share that is done, and what is being done."""

    def chance(self, name: str = "") -> random.Random:
        """Give numbers that are the same for the same seed, whichever drills run."""
        return random.Random(f"{self.seed} {self.drill} {name}")  # noqa: S311 - no secret
