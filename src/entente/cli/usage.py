"""`entente usage | usage rebuild`: tokens and cost by whatever is told apart, from rollups."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.auth import OPERATOR, KeyStore
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    existing_database,
    say,
    say_json,
    say_table,
    settings,
)
from entente.control.summary import (
    END_S,
    QUARTER_S,
    UsageLine,
    Wanted,
    bars,
    parse_groups,
    parse_moment,
    parse_zone,
    summary,
    total,
    width_of,
)
from entente.db import SqliteDatabase
from entente.domain.money import format_nano
from entente.ledger.places import Place, reading
from entente.ledger.rollups.beside import now_s, open_folding
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.schema import make_tables
from entente.ledger.rollups.table import Rollups
from entente.ledger.rollups.tally import DAY_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOLD_ABOVE_ENTRIES: Final = 100_000
"""A fold of fewer is over before anybody has read that it runs."""
REBUILD_STEP_ENTRIES: Final = 50_000
BAR_TITLE_CHARS_MAX: Final = 60

app = typer.Typer(
    help="Sum what requests used and cost.", invoke_without_command=True, no_args_is_help=False
)


@app.callback()
def show_usage(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    group_by: Annotated[
        str,
        typer.Option(
            metavar="GROUPS",
            help="Any of key,model,target,day,hour,month,project,user,operation,end_user,tag.",
        ),
    ] = "key,model",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="A day, an hour, or a span back: 7d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Up to before this day or hour.")
    ] = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose days and hours: Europe/Berlin.")
    ] = "UTC",
    chart: Annotated[bool, typer.Option("--chart", help="Draw bars of cost.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sum the settled requests."""
    if context.invoked_subcommand is not None:
        return
    there = parse_zone(zone)
    wanted = Wanted(
        groups=parse_groups(group_by),
        since_s=0 if since is None else parse_moment(since, "--since", there, now_s()),
        until_s=END_S if until is None else parse_moment(until, "--until", there, now_s()),
        zone=there,
    )
    chosen = settings(config)
    place = existing_database(chosen)
    lines, whole = _summed(chosen.server.data_dir, place, wanted)
    if as_json:
        say_json([_as_json(line) for line in lines])
        return
    named = list(_with_names(lines, _names(place)))
    if chart:
        _draw(named, whole)
    else:
        titles = (*(name.upper() for name in wanted.groups), "REQUESTS", "INPUT", "OUTPUT", "COST")
        blank = dict.fromkeys(wanted.groups, "") | {wanted.groups[0]: "TOTAL"}
        last = UsageLine(group=blank, sums=whole.sums, costs=whole.costs)
        say_table(titles, [_row(line) for line in (*named, last)])


@app.command()
def rebuild(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the sums anew from the journal, and say how many entries that took."""
    chosen = settings(config)
    place = existing_database(chosen)
    began_s = time.monotonic()
    with closing(open_folding(chosen.server.data_dir, place)) as folding:
        folding.clear()
        entries = folding.run(now_s, most=REBUILD_STEP_ENTRIES)
    if as_json:
        say_json({"entries": entries})
    else:
        say(f"Folded {entries} entries in {time.monotonic() - began_s:.1f} s.")


def _summed(folder: Path, place: Place, wanted: Wanted) -> tuple[list[UsageLine], UsageLine]:
    """Bring the rollups of a data folder up to its journal, and sum."""
    with closing(open_folding(folder, place)) as folding:
        if not folding.check():
            _note("The sums are of another journal; they are made anew.")
        behind = folding.behind()
        if behind > TOLD_ABOVE_ENTRIES:
            _note(f"Folding {behind} entries first; a server does so while it runs.")
        folding.run(now_s, most=REBUILD_STEP_ENTRIES)
        rollups = folding.rollups
        first_s, last_s = _span(rollups)
        width_s = width_of(wanted, from_s=first_s, to_s=last_s)
        if width_s == QUARTER_S:
            _note("No sums are kept for this zone or time; every entry is read.")
            with _anew(folding) as quarters:
                return _both(quarters, wanted, width_s)
        return _both(rollups, wanted, width_s)


def _both(rollups: Rollups, wanted: Wanted, width_s: int) -> tuple[list[UsageLine], UsageLine]:
    return summary(rollups, wanted, width_s), total(rollups, wanted, width_s)


@contextmanager
def _anew(folding: Folding) -> Iterator[Rollups]:
    """Fold the journal by quarters of an hour, into a file that ends with its connection."""
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        made = SqliteDatabase(connection, "the sums by quarters of an hour")
        make_tables(made)
        rollups = Rollups(made)
        folding.into(rollups, (QUARTER_S,)).run(now_s, most=REBUILD_STEP_ENTRIES)
        yield rollups


def _span(rollups: Rollups) -> tuple[int, int]:
    """Give the days of the first and the last request."""
    found = [line.start_s for line in rollups.sums(DAY_S, 0, END_S, ())]
    return (found[0], found[-1] + DAY_S) if found else (0, 0)


def _note(text: str) -> None:
    """Say something beside the result."""
    typer.echo(text, err=True)


def _names(place: Place) -> dict[str, str]:
    """Give names that are unique: a name that several keys have comes with the id."""
    with reading(place) as opened:
        records = KeyStore(opened).list(OPERATOR, with_revoked=True)
    all_names = [record.principal.name for record in records]
    return {
        who.key_id: who.name if all_names.count(who.name) == 1 else f"{who.name} ({who.key_id})"
        for who in (record.principal for record in records)
    }


def _with_names(lines: Sequence[UsageLine], names: dict[str, str]) -> Iterator[UsageLine]:
    """Name keys, for people. Ids keep them apart in JSON, for machines: two may have one name."""
    for line in lines:
        if "key" in line.group:
            line.group["key"] = names.get(line.group["key"], line.group["key"])
        yield line


def _as_json(line: UsageLine) -> dict[str, object]:
    usage = line.sums.usage
    return {
        **line.group,
        "requests": line.sums.requests,
        "input_tokens": usage.input_total,
        "cached_input_tokens": usage.cache_read,
        "output_tokens": usage.output_total,
        "audio_ms": usage.audio_ms,
        "characters": usage.characters,
        "images": usage.images,
        "cost": {currency: format_nano(nano) for currency, nano in line.costs.items()},
        "estimated_requests": line.sums.estimated,
        "unpriced_requests": line.sums.unpriced,
    }


def _row(line: UsageLine) -> tuple[str, ...]:
    costs = [f"{format_nano(nano)} {currency}" for currency, nano in line.costs.items()]
    if line.sums.unpriced:
        costs.append(f"{line.sums.unpriced} unpriced")
    usage = line.sums.usage
    return (
        *line.group.values(),
        str(line.sums.requests),
        str(usage.input_total),
        str(usage.output_total),
        " + ".join(costs) or "0",
    )


def _draw(lines: Sequence[UsageLine], whole: UsageLine) -> None:
    """Draw a bar for each line, the longest across what is left of the terminal; and the total."""
    from rich.bar import Bar  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    drawn = list(bars(lines))
    longest = max((size for _, size, _ in drawn), default=0)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(max_width=BAR_TITLE_CHARS_MAX, no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for label, size, unit in drawn:
        table.add_row(label, Bar(max(1, longest), 0, max(0, size)), _told(size, unit))
    unit = drawn[0][2] if drawn else ""
    size = whole.costs.get(unit, 0) if unit else whole.sums.requests
    table.add_row("TOTAL", "", _told(size, unit))
    Console(highlight=False, markup=False).print(table)


def _told(size: int, unit: str) -> str:
    return f"{format_nano(size)} {unit}" if unit else f"{size} requests"
