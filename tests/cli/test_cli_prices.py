"""`entente prices` and `entente rates`, alone and beside a running server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.server import EntenteServer, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Runner

SETTINGS = """
[providers.main]
kind = "openai"
preset = "openai"
api_key = "file:key"

[providers.elsewhere]
kind = "openai"
base_url = "https://gateway.example.com/v1"

[models.listed]
targets = [{ provider = "main", model = "gpt-4o" }, { provider = "elsewhere", model = "gpt-4o" }]

[models.deployed]
targets = [{ provider = "elsewhere", model = "my-4o", priced_as = "openai/gpt-4o" }]

[models.fixed]
targets = [{ provider = "main", model = "gpt-4o" }]
price = { currency = "EUR", per = "1M tokens", input = "1", output = "2" }
"""


def _book(folder: Path, name: str, *lines: dict[str, Any]) -> str:
    document = {
        "format": "entente-prices/1",
        "source": "our own",
        "retrieved": "2026-11-01",
        "lines": lines,
    }
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return name


def _line(name: str, rate: str, **more: Any) -> dict[str, Any]:
    rates = {"input": rate, "output": rate}
    return {"models": [name], "currency": "USD", "per": "1M tokens", "rates": rates, **more}


def test_from_import_to_show(entente_: Runner, folder: Path) -> None:
    """Imported is not in force; in force, the settings go first, and only a vendor's own counts."""
    (folder / "entente.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "key").write_text("sk-none", encoding="utf-8")
    assert [line["priced"] for line in entente_.ok("prices", "show", "--json").json] == [
        False, False, False, True,
    ]  # fmt: skip
    made = entente_.ok("prices", "import", "starting", "--json").json
    assert made["names"] > 50
    version = made["version"]
    assert entente_.ok("prices", "import", "starting", "--json").json == made
    (listed,) = entente_.ok("prices", "list", "--json").json
    assert (listed["version"], listed["in_force"], listed["active_from"]) == (version, False, [])
    assert not entente_.ok("prices", "show", "listed", "--json").json[0]["priced"]
    assert version in entente_.ok("prices", "activate", version[:6]).out
    shown = entente_.ok("prices", "show", "--json").json
    assert [line["priced"] for line in shown] == [True, False, True, True]
    assert [line["priced"] for line in entente_.ok("models", "--json").json] == [False, True, True]
    assert shown[0]["rates"]["input"] == "2.5"
    assert (shown[0]["origin"], shown[0]["name"]) == (version, "openai/gpt-4o")
    assert shown[0]["source"].startswith("https://")
    assert shown[2]["name"] == "openai/gpt-4o"
    assert (shown[3]["origin"], shown[3]["currency"]) == ("settings", "EUR")
    (named,) = entente_.ok("prices", "show", "anthropic/claude-opus-5", "--json").json
    assert named["rates"]["batch output"] == "12.5"
    assert "yes" in entente_.ok("prices", "list").out
    assert "unpriced" in entente_.ok("prices", "show").out
    assert entente_.fails("prices", "show", "nobody/x").endswith("show what there is.")


def test_a_book_with_mistakes_is_not_imported(entente_: Runner, folder: Path) -> None:
    """All are named, up to twenty; a file that is not there is said to be."""
    name = _book(folder, "bad.json", _line("a/b", "-1"), _line("a/c", "1"), _line("d", "1"))
    ended = entente_("prices", "import", name)
    assert ended.status != 0
    first, *found = ended.err.splitlines()
    assert first == "entente: Nothing was imported:"
    assert [line.partition(" must ")[0] for line in found] == [
        "entente: line 1: a/b: `rates.input`",
        "entente: line 1: a/b: `rates.output`",
        "entente: line 1: d: 'd'",
    ]
    many = _book(folder, "worse.json", *(_line(f"a/{number}", "-1") for number in range(15)))
    assert entente_("prices", "import", many).err.splitlines()[20:] == [
        "entente: line 1: a/9: `rates.output` must not be negative",
        "entente: and 10 more",
    ]
    assert entente_.ok("prices", "list", "--json").json == []
    assert "cannot be read" in entente_.fails("prices", "import", "nothing.json")


def test_differences_in_percent(entente_: Runner, folder: Path) -> None:
    """By name and rate; what only one has is shown, and units that differ are not compared."""
    old = _book(folder, "old.json", _line("a/b", "2"), _line("a/gone", "1"), _line("a/same", "1"))
    new = _book(
        folder, "new.json", _line("a/b", "2.5", tiers={"flex": {"factor": "1/2"}}),
        _line("a/same", "1"), _line("a/new", "3", currency="EUR"),
    )  # fmt: skip
    first = entente_.ok("prices", "import", old, "--json").json["version"]
    second = entente_.ok("prices", "import", new, "--json").json["version"]
    found = entente_.ok("prices", "diff", first, second, "--json").json
    told = {(each["name"], each["rate"]): each for each in found}
    assert told["a/b", "input"]["percent"] == "+25.00"
    assert told["a/b", "flex input"]["before"] is None
    assert told["a/gone", "output"]["after"] is None
    assert told["a/new", "input"]["unit"] == "EUR per 1M tokens"
    assert not any(name == "a/same" for name, _ in told)
    assert "+25.00" in entente_.ok("prices", "diff", first, second).out
    assert entente_.ok("prices", "diff", first, first, "--json").json == []


def test_a_book_from_a_day_on(entente_: Runner, folder: Path) -> None:
    """Until then the one before; a day that has passed is refused, and so is what is no book."""
    now = entente_.ok("prices", "import", _book(folder, "a.json", _line("a/b", "1")), "--json")
    later = entente_.ok("prices", "import", _book(folder, "b.json", _line("a/b", "2")), "--json")
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"  # noqa: TID251
    entente_.ok("prices", "activate", now.json["version"])
    made = entente_.ok("prices", "activate", later.json["version"], "--from", tomorrow, "--json")
    assert made.json["from"][:19] == tomorrow[:19]
    (line,) = entente_.ok("prices", "show", "a/b", "--json").json
    assert line["rates"]["input"] == "1"
    (line,) = entente_.ok("prices", "show", "a/b", "--at", tomorrow, "--json").json
    assert line["rates"]["input"] == "2"
    assert "has passed" in entente_.fails("prices", "activate", "none", "--from", "2026-01-01")
    assert "No price book" in entente_.fails("prices", "activate", "ffff")
    entente_.ok("prices", "activate", "none")
    assert "Neither" in entente_.fails("prices", "show", "a/b")
    rows = entente_.ok("audit", "list", "--json").out.splitlines()
    actions = [json.loads(row)["action"] for row in rows]
    assert actions.count("prices.import") == 2
    assert actions.count("prices.activate") == 3


def test_rates_are_kept_for_ever(entente_: Runner) -> None:
    """The same once more is fine; another one of that day is not."""
    arguments = ("rates", "set", "eur", "USD", "1.0823", "--date", "2026-11-20")
    kept = entente_.ok(*arguments, "--source", "ECB", "--json").json
    assert kept == {
        "base": "EUR", "quote": "USD", "day": "2026-11-20", "rate": "1.0823", "source": "ECB",
    }  # fmt: skip
    assert entente_.ok(*arguments).out == "Kept EUR/USD 2026-11-20 1.0823.\n"
    refused = entente_.fails("rates", "set", "EUR", "USD", "1.09", "--date", "2026-11-20")
    assert "never changed" in refused
    assert entente_.ok("rates", "list", "--json").json == [kept]
    assert entente_.ok("rates", "list", "--since", "2026-11-21", "--json").json == []
    for wrong in (("EUR", "EUR", "1"), ("EU", "USD", "1"), ("EUR", "USD", "0"), ("A", "B", "x")):
        assert entente_.fails("rates", "set", *wrong)


SERVED = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models.m]
targets = [{ provider = "fake", model = "x", priced_as = "openai/m" }]
output_tokens_max = 10
"""


@pytest.fixture
def server(tmp_path: Path) -> EntenteServer:
    """Give a server with a model that has no price."""
    (tmp_path / "script.toml").write_text('[[replies]]\ntext = "a b"\n', encoding="utf-8")
    return EntenteServer(tmp_path, SERVED)


def test_a_running_server_goes_by_it_at_once(server: EntenteServer) -> None:
    """No restart: unpriced, priced, marked up for one key, and in another currency."""
    with server:
        plain, dear = server.make_key(), server.make_key()
        hard = server.make_key(budget_nano=10**9)
        assert server.chat(plain.secret, model="m", text="one two").status == 200
        assert server.chat(hard.secret, model="m", text="one two").status == 403
        (entry,) = server.settled(plain)
        assert entry.cost_nano is None
        name = _book(server.folder, "book.json", _line("openai/m", "1", currency="EUR"))
        version = json.loads(server.cli("prices", "import", name, "--json").stdout)["version"]
        assert server.cli("prices", "activate", version).returncode == 0

        def cost() -> int | None:
            server.chat(plain.secret, model="m", text="one two")
            return server.settlements(plain)[-1].cost_nano

        wait_until(lambda: cost() is not None, "the book to be in force")
        entry = server.settlements(plain)[-1]
        assert (entry.prices, entry.asset) == (version, "EUR")
        assert entry.cost_nano == entry.usage.total * 1000
        assert server.chat(hard.secret, model="m", text="one two").status == 403
        assert server.cli("rates", "set", "EUR", "USD", "5/4").returncode == 0
        wait_until(
            lambda: server.chat(hard.secret, model="m", text="one two").status == 200,
            "the rate to be known",
        )
        entry = server.settled(hard)[-1]
        assert (entry.asset, entry.cost_nano) == ("USD", entry.usage.total * 1250)
        assert entry.owed == (entry.usage.total * 1000, "EUR")
        assert server.cli("keys", "set", dear.id, "--price-factor", "1.15").returncode == 0

        def factor() -> str:
            server.chat(dear.secret, model="m", text="one two")
            return server.settlements(dear)[-1].price_factor

        wait_until(lambda: factor() == "23/20", "the mark-up to be charged")
        assert server.cli("projects", "charge", "default", "--price-factor", "1/2").returncode == 0

        def part() -> str:
            server.chat(plain.secret, model="m", text="one two")
            return server.settlements(plain)[-1].price_factor

        wait_until(lambda: part() == "1/2", "the project's discount to be charged")
        assert factor() == "23/20"
        server.stop()
    server.verify_at_rest()
