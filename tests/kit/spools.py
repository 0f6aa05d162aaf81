"""Desks with a spool, whose database a test takes away and gives back."""

from __future__ import annotations

from pathlib import Path

from entente.ledger.spool import ChainId, SpoolFolder, open_folder
from tests.kit.desks import Desk
from tests.kit.entries import AT_NS
from tests.kit.run import until
from tests.support.postgres import PostgresServer


def spools_of(folder: Path, machine: str = "one") -> SpoolFolder:
    """Make the spools of a host."""
    opened = open_folder(folder / machine, make=True, machine=machine, token="00")
    assert opened is not None
    return opened


def path_of(opened: Desk) -> Path:
    """Give where the spool of a desk's chain is."""
    assert opened.spools is not None
    return opened.spools.path / ChainId(opened.journal.chain, AT_NS).file


async def lose(opened: Desk, server: PostgresServer) -> None:
    """Stop the server, and wait until that is known."""
    server.stop()
    await until(lambda: (opened.journal.notice or opened.journal.trouble) is not None)


async def find(opened: Desk, server: PostgresServer) -> None:
    """Start the server, and wait until nothing is in the spool."""
    server.start()
    opened.database.close()
    await until(lambda: opened.journal.notice is None and opened.journal.trouble is None)
    await until(lambda: not opened.journal._line and path_of(opened).stat().st_size == 0)
