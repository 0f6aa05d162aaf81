"""`entente limits` on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Runner


def _added(entente_: Runner, *arguments: str) -> dict[str, Any]:
    view: dict[str, Any] = entente_.ok("limits", "add", *arguments, "--json").json
    return view


def test_all_that_a_limit_can_be_told(entente_: Runner) -> None:
    """Options arrive in the record, and the list shows what adding said."""
    entente_.ok("projects", "create", "alpha")
    entente_.ok("rates", "set", "EUR", "USD", "1.08")
    made = _added(
        entente_,
        *("project:alpha", "--spend", "12.5", "--window", "month", "--zone", "Europe/Berlin"),
        *("--currency", "EUR", "--soft", "--tell-at", "100,50"),
    )
    assert {name: made[name] for name in made if name not in ("id", "created")} == {
        "level": "project",
        "name": "alpha",
        "unit": "spend",
        "amount": "12.5",
        "window": "month",
        "zone": "Europe/Berlin",
        "currency": "EUR",
        "hard": False,
        "thresholds": [50, 100],
        "ended": None,
    }
    assert entente_.ok("limits", "list", "--json").json == [made]
    assert (
        "project:alpha  12.5 EUR  month in Europe/Berlin  soft" in entente_.ok("limits", "list").out
    )


def test_a_currency_of_which_nothing_is_known_is_told(entente_: Runner) -> None:
    """It is taken, as a price or a rate may come; what it does until then is said beside."""
    added = entente_("limits", "add", "organization", "--spend", "5", "--currency", "XXQ", "--json")
    assert (added.status, added.json["currency"]) == (0, "XXQ")
    assert "No price and no rate of exchange is in XXQ" in added.err
    assert "403" in added.err
    soft = entente_("limits", "add", "tag:a", "--spend", "5", "--currency", "XXQ", "--soft")
    assert (soft.status, "counts nothing" in soft.err) == (0, True)
    entente_.ok("limits", "add", "tag:b", "--spend", "5")
    entente_.ok("rates", "set", "XXQ", "USD", "2")
    entente_.ok("limits", "add", "tag:c", "--spend", "5", "--currency", "XXQ")


def test_a_key_goes_by_its_name(entente_: Runner) -> None:
    """The rule keeps its id."""
    made = entente_.ok("keys", "create", "--name", "bob", "--json").json
    assert _added(entente_, "key:bob", "--at-once", "3")["name"] == made["id"]
    assert _added(entente_, "key:*", "--requests", "3", "--window", "day")["name"] == "*"


def test_a_limit_changes_and_ends(entente_: Runner) -> None:
    """It keeps its id; a second end changes nothing; an ended one takes no change."""
    rule = _added(entente_, "organization", "--tokens", "100", "--window", "day")["id"]
    changed = entente_.ok("limits", "set", rule, "--tokens", "7", "--tell-at", "80", "--json").json
    assert (changed["id"], changed["amount"], changed["thresholds"]) == (rule, "7", [80])
    assert entente_.ok("limits", "set", rule, "--soft", "--json").json["hard"] is False
    ended = entente_.ok("limits", "end", rule, "--json").json
    assert ended["ended"]
    assert entente_.ok("limits", "end", rule, "--json").json == ended
    assert entente_.ok("limits", "list", "--json").json == []
    assert entente_.ok("limits", "list", "--all", "--json").json == [ended]
    assert "was ended" in entente_.fails("limits", "set", rule, "--tokens", "8")
    actions = [line for line in entente_.ok("audit", "list").out.splitlines() if rule in line]
    assert [word for line in actions for word in line.split() if word.startswith("rule.")] == [
        "rule.end",
        "rule.change",
        "rule.change",
        "rule.make",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("organisation", "--tokens", "1"), "'organisation' is not a level; there are organ"),
        (("project:alpha",), "Give one of --spend, --requests, --tokens and --at-once."),
        (("project:a", "--tokens", "1", "--spend", "1"), "Give one of --spend"),
        (("project:", "--tokens", "1"), "A rule for a project needs its name"),
        (("organization:x", "--tokens", "1"), "There is one organization: leave its name out."),
        (("key:nobody", "--tokens", "1"), "There is no key 'nobody'"),
        (("tag:a", "--tokens", "-1"), "The amount must be 0 to"),
        (("tag:a", "--spend", "-1"), "--spend must be 0 to"),
        (("tag:a", "--spend", "1", "--currency", "dollars"), "'dollars' is not a currency"),
        (("tag:a", "--tokens", "1", "--zone", "Mars/Base"), "'Mars/Base' is not a time zone"),
        (("tag:a", "--at-once", "1", "--window", "day"), "Requests at once are counted at any"),
        (("tag:a", "--tokens", "1", "--tell-at", "0"), "At most 10 thresholds, of 1 to 1000"),
        (("tag:a", "--tokens", "1", "--tell-at", "x"), "--tell-at takes whole percentages"),
    ],
)
def test_what_makes_no_sense_is_refused(
    entente_: Runner, arguments: tuple[str, ...], words: str
) -> None:
    """In one line that says what to do."""
    entente_.ok("keys", "create", "--name", "bob")
    assert words in entente_.fails("limits", "add", *arguments)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("project:nope", "There is no project 'nope': `entente projects create nope` makes it"),
        ("project:old", "The project 'old' is archived: choose another."),
        ("key:nobody", "There is no key 'nobody': `entente keys list` shows ids and names."),
        ("key:bob", "There is no key 'bob'"),
        ("key:{bob}", "{bob} was revoked: a rule for it would limit nobody."),
        ("model:entente-tin", "no model 'entente-tin'. Did you mean `entente-tiny`?"),
    ],
)
def test_a_limit_of_nobody_is_refused(entente_: Runner, scope: str, words: str) -> None:
    """It would hold nobody back, and nobody would hear of it; nothing is added."""
    entente_.ok("projects", "create", "old")
    entente_.ok("projects", "archive", "old")
    bob = entente_.ok("keys", "create", "--name", "bob", "--json").json["id"]
    entente_.ok("keys", "revoke", "bob")
    said = entente_.fails("limits", "add", scope.format(bob=bob), "--requests", "1")
    assert words.format(bob=bob) in said
    assert entente_.ok("limits", "list", "--all", "--json").json == []


@pytest.mark.parametrize(
    "scope",
    [
        *("organization", "project:default", "project:*", "key:*", "model:entente-tiny", "model:*"),
        *("user:ann", "end_user:u-1", "tag:night"),
    ],
)
def test_who_may_come_later_has_a_limit_now(entente_: Runner, scope: str) -> None:
    """Users, end users and tags are what requests and keys say, and `*` is for all that come."""
    made = _added(entente_, scope, "--requests", "1")
    assert f"{made['level']}:{made['name']}".removesuffix(":") == scope


def test_a_limit_that_is_not_there(entente_: Runner) -> None:
    """It says where they are."""
    rule = _added(entente_, "organization", "--tokens", "100")["id"]
    assert "`entente limits list` shows them" in entente_.fails("limits", "end", "rule_nope")
    assert "limits tokens, not requests" in entente_.fails("limits", "set", rule, "--requests", "1")
