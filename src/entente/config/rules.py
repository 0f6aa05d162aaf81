"""Rules that span settings: what a provider's kind needs, which names must exist.

Each rule adds problems to the list and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entente.config.addresses import proxy_defect, url_defect
from entente.config.issuer_rules import check_issuers
from entente.config.model import ProviderConfig, ProviderKind
from entente.config.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from entente.config.locate import Path as KeyPath
    from entente.config.model import Config
    from entente.config.problems import Problems

_TAKEN: Final[Mapping[ProviderKind, frozenset[str]]] = {
    ProviderKind.OPENAI: frozenset(ProviderConfig.__struct_fields__) - {"script"},
    ProviderKind.LOCAL: frozenset({"kind"}),
    ProviderKind.SCRIPTED: frozenset({"kind", "script"}),
}
"""The kinds that exist today, and the settings that mean something to each."""

_NEEDED: Final[Mapping[ProviderKind, Mapping[str, str]]] = {
    ProviderKind.OPENAI: {"base_url": 'base_url = "https://api.openai.com/v1"'},
    ProviderKind.SCRIPTED: {},
    ProviderKind.LOCAL: {},
}
"""Settings that a kind cannot do without, each as it might be written."""


def check(config: Config, document: Mapping[str, object], problems: Problems) -> None:
    """Check what the types alone cannot.

    `config` lacks what could not be read; `document` is the file as it was parsed.
    """
    if config.server.workers != 1:
        problems.add(
            ("server", "workers"),
            "only 1 worker is possible today: set workers = 1 or leave it out",
        )
    if config.ledger.url is not None:
        problems.add(
            ("ledger", "url"),
            "PostgreSQL is not available yet: leave `url` out; the ledger is then a SQLite "
            "file under server.data_dir",
        )
    written = _table(document, "providers")
    if written:
        for name, provider in config.providers.items():
            _check_provider(("providers", name), provider, _table(written, name), problems)
    check_issuers(config.auth.issuers, problems)
    _check_models(config, document, problems)


def _table(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Give a table as written, empty where there is none."""
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _check_provider(
    path: KeyPath, provider: ProviderConfig, written: Mapping[str, object], problems: Problems
) -> None:
    kind = provider.kind
    if kind not in _TAKEN:
        today = ", ".join(f'"{known}"' for known in _TAKEN)
        problems.add((*path, "kind"), f'"{kind}" is not available yet: use one of {today} for now')
        return
    for setting in written:
        if setting in ProviderConfig.__struct_fields__ and setting not in _TAKEN[kind]:
            problems.add((*path, setting), f'has no meaning for kind = "{kind}": remove it')
    for setting, example in _NEEDED[kind].items():
        if setting not in written:
            problems.add(path, f'`{setting}` is missing for kind = "{kind}": add {example}')
    _check_addresses(path, provider, problems)
    _check_files(path, provider, problems)
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in written and other not in written:
            problems.add((*path, one), f"needs `{other}` beside it: a client certificate is both")


def _check_addresses(path: KeyPath, provider: ProviderConfig, problems: Problems) -> None:
    if provider.base_url is not None:
        wrong = url_defect(provider.base_url)
        if wrong:
            problems.add((*path, "base_url"), wrong)
    wrong = proxy_defect(provider.proxy)
    if wrong:
        problems.add((*path, "proxy"), wrong)


def _check_files(path: KeyPath, provider: ProviderConfig, problems: Problems) -> None:
    files: dict[str, Path | None] = {
        "ca_file": provider.ca_file,
        "cert_file": provider.cert_file,
        "key_file": provider.key_file,
        "script": provider.script,
    }
    for setting, file in files.items():
        if file is not None and not file.is_file():
            problems.add(
                (*path, setting), f"there is no file {file}: create it or correct the path"
            )


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
        targets = _table(models, name).get("targets")
        for position, target in enumerate(targets if isinstance(targets, list) else []):
            provider = target.get("provider") if isinstance(target, dict) else None
            if isinstance(provider, str) and provider not in providers:
                problems.add(
                    ("models", name, "targets", position, "provider"),
                    f"there is no [providers.{provider}] in this file."
                    + (did_you_mean(provider, providers) or " Add it, or name one that is there."),
                )
