"""The control plane put together: its desk and thread, `/admin/v1`, and who delivers webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Final

from entente.config import Config
from entente.control.delivering import Deliverer
from entente.control.desk import Clerk, Desk
from entente.control.granting import granting_on
from entente.control.looking import Look
from entente.control.table import Base
from entente.control.telling import Teller
from entente.control.watching import Watch
from entente.db import Kind
from entente.domain.ids import Ids
from entente.http.admin.service import Administration
from entente.http.handler import Handler
from entente.ledger.ledger import Ledger
from entente.news import News
from entente.policy.rules import RuleBook
from entente.records import Shared

SEEN_POLL_S: Final = 0.02
SEEN_POLLS_MAX: Final = 250
"""How often a grant's answer looks whether the ledger has it, which it will in any case."""


async def open_control(
    config: Config,
    news: News,
    ledger: Ledger,
    rules: Callable[[], RuleBook],
    shared: Shared,
    stack: contextlib.AsyncExitStack,
    *,
    delivers: bool = True,
) -> dict[str, Handler]:
    """Open the desk on a connection of its own, watch the ledger, and begin to deliver.

    Of several workers one `delivers`. Gives the handlers of `/admin/v1`.
    """
    database = shared.database()
    granting = granting_on(database)
    chance = random.Random(secrets.randbits(128))  # noqa: S311  (spreads retries, no secret)
    base = Base(database, time.time_ns, Ids(time.time_ns, chance.getrandbits))
    settings = config.webhooks
    clerk = Clerk(
        Desk(
            base,
            granting,
            token_bytes=secrets.token_bytes,
            models=frozenset(config.models),
            allow_private=settings.allow_private,
            retry_days=settings.retry_days,
        )
    )
    stack.push_async_callback(clerk.aclose)
    deliverer = Deliverer(
        clerk, allow_private=settings.allow_private, now_ns=time.time_ns, spread=chance.random
    )
    stack.push_async_callback(deliverer.aclose)
    if delivers:
        deliverer.start()
    teller = Teller(clerk, written=deliverer.wake)
    stack.push_async_callback(teller.aclose)
    teller.start()
    ledger.watcher = watch = Watch(rules, teller.tell, now_ns=time.time_ns)
    shares = delivers and database.kind is Kind.POSTGRES
    look = Look(watch, clerk, ledger, now_ns=time.time_ns, asks_for_others=shares)
    stack.push_async_callback(look.aclose)
    look.start()

    def changed() -> None:
        news.changed()
        deliverer.wake()

    async def granted() -> None:
        written = await clerk.do(lambda _: granting.last())
        for _ in range(SEEN_POLLS_MAX):
            if shared.reached() >= written:
                return
            await asyncio.sleep(SEEN_POLL_S)

    return Administration(clerk, changed=changed, granted=granted).handlers()
