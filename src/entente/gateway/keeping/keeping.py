"""All that keeps: the store, the shelf for answers, and what is made in the background."""

from __future__ import annotations

from typing import Final, NamedTuple

from entente.domain.ids import Ids, NowNs
from entente.gateway.keeping.background import Background
from entente.gateway.keeping.recorder import Shelf
from entente.gateway.pipeline import Gateway
from entente.gateway.running import Running
from entente.objects import Objects

NS_PER_DAY: Final = 24 * 3600 * 1_000_000_000


class Keeping(NamedTuple):
    """What the routes of stored things need. Without a shelf no answer is kept."""

    objects: Objects
    ids: Ids
    shelf: Shelf | None
    background: Background | None

    @property
    def running(self) -> int:
        """Responses being made in the background."""
        return self.background.running if self.background is not None else 0

    async def recover(self, *, of_all: bool) -> None:
        """Fail what a server that died was making; see `Background.recover`."""
        if self.background is not None:
            await self.background.recover(of_all=of_all)

    async def stop(self, within_s: float) -> None:
        """Let what is being made come to its end within a time."""
        if self.background is not None:
            await self.background.stop(within_s)


def keeping_for(
    gateway: Gateway,
    objects: Objects,
    ids: Ids,
    now_ns: NowNs,
    running: Running,
    *,
    answers_days: int,
    drain_s: float,
    worker: int = 0,
) -> Keeping:
    """Put the parts together. Answers are kept for so many days; 0 keeps none."""
    if not answers_days:
        return Keeping(objects, ids, None, None)
    kept_ns = answers_days * NS_PER_DAY
    shelf = Shelf(objects=objects, ids=ids, now_ns=now_ns, kept_ns=kept_ns)
    background = Background(gateway, shelf, running, drain_s=drain_s, worker=worker)
    return Keeping(objects, ids, shelf, background)
