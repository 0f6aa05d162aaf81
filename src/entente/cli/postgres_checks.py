"""The doctor's checks of a ledger in PostgreSQL."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from entente.cli.checks import CLOCK_SKEW_S_MAX, Finding, State, clock
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import month_of, schema_version
from entente.db.postgres_schema import MIGRATIONS
from entente.domain.errors import LedgerError
from entente.ledger.postgres_reader import chains
from entente.ledger.postgres_verify import is_dead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.db import Database
    from entente.db.address import Address

VERSION_MIN: Final = 140_000
_NS_PER_S: Final = 1_000_000_000
_CHECK: Final = "database"
DOCTOR: Final = ": `entente doctor`"
"""What errors send people to, who are here already."""


def postgres_database(address: Address) -> Iterator[Finding]:
    """Check that it answers, keeps its promises, and has what this program needs."""
    with closing(PostgresDatabase(address)) as database:
        try:
            yield from _server(database)
            version = schema_version(database)
            yield _schema(database, version)
            if version:
                yield from _journal(database)
            yield clock(_newest_ns(database) if version else None, time.time_ns())
        except LedgerError as error:
            said, _, remedy = error.message.rpartition(". ")
            yield _finding(State.FAIL, said, remedy.rstrip(".").removesuffix(DOCTOR))


def _finding(state: State, text: str, remedy: str = "") -> Finding:
    return Finding(check=_CHECK, state=state, text=text, remedy=remedy)


def _server(database: Database) -> Iterator[Finding]:
    """Check the server itself."""
    (number,) = database.execute("SELECT current_setting('server_version_num')::bigint").fetchone()
    (name,) = database.execute("SHOW server_version").fetchone()
    text = f"{database.place} is PostgreSQL {name}"
    if number < VERSION_MIN:
        yield _finding(State.FAIL, text, "use PostgreSQL 14 or newer")
    else:
        yield _finding(State.OK, text)
    for setting in ("fsync", "full_page_writes"):
        (value,) = database.execute(f"SHOW {setting}").fetchone()
        if value == "off":
            remedy = f"set {setting} = on: a crash may lose or damage the ledger"
            yield _finding(State.FAIL, f"{setting} is off", remedy)
    pids = {database.execute("SELECT pg_backend_pid()").fetchone()[0] for _ in range(3)}
    if len(pids) > 1:
        remedy = "connect to PostgreSQL itself, or use session pooling: the journal needs its locks"
        yield _finding(State.FAIL, "a pooler gives each statement another session", remedy)
    (theirs_s,) = database.execute(
        "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint"
    ).fetchone()
    skew_s = abs(theirs_s - time.time_ns() // _NS_PER_S)
    if skew_s > CLOCK_SKEW_S_MAX:
        yield _finding(State.WARN, f"its clock is {skew_s} s off ours", "keep both with NTP")


def _schema(database: Database, version: int) -> Finding:
    """Check that this program knows the schema."""
    if not version:
        return _finding(State.OK, f"{database.place} is empty; the first start makes its schema")
    text = f"{database.place} has schema {version}"
    if version > len(MIGRATIONS):
        remedy = "run the newer version of entente that wrote it"
        return _finding(State.FAIL, f"{text}, this program knows {len(MIGRATIONS)}", remedy)
    if version < len(MIGRATIONS):
        return _finding(State.OK, f"{text}, the next start brings it to {len(MIGRATIONS)}")
    return _finding(State.OK, text)


def _journal(database: Database) -> Iterator[Finding]:
    """Check partitions, and chains that nobody writes any more."""
    month = month_of(time.time_ns()).next
    (table,) = database.execute("SELECT to_regclass(?)::text", (month.table,)).fetchone()
    if table is None:
        remedy = "start `entente serve` with a role that owns the tables; it makes them"
        yield _finding(State.WARN, f"there is no partition {month.table} yet", remedy)
    (strays,) = database.execute(
        "SELECT count(*) FROM (SELECT 1 FROM entries_default LIMIT 1) AS stray"
    ).fetchone()
    if strays:
        remedy = "see that clocks are right: docs/postgres.md, Partitions"
        yield _finding(State.WARN, "entries_default has entries of a month without one", remedy)
    found = [each for each in chains(database, only_open=True) if is_dead(database, each.number)]
    dead = sum(each.spool is None for each in found)
    if dead:
        remedy = "start `entente serve`: it settles what they held"
        yield _finding(State.WARN, f"{dead} chains were left by servers that died", remedy)
    for host in sorted({each.spool for each in found if each.spool is not None}):
        count = sum(each.spool == host for each in found)
        remedy = (
            "start `entente serve` there: it ends them; if its disk is gone, "
            f"`entente db release {host}`"
        )
        yield _finding(State.WARN, f"chains that wait for the host {host}: {count}", remedy)


def _newest_ns(database: Database) -> int | None:
    """Give when the newest chain's last entry says that it was made."""
    row = database.execute(
        "SELECT at_ns FROM entries WHERE chain = (SELECT max(id) FROM chains)"
        " ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return None if row is None else int(row[0])
