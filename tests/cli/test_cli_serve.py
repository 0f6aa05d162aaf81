"""`entente serve` as a program, with the other commands beside it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ended

SEEN_S_MAX = 60
"""How long a change by the command line may take to reach the server; it is a second."""
STOP_S_MAX = 60
ADMIN_KEY = "an-admin-key-of-this-test"
SETTINGS = """
[server]
port = 0

[providers.play]
kind = "scripted"

[models.m]
targets = [{ provider = "play", model = "m" }]
price = { currency = "USD", per = "1 token", input = "0.01", output = "0.01" }
"""


class Serving:
    """A server that runs, and what clients see of it."""

    def __init__(self, process: subprocess.Popen[str], said: str) -> None:
        """Find the address in the first thing that the server said."""
        self.process = process
        match = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert match, said
        self.url = match.group()

    def chat(self, key: str) -> int:
        """Ask the model something with a key; give the status."""
        body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=STOP_S_MAX) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def soon(self, key: str, status: int) -> bool:
        """Say whether a key gets this status before long."""
        until = time.monotonic() + SEEN_S_MAX
        while self.chat(key) != status:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def stop(self) -> int:
        """Ask the server to stop; give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)


@pytest.fixture
def serving(
    folder: Path, program: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serving]:
    """Run a server with a scripted provider on a free port."""
    monkeypatch.setenv("ENTENTE_ADMIN_KEY", ADMIN_KEY)
    (folder / "entente.toml").write_text(SETTINGS)
    words = [sys.executable, "-u", "-m", "entente.cli", "serve", "--json"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Serving(process, process.stdout.readline())
        finally:
            process.kill()


def test_the_command_line_works_beside_a_server(
    serving: Serving, program: Callable[..., Ended]
) -> None:
    """Keys come and go, a budget ends and grows, and the ledger is in order afterwards."""
    assert serving.chat(ADMIN_KEY) == 200
    made = json.loads(program("keys", "create", "--name", "bob", "--budget-usd", "0", "--json").out)
    assert serving.soon(made["key"], 429)
    assert program("budgets", "set", "bob", "--usd", "50").status == 0
    assert serving.soon(made["key"], 200)
    (line,) = json.loads(program("budgets", "show", "bob", "--json").out)
    assert (line["spent"], line["held"]) == ("0.02", "0")
    assert program("keys", "revoke", "bob").status == 0
    assert serving.soon(made["key"], 401)
    assert serving.stop() == 0
    verified = program("ledger", "verify")
    assert (verified.status, verified.err) == (0, "")
    assert verified.out.startswith("ok: ")


def test_a_second_server_on_the_same_folder_is_refused(
    serving: Serving, program: Callable[..., Ended]
) -> None:
    """In one line, while the first goes on."""
    second = program("serve")
    assert second.status == 1
    assert len(second.err.splitlines()) == 1
    assert serving.chat(ADMIN_KEY) == 200
