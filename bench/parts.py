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
from bench.model import Beside, Check, Crossed, CrossedStreams, Work
from bench.plan import KB
from bench.process import clean_environment
from bench.suite import Suite
from bench.traffic import MODEL, Target, chat_body
from entente.control.key_forms import BOOTSTRAP_NAME

CONNECTIONS: Final = 32
STREAMING: Final = ("chat", "messages", "responses")
DOCUMENT: Final = (
    Path(__file__).parents[1] / "examples" / "agreements" / "two-storefronts" / "agreement.yaml"
)
BUDGETS: Final = {
    "organization": "year",
    "project:default": "month",
    f"model:{MODEL}": "week",
    "key:*": "day",
    "user:*": "lifetime",
}
"""Scopes, each with the window of its budget."""
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
    text = DOCUMENT.read_text().replace("frontier-*", MODEL)

    def decide(home: Path) -> dict[str, str]:
        (home / "agreement.yaml").write_text(text)
        return {"more": _ENFORCED, "about_unary": _ATTRIBUTES}

    suite.results.agreements += _beside(suite, "an agreement", decide)


def budgets(suite: Suite) -> None:
    """The same requests under a hard budget at each of five levels, and under none, in turns."""

    def limit(home: Path) -> dict[str, str]:
        for scope, window in BUDGETS.items():
            command = ["limits", "add", scope, "--spend", "1000000", "--window", window]
            entente.command(home, *command)
        return {}

    suite.results.budgets += _beside(suite, "budgets at five levels", limit)


def _beside(suite: Suite, what: str, rule: Callable[[Path], dict[str, str]]) -> Iterator[Beside]:
    """Measure in turns; `rule` prepares a home, and says what its configuration has more."""
    plan = suite.plan
    with _pair(suite, what, rule) as pair:
        for number in range(plan.turns):
            loads = {}
            for name in sorted(pair, reverse=bool(number % 2)):
                suite.meter.step(f"{name} {what}, {CONNECTIONS} connections")
                loads[name] = suite.wrk.load(pair[name], chat_body(KB), CONNECTIONS, plan.turn_s)
            yield Beside(what, number, loads["with"], loads["without"])


@contextlib.contextmanager
def _pair(
    suite: Suite, what: str, rule: Callable[[Path], dict[str, str]]
) -> Iterator[Mapping[str, Target]]:
    """Run the product twice, once under a rule; verify both ledgers afterwards."""
    homes = {name: suite.folder / f"{name} {what}" for name in ("with", "without")}
    ports = suite.stand.ports
    with contextlib.ExitStack() as stack:
        running = {}
        for name, home in homes.items():
            home.mkdir()
            more = rule(home) if name == "with" else {}
            running[name] = stack.enter_context(
                entente.entente(home, ports.unary, ports.stream, "full", **more)
            )[1]
            entente.command(home, "keys", "set", BOOTSTRAP_NAME, "--user", "bench")
            suite.wrk.load(running[name], chat_body(KB), CONNECTIONS, suite.plan.warm_s)
        yield running
    for name, home in homes.items():
        suite.results.ledgers.append(Check(what, f"{name} {what}", entente.verify(home)))


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
    "budgets": budgets,
    "works": works,
    "usage": sums,
}
