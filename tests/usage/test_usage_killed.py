"""A server is killed while it folds and serves: its sums are those of the journal afterwards."""

from __future__ import annotations

import json
from http.client import HTTPException
from threading import Event, Thread
from typing import TYPE_CHECKING

from entente.ledger.model import Settlement
from tests.support.server import ADMIN_KEY, EntenteServer
from tests.usage.conftest import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = "import entente.ledger.rollups.folder as folder; folder.FOLD_EVERY_S = 0.001"
"""Folds are going on at nearly every instant."""


def load(server: EntenteServer, key: str, enough: Event, answered: list[int]) -> None:
    """Ask until the server is gone."""
    while True:
        try:
            got = server.chat(key, model="small", text="a")
        except (OSError, HTTPException):  # before its answer, or in the middle of it
            return
        answered.append(got.status)
        if len(answered) >= 40:
            enough.set()


def test_sums_are_right_after_kills(tmp_path: Path) -> None:
    """Three times in a row; all that was settled is in them once."""
    server = EntenteServer(tmp_path, CONFIG, prelude=PRELUDE)
    keys = server.make_keys(4)
    for _ in range(3):
        server.start()
        enough, answered = Event(), list[int]()
        threads = [Thread(target=load, args=(server, key.secret, enough, answered)) for key in keys]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        server.kill()
        for thread in threads:
            thread.join()
    with server:
        path = "/v1/organization/usage/completions?start_time=0&limit=31"
        assert server.get(path, key=ADMIN_KEY).status == 200
        done = server.cli("usage", "--group-by", "key", "--json")
        lines = {line["key"]: line for line in json.loads(done.stdout)}
        verified = server.cli("ledger", "verify", "--rollups", "--json")
        assert verified.returncode == 0, verified.stderr
        entries = [each for each in server.entries() if isinstance(each, Settlement)]
    assert len(entries) >= 120
    for key in keys:
        own = [entry for entry in entries if entry.key == key.id]
        assert lines[key.id]["requests"] == len(own)
        assert lines[key.id]["estimated_requests"] == sum(entry.estimated for entry in own)
        assert lines[key.id]["input_tokens"] == sum(entry.usage.input_total for entry in own)
