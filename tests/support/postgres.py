"""A real PostgreSQL server of our own: its folder, its port, its password, its databases.

One server serves a process of tests; each test has a fresh database on it. Its end is bound
to ours: a shell holds it, and stops it when the pipe to us closes, however we end.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.support.server import wait_until
from tests.support.system import STOPPED, children_of, free_port, has_ended, program, state_of

USER: Final = "entente"
ACCOUNTS: Final = ("postgres", "nobody")
"""Who runs it when we are root, which it refuses."""
LOOPBACK: Final = "127.0.0.0/8"
"""Hosts of one machine, each with an address of its own, are told apart and let in."""
WAIT_S_MAX: Final = 60.0
POLL_S: Final = 0.02

_HELD: Final = '"$@" & read -r _; kill -INT $!; wait $!'
"""Runs a program until the input ends; SIGINT is PostgreSQL's fast shutdown."""
_numbers: Final = itertools.count(1)


class PostgresServer:
    """A server with its own data folder. Use as a context manager, or `start` and `stop` it."""

    def __init__(self) -> None:
        """Make the cluster; nothing runs yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="entente-pg-"))
        self.port = free_port()
        # It has what an address must quote.
        self.password = "canary/pw@" + secrets.token_hex(8)
        self._account = _account()
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._programs = Path(program("initdb", "postgresql")).resolve().parent
        self._data = self.folder / "data"
        self._held: subprocess.Popen[bytes] | None = None
        self._make()

    def _make(self) -> None:
        """Make the cluster, which asks for a password on every connection."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        made = self._run(
            *("initdb", "--no-instructions", "--username", USER, "--auth", "scram-sha-256"),
            *("--pwfile", str(secret), "--encoding", "UTF8", "--locale", "C"),
            *("--pgdata", str(self._data)),
        )
        secret.unlink()
        assert made.returncode == 0, made.stderr.decode()
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {LOOPBACK} scram-sha-256\n")

    def _as_account(self) -> dict[str, object]:
        if self._account is None:
            return {}
        return {
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": (),
        }

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [self._programs / name, *arguments],
            cwd=self.folder,
            capture_output=True,
            check=False,
            **self._as_account(),
        )

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._held = subprocess.Popen(  # type: ignore[call-overload]
                [
                    *("sh", "-c", _HELD, "sh", self._programs / "postgres", "-D", self._data),
                    *("-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                    *("-c", "unix_socket_directories=", "-c", "shared_buffers=32MB"),
                    *("-c", "max_connections=100", "-c", "logging_collector=off"),
                    *("-c", "track_commit_timestamp=on"),
                ],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **self._as_account(),
            )
        give_up_s = time.monotonic() + WAIT_S_MAX
        while not self.answers():
            assert self._held is not None
            late = time.monotonic() > give_up_s or self._held.poll() is not None
            assert not late, (self.folder / "log").read_text()
            time.sleep(POLL_S)

    def answers(self) -> bool:
        """Say whether it takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it as an administrator would: sessions end, everything is written."""
        if self._held is not None:
            assert self._held.stdin is not None
            self._held.stdin.close()
            self._held.wait(WAIT_S_MAX)
            self._held = None

    def kill(self) -> None:
        """End it as a power failure would: no process of it gets to run any more."""
        assert self._held is not None
        for pid in self._signal(signal.SIGKILL):
            # What one of them has of the shared memory would be in the way of the next start.
            wait_until(partial(has_ended, pid), "a process of the database to end")
        self.stop()

    def pause(self) -> None:
        """Let nothing of it run until `resume`; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> list[int]:
        """Send a signal to all of its processes, and give them; one that has ended needs none.

        The first is stopped before the others are looked for: it could start one meanwhile.
        """
        first = self.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGSTOP)
        wait_until(
            lambda: state_of(first) == STOPPED or has_ended(first), "the database to stand still"
        )
        pids = [first, *children_of(first)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def end_sessions(self) -> None:
        """End every connection but ours, as an administrator may."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> {}"
        self.run(sql.SQL(ended).format(sql.SQL("pg_backend_pid()")))

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- databases ----

    def url(self, name: str, *, user: str = USER, password: str | None = None) -> str:
        """Give the address of a database."""
        word = self.password if password is None else password
        return f"postgresql://{user}:{quote(word, safe='')}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """Make an empty database; give its address."""
        name = f"test_{next(_numbers)}"
        self.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def delay_commits(self, delay_us: int) -> None:
        """Have each commit wait before its flush, as on a slow disk; 0 ends that."""
        for name, value in (("commit_delay", delay_us), ("commit_siblings", 0)):
            setting = sql.SQL("ALTER SYSTEM SET {} = {}")
            self.run(setting.format(sql.Identifier(name), sql.Literal(value)))
        self.run(sql.SQL("SELECT pg_reload_conf()"))

    def drop_database(self, url: str) -> None:
        """Delete a database, whoever is connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def run(self, statement: sql.Composed | sql.SQL, database: str = "postgres") -> None:
        """Run a statement as the administrator."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)


def _account() -> pwd.struct_passwd | None:
    """Give who is to run the server when we may not."""
    if os.geteuid() != 0:
        return None
    program("initdb", "postgresql")  # its installation makes the account
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = f"none of the accounts {ACCOUNTS} exists, and root may not run PostgreSQL"
    raise AssertionError(message)


_running: Final[list[PostgresServer]] = []


def postgres_server() -> PostgresServer:
    """Give the server of this process of tests, started at the first call."""
    if not _running:
        server = PostgresServer()
        atexit.register(server.remove)
        server.start()
        _running.append(server)
    return _running[0]
