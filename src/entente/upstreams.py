"""From the configuration to those outside whom we ask: providers, and issuers of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from entente.auth.issuers import Issuer, read_subjects
from entente.auth.tokens import IssuerSource, TokenVerifier
from entente.config import Config, IssuerConfig, ProviderConfig
from entente.domain.principal import Principal
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions, Timeouts, TlsOptions, proxy_for
from entente.providers.base import Provider
from entente.providers.entra import ClientCredentials
from entente.providers.local import Address
from entente.providers.registry import EntraParts, Parts, make_provider
from entente.providers.sigv4 import AwsCredentials
from entente.providers.vendors import ENTRA_URL, azure_scope
from entente.routing.catalog import Model, Target

AUTHORITY_CONNECTIONS_MAX: Final = 2
"""One token is fetched at a time."""

NS_PER_S: Final = 1_000_000_000


def provider_of(
    name: str,
    settings: ProviderConfig,
    *,
    environ: Mapping[str, str],
    address: Address,
    timeouts: Timeouts | None = None,
) -> Provider:
    """Make a configured provider; that does no I/O but to read a script.

    `address` says where the local runtime is. `timeouts` stand instead of the settings'.
    Raises ConfigError for what only the provider can tell to be wrong.
    """
    return make_provider(
        settings.kind,
        Parts(
            name=name,
            client=lambda: _client_options(settings, environ, timeouts),
            address=address,
            now_ns=time.time_ns,
            now_s=time.monotonic,
            api_key=settings.api_key,
            preset=settings.preset,
            responses=settings.responses,
            api_version=settings.api_version or "",
            entra=_entra(settings, environ),
            version=settings.version,
            betas=settings.betas,
            region=settings.region or "",
            aws=_aws(settings),
            script=settings.script,
        ),
    )


def verifier_of(
    issuers: Mapping[str, IssuerConfig],
    *,
    environ: Mapping[str, str],
    named: Callable[[str], Principal | None],
) -> TokenVerifier:
    """Make what finds the holder of a bearer token; `named` gives the holder of a key of ours."""
    return TokenVerifier(
        [
            IssuerSource(
                Issuer(
                    name=name,
                    issuer=settings.issuer,
                    audiences=frozenset(settings.audiences),
                    subjects=read_subjects(settings.subjects),
                ),
                partial(_connect, settings, environ),
                settings.jwks_uri,
            )
            for name, settings in issuers.items()
        ],
        named=named,
        elapsed_s=time.monotonic,
    )


def _connect(settings: IssuerConfig, environ: Mapping[str, str], origin: str) -> Client:
    """Make the client that fetches an issuer's keys."""
    return Client(
        ClientOptions(
            base_url=origin,
            connections_max=AUTHORITY_CONNECTIONS_MAX,
            tls=TlsOptions(ca_file=str(settings.ca_file) if settings.ca_file else None),
            proxy_url=_proxy(settings.proxy, origin, environ),
        )
    )


def has_credentials(settings: ProviderConfig) -> bool:
    """Tell whether anything secret is sent to a provider, or to who vouches for us there."""
    return any(isinstance(getattr(settings, field), Secret) for field in settings.__struct_fields__)


def _client_options(
    settings: ProviderConfig, environ: Mapping[str, str], timeouts: Timeouts | None
) -> ClientOptions:
    """Give a provider's slice of the configuration to its HTTP client."""
    base_url = settings.base_url or ""
    return ClientOptions(
        base_url=base_url,
        connections_max=settings.connections_max,
        timeouts=timeouts
        or Timeouts(
            connect_s=settings.connect_s,
            first_byte_s=settings.first_byte_s,
            idle_s=settings.idle_s,
            total_s=settings.total_s,
        ),
        tls=TlsOptions(
            ca_file=str(settings.ca_file) if settings.ca_file else None,
            cert_file=str(settings.cert_file) if settings.cert_file else None,
            key_file=str(settings.key_file) if settings.key_file else None,
        ),
        proxy_url=_proxy(settings.proxy, base_url, environ),
    )


def _proxy(setting: str, url: str, environ: Mapping[str, str]) -> str | None:
    """Choose the proxy on the way to an address."""
    match setting:
        case "env":
            return proxy_for(url, environ)
        case "none":
            return None
        case chosen:
            return chosen


def _entra(settings: ProviderConfig, environ: Mapping[str, str]) -> EntraParts | None:
    """Give the application that gets tokens, if there is one.

    Its authority is reached as the provider is, but it never sees the client certificate.
    """
    tenant, client_id, secret = settings.tenant_id, settings.client_id, settings.client_secret
    if tenant is None or client_id is None or secret is None:
        return None
    authority = settings.authority or ENTRA_URL
    return EntraParts(
        ClientCredentials(
            tenant=tenant,
            client_id=client_id,
            client_secret=secret,
            scope=azure_scope(authority),
        ),
        ClientOptions(
            base_url=authority,
            connections_max=AUTHORITY_CONNECTIONS_MAX,
            tls=TlsOptions(ca_file=str(settings.ca_file) if settings.ca_file else None),
            proxy_url=_proxy(settings.proxy, authority, environ),
        ),
    )


def _aws(settings: ProviderConfig) -> AwsCredentials | None:
    """Give the keys that sign requests, if there are any."""
    if settings.access_key_id is None or settings.secret_access_key is None:
        return None
    return AwsCredentials(
        access_key_id=settings.access_key_id.reveal(),
        secret_access_key=settings.secret_access_key,
        session_token=settings.session_token,
    )


def catalog_of(config: Config) -> dict[str, Model]:
    """Give the routing its slice of the configuration."""
    return {
        name: Model(
            name=name,
            targets=tuple(Target(t.provider, t.model) for t in model.targets),
            output_tokens_max=model.output_tokens_max,
            context_tokens=model.context_tokens,
            attachment_tokens_max=model.attachment_tokens_max,
            audio_s_max=model.audio_s_max,
            owned_by=model.owned_by,
            shutdown_date=model.shutdown_date,
            retires_ns=_midnight_ns(model.shutdown_date),
            on_loss=model.unsupported,
        )
        for name, model in config.models.items()
    }


def _midnight_ns(day: str | None) -> int | None:
    """Give when a day begins, in UTC."""
    if day is None:
        return None
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * NS_PER_S
