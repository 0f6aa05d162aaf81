"""Starting on what is in the file: migrations, checkpoints, open holds, damage."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.db import DATABASE_NAME, SqliteDatabase, connect, locked, migrate, transaction
from entente.db.schema import MIGRATIONS
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable, StartError
from entente.ledger.books import Books
from entente.ledger.journal import GENESIS
from entente.ledger.model import AnyEntry
from entente.ledger.reader import (
    Position,
    activate,
    load,
    rows,
    save_checkpoint,
)
from entente.ledger.table import append_now
from tests.kit.databases import desk, new_database
from tests.kit.entries import granted, held, journals, settled
from tests.kit.run import PROPERTY, run

OPENED = held("r", 10)
ENTRIES: tuple[AnyEntry, ...] = (granted("g", 100), OPENED, settled(OPENED, 4), held("open", 5))


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()


def test_an_empty_file_gets_the_schema_and_keeps_it(tmp_path: Path) -> None:
    """The second run finds nothing to do."""
    with closing(connect(tmp_path / DATABASE_NAME)) as connection:
        migrate(connection)
        schema = _schema(connection)
        assert ("table", "entries") in schema
        migrate(connection)
        assert _schema(connection) == schema
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_runners_at_once(tmp_path: Path) -> None:
    """A server and a command that start together: one migrates, the other waits for it."""
    path = tmp_path / DATABASE_NAME
    errors: list[Exception] = []
    ready = threading.Barrier(4)

    def runner() -> None:
        try:
            with closing(connect(path)) as connection:
                ready.wait()
                migrate(connection)
        except (sqlite3.Error, StartError, LedgerUnavailable) as error:
            errors.append(error)

    with closing(connect(path)):
        threads = [threading.Thread(target=runner) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An older program never guesses at what a newer one has written."""
    with closing(connect(new_database(tmp_path))) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
        with pytest.raises(StartError, match="newer version"):
            migrate(connection)


def test_a_failed_transaction_leaves_nothing_open(tmp_path: Path) -> None:
    """Not even when it is the COMMIT that fails: the next one must be able to begin."""
    with closing(connect(new_database(tmp_path))) as connection:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE child (id REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.execute("INSERT INTO child VALUES (1)")
        assert not connection.in_transaction
        with pytest.raises(sqlite3.OperationalError), transaction(connection):  # noqa: PT012
            connection.execute("INSERT INTO parent VALUES (1)")
            connection.execute("no SQL")
        with transaction(connection):
            assert connection.execute("SELECT count(*) FROM parent").fetchone() == (0,)


@pytest.mark.parametrize("statement", ["UPDATE entries SET line = x''", "DELETE FROM entries"])
def test_entries_refuse_to_be_edited(tmp_path: Path, statement: str) -> None:
    """Append only is a rule of the table, not of the program alone."""
    with closing(connect(new_database(tmp_path, *ENTRIES))) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
        assert load(connection).seq == len(ENTRIES)


@PROPERTY
@given(journals(), st.data())
def test_a_checkpoint_and_the_rest_make_the_whole(
    entries: list[AnyEntry], data: st.DataObject
) -> None:
    """Starting from a checkpoint anywhere gives what folding everything gives."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        cut = data.draw(st.integers(0, len(entries)))
        append_now(connection, entries[:cut])
        save_checkpoint(connection, load(connection))
        append_now(connection, entries[cut:])
        from_checkpoint = load(connection)
        connection.execute("DELETE FROM checkpoints")
        assert from_checkpoint == load(connection)


def test_a_checkpoint_of_another_shape_is_folded_anew(tmp_path: Path) -> None:
    """It is derived from the journal, so losing it costs time only."""
    with closing(connect(new_database(tmp_path, *ENTRIES))) as connection:
        whole = load(connection)
        save_checkpoint(connection, whole)
        connection.execute("UPDATE checkpoints SET state = CAST('{\"balances\":[]}' AS BLOB)")
        assert load(connection) == whole


def _unlocked(path: Path) -> sqlite3.Connection:
    """Open the file as somebody would who edits it by hand."""
    connection = connect(path)
    for name in ("entries_are_never_edited", "entries_are_never_deleted"):
        connection.execute(f"DROP TRIGGER {name}")
    return connection


DAMAGE = {
    "line": "UPDATE entries SET line = CAST(replace(line, '100', '9') AS BLOB) WHERE seq = 1",
    "hash": "UPDATE entries SET hash = zeroblob(32) WHERE seq = 2",
    "dropped": "DELETE FROM entries WHERE seq = 2",
    "renumbered": "UPDATE entries SET seq = 99 WHERE seq = 4",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_server_does_not_start_on_a_changed_journal(tmp_path: Path, damage: str) -> None:
    """And says which entry, and what to do."""
    with closing(_unlocked(new_database(tmp_path, *ENTRIES))) as connection:
        connection.execute(DAMAGE[damage])
        with pytest.raises(LedgerCorrupt, match="entente ledger verify"):
            load(connection)


@pytest.mark.parametrize("statement", ["DELETE FROM entries WHERE seq > 2", DAMAGE["hash"]])
def test_a_journal_cut_off_before_its_checkpoint_is_noticed(tmp_path: Path, statement: str) -> None:
    """The chain cannot tell that its end is missing; the checkpoint can."""
    path = new_database(tmp_path, *ENTRIES)
    with closing(_unlocked(path)) as connection:
        position = load(connection)
        at = position.seq if "DELETE" in statement else 2
        head = connection.execute("SELECT hash FROM entries WHERE seq = ?", (at,)).fetchone()[0]
        save_checkpoint(connection, Position(at, head, position.books))
        connection.execute(statement)
        with pytest.raises(LedgerCorrupt, match=f"entry {at}, at which"):
            load(connection)


def test_a_line_that_is_no_entry_is_corrupt(tmp_path: Path) -> None:
    """Even with a good hash."""
    path = new_database(tmp_path)
    with closing(connect(path)) as connection:
        line = b'{"kind":"rent"}'
        connection.execute("INSERT INTO entries VALUES (1, 'x', ?, zeroblob(32))", (line,))
        with pytest.raises(LedgerCorrupt):
            load(connection)


def test_open_holds_are_settled_at_the_next_start(tmp_path: Path) -> None:
    """A crash leaves holds open; the next server closes them before its first request."""

    async def scenario() -> None:
        path = new_database(tmp_path, *ENTRIES, held("open2", 6, "key_b", bounded=False))
        async with desk(path) as open_desk:
            assert await open_desk.ledger.recover() == 2
            report = open_desk.verify()
            assert report.problems == []
            assert (report.open_holds, report.recovered, report.estimated) == (0, 2, 2)
        async with desk(path) as open_desk:
            assert await open_desk.ledger.recover() == 0

    run(scenario())


def test_nothing_written_is_an_empty_ledger(tmp_path: Path) -> None:
    """The very first start."""
    with closing(connect(new_database(tmp_path))) as connection:
        assert load(connection) == Position(0, GENESIS, Books())
        save_checkpoint(connection, load(connection))
        assert load(connection) == Position(0, GENESIS, Books())


def test_price_books_are_kept_once(tmp_path: Path) -> None:
    """Entries name a version; it stays explained, and is not explained twice."""
    with closing(connect(new_database(tmp_path))) as connection:
        activate(SqliteDatabase(connection), "v1", b"{}", 1)
        activate(SqliteDatabase(connection), "v1", b"{}", 2)
        assert connection.execute("SELECT version, activated_ns FROM price_books").fetchall() == [
            ("v1", 1)
        ]


def test_reading_does_not_make_a_file(tmp_path: Path) -> None:
    """`ledger verify` in the wrong folder says so, and leaves the folder as it was."""
    with pytest.raises(LedgerUnavailable, match="Cannot open the database"):
        list(rows(tmp_path / DATABASE_NAME))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """With SQLite's own words for it."""
    path = tmp_path / DATABASE_NAME
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        connect(path)


def test_a_database_that_somebody_keeps_locked_is_named(tmp_path: Path) -> None:
    """A shell left open on the file must not end a start in a traceback."""
    path = tmp_path / DATABASE_NAME
    with closing(connect(path)) as other, closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="is locked"):
            migrate(connection)


@pytest.mark.parametrize("name", ["there", "there/data"])
def test_a_file_in_the_place_of_the_data_folder_is_named(tmp_path: Path, name: str) -> None:
    """Nothing is wrong with its permissions."""
    (tmp_path / "there").touch()
    with pytest.raises(StartError, match="a file is in its place"), locked(tmp_path / name):
        pass
