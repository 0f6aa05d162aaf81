"""Write the ledger of an example: `python ledger.py cache-undercounted DATA_DIR`.

It holds what a gateway with the bug would have settled; the provider's export lies beside it.
"""

from __future__ import annotations

import csv
import json
import sys
from contextlib import closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from entente.db import DATABASE_NAME, SqliteDatabase, connect, migrate
from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, hold, settlement
from entente.ledger.reader import activate
from entente.ledger.table import append_now
from entente.metering.prices import PriceBook, compile_price, price_book

CLASSES = ("input", "cache_read", "cache_write", "output")


def prices(folder: Path) -> PriceBook:
    """Read the prices of an example."""
    said = json.loads((folder / "prices.json").read_text())
    return price_book(
        {
            model: compile_price(
                line["currency"],
                {name: Fraction(rate) for name, rate in line["rates"].items()},
                line["per"],
            )
            for model, line in said.items()
        }
    )


def entries(folder: Path, book: PriceBook) -> list[AnyEntry]:
    """Hold and settle each request of an example."""
    made: list[AnyEntry] = []
    with (folder / "requests.csv").open() as file:
        for row in csv.DictReader(file):
            seconds = int(datetime.fromisoformat(row["time"]).timestamp())
            usage = Usage(**{name: int(row[name]) for name in CLASSES})
            cost = book.lines[row["model"]].cost(usage)
            opened = hold(
                id=row["id"],
                at_ns=seconds * 1_000_000_000,
                key="key_example",
                asset="USD",
                model=row["model"],
                nano=cost or 0,
                bounded=False,
                input_tokens=usage.input_total,
                output_tokens=usage.output_total,
                prices=book.version,
            )
            closed = settlement(
                opened,
                at_ns=opened.at_ns + 1_000_000_000,
                status=Status.COMPLETE,
                usage=usage,
                cost_nano=cost,
                provider=row["target"].partition("/")[0],
                target=row["target"],
                attempts=1,
                upstream_status=200,
                upstream_id=row["upstream_id"],
            )
            made += (opened, closed)
    return made


def write(folder: Path, data_dir: Path) -> Path:
    """Write the ledger of the example in `folder`, and give its path."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path, book = data_dir / DATABASE_NAME, prices(folder)
    with closing(connect(path)) as connection:
        migrate(connection)
        activate(SqliteDatabase(connection), book.version, book.encode(), 0)
        append_now(connection, entries(folder, book))
    return path


if __name__ == "__main__":
    write(Path(__file__).parent / sys.argv[1], Path(sys.argv[2]))
