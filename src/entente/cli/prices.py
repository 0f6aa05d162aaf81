"""`entente prices show | list | import | diff | activate`."""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from entente.auth import OPERATOR
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    database,
    place_if_any,
    say,
    say_json,
    say_table,
    settings,
)
from entente.config.pricing import names_in_books
from entente.control.audit import Audit
from entente.control.prices import NO_BOOK, Prices
from entente.control.reports import utc
from entente.domain.errors import InvalidParameter
from entente.domain.money import format_rate
from entente.metering.book import ANY_VENDOR, Book, Line, classes, instant_ns
from entente.metering.comparing import differences
from entente.metering.reading import BOOK_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.config import Config

STARTING: Final = "starting"
"""The book that comes with the program."""
UNPRICED: Final = "unpriced"
SETTINGS: Final = "settings"

app = typer.Typer(help="Show, import and activate what models cost.", no_args_is_help=True)

AtOption = Annotated[
    str | None, typer.Option(metavar="DATE", help="A day (UTC) or an instant; else now.")
]


class _Priced(msgspec.Struct, omit_defaults=True):
    """What a model, or one of its targets, costs."""

    model: str
    priced: bool
    target: str = ""
    currency: str = ""
    per: str = ""
    rates: dict[str, str] = {}
    origin: str = ""
    """The settings, or the version of a book."""
    name: str = ""
    """Its name in the book."""
    source: str = ""
    retrieved: str = ""


@app.command()
def show(
    *,
    model: Annotated[
        str | None, typer.Argument(help="A model of the settings, or a name in the book.")
    ] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what models cost: by the settings, else by the book in force."""
    chosen, at_ns = settings(config), _instant(at)
    book = _book_at(chosen, at_ns)
    if model is not None and model not in chosen.models:
        lines = _of_name(book, model, at_ns)
    else:
        lines = list(_of_settings(chosen, book, at_ns, model))
    if as_json:
        say_json(lines)
        return
    say_table(
        ("MODEL", "TARGET", "CURRENCY", "PER", "FROM", "RATES"),
        [
            (
                line.model,
                line.target or "-",
                line.currency or "-",
                line.per or "-",
                line.origin or "-",
                " ".join(f"{name}={rate}" for name, rate in line.rates.items()) or UNPRICED,
            )
            for line in lines
        ],
    )


def _of_settings(
    chosen: Config, book: Book | None, at_ns: int, only: str | None
) -> Iterator[_Priced]:
    """Give what each model of the settings costs, target by target where a book says it."""
    names = names_in_books(chosen)
    for name, model in chosen.models.items():
        if only not in (None, name):
            continue
        price = model.price
        if price is not None:
            rates = {each: format_rate(rate) for each, rate in price.rates().items()}
            yield _Priced(
                name,
                priced=True,
                currency=price.currency,
                per=str(price.per),
                rates=rates,
                origin=SETTINGS,
            )
            continue
        for target in model.targets:
            place = f"{target.provider}/{target.model}"
            known = (names.get((name, place), ""), f"{ANY_VENDOR}/{name}")
            found = next(
                ((each, line) for each in known if book and (line := book.line(each, at_ns))), None
            )
            if book is None or found is None:
                yield _Priced(name, priced=False, target=place)
            else:
                yield _priced(name, place, found[0], found[1], book)


def priced_models(chosen: Config) -> set[str]:
    """Give the models of the settings of which every target has a price now."""
    at_ns = time.time_ns()
    lines = list(_of_settings(chosen, _book_at(chosen, at_ns), at_ns, None))
    return {line.model for line in lines} - {line.model for line in lines if not line.priced}


def _of_name(book: Book | None, name: str, at_ns: int) -> list[_Priced]:
    """Give what a book says of one name. Raises InvalidParameter."""
    line = book.line(name, at_ns) if book else None
    if book is None or line is None:
        message = (
            f"Neither the settings nor the price book in force have {name!r}. "
            "`entente models` and `entente prices list` show what there is."
        )
        raise InvalidParameter(message, param="model", code="not_found")
    return [_priced(name, "", name, line, book)]


def _priced(model: str, target: str, name: str, line: Line, book: Book) -> _Priced:
    return _Priced(
        model,
        priced=True,
        target=target,
        currency=line.currency,
        per=str(line.per),
        rates={each: format_rate(rate) for each, rate in classes(line)},
        origin=book.version,
        name=name,
        source=line.source or book.source,
        retrieved=line.retrieved,
    )


@app.command("import")
def import_book(
    *,
    file: Annotated[str, typer.Argument(help=f"A price book as JSON, or {STARTING!r}.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a price book and keep it; nothing costs anything else before it is activated."""
    text = starting_book() if file == STARTING else _read(Path(file))
    with _prices(settings(config), make=True) as prices:
        book = prices.keep(OPERATOR, text)
    if as_json:
        say_json({"version": book.version, "lines": len(book.lines), "names": len(book.by_name)})
    else:
        say(
            f"Imported {book.version}: {len(book.by_name)} names. "
            f"`entente prices activate {book.version}` puts it in force."
        )


@app.command("list")
def list_books(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the price books, and which is in force."""
    with _prices(settings(config)) as prices:
        views = prices.list(OPERATOR)
    if as_json:
        say_json(views)
        return
    say_table(
        ("VERSION", "LINES", "RETRIEVED", "IMPORTED", "IN FORCE", "FROM", "SOURCE"),
        [
            (
                view.version,
                str(view.lines),
                view.retrieved,
                view.imported[:10],
                "yes" if view.in_force else "-",
                ",".join(each[:19] + "Z" for each in view.active_from) or "-",
                view.source,
            )
            for view in views
        ],
    )


@app.command()
def diff(
    *,
    before: Annotated[str, typer.Argument(metavar="A", help="A version, or its beginning.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what two books say differently, by name and rate, in percent."""
    at_ns = _instant(at)
    with _prices(settings(config)) as prices:
        found = list(differences(prices.resolve(before), prices.resolve(after), at_ns))
    if as_json:
        say_json(
            [
                {
                    "name": each.name,
                    "rate": each.rate,
                    "before": each.texts[0],
                    "after": each.texts[1],
                    "unit": each.unit,
                    "percent": each.percent or None,
                }
                for each in found
            ]
        )
        return
    say_table(
        ("NAME", "RATE", "A", "B", "PERCENT", "UNIT"),
        [
            (
                each.name,
                each.rate,
                each.texts[0] or "-",
                each.texts[1] or "-",
                each.percent or "-",
                each.unit,
            )
            for each in found
        ],
    )


@app.command()
def activate(
    *,
    version: Annotated[
        str, typer.Argument(help=f"A version, or its beginning; {NO_BOOK!r} for no book.")
    ],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="A day (UTC) or an instant; else now."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a price book in force. A running server goes by it within a second."""
    from_ns = None if since is None else _instant(since, "--from")
    with _prices(settings(config)) as prices:
        made = prices.activate(OPERATOR, version, from_ns)
    if as_json:
        say_json({"version": made.version or None, "from": utc(made.from_ns)})
    else:
        say(f"{made.version or 'No book'} is in force from {utc(made.from_ns)}.")


def starting_book() -> bytes:
    """Read the book that comes with the program."""
    return files("entente.metering").joinpath("books", f"{STARTING}.json").read_bytes()


def _read(path: Path) -> bytes:
    """Read a file. Raises InvalidParameter."""
    try:
        with path.open("rb") as file:
            return file.read(BOOK_BYTES_MAX + 1)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): name a price book, or {STARTING}."
        raise InvalidParameter(message, param="file", code="not_found") from error


def _instant(text: str | None, option: str = "--at") -> int:
    """Read a day or an instant; now without one. Raises InvalidParameter."""
    if text is None:
        return time.time_ns()
    try:
        return instant_ns(text)
    except ValueError as error:
        message = f"{option} must be a day such as 2026-12-01, or 2026-12-01T12:00:00Z."
        raise InvalidParameter(message, param=option, code="invalid_value") from error


@contextmanager
def _prices(chosen: Config, *, make: bool = False) -> Iterator[Prices]:
    with database(chosen, make=make) as opened:
        base = base_of(opened)
        yield Prices(base, Audit(base))


def _book_at(chosen: Config, at_ns: int) -> Book | None:
    """Give the book in force; none where there is no database yet."""
    if place_if_any(chosen) is None:
        return None
    with _prices(chosen) as prices:
        return prices.at(at_ns)
