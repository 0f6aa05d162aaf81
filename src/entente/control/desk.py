"""The control plane's use cases on one connection, worked on by one thread.

What blocks, blocks that thread: a server's event loop asks it and goes on. One thread also
means one change at a time, so that a use case sees no half of another one of this process.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from entente.auth.store import KeyStore
from entente.control.audit import Audit
from entente.control.creations import Creations
from entente.control.grants import Granting, Grants
from entente.control.keys import Keys
from entente.control.outbox import Outbox
from entente.control.prices import Prices
from entente.control.projects import Projects
from entente.control.queue import Queue
from entente.control.rules import Rules
from entente.control.webhooks import Webhooks
from entente.domain.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from entente.auth.keys import Entropy
    from entente.control.table import Base

T = TypeVar("T")

THREAD_NAME: Final = "entente-control"


class Desk:
    """The use cases."""

    def __init__(
        self,
        base: Base,
        granting: Granting,
        *,
        token_bytes: Entropy,
        models: Collection[str],
        allow_private: bool,
        retry_days: int,
    ) -> None:
        """Put them on a database that is open and migrated; `models` are those there are."""
        self._models = models
        self.base = base
        self.audit = Audit(base)
        self.outbox = Outbox(base)
        self.rules = Rules(base, self.audit)
        self.prices = Prices(base, self.audit)
        self.projects = Projects(base, self.audit)
        self.webhooks = Webhooks(
            base, self.audit, token_bytes=token_bytes, allow_private=allow_private
        )
        self.queue = Queue(base, retry_days=retry_days)
        self.store = KeyStore(base.database)
        self.keys = Keys(self.store, now_ns=base.now_ns, ids=base.ids, token_bytes=token_bytes)
        self.grants = Grants(base, self.audit, self.store, granting)
        self.creations = Creations(base)

    def check_models(self, named: Sequence[str], *, param: str = "models") -> None:
        """Refuse models that there are not, named by `param`. Raises InvalidParameter."""
        for name in named:
            if name not in self._models:
                message = f"`{param}`: the settings have no model {name!r}."
                raise InvalidParameter(message, param=param, code="unknown_model")


class Clerk:
    """A desk's thread, as the event loop sees it."""

    def __init__(self, desk: Desk) -> None:
        """Take the desk; from now on only the thread may use it."""
        self._desk = desk
        self._thread = ThreadPoolExecutor(1, THREAD_NAME)

    async def do(self, use: Callable[[Desk], T]) -> T:
        """Have something done at the desk. Raises what it raises.

        Who is cancelled while waiting leaves the work to be done all the same.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, use, self._desk)

    async def aclose(self) -> None:
        """Have done what is in line, then let go of the database."""
        await self.do(lambda desk: desk.base.database.close())
        self._thread.shutdown()
