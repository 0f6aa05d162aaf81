"""PostgreSQL for stores: one connection each, the errors said in our words.

What the command line and the server share (keys, prices, rules) is reached through here, by
a driver that blocks; the server asks from threads, never from its event loop. The journal
has its own connection and driver.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from entente.db.address import Address
from entente.db.database import Kind, Rows, Value
from entente.db.postgres_schema import CHANGES_LOCK
from entente.domain.errors import LedgerUnavailable

CONNECT_S: Final = 5
STATEMENT_MS_MAX: Final = 60_000
STATEMENTS_CACHED_MAX: Final = 512
SETTINGS: Final = {
    "application_name": "entente",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""Of each session. A worker whose host has gone must not keep its locks for hours."""


class _WholeNumbers(Loader):
    """Reads `numeric` as an int: amounts have no fraction."""

    def load(self, data: bytes | bytearray | memoryview) -> int:
        """Read the text form."""
        return int(bytes(data))


@lru_cache(STATEMENTS_CACHED_MAX)
def _for_driver(sql: str) -> str:
    """Write places as the driver wants them."""
    return sql.replace("%", "%%").replace("?", "%s")


class PostgresDatabase:
    """A `Database` on PostgreSQL, connected when it is first needed, and again when lost."""

    kind: Final = Kind.POSTGRES

    def __init__(self, address: Address, *, statement_ms_max: int = STATEMENT_MS_MAX) -> None:
        """Work on the database at `address`; nothing is connected yet.

        A statement that takes longer than `statement_ms_max` fails; 0 lets it take its time.
        """
        self._address = address
        self._statement_ms_max = statement_ms_max
        self.place = address.place
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> Rows:
        """Run one statement. Raises LedgerUnavailable."""
        with self._errors_mapped():
            return self._connected().execute(_for_driver(sql), parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change, excluding every other such change.

        Inside another one it is a part of that. Statements outside of transactions are not
        kept out. Raises LedgerUnavailable.
        """
        with self._errors_mapped():
            connection = self._connected()
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                yield
                return
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (CHANGES_LOCK,))
                yield

    def interrupt(self) -> None:
        """End what another thread waits for in vain; it fails as if the server were gone."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with (
                contextlib.suppress(OSError),
                socket.socket(fileno=os.dup(connection.fileno())) as line,
            ):
                line.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def copying(self, statement: str) -> Iterator[psycopg.Copy]:
        """Run a `COPY` of many rows, out or in. Raises LedgerUnavailable."""
        with (
            self._errors_mapped(),
            self._connected().cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
        ):
            yield copy

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Give the connection, a new one where the last was lost."""
        if self._connection is not None and _is_lost(self._connection):
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = _connect(self._address, self._statement_ms_max)
        return self._connection

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        """Say of the driver's errors where they happened, without a password."""
        try:
            yield
        except psycopg.Error as error:
            raise LedgerUnavailable(_refusal(self._address, error)) from None


def _connect(address: Address, statement_ms_max: int) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect in autocommit mode. Raises the driver's errors."""
    given = SETTINGS | {"statement_timeout": str(statement_ms_max)}
    options = " ".join(f"-c {name}={value}" for name, value in given.items())
    conninfo = make_conninfo(address.url.reveal(), connect_timeout=CONNECT_S)
    connection = psycopg.connect(conninfo, autocommit=True, options=options)
    connection.adapters.register_loader("numeric", _WholeNumbers)
    return connection


def _is_lost(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Say whether the server has ended a connection on which nothing is under way.

    Then there is something to read, which there never is else: nobody listens on it.
    """
    if connection.closed:
        return True
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    line = select.poll()
    line.register(connection.fileno(), select.POLLIN)
    return bool(line.poll(0))


_DENIED: Final = "Correct the user or the password in ledger.url."
_MISSING: Final = "Create it with `createdb`, or correct ledger.url."
_UNKNOWN: Final = "See that the server runs and can be reached: `entente doctor`."
_REMEDIES: Final = {
    "42501": "Give the role of ledger.url the right to it; docs/postgres.md has the statements.",
    "42P01": "Its schema is missing: `entente serve` makes it at its start.",
    "42703": "Its schema is older than this program: `entente serve` brings it forward.",
    "28P01": _DENIED,
    "28000": _DENIED,
    "3D000": _MISSING,
}
"""By PostgreSQL's code."""
_AT_THE_DOOR: Final = (
    ("password", _DENIED),
    ("role", _DENIED),
    ("does not exist", _MISSING),
)
"""By words: what refuses a connection may come without a code."""


def worded(address: Address, text: str, code: str | None) -> str:
    """Write what went wrong, where, and what to do; `text` and `code` are PostgreSQL's."""
    said = address.masked(text).rstrip(".")
    remedy = _REMEDIES.get(code or "") or next(
        (remedy for word, remedy in _AT_THE_DOOR if "FATAL" in said and word in said), _UNKNOWN
    )
    return f"The database {address.place} cannot be used now: {said}. {remedy}"


def _refusal(address: Address, error: psycopg.Error) -> str:
    """Write what the driver's error says."""
    return worded(address, error.diag.message_primary or _first_line(error), error.sqlstate)


def _first_line(error: psycopg.Error) -> str:
    """Give the first line of what the driver says, which has the reason."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
