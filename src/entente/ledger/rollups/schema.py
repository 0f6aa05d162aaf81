"""The tables of rollups, and the file that they have beside a journal in SQLite.

A file of their own, because SQLite lets one connection write at a time, and nobody who
waits for money to be written should stand behind a sum. It holds nothing that the journal
does not: a file of another version, or one that is lost, is made anew.

A cost is a whole number of units of its asset and the nano-units of the rest, each a sum of
its own: neither passes 64 bits before there are more rows than disks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from zlib import crc32

from entente.db import connect, transaction
from entente.domain.errors import LedgerUnavailable
from entente.ledger.rollups.tally import Label, Place, Sums

USAGE_NAME: Final = "usage.db"
COUNTS: Final = Sums._fields[:-1]
"""The columns that are sums as they are; behind them stand the two of a cost."""
SUMS: Final = (*COUNTS, "cost_units", "cost_nano")

_COUNTED: Final = ", ".join(f"{name} BIGINT NOT NULL" for name in SUMS)
_PLACED: Final = ", ".join(
    f"{name} {'BIGINT' if name == 'batch' else 'TEXT'} NOT NULL" for name in Place._fields
)
_LABELLED: Final = ", ".join(f"{name} TEXT NOT NULL" for name in Label._fields)

TABLES: Final = (
    f"""CREATE TABLE rollups (
        width_s BIGINT NOT NULL, start_s BIGINT NOT NULL, {_PLACED}, {_COUNTED},
        PRIMARY KEY (width_s, start_s, {", ".join(Place._fields)})
    )""",
    f"""CREATE TABLE rollup_labels (
        start_s BIGINT NOT NULL, {_LABELLED}, {_COUNTED},
        PRIMARY KEY (start_s, {", ".join(Label._fields)})
    )""",
    "CREATE TABLE rollup_positions (chain TEXT PRIMARY KEY, seq BIGINT NOT NULL, hash BLOB)",
)
VERSION: Final = crc32("".join(TABLES).encode()) >> 1
"""Changes with any column; tables of another one are dropped and folded anew."""
NAMES: Final = ("rollups", "rollup_labels", "rollup_positions")


def open_usage_file(path: Path) -> sqlite3.Connection:
    """Open the file of rollups, as this version has it. Raises LedgerUnavailable."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is folded again
        make_tables(connection)
    except sqlite3.Error as error:
        connection.close()
        message = f"Cannot use the file of rollups {path}: {error}. Delete it; it is made anew."
        raise LedgerUnavailable(message) from error
    return connection


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables where this version's are not there. Raises sqlite3.Error."""
    if _version(connection) == VERSION:
        return
    with transaction(connection):
        if _version(connection) == VERSION:
            return  # another process has just made them
        for name in NAMES:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in TABLES:
            connection.execute(f"{statement} WITHOUT ROWID")
        connection.execute(f"PRAGMA user_version={VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
