"""What `entente db` does on PostgreSQL; importing this needs its driver."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from entente.auth import OPERATOR
from entente.cli.base import base_of
from entente.control.audit import Audit
from entente.control.hosts import Hosts
from entente.db import postgres_backup
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres, schema_version
from entente.db.postgres_schema import MIGRATIONS
from entente.ledger import moving, postgres_ending, postgres_months, postgres_verify
from entente.ledger.rollups.schema import NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from entente.control.hosts import GivenUp
    from entente.db.address import Address
    from entente.db.archive import Manifest
    from entente.ledger.journal import Report
    from entente.ledger.postgres_ending import Waiting
    from entente.ledger.postgres_months import MonthState


def migrate(address: Address) -> tuple[int, int]:
    """Bring a database forward; give the versions of its schema before and after."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        before = schema_version(database)
        migrate_postgres(database, time.time_ns())
        return before, schema_version(database)


def check(address: Address) -> tuple[int, int, str, list[str]]:
    """Give the schema's version, the number of entries, the head of heads, and what is wrong."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        schema = schema_version(database)
        if schema != len(MIGRATIONS):
            wrong = f"the schema is {schema}, this program's is {len(MIGRATIONS)}: migrate it"
            return schema, 0, "", [wrong]
        report = postgres_verify.verify(database)
        return schema, report.entries, report.head, list(report.problems)


def months(address: Address) -> tuple[MonthState, ...]:
    """Give the months of the journal that have begun; none of a schema that is not ours."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        if schema_version(database) != len(MIGRATIONS):
            return ()
        return postgres_months.months(database, time.time_ns())


def backup(address: Address, out: Path) -> Manifest:
    """Write a backup. Rollups are made anew."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        return postgres_backup.back_up(database, out, without=NAMES, now_ns=time.time_ns())


def restore(source: Path, address: Address) -> Manifest:
    """Put a backup into an empty database."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        return postgres_backup.restore(source, database, time.time_ns())


def move(source: Path, address: Address) -> Report:
    """Move a SQLite file into an empty database."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        return moving.move(source, database, time.time_ns())


def waiting(address: Address) -> tuple[Waiting, ...]:
    """Give the hosts for which chains wait."""
    with closing(PostgresDatabase(address)) as database:
        return postgres_ending.waiting(database)


def release(address: Address, host: str) -> GivenUp | None:
    """Give a host up; None where no chain waits for it."""
    with closing(PostgresDatabase(address, statement_ms_max=0)) as database:
        base = base_of(database)
        return Hosts(base, Audit(base)).release(OPERATOR, host)
