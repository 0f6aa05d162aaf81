"""`entente projects create | list | rename | charge | archive`."""

from __future__ import annotations

from typing import Annotated

import typer

from entente.auth import OPERATOR
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    database,
    say,
    say_json,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.projects import Project, Projects
from entente.control.table import Base, Page

LISTED_MAX = 10_000
NOTHING = "none"
"""What takes a factor away."""

app = typer.Typer(help="Make, list and archive projects.", no_args_is_help=True)

ProjectArgument = Annotated[str, typer.Argument(help="Its id.")]


@app.command()
def create(
    *,
    project: ProjectArgument,
    name: Annotated[str | None, typer.Option(help="What people call it; else its id.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a project, for keys to belong to."""
    with database(settings(config), make=True) as opened:
        made = _projects(base_of(opened)).create(OPERATOR, project, name)
    _say("Made", made, as_json=as_json)


@app.command("list")
def list_projects(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Archived ones too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the projects."""
    with database(settings(config)) as opened:
        page: Page[Project] = _projects(base_of(opened)).list(
            OPERATOR, limit=LISTED_MAX, archived=everything
        )
    if as_json:
        say_json([project.view() for project in page.found])
        return
    say_table(
        ("ID", "NAME", "CREATED", "ARCHIVED", "PRICES"), [_row(project) for project in page.found]
    )


def _row(project: Project) -> tuple[str, ...]:
    """Write a project as a row; the default one was made by nobody, at no time."""
    view = project.view()
    created = f"{view.created[:19]}Z" if project.created_ns else "-"
    return (view.id, view.name, created, (view.archived or "-")[:19], view.price_factor or "-")


@app.command()
def rename(
    *,
    project: ProjectArgument,
    name: Annotated[str, typer.Option(help="What people call it from now on.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a project another name; its id stays."""
    with database(settings(config)) as opened:
        changed = _projects(base_of(opened)).rename(OPERATOR, project, name)
    _say("Renamed", changed, as_json=as_json)


@app.command()
def charge(
    *,
    project: ProjectArgument,
    price_factor: Annotated[
        str, typer.Option(metavar="F", help="The part of each price, such as 1.15, or none.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Charge the keys of a project another part of each price than all of it."""
    factor = None if price_factor == NOTHING else price_factor
    with database(settings(config)) as opened:
        changed = _projects(base_of(opened)).charge(OPERATOR, project, factor)
    _say("Changed", changed, as_json=as_json)


@app.command()
def archive(
    *,
    project: ProjectArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a project. Its keys stop working within a second; it cannot be undone."""
    with database(settings(config)) as opened:
        archived = _projects(base_of(opened)).archive(OPERATOR, project)
    _say("Archived", archived, as_json=as_json)


def _projects(base: Base) -> Projects:
    return Projects(base, Audit(base))


def _say(done: str, project: Project, *, as_json: bool) -> None:
    if as_json:
        say_json(project.view())
    else:
        say(f"{done} {project.id} ({project.name}).")
