"""`entente doctor` against real folders, ports and servers that it has to judge."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing, contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from entente.cli.checks import State, clock, data_folder, local_runtime
from entente.db import DATABASE_NAME, connect, locked, migrate
from entente.ledger.table import append_now
from tests.kit.entries import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Runner

CANARY = "canary-7f3a9c-never-printed"
NOW_NS = 1_795_000_000 * 1_000_000_000
NOBODY = 65_534
HOUR_NS = 3_600 * 1_000_000_000
KEY_HEADERS = ("api-key", "x-api-key", "x-goog-api-key")


class Vendor(BaseHTTPRequestHandler):
    """Answers GET as a provider might; the path says how."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        """Answer."""
        authorization = self.headers.get("authorization", "")
        self.seen.append((self.path, authorization))
        way = self.path.split("/")[1]
        status = {"none": 404, "down": 503}.get(way, 200)
        shown = {authorization.removeprefix("Bearer "), *map(self.headers.get, KEY_HEADERS)}
        if way == "locked" and CANARY not in shown:
            status = 401
        if way == "signed":
            status = 200 if f"Credential={CANARY}/" in authorization else 403
        body = b'{"status":"ok"}'
        self.send_response_only(status)
        date_s = 0 if way == "old" else None
        self.send_header("date", formatdate(date_s, usegmt=True))
        if way == "healthz":
            self.send_header("x-request-id", "req_0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's)
        """Be quiet."""


@pytest.fixture
def vendor() -> Iterator[int]:
    """Run the vendor on a port of its own; give the port."""
    Vendor.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Hold a port whose holder says nothing of its own; give the port."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def write(folder: Path, base_url: str, *, server: str = "", more: str = "") -> None:
    """Write settings with one provider."""
    (folder / "entente.toml").write_text(
        f"[server]\nport = 0\n{server}"
        f'[providers.main]\nkind = "openai"\nbase_url = "{base_url}"\nproxy = "none"\n{more}'
        '[models.m]\ntargets = [{ provider = "main", model = "m" }]\n'
    )


def finding(entente_: Runner, check: str) -> dict[str, Any]:
    """Run the doctor; give what it found in one check."""
    ended = entente_("doctor", "--json")
    findings: list[dict[str, Any]] = ended.json
    assert ended.status == int(any(found["state"] == "fail" for found in findings))
    assert all(found["remedy"] for found in findings if found["state"] != "ok")
    assert CANARY not in ended.out + ended.err
    (found,) = (found for found in findings if found["check"] == check)
    return found


@pytest.mark.parametrize(
    ("way", "key", "state", "words"),
    [
        ("open", "", "ok", "no key is set"),
        ("locked", "", "fail", "key is missing"),
        ("locked", 'api_key = "env:DOCTOR_KEY"\n', "ok", "the key is accepted"),
        ("locked", 'api_key = "env:DOCTOR_WRONG"\n', "fail", "not accepted"),
        ("none", "", "warn", "has no /models"),
        ("down", "", "warn", "answers 503"),
        ("old", "", "warn", "clock"),
    ],
)
def test_a_provider_is_asked_and_judged(
    entente_: Runner,
    folder: Path,
    vendor: int,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    key: str,
    state: str,
    words: str,
) -> None:
    """One GET /models tells whether name, path and key are right."""
    monkeypatch.setenv("DOCTOR_KEY", CANARY)
    monkeypatch.setenv("DOCTOR_WRONG", f"wrong-{CANARY}")
    write(folder, f"http://127.0.0.1:{vendor}/{way}/v1", more=key)
    found = finding(entente_, "provider main")
    assert (found["state"], words in found["text"]) == (state, True), found
    assert [path for path, _ in Vendor.seen] == [f"/{way}/v1/models"]


KEYED = 'api_key = "env:DOCTOR_KEY"\n'
SIGNED = """base_url = "{}/signed"
region = "us-east-1"
secret_access_key = "env:DOCTOR_WRONG"
"""
GRANTED = """base_url = "{0}/open"
authority = "{0}/none"
tenant_id = "t"
client_id = "c"
client_secret = "env:DOCTOR_KEY"
"""
KINDS = {
    "azure": (f'base_url = "{{}}/locked"\n{KEYED}', "ok", "the key is accepted"),
    "anthropic": (f'base_url = "{{}}/locked"\n{KEYED}', "ok", "the key is accepted"),
    "gemini": (f'base_url = "{{}}/locked/v1beta"\n{KEYED}', "ok", "the key is accepted"),
    "bedrock": (
        f'{SIGNED}access_key_id = "env:DOCTOR_KEY"\n',
        "ok",
        "the credentials are accepted",
    ),
    "bedrock, wrong": (
        f'{SIGNED}access_key_id = "env:DOCTOR_WRONG"\n',
        "fail",
        "the credentials are not accepted",
    ),
    "bedrock, old proxy": (
        f'base_url = "{{}}/none"\nregion = "us-east-1"\n{KEYED}',
        "warn",
        "has no /async-invoke, so the key is not known to be right",
    ),
    "openai, to anyone": (
        f'base_url = "{{}}/open/v1"\npreset = "openrouter"\n{KEYED}',
        "warn",
        "lists its models to anyone",
    ),
    "azure, no token": (GRANTED, "fail", "Entra ID gave no token"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_asked_in_its_own_way(
    entente_: Runner, folder: Path, vendor: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What cannot be known without a request is said not to be."""
    monkeypatch.setenv("DOCTOR_KEY", CANARY)
    monkeypatch.setenv("DOCTOR_WRONG", f"wrong-{CANARY}")
    lines, state, words = KINDS[name]
    (folder / "entente.toml").write_text(
        f'[server]\nport = 0\n[providers.main]\nkind = "{name.partition(",")[0]}"\nproxy = "none"\n'
        + lines.format(f"http://127.0.0.1:{vendor}")
        + '[models.m]\ntargets = [{ provider = "main", model = "m" }]\n'
    )
    found = finding(entente_, "provider main")
    assert (found["state"], words in found["text"]) == (state, True), found
    assert found["remedy"] or state == "ok"


def test_a_provider_that_is_not_there_fails(
    entente_: Runner, folder: Path, silent_port: int
) -> None:
    """With what to look at."""
    write(folder, f"http://127.0.0.1:{silent_port}/v1")
    found = finding(entente_, "provider main")
    assert found["state"] == "fail"
    assert "base_url of providers.main" in found["remedy"]


def test_a_taken_port_is_told_from_a_running_entente(
    entente_: Runner, folder: Path, vendor: int
) -> None:
    """An entente that runs is fine; anything else is in the way."""
    write(folder, "http://127.0.0.1:9/v1")
    (folder / "entente.toml").write_text(f"[server]\nport = {vendor}\n")
    found = finding(entente_, "port")
    assert (found["state"], "entente is running" in found["text"]) == ("ok", True)


def test_a_port_that_somebody_else_has_fails(entente_: Runner, folder: Path) -> None:
    """Here a listener that answers with nothing but the end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            listener.accept()[0].close()

        ends = threading.Thread(target=hang_up)
        ends.start()
        (folder / "entente.toml").write_text(f"[server]\nport = {port}\n")
        found = finding(entente_, "port")
        ends.join()
    assert found["state"] == "fail"
    assert "server.port" in found["remedy"]


def test_wrong_settings_are_all_there_is_to_say(entente_: Runner, folder: Path) -> None:
    """Each problem is a finding of its own."""
    (folder / "entente.toml").write_text("[server]\nprot = 1\nhots = 1\n")
    ended = entente_("doctor")
    assert ended.status == 1
    assert [line[:14] for line in ended.out.splitlines()] == ["fail  settings"] * 2


def test_the_database_is_looked_at_and_not_touched(entente_: Runner, folder: Path) -> None:
    """Absent, present, of the future, and not a database at all."""
    (folder / "entente.toml").write_text("[server]\nport = 0\n")
    assert "will be made" in finding(entente_, "database")["text"]
    assert not (folder / ".entente").exists()
    (folder / ".entente").mkdir()
    path = folder / ".entente" / DATABASE_NAME
    with closing(connect(path)) as connection:
        migrate(connection)
    assert finding(entente_, "database")["state"] == "ok"
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    found = finding(entente_, "database")
    assert (found["state"], "schema 99" in found["text"]) == ("fail", True)
    for file in path.parent.iterdir():
        file.unlink()
    path.write_text("not a database" * 100)
    assert "cannot be read" in finding(entente_, "database")["text"]


def test_holds_that_a_dead_server_left_are_told(entente_: Runner, folder: Path) -> None:
    """Not while one runs, whose requests hold."""
    (folder / "entente.toml").write_text("[server]\nport = 0\n")
    entente_.ok("keys", "create")
    data_dir = folder / ".entente"
    assert "ledger" not in entente_("doctor").out
    with closing(connect(data_dir / DATABASE_NAME)) as connection:
        append_now(connection, [held("r", 5, bounded=False)])
    found = finding(entente_, "ledger")
    assert (found["state"], found["text"][:16]) == ("warn", "1 holds are open")
    with locked(data_dir):
        assert "holds" not in entente_("doctor").out


def test_a_script_that_does_not_read_fails(entente_: Runner, folder: Path) -> None:
    """Before the server would."""
    (folder / "replies.toml").write_text("[[\n")
    (folder / "entente.toml").write_text(
        '[server]\nport = 0\n[providers.p]\nkind = "scripted"\nscript = "replies.toml"\n'
        '[models.m]\ntargets = [{ provider = "p", model = "m" }]\n'
    )
    found = finding(entente_, "provider p")
    assert (found["state"], "replies.toml" in found["text"]) == ("fail", True)


def test_data_folders(tmp_path: Path) -> None:
    """One to be made, one that is there, one where a file is in the way."""
    assert "will be made" in data_folder(tmp_path / "a" / "b").text
    assert data_folder(tmp_path).state is State.OK
    (tmp_path / "file").write_text("")
    assert data_folder(tmp_path / "file").state is State.FAIL
    assert data_folder(tmp_path / "file" / "below").state is State.FAIL


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root may not write there anyway")
def test_a_folder_of_the_system_is_no_place_for_data() -> None:
    """Root may write everywhere, as it is said, and yet nothing can be made there."""
    found = data_folder(Path("/proc/nope"))
    assert (found.state, "/proc is on a file system that keeps no files" in found.text) == (
        State.FAIL,
        True,
    )


def test_a_folder_without_permission_fails() -> None:
    """With the command that helps. Root may write everywhere, so root becomes nobody."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with _not_root():
            found = data_folder(folder / "below")
        folder.chmod(0o700)
    assert (found.state, "chmod" in found.remedy) == (State.FAIL, True)


@contextmanager
def _not_root() -> Iterator[None]:
    """Give up root's rights for a moment, if this process has them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_clock_is_compared_with_what_was_recorded() -> None:
    """A clock may be wrong by minutes before anything is said."""
    assert clock(None, NOW_NS).state is State.OK
    assert clock(NOW_NS + HOUR_NS // 60, NOW_NS).state is State.OK
    assert clock(NOW_NS + HOUR_NS, NOW_NS).state is State.FAIL
    assert clock(None, HOUR_NS).state is State.FAIL


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    """Whether or not the runtime is installed, something is missing here."""
    found = local_runtime(tmp_path / "gone.gguf")
    assert found.state is State.FAIL
    assert found.remedy.startswith("install")
