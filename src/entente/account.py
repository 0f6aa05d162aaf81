"""The account that Azure's control plane manages, put together: what it is called and holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Final, NamedTuple

import msgspec

from entente.config import Config
from entente.control.deployments import ManagedDeployments
from entente.domain.errors import StorageUnavailable
from entente.http.handler import Handler
from entente.http.management import Account, Management
from entente.http.neighbours import Neighbours
from entente.objects import Objects
from entente.routing.catalog import Catalog
from entente.routing.deployments import Deployments
from entente.telemetry.trouble import Trouble

CHECK_S: Final = 0.5
_log = logging.getLogger("entente.account")


class OpenAccount(NamedTuple):
    """What the data plane needs of it."""

    handlers: dict[str, Handler]
    deployments: Deployments


async def open_account(
    config: Config,
    objects: Objects,
    catalog: Catalog,
    neighbours: Neighbours,
    stack: contextlib.AsyncExitStack,
) -> OpenAccount:
    """Load the account's deployments. Raises StorageUnavailable.

    Of several workers the first serves those who manage them; the others read them again when
    something has changed.
    """
    in_force = Deployments()
    managed = ManagedDeployments(objects, catalog, in_force, now_ns=time.time_ns)
    await managed.load()
    if neighbours.others and not neighbours.is_chief:
        watcher = asyncio.get_running_loop().create_task(_watch(objects, managed))
        stack.callback(watcher.cancel)
    named = Account(**msgspec.structs.asdict(config.azure))
    handlers = neighbours.by_chief(Management(named, managed).handlers())
    return OpenAccount(handlers, in_force)


async def _watch(objects: Objects, managed: ManagedDeployments) -> None:
    """Read deployments again whenever another worker has written."""
    seen = -1
    outage = Trouble(_log, "deployments stay as they were: %s", "deployments are read again")
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            version = await objects.version()
            if version != seen:
                await managed.load()
                seen = version
        except StorageUnavailable as error:
            outage.begin(error.message)
        else:
            outage.end()
