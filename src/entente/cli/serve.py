"""`entente serve` and `entente version`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import structs

from entente.cli.base import ConfigOption, JsonOption, environment, say, say_json, settings
from entente.config import WORKERS_MAX, against_workers
from entente.domain.errors import ConfigError

if TYPE_CHECKING:
    from entente.app import Openers
    from entente.config import Config

PORT_MAX: Final = 65_535


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("version")(show_version)


def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Instead of server.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="Instead of server.port; 0: any.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=WORKERS_MAX, help="Instead of server.workers.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve models until SIGINT or SIGTERM."""
    chosen = with_overrides(settings(config), host=host, port=port, workers=workers)
    tell = (lambda text: say_json({"message": text})) if as_json else say
    if chosen.server.workers > 1:
        from entente.workers.parent import serve_many  # noqa: PLC0415

        serve_many(chosen, environ=environment(), say=tell)
        return
    # Measured: what serving needs takes longer to import than any other command to run.
    from entente.app import serve as serve_platform  # noqa: PLC0415

    serve_platform(
        chosen,
        environ=environment(),
        say=tell,
        openers=_openers(chosen),
    )


def _openers(config: Config) -> Openers:
    """Give what opens database and agreement; who has none need not wait for its import."""
    from entente.app import Openers  # noqa: PLC0415

    openers = Openers()
    if config.ledger.url is not None:
        from entente.records_postgres import open_postgres_records  # noqa: PLC0415

        openers = openers._replace(database=open_postgres_records)
    if config.agreement is not None:
        from entente.agreements import open_agreements  # noqa: PLC0415

        openers = openers._replace(agreements=open_agreements)
    return openers


def with_overrides(
    config: Config, *, host: str | None, port: int | None, workers: int | None
) -> Config:
    """Put options of the command line over the file's. Raises ConfigError."""
    if workers is not None and (trouble := against_workers(workers, config.ledger.url)):
        message = f"--workers {workers}: {trouble}."
        raise ConfigError(message)
    given = {"host": host or None, "port": port, "workers": workers}
    changes = {name: value for name, value in given.items() if value is not None}
    return structs.replace(config, server=structs.replace(config.server, **changes))


def show_version(
    *,
    config: ConfigOption = None,  # noqa: ARG001  (every command takes it)
    as_json: JsonOption = False,
) -> None:
    """Show the version of entente."""
    try:
        number = version("entente")
    except PackageNotFoundError:
        number = "unknown (not installed)"
    if as_json:
        say_json({"version": number})
    else:
        say(number)
