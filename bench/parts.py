"""What parts of the product cost, beside the same without them where there is such a thing.

Crossing between dialects, and deciding by an agreement, in turns with requests that do
neither; settling a quarter of a large ledger; simulating many paths of an agreement;
folding the usage of a long journal, and asking for a report of it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from bench import entente, settling, simulating, subjects, translation, usage
from bench.model import Agreed, Check, Crossed, CrossedStreams, Work
from bench.plan import KB
from bench.process import clean_environment
from bench.suite import Suite
from bench.traffic import MODEL, Target, chat_body

CONNECTIONS: Final = 32
STREAMING: Final = ("chat", "messages", "responses")
DOCUMENT: Final = (
    Path(__file__).parents[1] / "examples" / "agreements" / "two-storefronts" / "agreement.yaml"
)
_ENFORCED: Final = '[agreement]\nfile = "agreement.yaml"\n'
_ATTRIBUTES: Final = 'attributes = { seller = "lab", host = "lab-cloud" }'


def crossings(suite: Suite) -> None:
    """Each way between two dialects, and chat to chat, in turns."""
    plan, results = suite.plan, suite.results
    with suite.started("crossings", subjects.FULL) as endpoint:
        for number in range(plan.rounds):
            for way in (translation.SAME, *translation.CROSSING):
                suite.meter.step(f"{way}, {CONNECTIONS} connections")
                target = Target(endpoint.unary.port, path=translation.PATHS[way.client])
                body = translation.whole_body(way)
                load = suite.wrk.load(target, body, CONNECTIONS, plan.unary_s)
                results.crossed.append(Crossed(number, way.client, way.provider, load))
                endpoint.rest()
        for client in STREAMING:
            suite.meter.step(f"{translation.STREAMS} paced streams: {client} -> chat")
            seen = translation.paced(client, endpoint.stream.port)
            results.crossed_streams.append(CrossedStreams(client, translation.STREAMS, seen))
            endpoint.rest()


def agreements(suite: Suite) -> None:
    """The same requests with an agreement to be decided by, and without one, in turns."""
    plan, results = suite.plan, suite.results
    with _pair(suite) as pair:
        for number in range(plan.rounds):
            names = sorted(pair, reverse=bool(number % 2))
            loads = {}
            for name in names:
                suite.meter.step(f"{name} agreement, {CONNECTIONS} connections")
                loads[name] = suite.wrk.load(pair[name], chat_body(KB), CONNECTIONS, plan.unary_s)
            results.agreed.append(Agreed(number, loads["with an"], loads["without an"]))


@contextlib.contextmanager
def _pair(suite: Suite) -> Iterator[Mapping[str, Target]]:
    """Run the product twice, once with an agreement; verify both ledgers afterwards."""
    homes = {
        "with an": suite.folder / "agreement",
        "without an": suite.folder / "no-agreement",
    }
    ports = suite.stand.ports
    with contextlib.ExitStack() as stack:
        running = {}
        for name, home in homes.items():
            enforced = name == "with an"
            home.mkdir()
            if enforced:
                text = DOCUMENT.read_text().replace("frontier-*", MODEL)
                (home / "agreement.yaml").write_text(text)
            _, running[name] = stack.enter_context(
                entente.entente(
                    home,
                    ports.unary,
                    ports.stream,
                    "full",
                    more=_ENFORCED if enforced else "",
                    about_unary=_ATTRIBUTES if enforced else "",
                )
            )
            suite.wrk.load(running[name], chat_body(KB), CONNECTIONS, suite.plan.warm_s)
        yield running
    for name, home in homes.items():
        words = entente.verify(home)
        suite.results.ledgers.append(Check("agreements", f"{name} agreement", words))


def works(suite: Suite) -> None:
    """Settle a quarter of a large ledger; run many paths through every clause."""
    for module, amount in ((settling, suite.plan.settled_requests), (simulating, simulating.PATHS)):
        figures = _figures(suite, module.__name__, amount)
        suite.results.works.append(msgspec.json.decode(figures, type=Work))


def sums(suite: Suite) -> None:
    """Fold a long journal, and ask for a report of it."""
    figures = _figures(suite, usage.__name__, suite.plan.folded_entries)
    suite.results.sums += msgspec.json.decode(figures, type=list[Work])


def _figures(suite: Suite, module: str, amount: int) -> bytes:
    """Run a measurement in a process of its own."""
    suite.meter.step(f"{module}: {amount:,}")
    done = subprocess.run(
        [sys.executable, "-m", module, "--json", str(amount)],
        capture_output=True,
        check=False,
        env=clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stderr.decode()}")
    return done.stdout


STAGES: Final[Mapping[str, Callable[[Suite], None]]] = {
    "crossings": crossings,
    "agreements": agreements,
    "works": works,
    "usage": sums,
}
