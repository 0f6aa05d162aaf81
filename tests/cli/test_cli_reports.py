"""`entente usage` and `entente ledger` on a journal with requests in it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from entente.db import DATABASE_NAME, connect, locked
from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import Hold, Settlement, hold, settlement
from entente.ledger.table import append_now

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Runner

DAY_NS = 86_400 * 1_000_000_000
NOT_MEASURED = {"audio_ms": 0, "characters": 0, "images": 0}
START_NS = 1_790_000_000 * 1_000_000_000
"""2026-09-21T14:13:20Z."""


def opened(number: int, key: str, model: str, *, asset: str = "USD", nano: int = 100) -> Hold:
    """Make the hold of request `number`, a day after the one before."""
    return hold(
        id=f"req_{number}",
        at_ns=START_NS + number * DAY_NS,
        key=key,
        asset=asset,
        model=model,
        nano=nano,
        bounded=False,
        input_tokens=50,
        output_tokens=50,
        prices="v1",
    )


def closed(
    entry: Hold, cost_nano: int | None, *, estimated: bool = False, target: str = "main/m"
) -> Settlement:
    """Settle a hold at a cost."""
    return settlement(
        entry,
        at_ns=entry.at_ns + 1_000,
        status=Status.COMPLETE,
        usage=Usage(input=3, cache_read=4, output=5, reasoning=6),
        cost_nano=cost_nano,
        provider="main",
        target=target,
        attempts=1,
        upstream_status=200,
        estimated=estimated,
    )


@pytest.fixture
def key_id(entente_: Runner, folder: Path) -> str:
    """Fill a ledger with four requests of one named and one unknown key; give the first."""
    key_id: str = entente_.ok("keys", "create", "--name", "bob", "--json").json["id"]
    holds = [
        opened(0, key_id, "a"),
        opened(1, key_id, "b"),
        opened(2, key_id, "a", asset="EUR"),
        opened(3, "key_other", "a"),
    ]
    ends = [
        closed(holds[0], 40),
        closed(holds[1], None),
        closed(holds[2], 7, estimated=True),
        closed(holds[3], 0, target=""),
    ]
    with closing(connect(folder / ".entente" / DATABASE_NAME)) as connection:
        append_now(connection, [*holds, *ends])
    return key_id


@pytest.mark.usefixtures("key_id")
def test_usage_by_model_keeps_currencies_and_unknowns_apart(entente_: Runner) -> None:
    """A cost that is not known is counted, not added as zero."""
    assert entente_.ok("usage", "--group-by", "model", "--json").json == [
        {
            "model": "a",
            "requests": 3,
            "input_tokens": 21,
            "cached_input_tokens": 12,
            "output_tokens": 33,
            **NOT_MEASURED,
            "cost": {"USD": "0.00000004", "EUR": "0.000000007"},
            "estimated_requests": 1,
            "unpriced_requests": 0,
        },
        {
            "model": "b",
            "requests": 1,
            "input_tokens": 7,
            "cached_input_tokens": 4,
            "output_tokens": 11,
            **NOT_MEASURED,
            "cost": {},
            "estimated_requests": 0,
            "unpriced_requests": 1,
        },
    ]
    table = entente_.ok("usage", "--group-by", "model").out
    assert "0.000000007 EUR + 0.00000004 USD" in table
    assert "1 unpriced" in table


def test_usage_names_keys_for_people_and_gives_ids_to_machines(
    entente_: Runner, key_id: str
) -> None:
    """A key that the table does not know goes by its id."""
    table = entente_.ok("usage", "--group-by", "key,day").out.splitlines()
    assert [line.split()[:2] for line in table] == [
        ["KEY", "DAY"],
        ["bob", "2026-09-21"],
        ["bob", "2026-09-22"],
        ["bob", "2026-09-23"],
        ["key_other", "2026-09-24"],
        ["TOTAL", "4"],
    ]
    lines = entente_.ok("usage", "--group-by", "key", "--json").json
    assert {line["key"] for line in lines} == {key_id, "key_other"}


@pytest.mark.usefixtures("key_id")
def test_usage_by_target_says_where_nothing_was_reached(entente_: Runner) -> None:
    """As a dash."""
    lines = entente_.ok("usage", "--group-by", "target,key", "--json").json
    assert [(line["target"], line["requests"]) for line in lines] == [("-", 1), ("main/m", 3)]


@pytest.mark.usefixtures("key_id")
@pytest.mark.parametrize("groups", ["", "keys", "key,,week", "key,key"])
def test_unknown_groups_are_refused(entente_: Runner, groups: str) -> None:
    """With the known ones."""
    assert "key, model, target, day" in entente_.fails("usage", "--group-by", groups)


def test_an_export_has_one_line_a_request(entente_: Runner, key_id: str) -> None:
    """With all that an invoice needs, cost exact and in text."""
    lines = [
        json.loads(line)
        for line in entente_.ok("ledger", "export", "--format", "jsonl").out.splitlines()
    ]
    assert [line["id"] for line in lines] == ["req_0", "req_1", "req_2", "req_3"]
    assert lines[0] == {
        "id": "req_0",
        "time": "2026-09-21T14:13:20.000001Z",
        "key": key_id,
        "model": "a",
        "target": "main/m",
        "status": "complete",
        "input": 3,
        "cache_read": 4,
        "cache_write": 0,
        "cache_write_1h": 0,
        "audio_input": 0,
        "image_input": 0,
        "output": 5,
        "reasoning": 6,
        "audio_output": 0,
        "image_output": 0,
        "audio_ms": 0,
        "characters": 0,
        "images": 0,
        "cost": "0.00000004",
        "currency": "USD",
        "owed": "0.00000004",
        "owed_currency": "USD",
        "service_tier": "",
        "prices": "v1",
        "estimated": False,
        "recovered": False,
    }
    assert [line["cost"] for line in lines] == ["0.00000004", None, "0.000000007", "0"]
    assert entente_.ok("ledger", "export", "--json").json == lines


@pytest.mark.usefixtures("key_id")
def test_a_good_ledger_verifies(entente_: Runner) -> None:
    """The line has the counts."""
    out = entente_.ok("ledger", "verify").out
    assert out.startswith("ok: 8 entries, 4 requests (1 estimated, 0 recovered")
    report = entente_.ok("ledger", "verify", "--json").json
    assert (report["ok"], report["requests"], report["problems"]) == (True, 4, [])


@pytest.mark.usefixtures("key_id")
def test_a_budget_cannot_go_below_what_is_spent(entente_: Runner) -> None:
    """What a key spent before it had a budget counts; what it spent in euros does not."""
    assert "can be 0.00000004 USD at the least" in entente_.fails(
        "budgets", "set", "bob", "--usd", "0.000000039"
    )
    assert entente_.ok("budgets", "show", "--json").json == []
    (line,) = entente_.ok("budgets", "set", "bob", "--usd", "0.00000004", "--json").json
    assert (line["granted"], line["spent"], line["available"]) == ("0.00000004", "0.00000004", "0")
    assert "at the least" in entente_.fails("budgets", "grant", "bob", "--usd", "-0.000000001")


@pytest.mark.usefixtures("key_id")
def test_an_open_hold_at_rest_is_a_fault(entente_: Runner, folder: Path) -> None:
    """Beside a running server it is not."""
    with closing(connect(folder / ".entente" / DATABASE_NAME)) as connection:
        append_now(connection, [opened(9, "key_other", "a")])
    assert "1 holds are open" in entente_.fails("ledger", "verify")
    with locked(folder / ".entente"):
        entente_.ok("ledger", "verify")
    (line,) = (
        line for line in entente_("ledger", "verify", "--json").json["problems"] if "open" in line
    )
    assert "entente serve" in line


@pytest.mark.usefixtures("key_id")
def test_a_request_that_is_settled_twice_is_found(entente_: Runner, folder: Path) -> None:
    """Held, settled, held and settled again under one id: each pair is fine, both are not."""
    again = opened(9, "key_other", "a")
    with closing(connect(folder / ".entente" / DATABASE_NAME)) as connection:
        append_now(connection, [again, closed(again, 0)])
        append_now(connection, [again, closed(again, 0)])
    assert f"hold:{again.id} stands 2 times in the journal" in entente_("ledger", "verify").err


@pytest.mark.usefixtures("key_id")
def test_a_changed_entry_is_found(entente_: Runner, folder: Path) -> None:
    """The database itself refuses edits; whoever gets around that breaks the chain."""
    with closing(connect(folder / ".entente" / DATABASE_NAME)) as connection:
        connection.execute("DROP TRIGGER entries_are_never_edited")
        connection.execute(
            "UPDATE entries SET line = "
            "CAST(replace(line, '\"cost_nano\":40', '\"cost_nano\":41') AS BLOB)"
        )
    ended = entente_("ledger", "verify")
    assert ended.status == 1
    assert "its hash does not follow" in ended.err
    assert ended.out == ""
