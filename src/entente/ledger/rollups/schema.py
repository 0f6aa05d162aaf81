"""The tables of rollups: in a file beside a journal in SQLite, among the others in PostgreSQL.

A file of their own, because SQLite lets one connection write at a time, and nobody who
waits for money to be written should stand behind a sum. They hold nothing that the journal
does not: tables of another version, or a file that is lost, are made anew.

A cost is a whole number of units of its asset and the nano-units of the rest, each a sum of
its own: neither passes 64 bits before there are more rows than disks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

from entente.db import Database, Kind, SqliteDatabase, connect
from entente.domain.errors import LedgerUnavailable
from entente.ledger.rollups.tally import Label, Place, Sums

USAGE_NAME: Final = "usage.db"
COUNTS: Final = Sums._fields[:-1]
"""The columns that are sums as they are; behind them stand the two of a cost."""
SUMS: Final = (*COUNTS, "cost_units", "cost_nano")

_COUNTED: Final = ", ".join(f"{name} BIGINT NOT NULL" for name in SUMS)
_PLACED: Final = ", ".join(
    f"{name} {'BIGINT' if name == 'batch' else '{text}'} NOT NULL" for name in Place._fields
)
_LABELLED: Final = ", ".join(f"{name} {{text}} NOT NULL" for name in Label._fields)

_TABLES: Final = (
    f"""CREATE TABLE rollups (
        width_s BIGINT NOT NULL, start_s BIGINT NOT NULL, {_PLACED}, {_COUNTED},
        PRIMARY KEY (width_s, start_s, {", ".join(Place._fields)})
    ){{end}}""",
    f"""CREATE TABLE rollup_labels (
        start_s BIGINT NOT NULL, {_LABELLED}, {_COUNTED},
        PRIMARY KEY (start_s, {", ".join(Label._fields)})
    ){{end}}""",
    """CREATE TABLE rollup_positions (
        chain {text} PRIMARY KEY, seq BIGINT NOT NULL, hash {bytes} NOT NULL
    ){end}""",
)
_DIALECTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.SQLITE: {"text": "TEXT", "bytes": "BLOB", "end": " WITHOUT ROWID"},
    Kind.POSTGRES: {"text": 'TEXT COLLATE "C"', "bytes": "BYTEA", "end": ""},
}
"""Texts stand in the order of their bytes, wherever they are."""
VERSION: Final = crc32("".join(_TABLES).encode()) >> 1
"""Changes with any column; tables of another one are dropped and folded anew."""
NAMES: Final = ("rollups", "rollup_labels", "rollup_positions")


def open_usage_file(path: Path) -> SqliteDatabase:
    """Open the file of rollups, as this version has it. Raises LedgerUnavailable."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is folded again
        opened = SqliteDatabase(connection, str(path))
        make_tables(opened)
    except (sqlite3.Error, LedgerUnavailable) as error:
        connection.close()
        message = f"Cannot use the file of rollups {path}: {error}. Delete it; it is made anew."
        raise LedgerUnavailable(message) from error
    return opened


def make_tables(database: Database) -> None:
    """Make the tables where this version's are not there. Raises LedgerUnavailable."""
    if _version(database) == VERSION:
        return
    with database.transaction():
        if _version(database) == VERSION:
            return  # another process has just made them
        for name in NAMES:
            database.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _TABLES:
            database.execute(statement.format_map(_DIALECTS[database.kind]))
        if database.kind is Kind.SQLITE:
            database.execute(f"PRAGMA user_version={VERSION}")
        else:
            database.execute(f"COMMENT ON TABLE rollups IS 'version {VERSION}'")


def _version(database: Database) -> int:
    """Give the version of the tables, 0 where there are none."""
    if database.kind is Kind.SQLITE:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        return int(version)
    (told,) = database.execute(
        "SELECT coalesce(obj_description(to_regclass('rollups'), 'pg_class'), '')"
    ).fetchone()
    digits = told.removeprefix("version ")
    return int(digits) if digits.isdigit() else 0
