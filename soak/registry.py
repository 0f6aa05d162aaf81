"""The drills, by the name that selects them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from soak.drills.clock import clock
from soak.drills.database import disk, locked
from soak.drills.endurance import endurance
from soak.drills.hostile import hostile
from soak.drills.kills import kills
from soak.drills.leases import leases
from soak.drills.leavers import leavers
from soak.drills.lending import lending
from soak.drills.minutes import minutes
from soak.drills.providers import upstream
from soak.run import Run

DRILLS: Final[Mapping[str, Callable[[Run], Coroutine[None, None, None]]]] = {
    "kills": kills,
    "endurance": endurance,
    "leavers": leavers,
    "hostile": hostile,
    "locked": locked,
    "disk": disk,
    "upstream": upstream,
    "clock": clock,
    "lending": lending,
    "leases": leases,
    "minutes": minutes,
}
