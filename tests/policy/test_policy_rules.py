"""Which rules a request is under, what it draws, and where its limits stand."""

from __future__ import annotations

from typing import Any

import pytest

from entente.domain.principal import Principal, Role
from entente.domain.quota import Quota
from entente.domain.rules import EACH, Level, Rule, Unit
from entente.domain.windows import Window
from entente.ledger.meters import Draw, Meters
from entente.policy.rules import RuleBook, Rules, Standing, Subject, standings

MINUTE_NS = 60_000_000_000
SUBJECT = Subject("alpha", "key_1", "ada", "m", "eve", ("red", "blue"))


def _who(rpm: int | None = None, tpm: int | None = None) -> Principal:
    return Principal(
        key_id="key_1",
        name="n",
        role=Role.MEMBER,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )


def _rule(level: Level, name: str, unit: Unit = Unit.REQUESTS, **more: Any) -> Rule:
    settings: dict[str, Any] = {"id": f"rule_{level}", "amount": 5, "window": Window.DAY, **more}
    return Rule(level=level, name=name, unit=unit, **settings)


def _meters(rules: Rules, at_ns: int = 0) -> list[str]:
    return [draw.meter for draw in rules.draws(at_ns, tokens=7, nano=9, asset="USD")]


@pytest.mark.parametrize(
    ("level", "name", "subject"),
    [
        (Level.ORGANIZATION, "", "organization:"),
        (Level.PROJECT, "alpha", "project:alpha"),
        (Level.PROJECT, EACH, "project:alpha"),
        (Level.KEY, "key_1", "key:key_1"),
        (Level.USER, "ada", "user:ada"),
        (Level.END_USER, EACH, "end_user:eve"),
        (Level.MODEL, "m", "model:m"),
        (Level.TAG, "red", "tag:red"),
    ],
)
def test_a_rule_is_about_its_level(level: Level, name: str, subject: str) -> None:
    """A name, or each member of the level, counted for itself."""
    book = RuleBook([_rule(level, name)])
    rules = book.of(_who(), SUBJECT)
    assert _meters(rules) == [f"requests|rule_{level}|1970-01-01|{subject}"]


@pytest.mark.parametrize("level", [each for each in Level if each is not Level.ORGANIZATION])
def test_a_rule_is_not_about_others(level: Level) -> None:
    """Nor about those without a name, where it counts each of a level."""
    book = RuleBook([_rule(level, "other")])
    assert book.of(_who(), SUBJECT).applied == ()
    each = RuleBook([_rule(level, EACH)])
    assert each.of(_who(), Subject("", "", "", "")).applied == ()


def test_a_clock_that_is_stepped_back_finds_its_window_again() -> None:
    """What was a window too far for a moment does not stay so, and give an amount twice."""
    rules = RuleBook([_rule(Level.KEY, "key_1")]).of(_who(), SUBJECT)
    day = 24 * 60 * MINUTE_NS
    windows = [_meters(rules, at_ns)[0].split("|")[2] for at_ns in (0, day, day - 1, 1, day)]
    assert windows == ["1970-01-01", "1970-01-02", "1970-01-01", "1970-01-01", "1970-01-02"]


def test_each_tag_counts() -> None:
    """A request with two tags is counted for both."""
    book = RuleBook([_rule(Level.TAG, EACH)])
    assert _meters(book.of(_who(), SUBJECT)) == [
        "requests|rule_tag|1970-01-01|tag:red",
        "requests|rule_tag|1970-01-01|tag:blue",
    ]


def test_what_is_drawn() -> None:
    """Of each unit its own amount; spend in another currency is another budget's business."""
    units = [
        _rule(Level.PROJECT, "alpha", unit, id=str(unit), asset="USD" * (unit is Unit.SPEND))
        for unit in Unit
    ]
    euros = _rule(Level.PROJECT, "alpha", Unit.SPEND, id="euros", asset="EUR")
    soft = _rule(Level.PROJECT, "alpha", Unit.TOKENS, id="soft", hard=False)
    book = RuleBook([*units, euros, soft])
    draws = book.of(_who(), SUBJECT).draws(0, tokens=7, nano=9, asset="USD")
    drawn = {draw.meter.split("|")[1]: (draw.amount, draw.limit) for draw in draws}
    assert drawn == {
        "spend": (9, 5),
        "requests": (1, 5),
        "tokens": (7, 5),
        "concurrency": (1, 5),
        "soft": (7, None),
    }


def test_a_key_and_a_deployment_have_limits_of_their_own() -> None:
    """They are rules like any other, and a deployment's name is the same however it is written."""
    book = RuleBook()
    rules = book.of(_who(rpm=3), SUBJECT, Quota("Deploy|ment", 10, 50))
    draws = rules.draws(MINUTE_NS, tokens=7, nano=0, asset="USD")
    assert draws == (
        Draw("requests|deployment|1970-01-01T00:01|deployment:deploy|ment", 1, 10),
        Draw("tokens|deployment|1970-01-01T00:01|deployment:deploy|ment", 7, 50),
        Draw("requests|key|1970-01-01T00:01|key:key_1", 1, 3),
    )


def test_without_rules_nothing_is_drawn() -> None:
    """And nothing is kept."""
    book = RuleBook()
    rules = book.of(_who(), SUBJECT)
    assert _meters(rules) == []
    assert book._found == {}


def test_the_next_window_is_another_meter() -> None:
    """From its first nanosecond on."""
    book = RuleBook()
    rules = book.of(_who(rpm=1), SUBJECT)
    names = [_meters(rules, at_ns)[0] for at_ns in (0, MINUTE_NS - 1, MINUTE_NS)]
    assert names[0] == names[1] == "requests|key|1970-01-01T00:00|key:key_1"
    assert names[2] == "requests|key|1970-01-01T00:01|key:key_1"


def test_requests_at_once_have_no_window() -> None:
    """They are counted at any time, whatever window was said."""
    book = RuleBook([_rule(Level.KEY, "key_1", Unit.CONCURRENCY)])
    names = [_meters(book.of(_who(), SUBJECT), at_ns)[0] for at_ns in (0, 10**18)]
    assert names == ["concurrency|rule_key|all|key:key_1"] * 2


def test_the_tighter_standing_is_told() -> None:
    """For each unit the limit that leaves least, at the end of its window."""
    book = RuleBook([_rule(Level.PROJECT, "alpha", Unit.TOKENS, amount=60)])
    rules = book.of(_who(rpm=3, tpm=1000), SUBJECT, Quota("D", 10, 50))
    assert rules.are_told
    meters = Meters()
    draws = rules.draws(1_000_000, tokens=20, nano=0, asset="USD")
    meters.hold(draws)
    assert standings(draws, meters.of, 1_000_000) == (
        Standing("requests", 3, 2, 59_999),
        Standing("tokens", 50, 30, 59_999),
    )


def test_money_and_what_is_soft_is_told_nobody() -> None:
    """Only a hard limit of requests or tokens has a header; without one nobody looks for it."""
    hard = _rule(Level.PROJECT, "alpha", Unit.TOKENS)
    soft = _rule(Level.PROJECT, "alpha", Unit.TOKENS, hard=False)
    others = [_rule(Level.KEY, "key_1", unit) for unit in (Unit.SPEND, Unit.CONCURRENCY)]
    told = [RuleBook(rules).of(_who(), SUBJECT).are_told for rules in (others, [soft], [hard])]
    assert told == [False, False, True]


def test_many_kinds_of_requests_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of rules and names is bounded, and only costs a second look."""
    monkeypatch.setattr("entente.policy.rules.SETS_KEPT_MAX", 3)
    book = RuleBook([_rule(Level.END_USER, EACH)])
    for number in range(10):
        subject = Subject("alpha", "key_1", "", "m", f"eve{number}")
        (name,) = _meters(book.of(_who(), subject))
        assert name.endswith(f"end_user:eve{number}")
        assert len(book._found) <= 3
