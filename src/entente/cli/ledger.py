"""`entente ledger verify | export | reconcile`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from entente.cli import ledger_export, reconcile
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    existing_database,
    is_served,
    say,
    say_json,
    settings,
)
from entente.domain.errors import LedgerCorrupt
from entente.ledger.journal import Report
from entente.ledger.places import verify as verify_journal
from entente.ledger.rollups.beside import open_folding

if TYPE_CHECKING:
    from entente.ledger.places import Place

SHOWN_MAX: Final = 10

app = typer.Typer(help="Verify, export and reconcile the ledger.", no_args_is_help=True)
app.command()(ledger_export.export)
app.command()(reconcile.reconcile)


@app.command()
def verify(
    *,
    config: ConfigOption = None,
    with_rollups: Annotated[
        bool, typer.Option("--rollups", help="Compare the sums of usage with the entries, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the chain, the order, every balance, and that nothing is held at rest.

    At rest means that no server runs on the data folder; while one does, requests hold.
    """
    chosen = settings(config)
    place = existing_database(chosen)
    report = verify_journal(place)
    faults = list(report.problems)
    if report.open_holds and isinstance(place, Path) and not is_served(chosen):
        faults.append(
            f"{report.open_holds} holds are open and no server runs: `entente serve` settles them"
        )
    told: dict[str, int] = {}
    if with_rollups:
        told, wrong = _rollups(chosen.server.data_dir, place)
        faults += wrong
    if as_json:
        say_json({"ok": not faults, **msgspec.to_builtins(report), **told, "problems": faults})
    elif not faults:
        say(_summary(report))
        if told:
            say("ok: {sums} sums of usage, {behind} entries not folded yet".format_map(told))
    if faults:
        raise LedgerCorrupt(_complaint(faults))


def _rollups(folder: Path, place: Place) -> tuple[dict[str, int], list[str]]:
    """Fold the journal again, and say which sums in a data folder differ from that."""
    with closing(open_folding(folder, place)) as folding:
        sums, wrong = folding.compare()
        return {"sums": sums, "behind": folding.behind()}, wrong


def _summary(report: Report) -> str:
    return (
        f"ok: {report.entries} entries, {report.requests} requests "
        f"({report.estimated} estimated, {report.recovered} recovered, {report.overruns} above "
        f"their hold), {report.grants} grants, "
        f"{f'{report.adjustments} adjustments, ' if report.adjustments else ''}"
        f"{report.open_holds} open holds, "
        f"head {report.head[:16]}"
    )


def _complaint(faults: list[str]) -> str:
    shown = [f"the ledger is not in order: {fault}." for fault in faults[:SHOWN_MAX]]
    if len(faults) > SHOWN_MAX:
        shown.append(f"and {len(faults) - SHOWN_MAX} more; --json has them.")
    return "\n".join(shown)
