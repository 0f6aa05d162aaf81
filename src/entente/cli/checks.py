"""The doctor's checks of this machine: data folder, database, local runtime, clock.

A check looks and reports; it changes nothing and never fails itself.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import msgspec

from entente.cli.base import database_path, is_served
from entente.config import ProviderKind
from entente.control.reports import utc
from entente.db import connect
from entente.db.schema import MIGRATIONS
from entente.domain.errors import ConfigError, LedgerError
from entente.engine import builtin_model_path
from entente.ledger.journal import decode
from entente.ledger.reader import load
from entente.providers.scripted import load_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entente.config import Config

FREE_BYTES_WARN: Final = 1024**3
FREE_BYTES_FAIL: Final = 64 * 1024**2
CLOCK_SKEW_S_MAX: Final = 300
CLOCK_EARLIEST_NS: Final = 1_763_000_000 * 1_000_000_000
"""November 2025, before this program existed."""
_NS_PER_S: Final = 1_000_000_000
_MIB: Final = 1024**2


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, and what to do about it where something is wrong."""

    check: str
    state: State
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        """Write one line."""
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.state:4}  {self.check}: {self.text}{remedy}"


def check_machine(config: Config) -> Iterator[Finding]:
    """Run the checks that need no network."""
    yield data_folder(config.server.data_dir)
    if config.ledger.url is None:
        yield from database(database_path(config), served=is_served(config))
    else:
        from entente.cli.postgres_checks import postgres_database  # noqa: PLC0415  (an extra)

        yield from postgres_database(config.ledger.url)
    kinds = {provider.kind for provider in config.providers.values()}
    if ProviderKind.LOCAL in kinds:
        yield local_runtime(builtin_model_path())
    yield from scripts(config)
    if config.server.workers > 1:
        yield workers(config.server.workers, os.cpu_count() or 1)


def data_folder(folder: Path) -> Finding:
    """Check that the folder, or what it will be made in, can be written and has space."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if _is(place))
    if not there.is_dir():
        return _fail("data folder", f"{there} is not a folder", "move it or set server.data_dir")
    if not os.access(
        there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        remedy = f"make it writable for this user (`chown`, `chmod u+rwx {there}`) or set "
        return _fail("data folder", f"{there} is not writable", remedy + "server.data_dir")
    total, _, free = shutil.disk_usage(there)
    if not total:
        text = f"{there} is on a file system that keeps no files"
        return _fail("data folder", text, "set server.data_dir to a folder on a disk")
    text = f"{folder} is writable" if there == folder.absolute() else f"{folder} will be made"
    text += f", {free // _MIB} MiB free"
    if free < FREE_BYTES_FAIL:
        return _fail("data folder", text, "free some space: without it every request gets a 503")
    if free < FREE_BYTES_WARN:
        return _warn("data folder", text, "free some space soon: the ledger only grows")
    return _ok("data folder", text)


def workers(count: int, cores: int) -> Finding:
    """Check that there are no more processes than can run at once."""
    text = f"{count} processes serve, on {cores} cores"
    if count > cores:
        return _warn("workers", text, f"set server.workers to {cores}: more serve no more")
    return _ok("workers", text)


def _is(place: Path) -> bool:
    """Whether something is there; a folder that may not be searched hides what it has."""
    return os.path.lexists(place)


def database(path: Path, *, served: bool = False) -> Iterator[Finding]:
    """Check that the database opens, that this program knows its schema, and what is held."""
    if not path.exists():
        yield _ok("database", f"{path} will be made at the first start")
        yield clock(None, time.time_ns())
        return
    try:
        with closing(connect(path, read_only=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            last = _last_line(connection) if version else None
            newest_ns = None if last is None else decode(last).at_ns
            is_at_rest = version == len(MIGRATIONS) and not served
            holds = len(load(connection).books.open_holds) if is_at_rest else 0
    except (sqlite3.Error, LedgerError) as error:
        remedy = "check its permissions, or restore it from a backup"
        yield _fail("database", f"{path} cannot be read: {error}", remedy)
        return
    text = f"{path} has schema {version}"
    if version > len(MIGRATIONS):
        remedy = "run the newer version of entente that wrote it"
        yield _fail("database", f"{text}, this program knows {len(MIGRATIONS)}", remedy)
    elif version < len(MIGRATIONS):
        yield _ok("database", f"{text}, the next start brings it to {len(MIGRATIONS)}")
    else:
        yield _ok("database", text)
    if holds:
        text = f"{holds} holds are open and no server runs: the last one did not end in order"
        yield _warn("ledger", text, "start `entente serve`: it settles them")
    yield clock(newest_ns, time.time_ns())


def _last_line(connection: sqlite3.Connection) -> bytes | None:
    row = connection.execute("SELECT line FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return row[0] if row else None


def clock(newest_ns: int | None, now_ns: int) -> Finding:
    """Check the wall clock against the past: it cannot be before what was recorded."""
    remedy = "set the clock, and keep it with NTP"
    if now_ns < CLOCK_EARLIEST_NS:
        return _fail("clock", f"it says {utc(now_ns)}", remedy)
    if newest_ns is not None and newest_ns > now_ns + CLOCK_SKEW_S_MAX * _NS_PER_S:
        text = f"it says {utc(now_ns)}, but the ledger's last entry is of {utc(newest_ns)}"
        return _fail("clock", text, remedy)
    return _ok("clock", utc(now_ns))


def local_runtime(model: Path) -> Finding:
    """Check that the built-in model can be run."""
    if find_spec("xllamacpp") is None:
        remedy = "install it: `pip install 'entente[local]'`, or use no provider of kind local"
        return _fail("local runtime", "xllamacpp is not installed", remedy)
    if not model.is_file():
        remedy = "install entente again: the package ships with it"
        return _fail("local runtime", f"the model file {model} is missing", remedy)
    return _ok("local runtime", f"xllamacpp and {model.name} ({model.stat().st_size // _MIB} MiB)")


def scripts(config: Config) -> Iterator[Finding]:
    """Check that every scripted provider's script reads."""
    for name, provider in config.providers.items():
        if provider.script is None:
            continue
        try:
            load_script(provider.script)
        except ConfigError as error:
            yield _fail(f"provider {name}", error.message, "correct the script")
        else:
            yield _ok(f"provider {name}", f"the script {provider.script} reads")


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, state=State.OK, text=text)


def _warn(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, state=State.WARN, text=text, remedy=remedy)


def _fail(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, state=State.FAIL, text=text, remedy=remedy)
