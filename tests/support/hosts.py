"""A server of several workers on PostgreSQL, as a real process tree, and what it wrote."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from entente.auth import OPERATOR, KeyStore
from entente.control.key_forms import KeyWish
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.secret import Secret
from entente.ledger.journal import decode
from entente.ledger.model import Hold, Settlement
from entente.ledger.postgres_reader import chain_rows, chains
from tests.support.server import EntenteServer, Key, create_key, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.ledger.model import AnyEntry

WORKERS: Final = 4
FRESH: Final = 64
"""Connections of which each worker gets some, but for one time in fifty million."""


class WorkersServer(EntenteServer):
    """`entente serve` by several workers. Keys are made before it starts."""

    def __init__(
        self,
        folder: Path,
        config: str,
        url: str,
        *,
        server: str = "",
        host: str = "127.0.0.1",
        workers: int = WORKERS,
        before: Path | None = None,
        ledger: str = "",
    ) -> None:
        """Write the configuration, and bring the database forward.

        `ledger` is what else stands in its table; `before` is a folder with a
        `sitecustomize.py` for every process of it.
        """
        path = os.environ.get("PYTHONPATH", "")  # noqa: TID251
        shifted = {} if before is None else {"PYTHONPATH": f"{before}{os.pathsep}{path}"}
        super().__init__(
            folder,
            f'[ledger]\nurl = "env:ENTENTE_TEST_URL"\n{ledger}{config}',
            server=f"workers = {workers}\n{server}",
            host=host,
            environ={"ENTENTE_TEST_URL": url, **shifted},
        )
        self._address = address_of(Secret(url))
        with self.opened() as database:
            migrate_postgres(database, time.time_ns())

    @contextlib.contextmanager
    def opened(self) -> Iterator[PostgresDatabase]:
        """Open the database, as another process would."""
        with contextlib.closing(PostgresDatabase(self._address)) as database:
            yield database

    def make_key(self, *, budget_nano: int | None = None, **wish: Any) -> Key:
        """Make a key; a running server is waited for, all of its workers."""
        assert budget_nano is None, "grants are made by the command line here"
        with self.opened() as database:
            key = create_key(KeyStore(database), KeyWish(**wish))
        if self.running:
            wait_until(lambda: self.everywhere(key, 200), "the new key to work")
        return key

    def revoke(self, key: Key) -> None:
        """End a key, as the command line does."""
        with self.opened() as database:
            assert KeyStore(database).revoke(OPERATOR, key.id, time.time_ns())

    def workers(self) -> list[int]:
        """Give the processes that serve, in the order in which they were started."""
        return sorted(pid for pid in self.children() if "workers.worker" in _command(pid))

    def everywhere(self, key: Key, status: int) -> bool:
        """Say whether every worker answers to a key in this way."""
        return all(self.get("/v1/models", key=key.secret).status == status for _ in range(FRESH))

    def kill(self, *, whole: bool = True) -> None:
        """End it as `kill -9` does; see `EntenteServer.kill`."""
        children = self.workers() if whole and self.running else []
        super().kill(whole=whole)
        for pid in children:
            wait_until(lambda pid=pid: not _command(pid), "a worker to end")  # type: ignore[misc]

    # ---- the ledger ----

    def chains(self) -> list[list[AnyEntry]]:
        """Read the entries of each chain."""
        with self.opened() as database:
            return [
                [decode(row.line) for row in chain_rows(database, chain.number)]
                for chain in chains(database)
            ]

    def entries(self) -> list[AnyEntry]:
        """Read all entries, chain by chain."""
        return [entry for chain in self.chains() for entry in chain]

    def open_holds(self) -> set[str]:
        """Give the ids of requests that are held and not settled."""
        entries = self.entries()
        held = {entry.id for entry in entries if isinstance(entry, Hold)}
        return held - {entry.id for entry in entries if isinstance(entry, Settlement)}


def kill_process(pid: int) -> None:
    """End one process as `kill -9` does."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def counter(text: str, sample: str) -> float:
    """Give the value of a metric's sample."""
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(sample)]
    return sum(map(float, values))
