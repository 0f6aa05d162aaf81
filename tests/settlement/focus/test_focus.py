"""A month in FOCUS columns: by the rules, to the nano-unit, in bounded memory, and read back."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

import entente.cli.root
from entente.db import DATABASE_NAME, SqliteDatabase, connect, migrate
from entente.domain.origin import Origin
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry
from entente.ledger.reader import activate
from entente.ledger.table import append_now
from entente.metering.book import FORMAT
from entente.metering.prices import PriceBook, compile_price
from entente.metering.reading import read_book
from entente.settlement.focus.charges import GROUPS_MAX, Charges
from entente.settlement.focus.columns import COLUMNS, NAMES, VERSION
from entente.settlement.focus.parquet import write
from entente.settlement.focus.rows import Month, Row, text
from tests.kit.entries import adjusted
from tests.kit.run import PROPERTY
from tests.settlement.focus import rules
from tests.settlement.reconciling.exports import BOOKS, DAY_S, START_S, settled

JULY = Month(2026, 7)
_JULY = ("--month", "2026-07")
USAGE = Usage(input=100_001, cache_read=50_000, output=10_000, reasoning=10_000)


def rows(entries: Iterable[AnyEntry], month: Month = JULY) -> Iterator[Row]:
    """Give a month's rows."""
    charges = Charges(
        month.since_ns, month.until_ns, lambda entry: (entry.prices, BOOKS.get(entry.prices))
    )
    return (month.row(charge) for charge in charges.of(entries))


def as_text(found: Iterable[Row]) -> list[dict[str, str]]:
    """Write rows as CSV has them."""
    return [{name: text(row[name]) for name in NAMES} for row in found]


def flat(requests: Iterable[tuple[AnyEntry, ...]]) -> Iterator[AnyEntry]:
    """Give the entries of requests."""
    return (entry for each in requests for entry in each)


def test_a_row_for_each_class_of_tokens() -> None:
    """With a day as its period, unit prices of the book, and whose it is."""
    opened, closed = settled(1, USAGE)
    closed = msgspec.structs.replace(closed, origin=Origin(project="alpha", tags=("blue", "red")))
    found = as_text(rows([opened, closed]))
    assert rules.broken(list(NAMES), found) == []
    said = {row["SkuMeter"]: row for row in found}
    assert list(said) == ["input", "cache_read", "output", "reasoning"]
    row = said["cache_read"]
    assert {name: row[name] for name in NAMES if row[name]} == {
        "BilledCost": "0.025",
        "BillingAccountId": "main",
        "BillingAccountName": "main",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-08-01T00:00:00Z",
        "BillingPeriodStart": "2026-07-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": "cache read of big-1",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-07-27T00:00:00Z",
        "ChargePeriodStart": "2026-07-26T00:00:00Z",
        "ConsumedQuantity": "50000",
        "ConsumedUnit": "Tokens",
        "ContractedCost": "0.025",
        "ContractedUnitPrice": "0.5",
        "EffectiveCost": "0.025",
        "InvoiceIssuerName": "main",
        "ListCost": "0.025",
        "ListUnitPrice": "0.5",
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": "0.5",
        "PricingCurrencyEffectiveCost": "0.025",
        "PricingCurrencyListUnitPrice": "0.5",
        "PricingQuantity": "0.05",
        "PricingUnit": "1000000 Tokens",
        "ProviderName": "main",
        "PublisherName": "main",
        "ResourceId": "main/big-1",
        "ResourceName": "big-1",
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "main",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "main/big-1/cache_read",
        "SkuMeter": "cache_read",
        "SkuPriceDetails": '{"Model":"big","TokenClass":"cache_read","PriceVersion":"old"}',
        "SkuPriceId": "main/big-1/cache_read@old",
        "SubAccountId": "alpha",
        "SubAccountName": "alpha",
        "SubAccountType": "Project",
        "Tags": '{"blue":true,"red":true}',
        "x_Key": "key_a",
        "x_Model": "big",
        "x_Operation": "chat.completions",
        "x_Requests": "0",
    }
    assert said["input"]["x_Requests"] == "1"


def test_what_is_one_charge() -> None:
    """Requests of a day that nothing tells apart; another day, model or price is another one."""
    requests = [
        settled(1, USAGE),
        settled(2, USAGE, at_s=START_S + 1),
        settled(3, USAGE, at_s=START_S + DAY_S),
        settled(4, USAGE, at_s=START_S + DAY_S, version="new"),
        settled(5, USAGE, at_s=START_S + DAY_S, target="west/big-1"),
        settled(6, USAGE, at_s=START_S + 20 * DAY_S),
    ]
    found = as_text(rows(flat(requests)))
    assert rules.broken(list(NAMES), found) == []
    inputs = [row for row in found if row["SkuMeter"] == "input"]
    assert [
        (
            row["ChargePeriodStart"][:10],
            row["ProviderName"],
            row["SkuPriceId"][-3:],
            row["x_Requests"],
        )
        for row in inputs
    ] == [
        ("2026-07-26", "main", "old", "2"),
        ("2026-07-27", "main", "old", "1"),
        ("2026-07-27", "main", "new", "1"),
        ("2026-07-27", "west", "old", "1"),
    ], "and August is another month"


def test_a_price_that_is_not_known_any_more() -> None:
    """What it cost is known all the same: all requests of the group are one lot."""
    opened, closed = settled(1, USAGE)
    closed = msgspec.structs.replace(closed, prices="gone")
    found = as_text(rows([opened, closed]))
    assert rules.broken(list(NAMES), found) == []
    (row,) = found
    assert (row["SkuMeter"], row["ConsumedQuantity"], row["ConsumedUnit"]) == (
        "requests",
        "1",
        "Requests",
    )
    assert Decimal(row["BilledCost"]) == Decimal(closed.cost_nano or 0) / 10**9


def test_what_has_no_price_is_counted_apart() -> None:
    """Unknown is not zero, and a column that may not be empty cannot say so."""
    charges = Charges(JULY.since_ns, JULY.until_ns, lambda entry: (entry.prices, None))
    assert list(charges.of(settled(1, USAGE, version="none"))) == []
    assert charges.unpriced == 1


def test_who_was_cut_off_by_a_crash() -> None:
    """Nobody wrote who answered; the ledger owes it to nobody known."""
    opened, closed = settled(1, USAGE, target="")
    found = as_text(rows([opened, closed]))
    assert rules.broken(list(NAMES), found) == []
    assert {row["ProviderName"] for row in found} == {"unknown"}


def test_an_adjustment_is_of_the_month_that_was_compared() -> None:
    """So that the month adds up to the provider's invoice."""
    entry = msgspec.structs.replace(
        adjusted("a", -5), since_ns=JULY.since_ns, until_ns=JULY.until_ns, at_ns=JULY.until_ns + 1
    )
    (row,) = as_text(rows([entry]))
    assert rules.broken(list(NAMES), [row]) == []
    assert (row["ChargeCategory"], row["BilledCost"]) == ("Adjustment", "-0.000000005")
    assert row["ChargePeriodEnd"] == "2026-08-01T00:00:00Z"
    assert as_text(rows([entry], Month(2026, 8))) == []


_count = st.integers(0, 10**7)
_usage = st.builds(Usage, input=_count, cache_read=_count, cache_write=_count, output=_count)
_price = st.fractions(0, 100, max_denominator=10**7)


@PROPERTY
@given(
    st.lists(_usage, max_size=6), st.dictionaries(st.sampled_from(["a", "b"]), _price, min_size=2)
)
def test_bills_add_up_to_the_ledger(usages: list[Usage], rates: dict[str, Any]) -> None:
    """To the nano-unit, though each request was rounded by itself and rates have no end."""
    price = compile_price(
        "USD", {"input": rates["a"], "cache_read": rates["b"], "output": rates["a"]}, 1_000_000
    )
    entries: list[AnyEntry] = []
    for number, usage in enumerate(usages):
        opened, closed = settled(number, usage, version="none")
        entries += [opened, msgspec.structs.replace(closed, cost_nano=price.cost(usage))]
    charges = Charges(JULY.since_ns, JULY.until_ns, lambda _: ("v", price))
    found = [JULY.row(charge) for charge in charges.of(entries)]
    total = sum(Decimal(text(row["BilledCost"])) for row in found)
    assert total == Decimal(sum(price.cost(usage) or 0 for usage in usages)) / 10**9


def _many(count: int) -> Iterator[AnyEntry]:
    """Settle requests over a month, of more groups than are remembered."""
    for number in range(count):
        at_s = int(JULY.start.timestamp()) + number * 30 * DAY_S // count
        _, closed = settled(number, USAGE, at_s=at_s)
        yield msgspec.structs.replace(closed, key=f"key_{number}")


def _peak(count: int) -> int:
    tracemalloc.start()
    try:
        for row in rows(_many(count)):
            assert row["BilledCost"] is not None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_month_streams_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the requests, each a group of its own, take the same memory."""
    monkeypatch.setattr("entente.settlement.focus.charges.GROUPS_MAX", 20)
    assert GROUPS_MAX >= 20
    small, large = _peak(1_500), _peak(15_000)
    assert large < 1.5 * small


def test_parquet_holds_what_csv_does() -> None:
    """Typed: decimals, instants in UTC, and what may not be empty is not."""
    requests = [settled(n, USAGE, at_s=START_S + n * 3600) for n in range(40)]
    found = list(rows(flat(requests)))
    out = io.BytesIO()
    assert write(found, out) == len(found)
    table = pq.read_table(out)
    assert table.column_names == list(NAMES)
    assert table.schema.metadata[b"FOCUS_Version"] == VERSION.encode()
    assert [field.nullable for field in table.schema] == [column.nullable for column in COLUMNS]
    assert as_text(table.to_pylist()) == as_text(found)
    assert table["ChargePeriodStart"][0].as_py() == datetime(2026, 7, 26, tzinfo=UTC)


def _database(folder: Path) -> None:
    book = PriceBook("old", {"big": BOOKS["old"]})
    path = folder / ".entente" / DATABASE_NAME
    path.parent.mkdir()
    requests = [settled(n, USAGE, at_s=START_S + n * 3600) for n in range(40)]
    with closing(connect(path)) as connection:
        migrate(connection)
        activate(SqliteDatabase(connection), book.version, book.encode(), 0)
        append_now(connection, flat([*requests, settled(99, USAGE, version="none")]))


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """To standard output or a file; and a ledger agrees with its own export."""
    _database(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        status = entente.cli.root.run(["ledger", *words])
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    month = ("export", "--month", "2026-07", "--format")
    status, out, err = run(*month, "focus-csv")
    assert status == 0
    assert "1 requests have no price and are not in the export" in err
    reader = csv.DictReader(io.StringIO(out))
    assert rules.broken(list(reader.fieldnames or ()), list(reader)) == []
    assert run(*month, "focus-csv", "--out", "july.csv")[0] == 0
    assert Path("july.csv").read_text() == out
    status, out, _ = run("reconcile", "july.csv", "--provider", "main", "--model", "x=y")
    assert "unexplained" not in out
    assert "1 of our requests have no price" in out
    assert run(*month, "focus-parquet", "--out", "july.parquet")[0] == 0
    assert len(pq.read_table("july.parquet")) == len(Path("july.csv").read_text().splitlines()) - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".entente",
        "july.csv",
        "july.parquet",
    ]


_DEPLOYED = """
[providers.east]
kind = "azure"
base_url = "https://east.example"
api_key = "env:EAST_KEY"
[models.big]
targets = [{ provider = "east", model = "deployed", priced_as = "azure/global/big-1" }]
"""


def test_a_deployment_has_the_prices_that_it_is_priced_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows are classes of tokens at the book's unit prices."""
    rates = {"input": "5", "cached_input": "0.50", "output": "30"}
    line = {"models": ["azure/global/big-1"], "currency": "USD", "per": "1M tokens", "rates": rates}
    document = {"format": FORMAT, "source": "https://example.com", "retrieved": "2026-07-01"}
    book = read_book(msgspec.json.encode({**document, "lines": [line]}))
    _, closed = settled(1, USAGE, target="east/deployed")
    closed = msgspec.structs.replace(closed, prices=book.version)
    (tmp_path / ".entente").mkdir()
    with closing(connect(tmp_path / ".entente" / DATABASE_NAME)) as connection:
        migrate(connection)
        activate(SqliteDatabase(connection), book.version, book.encode(), 0)
        append_now(connection, [closed])
    (tmp_path / "entente.toml").write_text(_DEPLOYED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EAST_KEY", "sk-of-nobody")
    assert entente.cli.root.run(["ledger", "export", "--format", "focus-csv", *_JULY]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["SkuMeter"]: row["ListUnitPrice"] for row in found} == {
        "input": "5",
        "cache_read": "0.5",
        "output": "30",
        "reasoning": "30",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "focus-csv"), "name the month, such as --month 2026-11"),
        (("--format", "focus-csv", "--month", "2026-13"), "name the month"),
        (("--format", "focus-parquet", "--month", "2026-07"), "name a file with --out"),
        (("--format", "focus-csv", "--month", "2026-07", "--json"), "leave it out"),
        (("--month", "2026-07"), "go with --format focus-csv"),
        (("--format", "focus-csv", "--month", "2026-07", "--out", "no/where"), "name another file"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In one line, with what to do."""
    _database(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert entente.cli.root.run(["ledger", "export", *words]) == 1
    assert said in capsys.readouterr().err


def test_without_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what to install, and writes nothing."""
    _database(tmp_path)
    monkeypatch.chdir(tmp_path)

    def missing(name: str) -> object:
        raise ModuleNotFoundError(name=name.rpartition(".")[2])

    monkeypatch.setattr("entente.cli.ledger_export.import_module", missing)
    words = ["ledger", "export", "--format", "focus-parquet", "--month", "2026-07", "--out", "x"]
    assert entente.cli.root.run(words) == 1
    assert "pip install 'entente[export]'" in capsys.readouterr().err
    assert not Path("x").exists()
