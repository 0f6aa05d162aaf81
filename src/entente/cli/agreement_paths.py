"""What `entente agreement simulate` does; importing this needs numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from entente.cli.agreement_simulate import extra
from entente.cli.base import say, say_table
from entente.config.agreements import Folder
from entente.domain.errors import ConfigError, InvalidParameter
from entente.settlement.simulation import Simulation, decimal, tables

if TYPE_CHECKING:
    from pathlib import Path

    from entente.settlement.simulation import Report

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One byte more is read, so that a larger file is refused by who parses it."""


def simulate(
    document: Path,
    scenario: Path,
    out: Path | None,
    seed: int | None,
    paths: int | None,
    *,
    as_json: bool,
) -> None:
    """Simulate, show, and write what is asked for."""
    source, content = Folder(document.parent), _bytes(scenario)
    report = Simulation(source, document.name, content, str(scenario), seed=seed, paths=paths).run()
    written = 0 if out is None else _write(out, report)
    if as_json:
        typer.echo(report.to_json())
        return
    _show(report)
    if out is not None:
        say(f"wrote {written} files to {out}; open {out / 'charts.html'}")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): check the path given to --scenario."
        raise ConfigError(message) from error


def _write(folder: Path, report: Report) -> int:
    """Write everything, and give the number of files. Raises InvalidParameter."""
    charts = extra("entente.settlement.charts")
    drawn = charts.charts(report)
    files: dict[str, bytes] = {"report.json": report.to_json()}
    files |= {name: text.encode() for name, text in tables(report).items()}
    files["charts.html"] = charts.page(report, drawn).encode()
    files |= {f"{chart.name}.png": charts.picture(chart) for chart in drawn}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        message = f"{folder} cannot be written ({error.strerror}): name another folder with --out."
        raise InvalidParameter(message, param="--out", code=None) from error
    return len(files)


def _shown(units: int, scale: int) -> str:
    """Write an amount for people, with its thousands apart."""
    whole, point, part = decimal(abs(units), scale).partition(".")
    return f"{'-' if units < 0 else ''}{int(whole):,}{point}{part}"


def _show(report: Report) -> None:
    summary = report.summary
    say(
        f"{report.scenario.title}: {summary.paths} paths, {summary.steps[0]} to "
        f"{summary.steps[-1]}, seed {report.scenario.seed}"
    )
    rows = [
        (
            report.names.get(each.party, each.party),
            *(_shown(units, summary.scale) for units in each.received.last()),
        )
        for each in summary.parties
    ]
    say_table((f"RECEIVES ({summary.currency})", "5 %", "25 %", "HALF", "75 %", "95 %"), rows)
    reached = [
        (
            f"{each.clause}: {each.what}",
            str(each.reached[-1]),
            *(step or "-" for step in each.when),
        )
        for each in summary.milestones
    ]
    if reached:
        head = ("REACHES", "PATHS", "5 % BY", "25 % BY", "HALF BY", "75 % BY", "95 % BY")
        say_table(head, reached)
    for text in summary.left_out:
        say(f"not simulated: {text}")
