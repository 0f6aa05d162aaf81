"""`entente usage`: windows, zones, labels, charts; made anew, and compared with the entries."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.cli import usage as command
from entente.db import DATABASE_NAME, connect
from entente.domain.chat import Status
from entente.domain.origin import Origin
from entente.domain.usage import Usage
from entente.ledger.model import hold, settlement
from entente.ledger.rollups.schema import USAGE_NAME
from entente.ledger.table import append_now

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Runner

REQUESTS: Final = (
    ("2026-03-28T22:30", 1, "a", Origin(project="alpha", end_user="bob", tags=("x", "y"))),
    ("2026-03-28T23:30", 2, "a", Origin(project="alpha", end_user="bob")),
    ("2026-03-29T00:30", 4, "b", Origin(project="beta", api="embeddings", user="ann")),
    ("2026-03-29T01:30", 8, "b", Origin(project="beta", tags=("x",))),
    ("2026-03-31T18:40", 16, "a", Origin()),
    ("2026-03-31T22:10", 32, "a", Origin()),
)
"""When, nano-dollars, model and origin, around a change to summer time and an end of a month."""


@pytest.fixture(autouse=True)
def journal(entente_: Runner, folder: Path) -> Path:
    """Make a journal of these requests; give its folder."""
    entente_.ok("keys", "create", "--name", "bob")
    with closing(connect(folder / ".entente" / DATABASE_NAME)) as connection:
        for number, (at, nano, model, origin) in enumerate(REQUESTS):
            moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
            opened = hold(
                id=f"r{number}",
                at_ns=int(moment.timestamp()) * 10**9,
                key="key_1",
                asset="USD",
                model=model,
                nano=nano,
                bounded=False,
                input_tokens=1,
                output_tokens=1,
                prices="v",
                origin=origin,
            )
            closed = settlement(
                opened,
                at_ns=opened.at_ns,
                status=Status.COMPLETE,
                usage=Usage(input=1),
                cost_nano=nano,
                provider="p",
                target="p/m",
            )
            append_now(connection, [opened, closed])
    return folder / ".entente"


def nanos(entente_: Runner, groups: str, *words: str) -> dict[Any, int]:
    """Sum by groups; give the nano-dollars of each."""
    lines = entente_("usage", "--group-by", groups, "--json", *words).json
    names = groups.split(",")
    return {
        tuple(line[name] for name in names) if len(names) > 1 else line[names[0]]: round(
            float(line["cost"]["USD"]) * 10**9
        )
        for line in lines
    }


def test_groups(entente_: Runner) -> None:
    """By whatever entries say of themselves."""
    assert nanos(entente_, "project") == {"alpha": 3, "beta": 12, "default": 48}
    assert nanos(entente_, "user") == {"-": 59, "ann": 4}
    assert nanos(entente_, "operation") == {"chat.completions": 59, "embeddings": 4}
    assert nanos(entente_, "month") == {"2026-03": 63}
    assert nanos(entente_, "project,model,day") == {
        ("alpha", "a", "2026-03-28"): 3,
        ("beta", "b", "2026-03-29"): 12,
        ("default", "a", "2026-03-31"): 48,
    }


def test_labels(entente_: Runner) -> None:
    """A request of two tags is in both; the total has each request once, tagged or not."""
    assert nanos(entente_, "tag") == {"x": 9, "y": 1}
    assert nanos(entente_, "end_user,day") == {("bob", "2026-03-28"): 3}
    table = entente_.ok("usage", "--group-by", "tag").out.splitlines()
    assert table[-1].split() == ["TOTAL", "6", "6", "0", "0.000000063", "USD"]


def test_days_of_a_zone(entente_: Runner) -> None:
    """Berlin's begin an hour earlier in winter, two in summer; 2026-03-29 has 23 hours."""
    berlin = ("--zone", "Europe/Berlin")
    assert nanos(entente_, "day", *berlin) == {
        "2026-03-28": 1,
        "2026-03-29": 14,
        "2026-03-31": 16,
        "2026-04-01": 32,
    }
    assert nanos(entente_, "month", *berlin) == {"2026-03": 31, "2026-04": 32}
    hours = nanos(entente_, "hour", *berlin)
    assert list(hours)[:4] == [
        "2026-03-28T23+01:00",
        "2026-03-29T00+01:00",
        "2026-03-29T01+01:00",
        "2026-03-29T03+02:00",
    ]


def test_zones_of_half_hours(entente_: Runner) -> None:
    """Their days cut hours in two: the entries themselves are read, and that is said."""
    words = ("usage", "--group-by", "day", "--zone", "Asia/Kolkata", "--json")
    ended = entente_(*words)
    assert [line["day"] for line in ended.json] == ["2026-03-29", "2026-04-01"]
    assert [line["requests"] for line in ended.json] == [4, 2]
    assert "every entry is read" in ended.err


def test_windows(entente_: Runner) -> None:
    """From the begin of a day or hour to before another."""
    assert nanos(entente_, "model", "--since", "2026-03-29") == {"a": 48, "b": 12}
    day = ("--since", "2026-03-29", "--until", "2026-03-30")
    assert nanos(entente_, "model", *day) == {"b": 12}
    assert nanos(entente_, "model", "--zone", "Europe/Berlin", *day) == {"a": 2, "b": 12}
    hour = ("--since", "2026-03-28T23:00", "--until", "2026-03-29T01:00")
    assert nanos(entente_, "model", *hour) == {"a": 2, "b": 4}
    assert nanos(entente_, "model", "--since", "1h", "--until", "1h") == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "--since"),
        (("--until", "2026-03-29T01:07"), "--until"),
        (("--since", "0001-01-01"), "--since"),
        (("--zone", "Nowhere/At_All"), "--zone"),
        (("--zone", "../../etc/passwd"), "--zone"),
        (("--group-by", "tag,end_user"), "tag goes with"),
        (("--group-by", "end_user,key"), "end_user goes with"),
        (("--group-by", "tag,day", "--zone", "Europe/Berlin"), "whole days of UTC"),
        (("--group-by", "tag", "--since", "2026-03-29T05:00"), "whole days of UTC"),
    ],
)
def test_what_cannot_be_summed_is_refused(
    entente_: Runner, words: tuple[str, ...], said: str
) -> None:
    """With what would do."""
    assert said in entente_.fails("usage", *words)


def test_a_chart_has_a_bar_for_each_line(entente_: Runner) -> None:
    """The longest for the most, of cost where there is one currency; and a line for all."""
    *lines, last = entente_.ok("usage", "--group-by", "project", "--chart").out.splitlines()
    assert last.split() == ["TOTAL", "0.000000063", "USD"]
    assert [line.split()[0] for line in lines] == ["alpha", "beta", "default"]
    lengths = [line.count("█") for line in lines]
    assert lengths == sorted(lengths)
    assert lengths[-1] > 20 > lengths[0]
    assert lines[-1].endswith("0.000000048 USD")


def test_a_rebuild_makes_the_same(entente_: Runner, journal: Path) -> None:
    """Also where there is no file of sums, or a damaged one is deleted."""
    before = nanos(entente_, "project,model,day")
    assert entente_.ok("usage", "rebuild", "--json").json == {"entries": 12}
    assert nanos(entente_, "project,model,day") == before
    for path in journal.glob(f"{USAGE_NAME}*"):
        path.unlink()
    assert nanos(entente_, "project,model,day") == before


def test_a_long_fold_is_said(entente_: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not folded yet is folded first."""
    monkeypatch.setattr(command, "TOLD_ABOVE_ENTRIES", 3)
    assert "Folding 12 entries" in entente_("usage").err
    assert entente_("usage").err == ""


def test_a_verification_compares_sums(entente_: Runner, journal: Path) -> None:
    """With the entries; a sum that somebody changed is named."""
    entente_.ok("usage")
    out = entente_.ok("ledger", "verify", "--rollups").out.splitlines()
    assert out[0].startswith("ok: 12 entries")
    assert out[1].endswith("sums of usage, 0 entries not folded yet")
    assert entente_.ok("ledger", "verify", "--rollups", "--json").json["behind"] == 0
    with closing(connect(journal / USAGE_NAME)) as connection:
        connection.execute("UPDATE rollups SET requests = requests + 1 WHERE model = 'b'")
    ended = entente_("ledger", "verify", "--rollups")
    assert ended.status != 0
    assert "rollup by hour" in ended.err
    entente_.ok("usage", "rebuild")
    entente_.ok("ledger", "verify", "--rollups")
