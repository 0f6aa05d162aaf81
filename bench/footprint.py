"""What a subject takes: time to start, disk, memory at rest, per stream and over many requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Self

from bench import entente, peers, subjects
from bench.model import Endurance, Footprint
from bench.plan import KB
from bench.process import Program
from bench.subjects import Endpoint
from bench.suite import WARM_STREAMS, Suite, take_streams
from bench.traffic import chat_body

WARM_CHUNKS: Final = 50
HELD_CHUNKS: Final = 5
SAMPLE_S: Final = 0.1
PIECES: Final = 100
"""Samples of memory over the many requests, about."""
PIECE_S: Final = 2


class Watch:
    """Samples the resident memory of a program while something happens to it."""

    def __init__(self, program: Program) -> None:
        """Watch nothing yet."""
        self._program = program
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most_bytes = 0

    def __enter__(self) -> Self:
        """Begin to sample."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        """Sample until told to stop."""
        while not self._over.wait(SAMPLE_S):
            self.most_bytes = max(self.most_bytes, self._program.rss_bytes())


def starts(suite: Suite) -> None:
    """Time each subject from nothing to its first successful answer, some more times."""
    for number in range(suite.plan.start_rounds):
        for name in suite.names(subjects.STARTED):
            suite.meter.step(f"starting {name}")
            with suite.excused(name), suite.started(f"start {number + 1}", name):
                pass


def footprints(suite: Suite) -> None:
    """Measure size and memory of each subject in a process that has served little."""
    for name in suite.names(subjects.STARTED):
        suite.meter.step(f"memory of {name}")
        with suite.excused(name), suite.started("footprint", name) as endpoint:
            if endpoint.program is not None:
                suite.results.footprints.append(_footprint(suite, name, endpoint, endpoint.program))


def _footprint(suite: Suite, name: str, endpoint: Endpoint, program: Program) -> Footprint:
    """Measure size and memory of a subject that has just started."""
    plan = suite.plan
    suite.wrk.load(endpoint.unary, chat_body(KB), 1, plan.warm_s)
    endpoint.rest()
    idle_bytes = program.rss_bytes()
    take_streams(endpoint, WARM_STREAMS, WARM_CHUNKS, plan)
    endpoint.rest()
    before_bytes = program.rss_bytes()
    with Watch(program) as watch:
        seen = take_streams(endpoint, plan.footprint_streams, HELD_CHUNKS, plan, plan.held_us)
    return Footprint(
        subject=name,
        install_bytes=_install_bytes(suite, name),
        idle_bytes=idle_bytes,
        streams=plan.footprint_streams,
        served=seen.served,
        before_bytes=before_bytes,
        streaming_bytes=watch.most_bytes,
    )


def endurance(suite: Suite) -> None:
    """Send one process of the product many requests and watch its memory."""
    plan = suite.plan
    name = subjects.FULL
    if name not in suite.stand.starters:
        return
    suite.meter.step(f"{plan.endurance_requests:,} requests to {name}")
    requests, rss, failed, total = [0], [], 0, 0
    with suite.started("endurance", name) as endpoint:
        program = endpoint.program
        if program is None:
            return
        rss.append(program.rss_bytes())
        seconds = 1
        while total < plan.endurance_requests:
            load = suite.wrk.load(
                endpoint.unary, chat_body(KB), plan.endurance_connections, seconds
            )
            if not load.requests:
                program.check()
                break
            total += load.requests
            failed += load.failed
            requests.append(total)
            rss.append(program.rss_bytes())
            suite.meter.say(f"{total:,} requests, {rss[-1] / 1e6:.1f} MB resident")
            wanted_s = plan.endurance_requests / PIECES / load.per_s
            seconds = max(1, min(round(wanted_s), PIECE_S * 5))
    suite.results.endurance.append(Endurance(name, requests, rss, failed))


def _install_bytes(suite: Suite, name: str) -> int | None:
    """Give the size of an installation; None where the system's packager has installed it."""
    if name in suite.stand.installed:
        return peers.installed_bytes(suite.stand.installed[name])
    return entente.install_bytes() if name in subjects.DURABILITY else None


STAGES: Final[Mapping[str, Callable[[Suite], None]]] = {
    "start": starts,
    "footprint": footprints,
    "endurance": endurance,
}
"""Stages in which one subject runs at a time."""
