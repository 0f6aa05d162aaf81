"""`entente keys` and `entente budgets` on a real database."""

from __future__ import annotations

import re
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from entente.auth import KeyStore
from entente.control.granting import Granted
from entente.db import DATABASE_NAME, open_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from entente.control.budgets import Budget
    from tests.cli.conftest import Runner

SECRET = re.compile(r"sk-ent-[A-Za-z0-9_-]{43}")


def is_valid(folder: Path, secret: str) -> bool:
    """Say whether a server would take this key now."""
    with closing(open_sqlite(folder / ".entente" / DATABASE_NAME, read_only=True)) as opened:
        return KeyStore(opened).load_ring().find(secret.encode()) is not None


def test_a_key_is_shown_alone_so_that_a_script_can_take_it(entente_: Runner, folder: Path) -> None:
    """`KEY=$(entente keys create)` works; the data folder is private."""
    secret = entente_.ok("keys", "create", "--name", "bob").out.removesuffix("\n")
    assert SECRET.fullmatch(secret)
    assert is_valid(folder, secret)
    assert stat.S_IMODE((folder / ".entente").stat().st_mode) == stat.S_IRWXU


MODELS = """
[models]
a.targets = [{ provider = "local", model = "a" }]
b.targets = [{ provider = "local", model = "b" }]
"""


def test_all_that_a_key_can_be_told(entente_: Runner, folder: Path) -> None:
    """Options arrive in the record, and the list shows what creating said."""
    (folder / "entente.toml").write_text(MODELS)
    made = entente_.ok(
        *("keys", "create", "--name", "bob", "--role", "admin", "--rpm", "3", "--tpm", "4"),
        *("--model", "a", "--model", "b", "--budget-usd", "12.5", "--json"),
    ).json
    secret = made.pop("key")
    assert SECRET.fullmatch(secret)
    assert {name: made[name] for name in ("name", "role", "models", "budgeted")} == {
        "name": "bob",
        "role": "admin",
        "models": ["a", "b"],
        "budgeted": True,
    }
    assert (made["requests_per_minute"], made["tokens_per_minute"]) == (3, 4)
    assert made["hint"] == f"{secret[:10]}***{secret[-4:]}"
    assert entente_.ok("keys", "list", "--json").json == [made]


def test_secrets_are_shown_once(entente_: Runner) -> None:
    """No later command has them, in any form of output."""
    secret = entente_.ok("keys", "create", "--name", "bob", "--budget-usd", "1").out.strip()
    for words in (
        ("keys", "list"),
        ("keys", "list", "--all", "--json"),
        ("budgets", "show"),
        ("budgets", "show", "bob", "--json"),
        ("doctor",),
        ("keys", "revoke", "bob"),
        ("keys", "list", "--all"),
    ):
        ended = entente_(*words)
        assert secret not in ended.out + ended.err
        assert secret[10:-4] not in ended.out + ended.err


def test_a_revoked_key_is_gone_from_lists_but_for_all(entente_: Runner, folder: Path) -> None:
    """And from what a server accepts."""
    secret = entente_.ok("keys", "create", "--name", "bob").out.strip()
    assert "Revoked key_" in entente_.ok("keys", "revoke", "bob").out
    assert not is_valid(folder, secret)
    assert entente_.ok("keys", "list", "--json").json == []
    (record,) = entente_.ok("keys", "list", "--all", "--json").json
    assert record["revoked"] is not None
    assert record["revoked"][:10] in entente_.ok("keys", "list", "--all").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("keys", "revoke", "bobb"), "entente keys list"),
        (("keys", "create", "--budget-usd", "ten"), "--budget-usd"),
        (("keys", "create", "--budget-usd", "-1"), "--budget-usd"),
        (("keys", "create", "--budget-usd", "0.0000000001"), "9 decimal places"),
        (("keys", "create", "--name", " "), "name"),
        (("keys", "create", "--model", "entente-tyni"), "Did you mean `entente-tiny`?"),
        (("keys", "create", "--model", "xyzzy"), "entente models"),
        (("budgets", "grant", "bob", "--usd", "-1"), "can be 0 USD at the least"),
        (("budgets", "grant", "bob", "--usd", "1", "--note", "x" * 257), "256"),
        (("keys", "create", "--name", "bootstrap-admin"), "reserved"),
        (("budgets", "show", "nobody"), "entente keys list"),
        (("budgets", "grant", "bob", "--usd", "1e3"), "--usd"),
        (("budgets", "set", "bob", "--usd", "-3"), "--usd"),
    ],
)
def test_mistakes_are_one_line_with_the_remedy(
    entente_: Runner, words: tuple[str, ...], says: str
) -> None:
    """And change nothing."""
    entente_.ok("keys", "create", "--name", "bob")
    before = entente_.ok("keys", "list", "--all", "--json").json
    assert says in entente_.fails(*words)
    assert entente_.ok("keys", "list", "--all", "--json").json == before


def test_a_listing_in_the_wrong_folder_leaves_nothing_behind(
    entente_: Runner, folder: Path
) -> None:
    """It says where it looked."""
    for words in (("keys", "list"), ("keys", "revoke", "x"), ("budgets", "show"), ("usage",)):
        assert "There is no database at .entente/" in entente_.fails(*words)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(entente_: Runner, folder: Path) -> None:
    """Here a file is in the way."""
    (folder / ".entente").write_text("")
    assert "server.data_dir" in entente_.fails("keys", "create")


def test_a_budget_is_set_to_what_was_said_whoever_sets_it_meanwhile(
    entente_: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once make it that amount, not the sum; nor is it cut twice below what is spent."""
    entente_.ok("keys", "create", "--name", "bob", "--budget-usd", "2")
    told = Granted.budget

    def meanwhile(*words: str) -> None:
        """Have another command change the budget as soon as this one knows how it stands."""

        def budget(self: Granted, key: str) -> Budget:
            found = told(self, key)
            monkeypatch.setattr(Granted, "budget", told)
            assert entente_("budgets", *words).status == 0
            return found

        monkeypatch.setattr(Granted, "budget", budget)

    meanwhile("set", "bob", "--usd", "10")
    (stands,) = entente_.ok("budgets", "set", "bob", "--usd", "10", "--json").json
    assert stands["granted"] == "10"
    meanwhile("grant", "bob", "--usd", "-6")
    assert "can be 0 USD at the least" in entente_.fails("budgets", "grant", "bob", "--usd", "-6")


def test_budgets_are_granted_and_set(entente_: Runner) -> None:
    """Set is the whole; grant is on top; both are exact."""
    entente_.ok("keys", "create", "--name", "bob", "--budget-usd", "10.000000001")

    def budget() -> tuple[str, str]:
        (line,) = entente_.ok("budgets", "show", "bob", "--json").json
        return line["granted"], line["available"]

    assert budget() == ("10.000000001", "10.000000001")
    entente_.ok("budgets", "grant", "bob", "--usd", "5", "--note", "more")
    assert budget() == ("15.000000001", "15.000000001")
    entente_.ok("budgets", "grant", "bob", "--usd", "-1")
    assert budget() == ("14.000000001", "14.000000001")
    for _ in range(2):
        entente_.ok("budgets", "set", "bob", "--usd", "3")
        assert budget() == ("3", "3")
    assert entente_.ok("ledger", "verify", "--json").json["grants"] == 4


def test_a_budget_of_nothing_is_a_budget(entente_: Runner) -> None:
    """Zero is hard, not absent."""
    made = entente_.ok("keys", "create", "--name", "bob", "--budget-usd", "0", "--json").json
    assert made["budgeted"] is True
    (line,) = entente_.ok("budgets", "show", "--json").json
    assert (line["name"], line["granted"], line["available"]) == ("bob", "0", "0")


def test_granting_puts_a_free_key_under_its_budget(entente_: Runner) -> None:
    """From then on it is listed with a hard one."""
    entente_.ok("keys", "create", "--name", "bob")
    assert entente_.ok("budgets", "show", "--json").json == []
    entente_.ok("budgets", "grant", "bob", "--usd", "5")
    assert entente_.ok("keys", "list", "--json").json[0]["budgeted"] is True
    assert "bob" in entente_.ok("budgets", "show").out
