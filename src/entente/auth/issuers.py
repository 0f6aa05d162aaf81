"""Issuers of bearer tokens as they are configured, and what may be said of them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

CLAIMS: Final = ("sub", "oid", "azp", "appid", "tid", "roles", "groups")
"""Claims that may say whom a token stands for."""


class Subject(msgspec.Struct, frozen=True):
    """A claim that has a value, or has it among others, stands for a key of ours."""

    claim: str
    value: str
    key: str
    """The key's name or id."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues tokens, for whom, and whom they stand for. The first subject that fits counts."""

    name: str
    """The name in the configuration: `[auth.issuers.NAME]`."""
    issuer: str
    audiences: frozenset[str]
    subjects: tuple[Subject, ...]


def read_subjects(lines: Mapping[str, str]) -> tuple[Subject, ...]:
    """Read lines such as `"azp:CLIENT-ID" = "KEY"`, in their order."""
    parts = ((line.partition(":"), key) for line, key in lines.items())
    return tuple(Subject(claim, value, key) for (claim, _, value), key in parts)


def may_ask(uri: str) -> bool:
    """Say whether keys may be fetched from an address: by TLS, or from this machine."""
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not uri.isascii():
        return False
    if any(sign <= " " or sign == "\x7f" for sign in uri):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
