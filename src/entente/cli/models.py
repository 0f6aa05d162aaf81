"""`entente models`: what the settings offer, and whether it has a price."""

from __future__ import annotations

from typing import Final

import typer

from entente.cli.base import ConfigOption, JsonOption, say_json, say_table, settings
from entente.cli.prices import priced_models

UNPRICED: Final = "unpriced"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(list_models)


def list_models(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that clients can name, and where each goes."""
    chosen = settings(config)
    priced = priced_models(chosen)
    lines = [
        {
            "model": name,
            "targets": [f"{target.provider}/{target.model}" for target in model.targets],
            "priced": name in priced,
            "context_tokens": model.context_tokens,
            "output_tokens_max": model.output_tokens_max,
            "owned_by": model.owned_by,
        }
        for name, model in chosen.models.items()
    ]
    if as_json:
        say_json(lines)
        return
    say_table(
        ("MODEL", "TARGETS", "PRICE", "CONTEXT", "OUTPUT MAX", "OWNED BY"),
        [
            (
                str(line["model"]),
                ",".join(map(str, line["targets"])) if isinstance(line["targets"], list) else "",
                "priced" if line["priced"] else UNPRICED,
                str(line["context_tokens"] or "-"),
                str(line["output_tokens_max"]),
                str(line["owned_by"]),
            )
            for line in lines
        ],
    )
