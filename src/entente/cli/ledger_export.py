"""`entente ledger export`: settled requests one by one, or a month in FOCUS columns."""

from __future__ import annotations

import csv
import sys
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.cli.base import (
    ConfigOption,
    JsonOption,
    existing_database,
    say_json,
    say_json_lines,
    settings,
)
from entente.config.pricing import names_in_books
from entente.control.reports import request_line, settlements
from entente.domain.errors import InvalidParameter, StartError
from entente.ledger.journal import entries, outcomes
from entente.ledger.places import reading, rows
from entente.settlement.focus.charges import Charges
from entente.settlement.focus.columns import NAMES
from entente.settlement.focus.rows import Month, text
from entente.settlement.reconciling.booked import Booked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from typing import BinaryIO, NoReturn

    from entente.config import Config
    from entente.settlement.focus.rows import Row

EXTRA: Final = "pip install 'entente[export]'"
YEARS: Final = range(2000, 2200)


class Format(StrEnum):
    """The forms of an export."""

    JSONL = "jsonl"
    FOCUS_CSV = "focus-csv"
    FOCUS_PARQUET = "focus-parquet"


def export(
    *,
    config: ConfigOption = None,
    form: Annotated[
        Format, typer.Option("--format", help="One JSON object a line, or a month in FOCUS 1.2.")
    ] = Format.JSONL,
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The month, in UTC; for FOCUS.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to a file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one line a settled request, oldest first, or a month's charges in FOCUS columns."""
    chosen = settings(config)
    if form is not Format.JSONL:
        if as_json:
            _refuse("--json", "it writes requests, not FOCUS columns; leave it out")
        _focus(chosen, form, _month(month), out)
        return
    if month is not None or out is not None:
        _refuse("--month", "--month and --out go with --format focus-csv or focus-parquet")
    stored = rows(existing_database(chosen))
    lines = (request_line(entry) for entry in settlements(entries(stored)))
    if as_json:
        say_json(list(lines))
    else:
        say_json_lines(lines)


def _focus(chosen: Config, form: Format, month: Month, out: Path | None) -> None:
    """Write a month, and say what is not in it, on standard error."""
    place = existing_database(chosen)
    with reading(place) as opened:
        kept = opened.execute("SELECT version, lines FROM price_books").fetchall()
    books = Booked(kept, names_in_books(chosen))
    charges = Charges(month.since_ns, month.until_ns, books.owed_of)
    found = (month.row(charge) for charge in charges.of(outcomes(rows(place))))
    if form is Format.FOCUS_CSV:
        with _opened(out) as file:
            _write_csv(found, file)
    else:
        if out is None:
            _refuse("--out", "Parquet is not for terminals: name a file with --out")
        work = _extra("entente.settlement.focus.parquet")
        with _opened(out) as file:
            work.write(found, file)
    if charges.unpriced:
        typer.echo(
            f"entente: {charges.unpriced} requests have no price and are not in the export: "
            "give their models one in the settings.",
            err=True,
        )


@contextmanager
def _opened(out: Path | None) -> Iterator[BinaryIO]:
    """Open the file, or standard output. A file that cannot be finished is not left behind."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        message = f"{out} cannot be written ({error.strerror}): name another file with --out."
        raise InvalidParameter(message, param="--out", code=None) from error
    finally:
        part.unlink(missing_ok=True)


def _write_csv(found: Iterable[Row], file: BinaryIO) -> None:
    lines = _Lines(file)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(NAMES)
    for row in found:
        writer.writerow([text(row[name]) for name in NAMES])


class _Lines:
    """Text for a file of bytes: `csv` wants no more than this."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.encode())


def _month(said: str | None) -> Month:
    year, dash, month = (said or "").partition("-")
    right = dash and year.isdecimal() and month.isdecimal() and len(month) == len("11")
    if not right or int(year) not in YEARS or int(month) not in range(1, 13):
        _refuse("--month", "name the month, such as --month 2026-11")
    return Month(int(year), int(month))


def _refuse(option: str, what: str) -> NoReturn:
    message = f"{option}: {what}."
    raise InvalidParameter(message, param=option, code=None)


def _extra(name: str) -> ModuleType:
    """Import what needs pyarrow. Raises StartError where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = f"This needs {error.name}, which is not installed: {EXTRA}"
        raise StartError(message) from error
