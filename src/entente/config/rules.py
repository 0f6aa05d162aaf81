"""Rules that span settings: what is possible today, which names must exist.

Each rule adds problems to the list and changes nothing.
"""

from __future__ import annotations

import re
from datetime import date
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from entente.config.issuer_rules import check_issuers
from entente.config.problems import did_you_mean
from entente.config.provider_rules import check_provider
from entente.metering.units import RATES

ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[a-z][a-z0-9_]{0,63})?")
"""As in the conditions of agreements."""
DRIVERS: Final = ("asyncpg", "psycopg")
"""What a ledger on PostgreSQL is reached by."""

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.config.locate import Path as KeyPath
    from entente.config.model import Config, PriceConfig, Traits
    from entente.config.problems import Problems


def check(config: Config, document: Mapping[str, object], problems: Problems) -> None:
    """Check what the types alone cannot.

    `config` lacks what could not be read; `document` is the file as it was parsed.
    """
    trouble = against_workers(config.server.workers, config.ledger.url)
    if trouble is not None:
        problems.add(("server", "workers"), trouble)
    if config.ledger.shared and config.ledger.url is None:
        problems.add(
            ("ledger", "shared"),
            "servers share a ledger through PostgreSQL: name it as `url`, or leave `shared` out",
        )
    if config.ledger.spool_s and config.ledger.url is None:
        problems.add(
            ("ledger", "spool_s"),
            "the spool stands in for a PostgreSQL database that is away: name that as `url`, or "
            "leave `spool_s` out; a SQLite ledger is on this host's disk anyhow",
        )
    if config.ledger.url is not None and not all(map(find_spec, DRIVERS)):
        problems.add(
            ("ledger", "url"),
            "the drivers of PostgreSQL are not installed: `pip install 'entente[postgres]'`, or "
            "leave `url` out; the ledger is then a SQLite file under server.data_dir",
        )
    written = _table(document, "providers")
    if written:
        for name, provider in config.providers.items():
            check_provider(("providers", name), provider, _table(written, name), problems)
    if not 0 < config.batches.price_factor <= 1:
        problems.add(
            ("batches", "price_factor"),
            'must be above "0" and at most "1", such as "0.5" for half of the price',
        )
    check_issuers(config.auth.issuers, problems)
    check_attributes(config, problems)
    _check_models(config, document, problems)


def against_workers(workers: int, url: object) -> str | None:
    """Say why so many workers cannot be, None where they can."""
    if workers == 1 or url is not None:
        return None
    return (
        "more than one worker needs PostgreSQL, as SQLite's books are in one process: set "
        '`url = "postgresql://…"` under [ledger], or leave workers at 1'
    )


def check_attributes(config: Config, problems: Problems) -> None:
    """Hold the names of attributes to those that conditions of agreements can ask for."""
    places: list[tuple[tuple[str, ...], Traits]] = [
        *(
            (("providers", n, "attributes"), each.attributes)
            for n, each in config.providers.items()
        ),
        *((("models", n, "attributes"), each.attributes) for n, each in config.models.items()),
    ]
    if config.agreement is not None:
        stated = config.agreement
        places += [(("agreement", "projects", n), each) for n, each in stated.projects.items()]
        places += [(("agreement", "keys", n), each) for n, each in stated.keys.items()]
    for path, attributes in places:
        for name in attributes:
            if not ATTRIBUTE.fullmatch(name):
                text = 'an attribute is named in small letters, such as host or "asset.open_weight"'
                problems.add((*path, name), text)


def _table(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Give a table as written, empty where there is none."""
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _check_models(config: Config, document: Mapping[str, object], problems: Problems) -> None:
    is_left_out = "models" not in document and "providers" in document
    if is_left_out or document.get("models") == {}:
        problems.add(
            (),
            'no model is configured: add [models."NAME"] with targets = '
            '[{ provider = "…", model = "…" }]',
        )
        return
    # Read from what is written: what has a problem of its own is there all the same.
    providers = {*config.providers, *_table(document, "providers")}
    models = _table(document, "models")
    for name in models:
        if name in config.models:
            written = _table(_table(models, name), "price")
            _check_price(("models", name, "price"), config.models[name].price, written, problems)
            _check_shutdown(("models", name), config.models[name].shutdown_date, problems)
        targets = _table(models, name).get("targets")
        for position, target in enumerate(targets if isinstance(targets, list) else []):
            provider = target.get("provider") if isinstance(target, dict) else None
            if isinstance(provider, str) and provider not in providers:
                problems.add(
                    ("models", name, "targets", position, "provider"),
                    f"there is no [providers.{provider}] in this file."
                    + (did_you_mean(provider, providers) or " Add it, or name one that is there."),
                )


def _check_price(
    path: KeyPath,
    price: PriceConfig | None,
    written: Mapping[str, object],
    problems: Problems,
) -> None:
    """See that a price has the rate that its unit needs, and no other where it has only one."""
    if price is None:
        return
    needed = price.per.rate or "input"
    if needed not in written:
        problems.add(path, f'`{needed}` is missing for per = "{price.per}": add it')
    for name in RATES if price.per.rate else ():
        if name != needed and name in written:
            text = (
                f'has no meaning for per = "{price.per}", whose one rate is `{needed}`: remove it'
            )
            problems.add((*path, name), text)


def _check_shutdown(path: KeyPath, day: str | None, problems: Problems) -> None:
    """See that a day is one."""
    try:
        date.fromisoformat(day or "2026-01-01")
    except ValueError:
        problems.add((*path, "shutdown_date"), 'must be a day such as "2027-03-31"')
