"""Backing up a data folder with SQLite in it, while a server works on it, and restoring it.

SQLite copies a snapshot of each database through its own interface: a server goes on writing,
and what it writes later is not in the copy. Rollups are not copied, since they are made
anew from the journal.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from entente.db import archive
from entente.db.archive import Manifest
from entente.db.database import Kind
from entente.db.lock import locked
from entente.db.schema import MIGRATIONS
from entente.db.sqlite import DATABASE_NAME, connect
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable

CHAIN: Final = "journal"
"""What the one chain of a journal in SQLite is called in a manifest."""
FOLDER_MODE: Final = 0o700


def back_up(
    folder: Path, out: Path, *, beside: Iterable[str], files: Path | None, now_ns: int
) -> Manifest:
    """Write a backup of the database in `folder`, and of those `beside` it that are there.

    With `files`, the files in that folder go with it. Raises LedgerUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=archive.folder_of(out)) as made:
        members = {}
        for name in (DATABASE_NAME, *beside):
            if (folder / name).is_file():
                members[name] = Path(made) / name
                _snapshot(folder / name, members[name])
        if DATABASE_NAME not in members:
            message = f"There is no database in {folder}: name the right settings with --config."
            raise LedgerUnavailable(message)
        schema, head = state_of(members[DATABASE_NAME])
        if files is not None and files.is_dir():
            members |= {f"files/{path.name}": path for path in sorted(files.iterdir())}
        manifest = Manifest(
            format=archive.FORMAT,
            kind=Kind.SQLITE,
            made_ns=now_ns,
            schema=schema,
            heads={CHAIN: head},
            members={name: archive.describe(path) for name, path in members.items()},
        )
        archive.write(out, manifest, members)
    return manifest


def _snapshot(source: Path, target: Path) -> None:
    """Copy a database as it is at one instant."""
    try:
        with (
            closing(connect(source, read_only=True)) as reader,
            closing(sqlite3.connect(target)) as copy,
        ):
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        message = f"{source} cannot be copied: {error}."
        raise LedgerUnavailable(message) from error


def state_of(path: Path) -> tuple[int, tuple[int, str]]:
    """Give the version of a database's schema, and where its journal ends.

    Raises LedgerUnavailable.
    """
    with closing(connect(path, read_only=True)) as connection:
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            row = None
            if schema:
                row = connection.execute(
                    "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
                ).fetchone()
        except sqlite3.Error as error:
            message = f"{path} cannot be read: {error}."
            raise LedgerUnavailable(message) from error
    seq, head = row or (0, bytes(32))
    return int(schema), (int(seq), head.hex())


def restore(source: Path, folder: Path) -> Manifest:
    """Put a backup into a data folder that has no database and no server.

    Everything is unpacked and checked beside its place first; a restore that dies leaves a
    folder without a database. Raises StartError where a server runs, LedgerUnavailable where
    there is a database, LedgerCorrupt for a backup that is not as it was written.
    """
    with locked(folder), archive.opened(source) as opened:
        manifest = opened.manifest
        _check_target(manifest, source, folder)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=folder) as made:
            opened.unpack(Path(made))
            _check_content(Path(made) / DATABASE_NAME, manifest, source)
            _move(Path(made), folder, manifest)
    return manifest


def _check_target(manifest: Manifest, source: Path, folder: Path) -> None:
    if manifest.kind != Kind.SQLITE:
        message = (
            f"{source} is a backup of a {manifest.kind} database: name that as ledger.url to "
            "restore it there."
        )
        raise LedgerUnavailable(message)
    archive.check_schema(manifest, source, len(MIGRATIONS))
    there = [name for name in manifest.members if (folder / name).exists()]
    if there:
        message = (
            f"{folder} has {there[0]} already. Move it away, or name another folder as "
            "server.data_dir: nothing is overwritten."
        )
        raise LedgerUnavailable(message)


def _check_content(path: Path, manifest: Manifest, source: Path) -> None:
    """See that the journal ends where the manifest says."""
    schema, head = state_of(path)
    if (schema, {CHAIN: head}) != (manifest.schema, manifest.heads):
        message = f"{source} is not as it was written: its journal ends elsewhere."
        raise LedgerCorrupt(message)


def _move(made: Path, folder: Path, manifest: Manifest) -> None:
    """Give the files their places; the database last, so that what it names is there."""
    for name in sorted(manifest.members, key=lambda name: name == DATABASE_NAME):
        target = folder / name
        target.parent.mkdir(exist_ok=True, mode=FOLDER_MODE)
        (made / name).rename(target)
        archive.sync_folder(target.parent)


def faults(path: Path) -> list[str]:
    """Say what SQLite finds wrong with a file. Raises LedgerUnavailable."""
    with closing(connect(path, read_only=True)) as connection:
        try:
            found = [text for (text,) in connection.execute("PRAGMA integrity_check")]
            found += [
                f"row {row} of {table} names a row of {parent} that is not there"
                for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check")
            ]
        except sqlite3.DatabaseError as error:
            return [str(error)]
    return [text for text in found if text != "ok"]
