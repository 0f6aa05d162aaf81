"""Bringing PostgreSQL's schema forward, and the journal's months ahead of the calendar.

Every migration is one transaction under the lock of changes, so two programs may start at
once, and one that is killed leaves nothing half done. A month of the journal is a partition,
made long before its first entry; an entry of a month without one (a clock that is far off)
goes to the partition `entries_default`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from entente.db.database import Database
from entente.db.postgres_schema import MIGRATIONS
from entente.domain.errors import StartError

MONTHS_AHEAD: Final = 3
NS_PER_S: Final = 1_000_000_000
MONTHS_PER_YEAR: Final = 12
_ENCODINGS: Final = frozenset({"UTF8"})
_IS_OWNERS: Final = (
    "SELECT has_schema_privilege(relnamespace, 'CREATE') AND pg_has_role(relowner, 'USAGE')"
    " FROM pg_class WHERE oid = 'entries'::regclass"
)
"""Whether this role may make a partition."""


def migrate_postgres(
    database: Database, now_ns: int, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Run the migrations that this database has not seen, and make the months to come.

    Raises StartError for a database that a newer program has written, LedgerUnavailable.
    """
    for version in range(1, len(migrations) + 1):
        with database.transaction():
            # A role that may make no tables finds them made.
            if not _is_there(database, "schema_version"):
                database.execute(
                    "CREATE TABLE schema_version"
                    " (version bigint PRIMARY KEY, migrated_ns bigint NOT NULL)"
                )
            current = _current(database)
            if current > len(migrations):
                message = (
                    f"The database {database.place} has schema {current}; this program knows "
                    f"{len(migrations)}. Run the newer version of entente that wrote it."
                )
                raise StartError(message)
            if current < version:
                _check_encoding(database)
                for statement in migrations[version - 1]:
                    database.execute(statement)
                database.execute("INSERT INTO schema_version VALUES (?, ?)", (version, now_ns))
    make_months(database, now_ns)


def schema_version(database: Database) -> int:
    """Give the version of the schema, 0 before the first. Raises LedgerUnavailable."""
    return _current(database) if _is_there(database, "schema_version") else 0


def _is_there(database: Database, table: str) -> bool:
    """Say whether a table is there, for whoever asks."""
    (found,) = database.execute("SELECT to_regclass(?)::text", (table,)).fetchone()
    return found is not None


def _current(database: Database) -> int:
    (version,) = database.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    return int(version)


def _check_encoding(database: Database) -> None:
    """Refuse a database that cannot hold every name. Raises StartError."""
    (encoding,) = database.execute("SHOW server_encoding").fetchone()
    if encoding not in _ENCODINGS:
        message = (
            f"The database {database.place} has the encoding {encoding}: create it with "
            "`createdb --encoding UTF8 --template template0`."
        )
        raise StartError(message)


class Month(NamedTuple):
    """A month in UTC: the partition of the journal that holds it."""

    year: int
    month: int

    @property
    def table(self) -> str:
        """The partition's name."""
        return f"entries_{self.year:04}_{self.month:02}"

    @property
    def start_ns(self) -> int:
        """When it begins."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * NS_PER_S

    @property
    def next(self) -> Month:
        """The month after."""
        return Month(self.year + self.month // MONTHS_PER_YEAR, self.month % MONTHS_PER_YEAR + 1)


def month_of(at_ns: int) -> Month:
    """Give the month that a moment is in."""
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return Month(at.year, at.month)


def make_months(database: Database, now_ns: int) -> tuple[str, ...]:
    """Make the partitions of this month and of those ahead; give those that could not be.

    A month of which the default partition has entries stays there: the entries of a clock
    that was ahead are not moved. A role that may not make tables leaves the months to the one
    that owns them. Raises LedgerUnavailable.
    """
    month, refused = month_of(now_ns), []
    for _ in range(MONTHS_AHEAD + 1):
        with database.transaction():
            if not _make(database, month):
                refused.append(month.table)
        month = month.next
    return tuple(refused)


def _make(database: Database, month: Month) -> bool:
    """Make one month's partition, unless it is there; say whether it is there now."""
    if _is_there(database, month.table):
        return True
    (is_owners,) = database.execute(_IS_OWNERS).fetchone()
    if not is_owners:
        return False
    bounds = (month.start_ns, month.next.start_ns)
    (strays,) = database.execute(
        "SELECT count(*) FROM (SELECT 1 FROM entries_default"
        " WHERE at_ns >= ? AND at_ns < ? LIMIT 1) AS stray",
        bounds,
    ).fetchone()
    if strays:
        return False
    # Attached, not made in place: so appends wait only for the look into the default.
    database.execute(f"CREATE TABLE {month.table} (LIKE entries INCLUDING ALL)")
    database.execute(
        f"ALTER TABLE entries ATTACH PARTITION {month.table}"
        f" FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})"
    )
    return True
