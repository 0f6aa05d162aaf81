"""What is told of budgets, limits, prices and the ledger: once each, over starts and workers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from entente.control.events import Event, EventType
from entente.control.watching import Watch, steps_of
from entente.domain.rules import Level, Rule, Unit
from entente.domain.windows import Window
from entente.ledger.meters import Counter, Draw, meter_name
from entente.policy.rules import RuleBook
from tests.kit.entries import AT_NS, held
from tests.support.admin import PRICED, SCRIPT, Admin
from tests.support.noon import PRELUDE
from tests.support.receiver import Receiver
from tests.support.server import EntenteServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PRIVATE = PRICED + "\n[webhooks]\nallow_private = true\n"
BUDGET = Rule(
    id="rule_b", level=Level.PROJECT, name="alpha", unit=Unit.SPEND, amount=1_000,
    window=Window.MONTH, asset="USD", thresholds=(50, 80, 100),
)  # fmt: skip
THRESHOLD = "budget.threshold_reached"
METER = meter_name(Unit.SPEND, "rule_b", "2026-11", "project:alpha")


class Watched:
    """A watch with rules that can be replaced, and what it told."""

    def __init__(self, *rules: Rule) -> None:
        """Start under some rules."""
        self.book = RuleBook(rules)
        self.told: list[Event] = []
        self.watch = Watch(lambda: self.book, self.told.append, now_ns=lambda: AT_NS)

    def percents(self) -> list[Any]:
        """Give the thresholds that were told of."""
        return [event.data["threshold_percent"] for event in self.told]


def test_each_threshold_is_told_once() -> None:
    """In their order, several at once where several were passed."""
    watched = Watched(BUDGET)
    for used in (0, 499, 500, 501, 799, 1_000, 1_000):
        watched.watch.used(METER, Counter(used, 7))
    assert watched.percents() == [50, 80, 100]
    assert len({event.once for event in watched.told}) == 3
    last = watched.told[-1]
    assert last.type is EventType.BUDGET_THRESHOLD_REACHED
    assert last.data == {
        "rule": "rule_b", "level": "project", "name": "alpha", "unit": "spend",
        "window": "2026-11", "currency": "USD", "limit": "0.000001", "used": "0.000001",
        "pending": "0.000000007", "threshold_percent": 100,
    }  # fmt: skip


def test_another_window_and_another_amount_are_told_anew() -> None:
    """A raised budget comes to its thresholds a second time, under another name."""
    watched = Watched(BUDGET)
    watched.watch.used(METER, Counter(800, 0))
    watched.watch.used(METER.replace("11", "12"), Counter(500, 0))
    watched.book = RuleBook([Rule(**{**_fields(BUDGET), "amount": 1_600})], 2)
    watched.watch.used(METER, Counter(800, 0))
    assert watched.percents() == [50, 80, 50, 50]
    assert len({event.once for event in watched.told}) == 4


def _fields(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in rule.__struct_fields__}


def test_a_rule_that_only_tells_says_when_it_is_passed() -> None:
    """Nothing is refused there, so that this is the only word about it."""
    watched = Watched(Rule(**{**_fields(BUDGET), "hard": False, "thresholds": ()}))
    watched.watch.used(METER, Counter(1_000, 0))
    assert watched.told == []
    watched.watch.used(METER, Counter(1_001, 0))
    watched.watch.used(METER, Counter(1_002, 0))
    assert [event.type for event in watched.told] == [EventType.BUDGET_EXCEEDED]


def test_meters_without_a_rule_are_passed_over() -> None:
    """Such as those of a key's own limits, or of a rule that was ended."""
    watched = Watched()
    for name in (METER, meter_name(Unit.TOKENS, "key", "2026-11-22T04:15", "key:key_a")):
        watched.watch.used(name, Counter(10**9, 0))
    assert watched.told == []


def test_thresholds_are_rounded_up() -> None:
    """A third of ten is reached with four; all of nothing at once."""
    rule = Rule(**{**_fields(BUDGET), "amount": 10, "thresholds": (33,)})
    assert [step.amount for step in steps_of(rule)] == [4]
    nothing = Rule(**{**_fields(BUDGET), "amount": 0, "thresholds": (100,)})
    assert [step.amount for step in steps_of(nothing)] == [0]


def test_refusals_are_told_once_a_window() -> None:
    """By budget, by limit; what is running at once has no window and is told once an hour."""
    watched = Watched(BUDGET)
    tokens = meter_name(Unit.TOKENS, "key", "2026-11-22T04:15", "key:key_a")
    at_once = meter_name(Unit.CONCURRENCY, "rule_c", "all", "key:key_a")
    opened = held("r1", 5)
    for meter in (METER, tokens, at_once, METER, tokens, tokens.replace(":15", ":16")):
        watched.watch.refused(opened, Draw(meter, 5, 3), Counter(2, 1))
    for _ in range(2):
        watched.watch.refused(opened, None, None)
    assert [event.type.value for event in watched.told] == [
        "budget.exceeded", "limit.exceeded", "limit.exceeded", "limit.exceeded",
        "budget.exceeded",
    ]  # fmt: skip
    assert watched.told[1].data["key"] == opened.key


def test_a_refusal_by_a_new_rule_says_its_currency() -> None:
    """Also when nothing was settled since the rule was made."""
    watched = Watched()
    watched.book = RuleBook([BUDGET], 1)
    watched.watch.refused(held("r1", 5), Draw(METER, 5, 3), Counter(2, 1))
    (told,) = watched.told
    assert (told.data["rule"], told.data["currency"]) == (BUDGET.id, "USD")


def test_trouble_is_told_when_it_begins_and_when_it_ends() -> None:
    """Not while it lasts."""
    watched = Watched()
    for text in (None, "full", "full", "fuller", None, None):
        watched.watch.trouble(text)
    assert [event.data["over"] for event in watched.told] == [False, True]


# ---- on a real server ----


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., EntenteServer]]:
    """Give a maker of servers on one folder."""
    (tmp_path / "script.toml").write_text(SCRIPT)
    with contextlib.ExitStack() as stack:

        def maker(prelude: str = "") -> EntenteServer:
            made = EntenteServer(tmp_path, PRIVATE, server="shutdown_s = 1", prelude=prelude)
            return stack.enter_context(made)

        yield maker


def test_a_budget_is_told_of_over_kill_and_start(make: Callable[..., EntenteServer]) -> None:
    """Every threshold once, whatever happens to the server; then the refusal."""
    server = make()
    admin = Admin(server)
    with Receiver() as receiver:
        admin.post("/webhooks", {"url": receiver.url})
        key = admin.post("/keys", {"name": "bob"})
        cost = _cost(server, key["key"])
        admin.post(
            "/rules",
            {"level": "key", "name": key["id"], "unit": "spend", "window": "year",
             "amount": _decimal(cost * 4),
             "hard": False, "thresholds": [25, 50, 100]},
        )  # fmt: skip
        _cost(server, key["key"])
        assert [e["data"]["threshold_percent"] for e in receiver.wait_for(THRESHOLD)] == [25]
        server.kill()
        server.start()
        _cost(server, key["key"])
        told = receiver.wait_for(THRESHOLD, 2)
        assert [e["data"]["threshold_percent"] for e in told] == [25, 50]
        for _ in range(3):
            _cost(server, key["key"])
        told = receiver.wait_for(THRESHOLD, 3)
        assert sorted(e["data"]["threshold_percent"] for e in told) == [25, 50, 100]
        (passed,) = receiver.wait_for("budget.exceeded")
        assert passed["data"]["level"] == "key"
        assert server.stop() == 0
        assert len(receiver.of(THRESHOLD)) == 3


def _cost(server: EntenteServer, key: str) -> int:
    """Ask once; give what it cost, in nano-units."""
    before = len(server.settlements())
    assert server.chat(key, max_tokens=5).status == 200
    cost = server.settlements()[before].cost_nano
    assert cost
    return cost


def _decimal(nano: int) -> str:
    return f"{nano // 10**9}.{nano % 10**9:09d}"


def test_refusals_and_missing_prices_are_told(make: Callable[..., EntenteServer]) -> None:
    """With whom, what and which limit."""
    server = make(PRELUDE)  # some of them are told once an hour or a day
    admin = Admin(server)
    with Receiver() as receiver:
        admin.post("/webhooks", {"url": receiver.url})
        poor = admin.post("/keys", {"budget_usd": "0.000001"})
        for _ in range(3):
            assert server.chat(poor["key"]).status == 429
        (broke,) = receiver.wait_for("budget.exceeded")
        assert broke["data"]["key"] == poor["id"]
        free = admin.post("/keys")
        assert server.chat(free["key"], model="unpriced").status == 200
        assert server.chat(poor["key"], model="unpriced").status == 403
        (missing,) = receiver.wait_for("price.missing")
        assert missing["data"] == {"model": "unpriced"}
        rule = admin.post(
            "/rules",
            {"level": "user", "name": "*", "unit": "requests", "amount": "1", "window": "year"},
        )
        ann = admin.post("/keys", {"user": "ann"})
        statuses = [server.chat(ann["key"], max_tokens=1).status for _ in range(3)]
        assert statuses == [200, 429, 429]
        (limit,) = receiver.wait_for("limit.exceeded")
        said = {name: limit["data"][name] for name in ("rule", "level", "name", "limit", "used")}
        assert said == {
            "rule": rule["id"], "level": "user", "name": "ann", "limit": "1", "used": "1",
        }  # fmt: skip
        ended = admin.post(f"/rules/{rule['id']}/end")
        assert ended["ended"] is not None
        assert server.chat(ann["key"], max_tokens=1).status == 200
        assert len(receiver.of("limit.exceeded")) == 1


def test_an_activated_price_book_is_told(make: Callable[..., EntenteServer]) -> None:
    """By the command line; the book is listed, and given with its lines."""
    server = make()
    admin = Admin(server)
    with Receiver() as receiver:
        admin.post("/webhooks", {"url": receiver.url, "events": ["prices.activated"]})
        assert server.cli("prices", "import", "starting").returncode == 0
        (book,) = admin.get("/prices")["data"]
        done = server.cli("prices", "activate", book["version"])
        assert done.returncode == 0, done.stderr
        (told,) = receiver.wait_for("prices.activated")
        assert told["data"]["version"] == book["version"]
        shown = admin.get(f"/prices/{book['version']}")
        assert len(shown["book"]["lines"]) == shown["lines"] == book["lines"]
        assert shown["in_force"] is True
        assert admin.ask("GET", "/prices/nothing").status == 404
        assert admin.get(f"/prices?after={book['version']}")["data"] == []
