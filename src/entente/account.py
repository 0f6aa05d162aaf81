"""The account that Azure's control plane manages, put together: what it is called and holds."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from entente.config import Config
from entente.control.deployments import ManagedDeployments
from entente.http.handler import Handler
from entente.http.management import Account, Management
from entente.objects import Objects
from entente.routing.catalog import Catalog
from entente.routing.deployments import Deployments


class OpenAccount(NamedTuple):
    """What the data plane needs of it."""

    handlers: dict[str, Handler]
    deployments: Deployments


async def open_account(config: Config, objects: Objects, catalog: Catalog) -> OpenAccount:
    """Load the account's deployments. Raises StorageUnavailable."""
    in_force = Deployments()
    managed = ManagedDeployments(objects, catalog, in_force, now_ns=time.time_ns)
    await managed.load()
    named = Account(**msgspec.structs.asdict(config.azure))
    return OpenAccount(Management(named, managed).handlers(), in_force)
