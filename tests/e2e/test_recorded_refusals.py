"""Requests that the vendors refused, recorded: asked here, they get the same answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.batches import CONFIG, write_config
from tests.support.server import EntenteServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURES: Final = Path(__file__).parents[1] / "wire" / "captures"
REFUSALS: Final = [
    json.loads(line) for line in (CAPTURES / "refusals.jsonl").read_text("utf-8").splitlines()
]
UNKNOWN_KEY: Final = 401


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a server that refuses what the vendors do; none of the models is there."""
    folder = tmp_path_factory.mktemp("refusals")
    write_config(folder)
    with EntenteServer(folder, CONFIG, server='validation = "strict"') as server:
        yield server
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


@pytest.mark.parametrize("recorded", REFUSALS, ids=lambda each: f"{each['status']} {each['path']}")
def test_a_recorded_refusal(strict: EntenteServer, recorded: dict[str, Any]) -> None:
    """The status and every word of the body."""
    key = "sk-wrong" if recorded["status"] == UNKNOWN_KEY else strict.make_key().secret
    body = json.dumps(recorded["asked"]).encode()
    got = strict.ask("POST", recorded["path"], key=key, body=body)
    answer = {name: value for name, value in got.json.items() if name != "request_id"}
    assert (got.status, answer) == (recorded["status"], recorded["answer"])
