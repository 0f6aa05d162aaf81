"""The one place that knows which kinds of provider there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from entente.domain.chat import Surface
from entente.domain.errors import ConfigError
from entente.domain.ids import NowNs
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions
from entente.providers.anthropic import AnthropicProvider
from entente.providers.azure import AzureProvider
from entente.providers.base import Provider
from entente.providers.bedrock import BedrockProvider
from entente.providers.entra import ClientCredentials, EntraTokens
from entente.providers.gemini import GeminiProvider
from entente.providers.local import ALSO as LOCAL_ALSO
from entente.providers.local import Address, LocalProvider
from entente.providers.openai import OpenAIProvider
from entente.providers.presets import EVERY, PRESETS
from entente.providers.scripted import ECHO, ScriptedProvider, load_script
from entente.providers.sigv4 import AwsCredentials
from entente.providers.vendors import ANTHROPIC_VERSION, is_openais

LOCAL_CONNECTIONS_MAX: Final = 128
"""Below the threads of the runtime, of which every connection takes one."""


class EntraParts(msgspec.Struct, frozen=True):
    """An application that gets tokens, and how its authority is reached."""

    credentials: ClientCredentials
    client: ClientOptions


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is made of; each kind takes what it needs."""

    name: str
    client: Callable[[], ClientOptions]
    address: Address
    now_ns: NowNs
    """The wall clock."""
    now_s: Callable[[], float]
    """A clock that only goes forward."""
    api_key: Secret | None = None
    preset: str | None = None
    """A word of `presets.PRESETS`."""
    responses: bool | None = None
    """Whether responses are served; None leaves it to what is known of the vendor."""
    api_version: str = ""
    entra: EntraParts | None = None
    version: str | None = None
    betas: tuple[str, ...] = ()
    region: str = ""
    aws: AwsCredentials | None = None
    script: Path | None = None


def _openai(parts: Parts) -> Provider:
    options = parts.client()
    preset = PRESETS[parts.preset] if parts.preset is not None else None
    responses = parts.responses
    if responses is None:
        responses = preset.responses if preset is not None else is_openais(options.base_url)
    also = preset.also if preset is not None else EVERY
    return OpenAIProvider(
        parts.name,
        Client(options),
        parts.api_key,
        quirks=preset.quirks if preset is not None else None,
        lists_to_anyone=preset is not None and preset.lists_to_anyone,
        also=also | {Surface.RESPONSES} if responses else also,
    )


def _azure(parts: Parts) -> Provider:
    credential: Secret | EntraTokens | None = parts.api_key
    if parts.entra is not None:
        authority = Client(parts.entra.client)
        credential = EntraTokens(parts.name, authority, parts.entra.credentials, now_s=parts.now_s)
    if credential is None:
        raise _without_credentials(parts)
    client = Client(parts.client())
    return AzureProvider(
        parts.name,
        client,
        credential,
        api_version=parts.api_version,
        responses=parts.responses,
    )


def _anthropic(parts: Parts) -> Provider:
    return AnthropicProvider(
        parts.name,
        Client(parts.client()),
        parts.api_key,
        version=parts.version or ANTHROPIC_VERSION,
        betas=parts.betas,
    )


def _gemini(parts: Parts) -> Provider:
    return GeminiProvider(parts.name, Client(parts.client()), parts.api_key)


def _bedrock(parts: Parts) -> Provider:
    credentials = parts.aws or parts.api_key
    if credentials is None:
        raise _without_credentials(parts)
    return BedrockProvider(
        parts.name, parts.client(), credentials, region=parts.region, now_ns=parts.now_ns
    )


def _local(parts: Parts) -> Provider:
    def connect(base_url: str, api_key: Secret) -> Provider:
        client = Client(
            ClientOptions(base_url=f"{base_url}/v1", connections_max=LOCAL_CONNECTIONS_MAX)
        )
        return OpenAIProvider(parts.name, client, api_key, also=LOCAL_ALSO)

    return LocalProvider(parts.name, parts.address, connect)


def _scripted(parts: Parts) -> Provider:
    script = load_script(parts.script) if parts.script else ECHO
    return ScriptedProvider(parts.name, script, now_ns=parts.now_ns, sleep=asyncio.sleep)


def _without_credentials(parts: Parts) -> ConfigError:
    return ConfigError(f"The provider `{parts.name}` has no credentials: set its api_key.")


KINDS: Final[Mapping[str, Callable[[Parts], Provider]]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "bedrock": _bedrock,
    "local": _local,
    "scripted": _scripted,
}


def make_provider(kind: str, parts: Parts) -> Provider:
    """Make a provider of a kind in `KINDS`; that does no I/O but to read a script."""
    return KINDS[kind](parts)
