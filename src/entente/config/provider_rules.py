"""Rules for `[providers.NAME]`: what its kind takes and needs, and what goes together.

Rules look at what is written, so that a setting with a problem of its own gets no second one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entente.config.addresses import proxy_defect, url_defect
from entente.config.kinds import KINDS
from entente.config.model import ProviderConfig, ProviderKind
from entente.config.problems import did_you_mean
from entente.providers.presets import PRESETS
from entente.providers.vendors import is_azure_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from entente.config.kinds import Credentials
    from entente.config.locate import Path as KeyPath
    from entente.config.problems import Problems

_REGION: Final = re.compile(r"[a-z]{2,8}(?:-[a-z]+)+-\d{1,2}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_BETA: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_TRAPS: Final[Mapping[ProviderKind, re.Pattern[str]]] = {
    ProviderKind.AZURE: re.compile(r"/openai(?:/.*)?"),
    ProviderKind.ANTHROPIC: re.compile(r"/v1(?:/messages)?"),
    ProviderKind.GEMINI: re.compile(r"/models(?:/.*)?"),
    ProviderKind.BEDROCK: re.compile(r"/model(?:/.*)?"),
}
"""Ends of addresses that belong to the calls, and would stand there twice."""


def check_provider(
    path: KeyPath, provider: ProviderConfig, written: Mapping[str, object], problems: Problems
) -> None:
    """Check one provider that could be read; `written` is its table in the file."""
    kind = KINDS[provider.kind]
    for setting in written:
        if setting in ProviderConfig.__struct_fields__ and setting not in kind.takes:
            text = f'has no meaning for kind = "{provider.kind}": remove it'
            problems.add((*path, setting), text)
    for setting, example in kind.needs.items():
        is_known = setting == "base_url" and (kind.base_url(provider) or "preset" in written)
        if setting not in written and not is_known:
            text = f'`{setting}` is missing for kind = "{provider.kind}": add {example}'
            problems.add(path, text)
    _check_credentials(path, provider, written, problems)
    _check_words(path, provider, problems)
    _check_addresses(path, provider, problems)
    _check_files(path, provider, problems)
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in written and other not in written:
            problems.add((*path, one), f"needs `{other}` beside it: a client certificate is both")


def _check_credentials(
    path: KeyPath, provider: ProviderConfig, written: Mapping[str, object], problems: Problems
) -> None:
    """See that one way to prove who we are is written, whole, where one is needed."""
    kind = KINDS[provider.kind]
    example = kind.key_example(provider)
    if example is not None and "base_url" not in written and "api_key" not in written:
        problems.add(path, f"`api_key` is missing: add {example}")
    begun = [way for way in kind.credentials if way.needed.keys() & written.keys()]
    if len(begun) > 1:
        one, other = (way.names for way in begun)
        setting = next(name for name in begun[1].needed if name in written)
        text = f"these are two ways to prove who we are: keep either {one}, or {other}"
        problems.add((*path, setting), text)
        return
    for way in kind.credentials:
        for setting in way.optional & written.keys():
            if way not in begun:
                problems.add((*path, setting), f"goes with {way.names} only: remove it")
    if kind.credentials and not begun:
        ways = ", or ".join(_as_written(way) for way in kind.credentials)
        text = f'credentials are missing for kind = "{provider.kind}": add {ways}'
        problems.add(path, text)
    for way in begun:
        missing = [example for name, example in way.needed.items() if name not in written]
        if missing:
            text = f"{way.names} go together: add {', '.join(missing)}"
            problems.add(path, text)


def _as_written(way: Credentials) -> str:
    return ", ".join(way.needed.values())


def _check_words(path: KeyPath, provider: ProviderConfig, problems: Problems) -> None:
    """Check what is neither an address nor a secret, and has to go into a path or a header."""
    if provider.preset is not None and provider.preset not in PRESETS:
        hint = did_you_mean(provider.preset, PRESETS) or f" Presets: {', '.join(PRESETS)}."
        text = f"there is no such preset.{hint} Without one, write base_url"
        problems.add((*path, "preset"), text)
    version = provider.api_version
    if version is not None and not (version and is_azure_version(version)):
        text = 'must be a date such as "2024-10-21", "preview" or "v1"; leave it out for "v1"'
        problems.add((*path, "api_version"), text)
    for setting, value, form, text in (
        ("region", provider.region, _REGION, 'must be a region of AWS such as "us-east-1"'),
        ("tenant_id", provider.tenant_id, _ID, _NO_REFERENCE),
        ("client_id", provider.client_id, _ID, _NO_REFERENCE),
        ("version", provider.version, _DATE, 'must be a date such as "2023-06-01"'),
    ):
        if value is not None and not form.fullmatch(value):
            problems.add((*path, setting), text)
    for position, beta in enumerate(provider.betas):
        if not _BETA.fullmatch(beta):
            text = 'must be the name of one beta, such as "context-1m-2025-08-07"'
            problems.add((*path, "betas", position), text)


_NO_REFERENCE: Final = (
    "must be the id itself, of letters, digits, dots and dashes: it is no secret, so no "
    '"env:" or "file:"'
)


def _check_addresses(path: KeyPath, provider: ProviderConfig, problems: Problems) -> None:
    for setting, url in (("base_url", provider.base_url), ("authority", provider.authority)):
        wrong = None if url is None else url_defect(url)
        if wrong:
            problems.add((*path, setting), wrong)
        elif url is not None and setting == "base_url":
            trap = _trap(provider.kind, url)
            if trap:
                problems.add((*path, setting), trap)
    wrong = proxy_defect(provider.proxy)
    if wrong:
        problems.add((*path, "proxy"), wrong)


def _trap(kind: ProviderKind, url: str) -> str | None:
    """Say what of an address is not the provider's but a call's."""
    end = _TRAPS.get(kind)
    found = end and re.search(f"{end.pattern}$", urlsplit(url).path.rstrip("/"))
    return f'leave the end "{found[0]}" out: every call adds its own' if found else None


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
