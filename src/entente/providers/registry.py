"""The one place that knows which kinds of provider there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from entente.domain.ids import NowNs
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions
from entente.providers.base import Provider
from entente.providers.local import Address, LocalProvider
from entente.providers.openai import OpenAIProvider
from entente.providers.scripted import ECHO, ScriptedProvider, load_script

LOCAL_CONNECTIONS_MAX: Final = 128
"""Below the threads of the runtime, of which every connection takes one."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is made of; each kind takes what it needs."""

    name: str
    client: Callable[[], ClientOptions]
    api_key: Secret | None
    script: Path | None
    address: Address
    now_ns: NowNs


def _openai(parts: Parts) -> Provider:
    return OpenAIProvider(parts.name, Client(parts.client()), parts.api_key)


def _local(parts: Parts) -> Provider:
    def connect(base_url: str, api_key: Secret) -> Provider:
        client = Client(
            ClientOptions(base_url=f"{base_url}/v1", connections_max=LOCAL_CONNECTIONS_MAX)
        )
        return OpenAIProvider(parts.name, client, api_key)

    return LocalProvider(parts.name, parts.address, connect)


def _scripted(parts: Parts) -> Provider:
    script = load_script(parts.script) if parts.script else ECHO
    return ScriptedProvider(parts.name, script, now_ns=parts.now_ns, sleep=asyncio.sleep)


KINDS: Final[Mapping[str, Callable[[Parts], Provider]]] = {
    "openai": _openai,
    "local": _local,
    "scripted": _scripted,
}


def make_provider(kind: str, parts: Parts) -> Provider:
    """Make a provider of a kind in `KINDS`."""
    return KINDS[kind](parts)
