"""The composition root: makes every part, in order, and takes them down in reverse.

The only place that names concrete stores and adapters, and the only one that knows the
process: its clock, its randomness, its signals and its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec
import uvloop

from entente.account import open_account
from entente.administration import open_control
from entente.auth import KeyRing
from entente.config import Config, MetricsAccess, ProviderKind, Validation
from entente.control.keys import ADMIN_KEY_VARIABLE
from entente.db import locked
from entente.domain.errors import UpstreamConnectError
from entente.domain.ids import Ids
from entente.domain.secret import Secret
from entente.gateway.agreed import InForce
from entente.gateway.counting import Counting
from entente.gateway.files import FileStore
from entente.gateway.keeping.keeping import Keeping
from entente.gateway.pipeline import Gateway
from entente.gateway.pricing import Pricing
from entente.gateway.realtime import Realtime
from entente.gateway.reserve import Accounts
from entente.gateway.running import Running
from entente.host import (
    Around,
    Host,
    LocalRuntime,
    allow_open_files,
    keep_freed_memory,
    leave_alone_what_stays,
    listener,
    start_runtime,
)
from entente.http.counting import Counts
from entente.http.data_plane import STOPPING, DataPlane, FindBearer
from entente.http.exchange import Exchange
from entente.http.exposing import Exposition
from entente.http.handler import Handler
from entente.http.inference import Inference
from entente.http.media import Media
from entente.http.models import Models
from entente.http.neighbours import Neighbours
from entente.http.operations import Operations
from entente.http.routes import ANYONE, ROUTES, Route, Router
from entente.http.server import Server
from entente.ledger.ledger import Ledger
from entente.ledger.places import Place
from entente.news import News
from entente.providers.base import Provider
from entente.records import OpenDatabase, Records, open_records, random_bits
from entente.records_sqlite import open_sqlite_records
from entente.routing.catalog import Catalog
from entente.routing.deployments import Deployments
from entente.sessions import make_sessions
from entente.stored import Filed, answer_handlers, filed_of, keeping_of
from entente.telemetry.metrics import Monitor
from entente.upstreams import catalog_of, provider_of, verifier_of
from entente.usage import open_usage
from entente.welcome import called_as, welcome

CONNECTIONS_SPARE: Final = 1024
"""Connections beyond the requests at once: idle ones, health checks, refusals."""
EXPIRY_S: Final = 0.5
"""How often it is looked whether a key has ended for which something runs."""
RUNTIME_READY_S: Final = 30.0


OpenAgreements: TypeAlias = Callable[
    [Config, Callable[[str], None], Callable[[], Place], contextlib.AsyncExitStack],
    Awaitable[InForce],
]
"""Reads the agreement of the settings; the language is only imported where there is one."""


class Openers(NamedTuple):
    """What is imported by who starts a server, and only where the settings ask for it."""

    database: OpenDatabase = open_sqlite_records
    agreements: OpenAgreements | None = None


EMBEDDED: Final = Openers()


def serve(
    config: Config,
    *,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    openers: Openers = EMBEDDED,
) -> None:
    """Serve until a signal says stop. `say` prints a line for the person at the console.

    Raises StartError, ConfigError or LedgerError when it cannot start.
    """
    data_dir = config.server.data_dir
    allow_open_files()
    with (
        locked(data_dir) as lock,
        listener(config) as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(config, environ, port, Host(lock), say, openers))


async def _serve(
    config: Config,
    environ: Mapping[str, str],
    port: socket.socket,
    host: Host,
    say: Callable[[str], None],
    openers: Openers,
) -> None:
    """Run the platform on the event loop until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with platform(config, environ, port, host, say, openers):
        leave_alone_what_stays()
        keep_freed_memory()
        await stop.wait()
        say("Stopping: running requests finish, nothing new is taken.")


@contextlib.asynccontextmanager
async def platform(
    config: Config,
    environ: Mapping[str, str],
    port: socket.socket,
    host: Host,
    say: Callable[[str], None],
    openers: Openers = EMBEDDED,
) -> AsyncIterator[DataPlane]:
    """Run every part, serving on `port`, while the context is open.

    On the way out requests finish, settlements are written, and then providers and runtime go.
    """
    async with contextlib.AsyncExitStack() as stack:
        runtime = host.runtime or await start_runtime(config, stack)
        around = _around(host)
        ids, monitor, neighbours = around.ids, around.monitor, around.neighbours
        records = await _open_records(config, environ, around, stack, openers.database)
        catalog = catalog_of(config)
        providers = _make_providers(config, environ, runtime, stack)
        accounts = await _accounts(config, records, monitor, openers, stack)
        gateway = _gateway(accounts, catalog, providers, records.prices)
        sessions = make_sessions(
            config,
            accounts,
            *(records.prices, records.ring, records.objects),
            catalog=catalog,
            providers=providers,
            stopping=lambda: plane.stopping,
            ids=ids,
        )
        keeping = await keeping_of(config, gateway, records.objects, around)
        managed, deployments = await _management(config, around, records, catalog, stack)
        filed = filed_of(
            config,
            FileStore(records.objects, records.blobs, ids, time.time_ns),
            gateway,
            records.ring,
            around,
            busy=lambda: plane.inflight,
        )
        exposition = _exposition(around, stack)
        summed = open_usage(config, records.shared.place, stack, monitor, folds=host.is_chief)
        plane = DataPlane(
            router=Router(_routes(config)),
            handlers={
                **_handlers(config, gateway, catalog, keeping, providers, neighbours),
                **_operations(config, accounts, runtime, exposition, lambda: plane.stopping),
                **neighbours.by_chief(summed),
                **filed.handlers,
                **sessions.handlers,
                **managed,
            },
            ring=records.ring,
            bearer=_bearer(config, environ, records.ring, stack),
            session_key=sessions.holder,
            monitor=monitor,
            ids=ids,
            running=around.running,
            inflight_max=config.server.inflight_max,
            deployments=deployments,
        )
        servers = _servers(config, plane, port, host, stack)
        _watch_servers(monitor, plane, servers, sessions.realtime)
        await _start(servers, filed, host)
        say(_greeting(config, environ, port, records.admin_key, host))
        try:
            yield plane
        finally:
            plane.stopping = True
            await _stop(servers, keeping, filed, config.server.shutdown_s)


def _around(host: Host) -> Around:
    """Make what the parts of this process have in common."""
    neighbours = Neighbours(host.folder, host.number, host.workers)
    ids = Ids(time.time_ns, random_bits())
    return Around(host, Monitor(), Running(), News(), neighbours, ids)


async def _open_records(
    config: Config,
    environ: Mapping[str, str],
    around: Around,
    stack: contextlib.AsyncExitStack,
    open_database: OpenDatabase,
) -> Records:
    """Open what stands on the data folder; what runs for a key ends with it.

    A key that is revoked is news; one whose time has come is not, so it is looked for as well.
    """
    records = await open_records(config, environ, around.host, around.news, stack, open_database)
    if records.spooled is not None:
        around.monitor.gauge(
            "entente_spooled_entries", "Entries that only the spool has.", records.spooled
        )

    def keep() -> None:
        around.running.keep(lambda key: _is_valid(records.ring(), key))

    async def watch() -> None:
        while True:
            await asyncio.sleep(EXPIRY_S)
            keep()

    around.news.listen(keep)
    watcher = asyncio.get_running_loop().create_task(watch())
    stack.callback(watcher.cancel)
    return records


async def _management(
    config: Config,
    around: Around,
    records: Records,
    catalog: Catalog,
    stack: contextlib.AsyncExitStack,
) -> tuple[dict[str, Handler], Deployments]:
    """Open both control planes, our own and Azure's; give what serves them, and deployments."""
    control = await open_control(
        config,
        around.news,
        records.ledger,
        records.rules,
        records.shared,
        stack,
        delivers=around.host.is_chief,
    )
    account = await open_account(config, records.objects, catalog, around.neighbours, stack)
    handlers = {**account.handlers, **around.neighbours.by_chief(control)}
    return handlers, account.deployments


def _operations(
    config: Config,
    accounts: Accounts,
    runtime: LocalRuntime | None,
    exposition: Exposition,
    stopping: Callable[[], bool],
) -> dict[str, Handler]:
    """Give the handlers of health and metrics."""

    def trouble() -> dict[str, str]:
        told = {"server": STOPPING} if stopping() else {}
        return _trouble(config, accounts.ledger, runtime) | told

    return dict(Operations(trouble, exposition, accounts.notices).handlers())


async def _accounts(
    config: Config,
    records: Records,
    monitor: Monitor,
    openers: Openers,
    stack: contextlib.AsyncExitStack,
) -> Accounts:
    """Put together what decides and records; opens the agreement, where there is one."""
    agreed: InForce | None = None
    if openers.agreements is not None and config.agreement is not None:
        agreed = await openers.agreements(config, monitor.barred, records.shared.place, stack)
    return Accounts(records.ledger, records.rules, monitor, time.time_ns, agreed, records.notices)


def _servers(
    config: Config,
    plane: DataPlane,
    port: socket.socket,
    host: Host,
    stack: contextlib.AsyncExitStack,
) -> list[Server]:
    """Make what accepts connections: of clients and, at the door, of other workers."""

    def serving(
        service: Callable[[Exchange], Coroutine[None, None, None]], accepts: socket.socket
    ) -> Server:
        return Server(
            service,
            accepts,
            body_bytes_max=config.server.body_bytes_max,
            connections_max=config.server.inflight_max + CONNECTIONS_SPARE,
            drain_s=config.server.drain_s,
        )

    if host.door is None:
        return [serving(plane, port)]
    door = stack.enter_context(socket.socket(fileno=host.door))
    door.setblocking(False)  # noqa: FBT003
    return [serving(plane, port), serving(plane.serve_passed_on, door)]


def _watch_servers(
    monitor: Monitor, plane: DataPlane, servers: list[Server], realtime: Realtime
) -> None:
    """Have the monitor tell how busy the servers are."""
    monitor.gauge("entente_inflight_requests", "Requests served now.", lambda: plane.inflight)
    monitor.gauge("entente_connections", "Open connections.", lambda: servers[0].connections)
    monitor.gauge(
        "entente_realtime_sessions", "Realtime sessions open now.", lambda: realtime.sessions
    )


def _exposition(around: Around, stack: contextlib.AsyncExitStack) -> Exposition:
    """Make what exposes the metrics of the host."""
    host = around.host
    exposition = Exposition(around.monitor.render, around.neighbours, host.folder, host.number)
    if host.folder is not None:
        keeper = asyncio.get_running_loop().create_task(exposition.keep())
        stack.callback(exposition.own)
        stack.callback(keeper.cancel)
    return exposition


async def _start(servers: Iterable[Server], filed: Filed, host: Host) -> None:
    """Begin to serve, and to run batches, where that is done."""
    if host.is_chief:
        await filed.executor.start()
    for server in servers:
        await server.start()


async def _stop(servers: Iterable[Server], keeping: Keeping, filed: Filed, within_s: float) -> None:
    """Let what runs finish within a time, in the background, too; then end it."""
    ending = (
        *(each.stop(within_s) for each in servers),
        keeping.stop(within_s),
        filed.executor.stop(within_s),
    )
    await asyncio.gather(*ending)
    await keeping.stop(0)


def _gateway(
    accounts: Accounts, catalog: Catalog, providers: Mapping[str, Provider], prices: Pricing
) -> Gateway:
    """Make what serves calls."""
    return Gateway(
        catalog=catalog,
        providers=providers,
        prices=prices,
        rules=accounts.rules,
        ledger=accounts.ledger,
        monitor=accounts.monitor,
        now_ns=accounts.now_ns,
        agreed=accounts.agreed,
    )


def _handlers(
    config: Config,
    gateway: Gateway,
    catalog: Catalog,
    keeping: Keeping,
    providers: Mapping[str, Provider],
    neighbours: Neighbours,
) -> dict[str, Handler]:
    """Give the handler of each action of the route table."""
    is_strict = config.server.validation is Validation.STRICT
    counting = Counting(gateway, providers)
    return {
        **Inference(gateway, keeping.shelf, is_strict=is_strict).handlers(),
        **answer_handlers(gateway, keeping, counting, neighbours, is_strict=is_strict),
        **Counts(counting, is_strict=is_strict).handlers(),
        **Media(gateway, is_strict=is_strict).handlers(),
        **Models(catalog, time.time_ns).handlers(),
    }


def _greeting(
    config: Config,
    environ: Mapping[str, str],
    listener: socket.socket,
    made: Secret | None,
    process: Host,
) -> str:
    """Write what the person at the console reads first."""
    host, port = listener.getsockname()[:2]
    given = bool(environ.get(ADMIN_KEY_VARIABLE))
    program = called_as(process.program or sys.argv[0], shutil.which("entente"))
    model = next(iter(config.models))
    return welcome(host=host, port=port, model=model, made=made, given=given, program=program)


def _is_valid(ring: KeyRing, key: str) -> bool:
    """Say whether a key, by its id, is in force; a name that reads the same is none."""
    who = ring.named(key)
    return who is not None and who.key_id == key


def _bearer(
    config: Config,
    environ: Mapping[str, str],
    ring: Callable[[], KeyRing],
    stack: contextlib.AsyncExitStack,
) -> FindBearer | None:
    """Read bearer tokens, if there are issuers whose tokens count."""
    if not config.auth.issuers:
        return None
    verifier = verifier_of(
        config.auth.issuers, environ=environ, named=lambda name: ring().named(name)
    )
    stack.push_async_callback(verifier.aclose)
    return lambda token: verifier.find(token, time.time())


def _make_providers(
    config: Config,
    environ: Mapping[str, str],
    runtime: LocalRuntime | None,
    stack: contextlib.AsyncExitStack,
) -> dict[str, Provider]:
    """Make every configured provider; making one does no I/O."""

    async def address() -> tuple[str, Secret]:
        if runtime is None:
            message = "There is no local runtime."
            raise UpstreamConnectError(message)
        endpoint = runtime.endpoint or await runtime.ready(RUNTIME_READY_S)
        return endpoint.base_url, endpoint.api_key

    providers = {}
    for name, settings in config.providers.items():
        providers[name] = provider = provider_of(name, settings, environ=environ, address=address)
        stack.push_async_callback(provider.aclose)
    return providers


def _routes(config: Config) -> tuple[Route, ...]:
    """Give the route table, with `/metrics` opened if the configuration says so."""
    if config.server.metrics is MetricsAccess.ADMIN:
        return ROUTES
    return tuple(
        msgspec.structs.replace(route, roles=ANYONE) if route.action == "metrics" else route
        for route in ROUTES
    )


def _trouble(config: Config, ledger: Ledger, runtime: LocalRuntime | None) -> dict[str, str]:
    """Say what stands against serving requests now, by part."""
    trouble = {}
    if ledger.trouble is not None:
        trouble["ledger"] = ledger.trouble
    only_local = all(p.kind is ProviderKind.LOCAL for p in config.providers.values())
    if only_local and runtime is not None and runtime.trouble is not None:
        trouble["runtime"] = runtime.trouble
    return trouble
