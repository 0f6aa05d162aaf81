"""The parts of realtime sessions put together: what serves them, and the keys that open them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from entente.auth import KeyRing
from entente.auth.session_keys import SessionKeys
from entente.config import Config
from entente.domain.ids import Ids
from entente.domain.principal import Principal
from entente.gateway.pricing import Pricing
from entente.gateway.realtime import Realtime
from entente.gateway.reserve import Accounts
from entente.gateway.session import Bounds
from entente.http.data_plane import FindBearer
from entente.http.handler import Handler
from entente.http.realtime import RealtimeRoutes
from entente.objects import Objects
from entente.providers.base import Provider
from entente.routing.catalog import Catalog


class Sessions(NamedTuple):
    """What the data plane needs of them."""

    realtime: Realtime
    handlers: dict[str, Handler]
    holder: FindBearer
    """Finds whose a session's key is; it ends with the key that made it."""


def make_sessions(
    config: Config,
    accounts: Accounts,
    prices: Pricing,
    ring: Callable[[], KeyRing],
    objects: Objects,
    *,
    catalog: Catalog,
    providers: Mapping[str, Provider],
    stopping: Callable[[], bool],
    ids: Ids,
) -> Sessions:
    """Make them; that does no I/O."""
    settings = config.realtime
    realtime = Realtime(
        catalog=catalog,
        providers=providers,
        prices=prices,
        accounts=accounts,
        holder=lambda key: ring().named(key),
        stopping=stopping,
        bounds=Bounds(**msgspec.structs.asdict(settings), drain_s=config.server.drain_s),
    )
    keys = SessionKeys(objects, now_ns=time.time_ns, ids=ids, token_bytes=secrets.token_bytes)
    routes = RealtimeRoutes(realtime, keys, message_bytes_max=settings.message_bytes_max)

    async def holder(presented: bytes) -> Principal | None:
        found = await keys.find(presented)
        return ring().named(found.key) if found is not None else None

    return Sessions(realtime, routes.handlers(), holder)
