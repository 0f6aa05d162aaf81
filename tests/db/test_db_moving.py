"""PostgreSQL: backup and restore by our own means, and moving a SQLite file there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import entente.cli.root
from entente.db import connect, locked, open_sqlite
from entente.db.address import address_of
from entente.db.archive import Manifest
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_backup import OURS_TO_MAKE, heads_of, tables_of
from entente.db.postgres_migrate import migrate_postgres
from entente.db.postgres_schema import MIGRATIONS as POSTGRES
from entente.db.schema import MIGRATIONS
from entente.domain.secret import Secret
from entente.ledger import postgres_verify
from entente.ledger.appending import append_now
from entente.ledger.journal import Report, decode, verify
from entente.ledger.moving import NOT_MOVED
from entente.ledger.postgres_reader import chain_rows, chains
from entente.ledger.reader import rows
from entente.ledger.table import append_now as append_to_file
from tests.db.past import ENTRIES, database_of
from tests.kit.entries import adjusted, granted, held, settled
from tests.support.postgres import postgres_server

BIG = 10**22
"""Nano-units of ten times 10^12 dollars: past 64 bits."""


class Place:
    """A data folder with a database, an empty PostgreSQL, and the command on either."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Fill the database in the folder."""
        self.folder, self.url, self._capsys = folder, url, capsys
        self.data = folder / "data"
        self.data.mkdir()
        self.file = database_of(len(MIGRATIONS), self.data)
        opened = held("r2", BIG)
        with closing(connect(self.file)) as connection:
            append_to_file(
                connection,
                [granted("g2", BIG), opened, settled(opened, BIG - 1), adjusted("a", -7)],
            )
            connection.execute(
                "INSERT INTO audit VALUES ('a1', 1, 'me', 'Me', 'keys.create', 'key_0', NULL, '{}')"
            )
            connection.execute(
                "INSERT INTO price_activations VALUES (1, 'v1', 1, 1, 'me'), (2, 'v1', 2, 2, 'me')"
            )
            connection.execute(
                "INSERT INTO outbox VALUES ('o1', 'key.created', 1, x'00ff5c6e', NULL)"
            )

    def run(self, *words: str, url: str | None = None) -> tuple[int, str, str]:
        """Run a command, on the folder or on a PostgreSQL database; status, output, errors."""
        config = self.folder / "entente.toml"
        ledger = "" if url is None else f'[ledger]\nurl = "{url}"\n'
        config.write_text(f'[server]\ndata_dir = "{self.data}"\n{ledger}')
        self._capsys.readouterr()
        status = entente.cli.root.run([*words, "--config", str(config)])
        return status, *self._capsys.readouterr()

    def ok(self, *words: str, url: str | None = None) -> str:
        """Run a command that must work; give what it said."""
        status, out, err = self.run(*words, url=url)
        assert (status, err) == (0, "")
        return out

    def fails(self, *words: str, url: str | None = None) -> str:
        """Run a command that must fail; give why. No password is ever in it."""
        status, _, err = self.run(*words, url=url)
        assert status == 1
        assert "canary" not in err
        return err

    def copy(self) -> str:
        """Copy the file into PostgreSQL."""
        (self.folder / "url").write_text(self.url)
        return self.ok("db", "copy", "--to", f"file:{self.folder / 'url'}")


@pytest.fixture
def place(tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> Place:
    """Give a place of its own."""
    return Place(tmp_path, postgres_url, capsys)


@pytest.fixture
def other_url() -> Iterator[str]:
    """Give another empty database."""
    url = postgres_server().new_database()
    yield url
    postgres_server().drop_database(url)


def opened(url: str) -> PostgresDatabase:
    """Open a database."""
    return PostgresDatabase(address_of(Secret(url)))


def contents(url: str) -> dict[str, list[bytes]]:
    """Give every row of every table, as PostgreSQL writes them."""
    with closing(opened(url)) as database:
        found = {}
        for table in tables_of(database):
            with database.copying(f"COPY (TABLE {table}) TO STDOUT") as copy:
                found[table] = sorted(b"".join(map(bytes, copy)).splitlines())
        return found


def the_report(url: str) -> Report:
    """Verify the only chain of a database."""
    with closing(opened(url)) as database:
        (chain,) = chains(database)
        assert chain.closed_ns is not None
        return verify(chain_rows(database, chain.number))[0]


def verified(url: str) -> object:
    """Verify all chains of a database, as `ledger verify` does."""
    with closing(opened(url)) as database:
        report = postgres_verify.verify(database)
    assert report.problems == []
    return msgspec.to_builtins(report)


def test_a_copy_is_equal_entry_by_entry(place: Place) -> None:
    """One chain with the same hashes, closed; what it adds up to, to the nano-unit."""
    said = place.copy()
    expected, books = verify(rows(place.file))
    assert msgspec.to_builtins(the_report(place.url)) == msgspec.to_builtins(expected)
    assert f"{expected.entries} entries, {expected.requests} requests" in said
    assert "canary" not in said
    with closing(opened(place.url)) as database:
        (chain,) = chains(database)
        assert (chain.seq, bytes(chain.head).hex()) == (expected.entries, expected.head)
        balances = database.execute("SELECT account, asset, nano FROM balances").fetchall()
        assert {(account, asset): nano for account, asset, nano in balances if nano} == {
            (account, asset): nano
            for account, amounts in books.balances.items()
            for asset, nano in amounts.items()
            if nano
        }
        beside = database.execute("SELECT line FROM side_entries ORDER BY id").fetchall()
    verified(place.url)
    people = [granted("g", 100), granted("g2", BIG), adjusted("a", -7)]
    assert [decode(bytes(line)) for (line,) in beside] == people


def test_every_table_is_copied(place: Place) -> None:
    """Row by row; and grants and adjustments can still not be said twice."""
    place.copy()
    with closing(open_sqlite(place.file)) as old, closing(opened(place.url)) as new:
        names = [
            name
            for (name,) in old.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name not in NOT_MOVED
        ]
        assert {"keys", "projects", "audit", "outbox", "price_books"} <= set(names)
        for name in names:
            columns = ", ".join(row[1] for row in old.execute(f"PRAGMA table_info({name})"))
            query = f"SELECT {columns} FROM {name}"  # noqa: S608  (names from the catalogue)
            assert sorted(map(repr, new.execute(query))) == sorted(map(repr, old.execute(query)))
        before = len(chains(new))
        append_now(new, [granted("g", 100), adjusted("a", -7)])
        assert len(chains(new)) == before
        append_now(new, [granted("g3", 1)])
        assert len(chains(new)) == before + 1


def test_what_cannot_be_copied(place: Place, other_url: str) -> None:
    """A folder with a server, a target that is not empty, open holds, damage; nothing is left."""
    to = ("db", "copy", "--to", place.url)
    with locked(place.data):
        assert "Another entente serves" in place.fails(*to)
    place.copy()
    before = contents(place.url)
    assert "is not empty" in place.fails(*to)
    assert contents(place.url) == before
    with closing(connect(place.file)) as connection:
        append_to_file(connection, [held("r3", 1)])
    assert "1 open holds: start and stop `entente serve`" in place.fails(
        "db", "copy", "--to", other_url
    )
    with closing(connect(place.file)) as connection:
        connection.execute("DROP TRIGGER entries_are_never_edited")
        connection.execute("UPDATE entries SET hash = zeroblob(32) WHERE seq = 2")
    assert "entry 2: its hash does not follow" in place.fails("db", "copy", "--to", other_url)
    assert "must begin with" in place.fails("db", "copy", "--to", "mysql://canary")
    with closing(opened(other_url)) as database:
        assert tables_of(database) == {}


def test_a_backup_restores_to_the_same_rows(place: Place, other_url: str) -> None:
    """Every table, every chain; and what is written next goes on behind it."""
    place.copy()
    with closing(opened(place.url)) as database:
        append_now(database, [granted("later", 5)])
        heads = heads_of(database)
    backup = place.folder / "backup.tar.gz"
    said = place.ok("db", "backup", str(backup), "--json", url=place.url)
    manifest = msgspec.json.decode(said, type=Manifest)
    assert (manifest.kind, manifest.heads) == ("postgres", heads)
    assert backup.stat().st_mode & 0o777 == 0o600
    said = place.ok("db", "restore", str(backup), url=other_url)
    assert "2 chains" in said
    assert "canary" not in said
    before, after = contents(place.url), contents(other_url)
    assert after == before
    assert {"keys", "entries", "chains", "balances", "side_entries", "audit"} <= set(before)
    assert not OURS_TO_MAKE & set(before)
    assert verified(other_url) == verified(place.url)
    assert place.ok("db", "check", url=other_url).startswith(
        f"ok: schema {len(POSTGRES)}, {len(ENTRIES) + 5} entries, head "
    )
    with closing(opened(other_url)) as database:
        append_now(database, [granted("next", 1)])
        assert len(chains(database)) == 3


def test_what_cannot_be_restored(place: Place, other_url: str) -> None:
    """Into what is not empty, from another kind, or from what is damaged: nothing is there."""
    place.copy()
    backup, file_backup = place.folder / "one.tar.gz", place.folder / "two.tar.gz"
    place.ok("db", "backup", str(backup), url=place.url)
    place.ok("db", "backup", str(file_backup))
    assert "is not empty" in place.fails("db", "restore", str(backup), url=place.url)
    said = place.fails("db", "restore", str(file_backup), url=other_url)
    assert "entente db copy" in said
    said = place.fails("db", "restore", str(backup))
    assert "name that as ledger.url" in said
    data = backup.read_bytes()
    backup.write_bytes(data[: len(data) // 2])
    place.fails("db", "restore", str(backup), url=other_url)
    with closing(opened(other_url)) as database:
        assert tables_of(database) == {}
    assert "is empty: there is nothing" in place.fails("db", "backup", "x", url=other_url)
    assert "back that up by itself" in place.fails("db", "backup", "x", "--files", url=place.url)


def test_an_older_schema_is_restored_and_brought_forward(place: Place, other_url: str) -> None:
    """As it was, and then as it is now."""
    with closing(opened(place.url)) as database:
        migrate_postgres(database, 1, POSTGRES[:1])
        database.execute(
            "INSERT INTO keys (id, name, digest, hint, role, budgeted, created_ns)"
            " VALUES ('key_0', 'old', ?, 'ab', 'member', 0, 1)",
            (b"digest",),
        )
    backup = place.folder / "old.tar.gz"
    assert ", schema 1, 0 entries" in place.ok("db", "backup", str(backup), url=place.url)
    place.ok("db", "restore", str(backup), url=other_url)
    last = len(POSTGRES)
    assert place.ok("db", "check", url=other_url).startswith(f"ok: schema {last}, 0 entries")
    assert place.ok("db", "migrate", url=place.url) == f"schema 1 is now {last}\n"
    assert place.ok("db", "migrate", url=place.url) == f"schema {last}: nothing to do\n"
