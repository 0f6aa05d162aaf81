"""The kinds of provider: which settings each takes and needs, and where it is unless told. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from entente.config.model import ProviderKind
from entente.providers.presets import PRESETS
from entente.providers.vendors import ANTHROPIC_URL, GEMINI_URL, bedrock_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entente.config.model import ProviderConfig


class Credentials(NamedTuple):
    """One way to prove who we are: the settings that go together, each as it might be written."""

    needed: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def names(self) -> str:
        """The needed settings, for a sentence."""
        *first, last = (f"`{name}`" for name in self.needed)
        return f"{', '.join(first)} and {last}" if first else last


class Kind(NamedTuple):
    """What one kind of provider is told."""

    takes: frozenset[str]
    """Every setting that means something to it."""
    needs: Mapping[str, str] = {}
    """Settings that it cannot do without, each as it might be written."""
    credentials: tuple[Credentials, ...] = ()
    """The ways to prove who we are, of which one at most is used."""
    base_url: Callable[[ProviderConfig], str | None] = lambda _: None
    """Where it is when no `base_url` is written; None where only a `base_url` can say."""
    key_example: Callable[[ProviderConfig], str | None] = lambda _: None
    """The credentials that it needs where it is by default; None where it may need none."""


_NETWORK: Final = frozenset(
    {
        "kind",
        "attributes",
        "base_url",
        "ca_file",
        "cert_file",
        "key_file",
        "proxy",
        "connect_s",
        "first_byte_s",
        "idle_s",
        "total_s",
        "connections_max",
    }
)


def _key(example: str) -> Credentials:
    return Credentials({"api_key": f'api_key = "env:{example}"'})


def _preset_url(provider: ProviderConfig) -> str | None:
    preset = PRESETS.get(provider.preset or "")
    return preset.base_url if preset else None


def _preset_key(provider: ProviderConfig) -> str | None:
    """Give the key of a service; a server on this machine may have none."""
    preset = PRESETS.get(provider.preset or "")
    if preset is None or preset.api_key_env is None or preset.base_url.startswith("http://"):
        return None
    return f'api_key = "env:{preset.api_key_env}"'


def _bedrock_url(provider: ProviderConfig) -> str | None:
    return bedrock_url(provider.region) if provider.region else None


_AZURE_KEY: Final = _key("AZURE_OPENAI_API_KEY")
_ENTRA: Final = Credentials(
    {
        "tenant_id": 'tenant_id = "…"',
        "client_id": 'client_id = "…"',
        "client_secret": 'client_secret = "env:AZURE_CLIENT_SECRET"',
    },
    frozenset({"authority"}),
)
_BEDROCK_KEY: Final = _key("AWS_BEARER_TOKEN_BEDROCK")
_AWS: Final = Credentials(
    {
        "access_key_id": 'access_key_id = "env:AWS_ACCESS_KEY_ID"',
        "secret_access_key": 'secret_access_key = "env:AWS_SECRET_ACCESS_KEY"',
    },
    frozenset({"session_token"}),
)

KINDS: Final[Mapping[ProviderKind, Kind]] = {
    ProviderKind.OPENAI: Kind(
        takes=_NETWORK | {"preset", "responses", "api_key"},
        needs={"base_url": 'base_url = "https://api.openai.com/v1"'},
        base_url=_preset_url,
        key_example=_preset_key,
    ),
    ProviderKind.AZURE: Kind(
        takes=_NETWORK
        | {"api_key", "tenant_id", "client_id", "client_secret", "authority"}
        | {"api_version", "responses"},
        needs={"base_url": 'base_url = "https://NAME.openai.azure.com"'},
        credentials=(_AZURE_KEY, _ENTRA),
    ),
    ProviderKind.ANTHROPIC: Kind(
        takes=_NETWORK | {"api_key", "version", "betas"},
        base_url=lambda _: ANTHROPIC_URL,
        key_example=lambda _: 'api_key = "env:ANTHROPIC_API_KEY"',
    ),
    ProviderKind.GEMINI: Kind(
        takes=_NETWORK | {"api_key"},
        base_url=lambda _: GEMINI_URL,
        key_example=lambda _: 'api_key = "env:GEMINI_API_KEY"',
    ),
    ProviderKind.BEDROCK: Kind(
        takes=_NETWORK
        | {"region", "api_key", "access_key_id", "secret_access_key", "session_token"},
        needs={"region": 'region = "us-east-1"'},
        credentials=(_BEDROCK_KEY, _AWS),
        base_url=_bedrock_url,
    ),
    ProviderKind.LOCAL: Kind(takes=frozenset({"kind", "attributes"})),
    ProviderKind.SCRIPTED: Kind(takes=frozenset({"kind", "attributes", "script"})),
}
