"""The real server as a real process, with its own port, data folder, output and ledger."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from entente.auth import OPERATOR, KeyStore
from entente.control.budgets import initial_grant
from entente.control.key_forms import KeyWish
from entente.control.keys import Keys
from entente.db import DATABASE_NAME, SqliteDatabase, connect, is_locked, migrate
from entente.domain.ids import Ids
from entente.ledger.journal import decode, verify
from entente.ledger.model import Settlement
from entente.ledger.reader import rows
from entente.ledger.table import append_now
from tests.support.contract import defects_of
from tests.support.system import children_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entente.ledger.journal import Report
    from entente.ledger.model import AnyEntry

ADMIN_KEY: Final = "sk-admin-of-the-tests-0123456789abcdef"
WAIT_S_MAX: Final = 90.0
"""What has not come by then never comes; a loaded machine may take long for four workers."""
POLL_S: Final = 0.01

_URL: Final = re.compile(rb"http://127\.0\.0\.\d+:(\d+)/v1")
_LAUNCH: Final = """
import sys
exec(sys.argv[1])
from entente.cli.root import run
sys.exit(run(sys.argv[2:]))
"""
"""Starts the command line after a prelude, which makes some of its named bounds small."""


class Key(NamedTuple):
    """A client's key: what it sends, and what the ledger calls it."""

    secret: str
    id: str


class Got(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error that the body holds."""
        return self.json["error"]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until `condition` holds; fail with `what` when it never does."""
    give_up_at = time.monotonic() + WAIT_S_MAX
    while not condition():
        if time.monotonic() > give_up_at:
            message = f"waited {WAIT_S_MAX:g} s in vain for {what}"
            raise AssertionError(message)
        time.sleep(POLL_S)


class EntenteServer:
    """`entente serve` on loopback. Use as a context manager, or `start` and `stop` it.

    `config` is everything of the file but `[server]`, whose further lines are `server`;
    `host` is the loopback address that it has for itself.
    `prelude` is Python that runs in the process before the server does.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        server: str = "",
        host: str = "127.0.0.1",
        environ: Mapping[str, str] | None = None,
        prelude: str = "",
        data_dir: str = "data",
    ) -> None:
        """Write the configuration; nothing runs yet."""
        self.folder = folder
        self.host, self.port = host, 0
        self.out_log = folder / "out.log"
        self.err_log = folder / "err.log"
        self.data_dir = folder / data_dir
        self.config_path = folder / "entente.toml"
        self.config_path.write_text(
            f'[server]\nhost = "{host}"\nport = 0\ndata_dir = "{data_dir}"\n{server}\n{config}',
            encoding="utf-8",
        )
        self._environ = {
            **{  # the child needs its programs, and the tree that is tested
                name: os.environ[name]  # noqa: TID251
                for name in ("PATH", "PYTHONPATH")
                if name in os.environ  # noqa: TID251
            },
            "ENTENTE_ADMIN_KEY": ADMIN_KEY,
            **(environ or {}),
        }
        self._prelude = prelude
        self._process: subprocess.Popen[bytes] | None = None

    # ---- the process ----

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, however the test ended."""
        if self._process is not None:
            self.kill()

    @property
    def base_url(self) -> str:
        """What an SDK is pointed to."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for it."""
        command = ["serve", "--config", str(self.config_path)]
        start = [sys.executable, "-m", "entente.cli", *command]
        if self._prelude:
            start = [sys.executable, "-c", _LAUNCH, self._prelude, *command]
        self._said = self.out_log.stat().st_size if self.out_log.exists() else 0
        with self.out_log.open("ab") as out, self.err_log.open("ab") as err:
            self._process = subprocess.Popen(
                start, cwd=self.folder, env=self._environ, stdout=out, stderr=err
            )

    def start(self) -> None:
        """Start, and wait until it says where it listens and answers there."""
        self.launch()
        wait_until(self._answers, "the server to start")

    def _answers(self) -> bool:
        """Ask for its health, once it has said its port."""
        if not self.running:
            message = f"the server ended: {self.err_log.read_text(errors='replace')}"
            raise AssertionError(message)
        said = _URL.search(self.out_log.read_bytes()[self._said :])
        if said is None:
            return False
        self.port = int(said[1])
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def kill(self, *, whole: bool = True) -> None:
        """End it as `kill -9` does: nothing in it gets to run any more.

        Not `whole`, only the server dies; its journal's writer ends by itself.
        """
        assert self._process is not None
        if whole:
            self._process.send_signal(signal.SIGSTOP)  # its children end in order behind it
            for pid in self.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self.wait()
        wait_until(lambda: not is_locked(self.data_dir), "the writer to end")

    def children(self) -> list[int]:
        """List the processes that the server has started."""
        return children_of(self.pid)

    def stop(self) -> int:
        """Ask it to stop, and give its exit status."""
        return self._end(signal.SIGTERM)

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; give its exit status."""
        assert self._process is not None
        status = self._process.wait(WAIT_S_MAX)
        self._process = None
        return status

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait()

    def memory_bytes_peak(self) -> int:
        """Give the most memory that the process has had resident."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    # ---- HTTP ----

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        as_specified: bool = True,
    ) -> Got:
        """Send one request on a connection of its own.

        The answer has to look as the vendor specifies it, unless a test wants another one.
        """
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=WAIT_S_MAX)
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            got = Got(answer.status, names, answer.read())
        asked = {name.lower(): value for name, value in sent.items()}
        if as_specified and (wrong := defects_of(method, path, *got, asked=asked)):
            message = f"{method} {path} is answered with {got.status}, and: {'; '.join(wrong)}"
            raise AssertionError(message)
        return got

    def get(self, path: str, *, key: str | None = None) -> Got:
        """GET."""
        return self.ask("GET", path, key=key)

    def chat(self, key: str | None = ADMIN_KEY, **fields: Any) -> Got:
        """Ask for a completion; `text` is the user's message, the rest are fields."""
        return self.ask("POST", "/v1/chat/completions", key=key, body=chat_body(**fields))

    # ---- keys ----

    def make_key(self, *, budget_nano: int | None = None, **wish: Any) -> Key:
        """Make a key, as the command line does. A running server is waited for."""
        with contextlib.closing(self._database()) as connection:
            store = KeyStore(SqliteDatabase(connection))
            wished = KeyWish(budgeted=budget_nano is not None, **wish)
            with store.transaction():  # a key that is known has its budget
                key = create_key(store, wished)
                if budget_nano:
                    granted = initial_grant(OPERATOR, key.id, budget_nano, at_ns=time.time_ns())
                    append_now(connection, [granted])
        if self.running:
            wait_until(
                lambda: self.get("/v1/models", key=key.secret).status == 200, "the new key to work"
            )
        return key

    def revoke(self, key: Key) -> None:
        """End a key, as the command line does."""
        with contextlib.closing(self._database()) as connection:
            assert KeyStore(connection).revoke(OPERATOR, key.id, time.time_ns())

    def make_keys(self, count: int) -> list[Key]:
        """Make many keys without any limit, in one transaction."""
        with contextlib.closing(self._database()) as connection:
            store = KeyStore(SqliteDatabase(connection))
            with store.transaction():
                return [create_key(store, KeyWish()) for _ in range(count)]

    def _database(self) -> Any:
        """Open the database as another process would."""
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        connection = connect(self.data_dir / DATABASE_NAME)
        migrate(connection)
        return connection

    # ---- the command line and the ledger ----

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same configuration."""
        return subprocess.run(
            [sys.executable, "-m", "entente.cli", *arguments, "--config", str(self.config_path)],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def entries(self) -> list[AnyEntry]:
        """Read the journal."""
        path = self.data_dir / DATABASE_NAME
        return [decode(row.line) for row in rows(path)]

    def settlements(self, key: Key | None = None) -> list[Settlement]:
        """Read the settled requests, of one key or of all."""
        return [
            entry
            for entry in self.entries()
            if isinstance(entry, Settlement) and (key is None or entry.key == key.id)
        ]

    def settled(self, key: Key, count: int = 1) -> list[Settlement]:
        """Wait until a key has so many settled requests, and give them."""
        wait_until(lambda: len(self.settlements(key)) >= count, f"{count} settlements")
        return self.settlements(key)

    def verify(self) -> Report:
        """Check the journal from its first entry to its last; nothing may be wrong with it."""
        report, _ = verify(rows(self.data_dir / DATABASE_NAME))
        assert report.problems == []
        return report

    def verify_at_rest(self) -> Report:
        """Check the journal, and that no hold is open."""
        report = self.verify()
        assert report.open_holds == 0
        return report


def create_key(store: KeyStore, wish: KeyWish) -> Key:
    """Make a key with this process's clock and randomness."""
    ids = Ids(time.time_ns, random.SystemRandom().getrandbits)
    _ensure_project(store, wish.project)
    keys = Keys(store, now_ns=time.time_ns, ids=ids, token_bytes=secrets.token_bytes)
    made = keys.create(OPERATOR, wish)
    return Key(made.secret.reveal(), made.record.principal.key_id)


def _ensure_project(store: KeyStore, project: str) -> None:
    """Make a project that is not there, as an operator would before its first key."""
    store.database.execute(
        "INSERT INTO projects (id, name, created_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (project, project, time.time_ns()),
    )


def chat_body(**fields: Any) -> bytes:
    """Write a chat request: `model` "m", `text` as the user's message, and what is given."""
    text = fields.pop("text", "hello")
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return json.dumps(body).encode()
