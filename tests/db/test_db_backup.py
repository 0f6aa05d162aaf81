"""Backup and restore: what comes back is what was there, or nothing."""

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import entente.cli.root
from entente.db import connect, locked, migrate
from entente.db.archive import Manifest
from entente.db.schema import MIGRATIONS
from entente.domain.errors import EntenteError
from entente.ledger.journal import verify
from entente.ledger.reader import rows
from entente.ledger.table import append_now
from entente.objects import FOLDER_NAME, OBJECTS_NAME
from tests.db.past import ENTRIES, database_of, rows_of, schema_of
from tests.kit.entries import granted


class Place:
    """A data folder, another one to restore to, and the command on both."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Make a database with a few entries, objects and files."""
        self.folder, self._capsys = folder, capsys
        self.data = folder / "one"
        self.backup = folder / "backup.tar.gz"
        self.data.mkdir()
        self.database = database_of(len(MIGRATIONS), self.data)
        with closing(sqlite3.connect(self.data / OBJECTS_NAME)) as objects:
            objects.execute("CREATE TABLE objects (id TEXT)")
            objects.execute("INSERT INTO objects VALUES ('file_1')")
            objects.commit()
        (self.data / FOLDER_NAME).mkdir()
        (self.data / FOLDER_NAME / "file_1").write_bytes(b"bytes\0of a file" * 1000)

    def run(self, *words: str, data: str = "one") -> tuple[int, str, str]:
        """Run a command on a data folder; give status, output, errors."""
        config = self.folder / f"{data}.toml"
        config.write_text(f'[server]\ndata_dir = "{self.folder / data}"\n')
        self._capsys.readouterr()
        status = entente.cli.root.run([*words, "--config", str(config)])
        return status, *self._capsys.readouterr()

    def ok(self, *words: str, data: str = "one") -> str:
        """Run a command that must work; give what it said."""
        status, out, err = self.run(*words, data=data)
        assert (status, err) == (0, "")
        return out

    def fails(self, *words: str, data: str = "two") -> str:
        """Run a command that must fail; give why."""
        status, _, err = self.run(*words, data=data)
        assert status == 1
        return err


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """Give a place of its own."""
    return Place(tmp_path, capsys)


def test_there_and_back(place: Place) -> None:
    """`ledger verify` says the same, word for word; keys, prices, objects are there, too."""
    said = place.ok("ledger", "verify")
    assert place.ok("db", "backup", str(place.backup)).startswith("wrote ")
    assert place.backup.stat().st_mode & 0o777 == 0o600
    assert "restored" in place.ok("db", "restore", str(place.backup), data="two")
    two = place.folder / "two"
    assert place.ok("ledger", "verify", data="two") == said
    assert rows_of(two / "entente.db") == rows_of(place.database)
    assert schema_of(two / "entente.db") == schema_of(place.database)
    with closing(sqlite3.connect(two / OBJECTS_NAME)) as objects:
        assert objects.execute("SELECT id FROM objects").fetchall() == [("file_1",)]
    assert not (two / FOLDER_NAME).exists()
    assert sorted(path.name for path in two.iterdir()) == [
        "entente.db",
        OBJECTS_NAME,
        "server.lock",
    ]
    assert not list(place.folder.glob(".*")), "nothing is left beside it"


def test_with_the_bytes_of_files(place: Place) -> None:
    """When asked to."""
    place.ok("db", "backup", str(place.backup), "--files")
    place.ok("db", "restore", str(place.backup), data="two")
    both = [place.folder / name / FOLDER_NAME / "file_1" for name in ("one", "two")]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_a_backup_while_a_server_writes(place: Place) -> None:
    """It is the journal up to one entry, which the manifest names; nothing is kept waiting."""
    go_on = threading.Event()
    go_on.set()
    written = [0]

    def write() -> None:
        with closing(connect(place.database)) as connection:
            while go_on.is_set():
                append_now(connection, [granted(f"w{written[0]}", 1)])
                written[0] += 1

    writer = threading.Thread(target=write)
    with locked(place.data):
        writer.start()
        said = place.ok("db", "backup", str(place.backup), "--json")
        go_on.clear()
        writer.join()
    manifest = msgspec.json.decode(said, type=Manifest)
    place.ok("db", "restore", str(place.backup), data="two")
    report, _ = verify(rows(place.folder / "two" / "entente.db"))
    assert report.problems == []
    assert manifest.heads == {"journal": (report.entries, report.head)}
    assert len(ENTRIES) <= report.entries <= len(ENTRIES) + written[0]


def test_an_older_schema_is_restored_and_brought_forward(place: Place) -> None:
    """By whoever works with it next."""
    old = place.folder / "old"
    old.mkdir()
    database_of(2, old)
    place.ok("db", "backup", str(place.backup), data="old")
    place.ok("db", "restore", str(place.backup), data="two")
    assert place.ok("db", "migrate", data="two") == f"schema 2 is now {len(MIGRATIONS)}\n"
    place.ok("db", "check", data="two")


def test_a_folder_in_use_is_refused(place: Place) -> None:
    """One with a server, and one with a database, even an empty one."""
    place.ok("db", "backup", str(place.backup))
    assert "has entente.db already" in place.fails("db", "restore", str(place.backup), data="one")
    with locked(place.folder / "two"):
        said = place.fails("db", "restore", str(place.backup))
    assert "Another entente serves" in said
    (place.folder / "three").mkdir()
    (place.folder / "three" / OBJECTS_NAME).touch()
    said = place.fails("db", "restore", str(place.backup), data="three")
    assert f"has {OBJECTS_NAME} already" in said or "has entente.db already" in said
    assert not (place.folder / "three" / "entente.db").exists()


def test_nothing_is_overwritten(place: Place) -> None:
    """A backup gets a name of its own, in a folder that is there."""
    place.backup.write_text("mine")
    assert "is there already" in place.fails("db", "backup", str(place.backup), data="one")
    assert place.backup.read_text() == "mine"
    said = place.fails("db", "backup", str(place.folder / "no" / "where"), data="one")
    assert "There is no folder" in said
    assert "There is no database" in place.fails("db", "backup", "x", data="nothing")


def _rewritten(place: Place, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write the backup anew with changed members."""
    out = io.BytesIO()
    with tarfile.open(place.backup) as source, tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info in source:
            file = source.extractfile(info)
            assert file is not None
            changed = change(info.name, file.read())
            if changed is not None:
                new = tarfile.TarInfo(changed[0])
                new.size = len(changed[1])
                tar.addfile(new, io.BytesIO(changed[1]))
    place.backup.write_bytes(out.getvalue())


DAMAGE: dict[str, tuple[Callable[[str, bytes], tuple[str, bytes] | None], str]] = {
    "another byte": (
        lambda name, data: (name, data[:-1] + b"x" if name == "entente.db" else data),
        "entente.db is not as it was written",
    ),
    "a member less": (
        lambda name, data: None if name == "entente.db" else (name, data),
        "entente.db is missing",
    ),
    "a way out of the folder": (
        lambda name, data: ("../entente.db" if name == "entente.db" else name, data),
        "of which its manifest does not speak",
    ),
    "no manifest": (
        lambda name, data: None if name == "manifest.json" else (name, data),
        "does not begin with a manifest",
    ),
    "a manifest that is none": (
        lambda name, data: (name, b"{}" if name == "manifest.json" else data),
        "its manifest does not read",
    ),
    "another format": (
        lambda name, data: (name, data.replace(b"entente-backup/1", b"entente-backup/2")),
        "its format is entente-backup/2",
    ),
    "a newer schema": (
        lambda name, data: (
            name,
            data.replace(b'"schema": %d' % len(MIGRATIONS), b'"schema": 999'),
        ),
        "Restore it with the newer version",
    ),
    "another head": (
        lambda name, data: (
            name,
            data.replace(b'"journal": [\n      3,', b'"journal": [\n      4,'),
        ),
        "its journal ends elsewhere",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_backup_is_refused_whole(kind: str, place: Place) -> None:
    """Nothing of it gets into the folder."""
    place.ok("db", "backup", str(place.backup))
    change, said = DAMAGE[kind]
    _rewritten(place, change)
    assert said in place.fails("db", "restore", str(place.backup))
    assert not (place.folder / "two" / "entente.db").exists()
    assert not (place.folder / "entente.db").exists()


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.9])
def test_a_backup_that_was_cut_off_is_refused(length: float, place: Place) -> None:
    """Wherever."""
    place.ok("db", "backup", str(place.backup))
    data = place.backup.read_bytes()
    place.backup.write_bytes(data[: int(length if length >= 1 else length * len(data))])
    place.fails("db", "restore", str(place.backup))
    assert not (place.folder / "two" / "entente.db").exists()
    place.backup.write_bytes(gzip.compress(b"no tar"))
    assert "no backup that can be used" in place.fails("db", "restore", str(place.backup))


def test_check_finds_what_is_wrong(place: Place) -> None:
    """In the file, in the chain, and what stands twice."""
    assert place.ok("db", "check").startswith(f"ok: schema {len(MIGRATIONS)}, 3 entries, head ")
    with closing(connect(place.database)) as connection:
        connection.execute("DROP TRIGGER entries_are_never_edited")
        connection.execute("UPDATE entries SET hash = zeroblob(32) WHERE seq = 2")
    assert "entry 2: its hash does not follow" in place.fails("db", "check", data="one")
    data = bytearray(place.database.read_bytes())
    page = 4096
    for number in range(3, 6):
        data[number * page : number * page + 64] = b"\xff" * 64
    place.database.write_bytes(data)
    assert place.run("db", "check")[0] == 1


def test_a_migration_of_a_newer_program_is_refused(place: Place) -> None:
    """Never guessed at."""
    with closing(connect(place.database)) as connection:
        connection.execute("PRAGMA user_version=999")
        with pytest.raises(EntenteError, match="Run the newer version"):
            migrate(connection)
    assert "Run the newer version" in place.fails("db", "migrate", data="one")
