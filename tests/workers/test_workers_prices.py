"""A price book that is activated beside four workers is in force in each of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.hosts import WorkersServer
from tests.support.server import wait_until

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models.m]
targets = [{ provider = "fake", model = "x", priced_as = "openai/m" }]
output_tokens_max = 10

[files]
free_bytes_min = 0
"""
BOOK: Final[dict[str, Any]] = {
    "format": "entente-prices/1",
    "source": "our own",
    "retrieved": "2026-11-01",
    "lines": [
        {
            "models": ["openai/m"],
            "currency": "USD",
            "per": "1M tokens",
            "rates": {"input": "1", "output": "1"},
        }
    ],
}
ASKED: Final = 48
"""On a connection each: every worker has some of them, but for one time in a million."""


def test_every_worker_goes_by_the_book(tmp_path: Path, postgres_url: str) -> None:
    """With no restart; the entries of all their chains name it."""
    (tmp_path / "script.toml").write_text('[[replies]]\ntext = "a b"\n', encoding="utf-8")
    (tmp_path / "book.json").write_text(json.dumps(BOOK), encoding="utf-8")
    with WorkersServer(tmp_path, SETTINGS, postgres_url) as server:
        hard = server.make_key()
        assert server.cli("budgets", "grant", hard.id, "--usd", "1").returncode == 0

        def all_say(status: int) -> bool:
            answers = [server.chat(hard.secret, model="m", text="one") for _ in range(ASKED)]
            return all(answer.status == status for answer in answers)

        wait_until(lambda: all_say(403), "every worker to know of the budget")
        made = server.cli("prices", "import", "book.json", "--json")
        version = json.loads(made.stdout)["version"]
        assert server.cli("prices", "activate", version).returncode == 0
        wait_until(lambda: all_say(200), "every worker to go by the book")
        assert server.stop() == 0
        settled = [entry for entry in server.settlements(hard) if entry.cost_nano is not None]
        assert len(settled) >= ASKED
        assert {entry.prices for entry in settled} == {version}
        assert all(entry.cost_nano == entry.usage.total * 1000 for entry in settled)
