"""Rules for issuers of bearer tokens: addresses to trust, subjects that mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entente.auth.issuers import CLAIMS, may_ask
from entente.config.addresses import proxy_defect, url_defect
from entente.config.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.config.locate import Path as KeyPath
    from entente.config.model import IssuerConfig
    from entente.config.problems import Problems

ISSUERS_MAX: Final = 32
SUBJECTS_MAX: Final = 1000

_SHARED: Final = ("/common", "/organizations", "/consumers", "{")
"""In an issuer's address: words for several tenants, which no token is ever issued by."""


def check_issuers(issuers: Mapping[str, IssuerConfig], problems: Problems) -> None:
    """Check every `[auth.issuers.NAME]` that could be read."""
    if len(issuers) > ISSUERS_MAX:
        problems.add(("auth", "issuers"), f"must be at most {ISSUERS_MAX} issuers: remove some")
    names: dict[str, str] = {}
    for name, issuer in issuers.items():
        path: KeyPath = ("auth", "issuers", name)
        _check_addresses(path, issuer, problems)
        _check_subjects((*path, "subjects"), issuer.subjects, problems)
        if issuer.ca_file is not None and not issuer.ca_file.is_file():
            problems.add(
                (*path, "ca_file"),
                f"there is no file {issuer.ca_file}: create it or correct the path",
            )
        other = names.setdefault(issuer.issuer, name)
        if other != name:
            problems.add(
                (*path, "issuer"),
                f"is the issuer of [auth.issuers.{other}] as well: put the audiences and "
                "subjects of both into one section",
            )


def _check_addresses(path: KeyPath, issuer: IssuerConfig, problems: Problems) -> None:
    wrong = url_defect(issuer.issuer)
    if wrong is None and any(word in issuer.issuer.lower() for word in _SHARED):
        wrong = (
            "names no tenant, and tokens always do: write the address with the tenant's id, "
            "one section for each tenant"
        )
    if wrong is None and not may_ask(issuer.issuer):
        wrong = _BY_TLS
    if wrong:
        problems.add((*path, "issuer"), wrong)
    if issuer.jwks_uri is not None and not may_ask(issuer.jwks_uri):
        problems.add((*path, "jwks_uri"), _BY_TLS)
    wrong = proxy_defect(issuer.proxy)
    if wrong:
        problems.add((*path, "proxy"), wrong)


def _check_subjects(path: KeyPath, subjects: Mapping[str, str], problems: Problems) -> None:
    if not subjects:
        problems.add(
            path,
            "is empty, so that no token stands for anybody: add a line such as "
            '"appid:CLIENT-ID" = "KEY-NAME"',
        )
    if len(subjects) > SUBJECTS_MAX:
        problems.add(path, f"must be at most {SUBJECTS_MAX} subjects: use groups or roles")
    for subject in subjects:
        claim, _, value = subject.partition(":")
        if claim not in CLAIMS:
            hint = did_you_mean(claim, CLAIMS) or f" Claims: {', '.join(CLAIMS)}."
            problems.add(
                (*path, subject), f'must be a claim and its value, as in "oid:VALUE".{hint}'
            )
        elif not value:
            problems.add((*path, subject), f'lacks the value: write "{claim}:VALUE"')


_BY_TLS: Final = (
    "must begin with https:// and hold no user, password or fragment: what is fetched from "
    "there decides who may ask"
)
