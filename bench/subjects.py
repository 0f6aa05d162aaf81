"""What is measured, by name: how each is started, and where it takes requests."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from bench import entente, nginx, peers
from bench.process import Program, free_port, running
from bench.traffic import Target, stream_body, until_answered

DIRECT: Final = "direct"
NGINX: Final = "nginx"
FULL: Final = "entente full"
SETTLE: Final = "entente settle"
ASYNC: Final = "entente async"
LITELLM: Final = "litellm"
PORTKEY: Final = "portkey"

ALL: Final[tuple[str, ...]] = (DIRECT, NGINX, FULL, SETTLE, ASYNC, LITELLM, PORTKEY)
STREAMED: Final = (DIRECT, NGINX, FULL, LITELLM, PORTKEY)
"""How sure the ledger is changes a stream at its ends only, so one durability stands for all."""
STARTED: Final = (NGINX, FULL, LITELLM, PORTKEY)
PEERS: Final = (LITELLM, PORTKEY)
DURABILITY: Final = {FULL: "full", SETTLE: "settle", ASYNC: "async"}
TITLES: Final = {
    DIRECT: "the provider, directly",
    NGINX: "nginx as reverse proxy",
    FULL: "Entente, durability `full`",
    SETTLE: "Entente, durability `settle`",
    ASYNC: "Entente, durability `async`",
    LITELLM: "LiteLLM proxy",
    PORTKEY: "Portkey gateway",
}
READY_S: Final = 10.0


class Endpoint(NamedTuple):
    """A running subject. `program` is None for the provider itself."""

    program: Program | None
    unary: Target
    stream: Target

    def rest(self) -> None:
        """Wait until it has worked off what it was sent."""
        if self.program is not None:
            self.program.rest()
            self.program.check()


class Providers(NamedTuple):
    """The ports of what stands behind all subjects."""

    unary: int
    stream: int


Starter: TypeAlias = Callable[[Path], contextlib.AbstractContextManager[Endpoint]]
"""Starts a subject in a folder that does not exist yet, until it has answered."""


class Stand(NamedTuple):
    """What is there to be measured, and why something is not."""

    starters: Mapping[str, Starter]
    missing: Mapping[str, str]
    installed: Mapping[str, Path]
    ports: Providers


@contextlib.contextmanager
def providers(programs: Mapping[str, str], folder: Path) -> Iterator[Providers]:
    """Run both providers."""
    port = free_port()
    command = [sys.executable, "-m", "bench.stream_server", str(port)]
    root = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with (
        nginx.provider(programs["nginx"], folder / "provider") as unary,
        running(command, folder / "stream-server.log", root) as server,
    ):
        until_answered(Target(port), stream_body(1, 0), READY_S, server.check)
        yield Providers(unary, port)


def prepare(
    programs: Mapping[str, str], ports: Providers, versions: Mapping[str, str], wanted: set[str]
) -> Stand:
    """Install the peers that are wanted; give how each subject is started."""
    starters: dict[str, Starter] = {
        DIRECT: lambda _: contextlib.nullcontext(
            Endpoint(None, Target(ports.unary), Target(ports.stream))
        ),
        NGINX: lambda folder: _nginx(programs["nginx"], folder, ports),
    }
    for name in DURABILITY:
        starters[name] = _entente(name, ports)
    missing: dict[str, str] = {}
    installed: dict[str, Path] = {}
    installers = {LITELLM: peers.install_litellm, PORTKEY: peers.install_portkey}
    for name, install in installers.items():
        if name not in wanted:
            continue
        try:
            installed[name] = install(versions[name])
        except peers.NotInstalled as error:
            missing[name] = f"{name} {versions[name]}: {error}"
    if LITELLM in installed:
        starters[LITELLM] = lambda folder: _litellm(installed[LITELLM], folder, ports)
    if PORTKEY in installed:
        starters[PORTKEY] = lambda folder: _portkey(installed[PORTKEY], folder, ports)
    kept = {name: starters[name] for name in ALL if name in starters and name in wanted}
    return Stand(kept, missing, installed, ports)


@contextlib.contextmanager
def _nginx(program: str, folder: Path, ports: Providers) -> Iterator[Endpoint]:
    """Run nginx as reverse proxy."""
    with nginx.proxy(program, folder, ports.unary, ports.stream) as proxy:
        yield Endpoint(proxy.program, Target(proxy.unary), Target(proxy.stream))


def _entente(name: str, ports: Providers) -> Starter:
    """Give a starter of the product at one durability."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Endpoint]:
        with entente.entente(folder, ports.unary, ports.stream, DURABILITY[name]) as (
            program,
            target,
        ):
            yield Endpoint(program, target, target)

    return start


@contextlib.contextmanager
def _litellm(installed: Path, folder: Path, ports: Providers) -> Iterator[Endpoint]:
    """Run LiteLLM."""
    with peers.litellm(installed, folder, ports.unary, ports.stream) as (program, target):
        yield Endpoint(program, target, target)


@contextlib.contextmanager
def _portkey(installed: Path, folder: Path, ports: Providers) -> Iterator[Endpoint]:
    """Run Portkey."""
    with peers.portkey(installed, folder, ports.unary, ports.stream) as (program, whole, streamed):
        yield Endpoint(program, whole, streamed)
