"""`entente models` and `entente prices show`: what the settings offer, and for how much."""

from __future__ import annotations

from typing import Final

import typer

from entente.cli.base import ConfigOption, JsonOption, say_json, say_table, settings
from entente.domain.money import format_rate

UNPRICED: Final = "unpriced"

prices = typer.Typer(help="Show what models cost.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(list_models)


def list_models(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that clients can name, and where each goes."""
    lines = [
        {
            "model": name,
            "targets": [f"{target.provider}/{target.model}" for target in model.targets],
            "priced": model.price is not None,
            "context_tokens": model.context_tokens,
            "output_tokens_max": model.output_tokens_max,
            "owned_by": model.owned_by,
        }
        for name, model in settings(config).models.items()
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


@prices.command("show")
def show_prices(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rates of each model as the settings have them."""
    lines: list[dict[str, object]] = []
    rows: list[tuple[str, ...]] = []
    for name, model in settings(config).models.items():
        price = model.price
        if price is None:
            lines.append({"model": name, "priced": False})
            rows.append((name, "-", "-", UNPRICED))
            continue
        rates = {token_class: format_rate(rate) for token_class, rate in price.rates().items()}
        lines.append(
            {
                "model": name,
                "priced": True,
                "currency": price.currency,
                "per": price.per,
                "rates": rates,
            }
        )
        rows.append(
            (
                name,
                price.currency,
                price.per,
                " ".join(f"{token_class}={rate}" for token_class, rate in rates.items()),
            )
        )
    if as_json:
        say_json(lines)
    else:
        say_table(("MODEL", "CURRENCY", "PER", "RATES"), rows)
