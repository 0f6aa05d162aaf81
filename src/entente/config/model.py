"""The settings as frozen values: what `entente.toml` may say, with types and defaults.

Every field is one setting. Units are the last part of a name (`_s` seconds, `_max` a
bound). Bounds sit in the types, so that reading, documentation and tests agree. The
meaning of each setting for people is in `docs/configuration.md`; a test fails for a
field that is not described there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from entente.db.address import Address
from entente.domain.features import OnLoss
from entente.domain.secret import Secret
from entente.engine.model import BUILTIN_MODEL
from entente.ledger.store import Durability
from entente.metering.units import RATES, PricePer

HOST_DEFAULT: Final = "127.0.0.1"
PORT_DEFAULT: Final = 8080
DATA_DIR_DEFAULT: Final = Path(".entente")
BODY_BYTES_MAX_DEFAULT: Final = 64 * 1024 * 1024
BODY_BYTES_MAX_MAX: Final = 4 * 1024**3
WORKERS_MAX: Final = 64
INFLIGHT_MAX_DEFAULT: Final = 8192
INFLIGHT_MAX_MAX: Final = 1_000_000
SHUTDOWN_S_DEFAULT: Final = 30.0
DRAIN_S_DEFAULT: Final = 30.0
SPOOL_S_MAX: Final = 3600
BUDGET_WAIT_S_DEFAULT: Final = 30.0
SESSION_IDLE_S_DEFAULT: Final = 900.0
SESSION_S_DEFAULT: Final = 3600.0
MESSAGE_BYTES_MAX_DEFAULT: Final = 16 * 1024 * 1024
MESSAGE_BYTES_MAX_MAX: Final = 256 * 1024 * 1024
SUBSCRIPTION_DEFAULT: Final = "00000000-0000-0000-0000-000000000000"
ACCOUNT_DEFAULT: Final = "entente"
LOCATION_DEFAULT: Final = "local"
CONNECT_S_DEFAULT: Final = 10.0
FIRST_BYTE_S_DEFAULT: Final = 600.0
IDLE_S_DEFAULT: Final = 300.0
TOTAL_S_DEFAULT: Final = 3600.0
CONNECTIONS_MAX_DEFAULT: Final = 4096
CONNECTIONS_MAX_MAX: Final = 65_535
ANSWERS_DAYS_DEFAULT: Final = 30
ANSWERS_DAYS_MAX: Final = 36_500
FILE_BYTES_MAX_DEFAULT: Final = 512 * 1024 * 1024
UPLOAD_BYTES_MAX_DEFAULT: Final = 8 * 1024**3
PROJECT_BYTES_MAX_MAX: Final = 1024**5
FREE_BYTES_MIN_DEFAULT: Final = 256 * 1024 * 1024
FILE_BYTES_MAX_MAX: Final = 1024**4
BATCH_REQUESTS_MAX_DEFAULT: Final = 16
BATCH_GIVES_WAY_AT_DEFAULT: Final = 64
BATCH_REQUESTS_MAX_MAX: Final = 4096
RETRY_DAYS_DEFAULT: Final = 3
RETRY_DAYS_MAX: Final = 30
OUTPUT_TOKENS_MAX_DEFAULT: Final = 16_384
ATTACHMENT_TOKENS_MAX_DEFAULT: Final = 50_000
AUDIO_S_MAX_DEFAULT: Final = 7200
OWNED_BY_DEFAULT: Final = "entente"
PROXY_DEFAULT: Final = "env"
TARGETS_MAX: Final = 64
AUDIENCES_MAX: Final = 16
BETAS_MAX: Final = 64
DURATION_S_MAX: Final = 7 * 24 * 3600
TOKENS_MAX: Final = 1_000_000_000
TEXT_CHARS_MAX: Final = 4096

BUILTIN_PROVIDER: Final = "local"
BUILTIN_CONTEXT_TOKENS: Final = 2048
"""What the runtime gives each request of the built-in model; a test holds the two together."""

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=DURATION_S_MAX)]
Timeout: TypeAlias = Annotated[float, Meta(gt=0, le=DURATION_S_MAX)]
TokenCount: TypeAlias = Annotated[int, Meta(ge=1, le=TOKENS_MAX)]


Trait: TypeAlias = bool | int | Text
"""The value of an attribute, as agreements ask for it."""
Traits: TypeAlias = Mapping[str, Trait]


class MetricsAccess(StrEnum):
    """Who may read `/metrics`."""

    ADMIN = "admin"
    """Whoever presents an admin key."""
    PUBLIC = "public"
    """Anyone who reaches the port."""


class Validation(StrEnum):
    """What becomes of a request that its vendor would refuse."""

    LENIENT = "lenient"
    """What nobody here acts on goes on to the provider as it is."""
    STRICT = "strict"
    """It is refused as the vendor would, in its order and words."""


class AgreementMode(StrEnum):
    """What an agreement does to requests."""

    ENFORCE = "enforce"
    """What it bars is not served."""
    REPORT = "report"
    """Everything is served; what it would bar is written to the log and counted."""


class ProviderKind(StrEnum):
    """Who serves; the word after `kind =`."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    BEDROCK = "bedrock"
    LOCAL = "local"
    SCRIPTED = "scripted"


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where it listens, where its data is, and its bounds."""

    host: Text = HOST_DEFAULT
    port: Port = PORT_DEFAULT
    workers: Annotated[int, Meta(ge=1, le=WORKERS_MAX)] = 1
    data_dir: Path = DATA_DIR_DEFAULT
    body_bytes_max: Annotated[int, Meta(ge=1024, le=BODY_BYTES_MAX_MAX)] = BODY_BYTES_MAX_DEFAULT
    inflight_max: Annotated[int, Meta(ge=1, le=INFLIGHT_MAX_MAX)] = INFLIGHT_MAX_DEFAULT
    shutdown_s: Seconds = SHUTDOWN_S_DEFAULT
    drain_s: Seconds = DRAIN_S_DEFAULT
    metrics: MetricsAccess = MetricsAccess.ADMIN
    validation: Validation = Validation.LENIENT


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[ledger]`: how sure a record is before a request goes on."""

    durability: Durability = Durability.FULL
    url: Address | None = None
    shared: bool = False
    spool_s: Annotated[float, Meta(ge=0, le=SPOOL_S_MAX)] = 0.0


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: how long requests wait for one another."""

    budget_wait_s: Seconds = BUDGET_WAIT_S_DEFAULT


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[storage]`: how long what clients store is kept, and how much of it."""

    answers_days: Annotated[int, Meta(ge=0, le=ANSWERS_DAYS_MAX)] = ANSWERS_DAYS_DEFAULT
    project_bytes_max: Annotated[int, Meta(ge=0, le=PROJECT_BYTES_MAX_MAX)] | None = None


class WebhooksConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[webhooks]`: where events may be sent, and for how long that is tried."""

    allow_private: bool = False
    retry_days: Annotated[int, Meta(ge=1, le=RETRY_DAYS_MAX)] = RETRY_DAYS_DEFAULT


class RealtimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[realtime]`: how long sessions may take, and how large their messages may be."""

    idle_s: Timeout = SESSION_IDLE_S_DEFAULT
    session_s: Timeout = SESSION_S_DEFAULT
    message_bytes_max: Annotated[int, Meta(ge=1024, le=MESSAGE_BYTES_MAX_MAX)] = (
        MESSAGE_BYTES_MAX_DEFAULT
    )


class FilesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[files]`: how much clients may store."""

    bytes_max: Annotated[int, Meta(ge=1024, le=FILE_BYTES_MAX_MAX)] = FILE_BYTES_MAX_DEFAULT
    upload_bytes_max: Annotated[int, Meta(ge=1024, le=FILE_BYTES_MAX_MAX)] = (
        UPLOAD_BYTES_MAX_DEFAULT
    )
    free_bytes_min: Annotated[int, Meta(ge=0, le=FILE_BYTES_MAX_MAX)] = FREE_BYTES_MIN_DEFAULT


class BatchesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[batches]`: how batches run beside other requests, and what they cost."""

    requests_max: Annotated[int, Meta(ge=1, le=BATCH_REQUESTS_MAX_MAX)] = BATCH_REQUESTS_MAX_DEFAULT
    gives_way_at: Annotated[int, Meta(ge=1, le=INFLIGHT_MAX_MAX)] = BATCH_GIVES_WAY_AT_DEFAULT
    price_factor: Fraction = Fraction(1)


class AgreementConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[agreement]`: the document that says who may serve what, and what its words mean here."""

    file: Path
    mode: AgreementMode = AgreementMode.ENFORCE
    scenario: Text | None = None
    parameters: Traits = MappingProxyType({})
    projects: Mapping[str, Traits] = MappingProxyType({})
    keys: Mapping[str, Traits] = MappingProxyType({})


class AzureConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[azure]`: what clients of Azure's control plane call the one account that this is."""

    subscription: Text = SUBSCRIPTION_DEFAULT
    resource_group: Text = ACCOUNT_DEFAULT
    account: Text = ACCOUNT_DEFAULT
    location: Text = LOCATION_DEFAULT


class IssuerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth.issuers.NAME]`: who issues bearer tokens, and which of our keys they stand for.

    What may stand in `issuer`, `jwks_uri` and `subjects` is decided in
    `entente.config.issuer_rules`.
    """

    issuer: Text
    audiences: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=AUDIENCES_MAX)]
    subjects: Mapping[str, Text]
    jwks_uri: Text | None = None
    ca_file: Path | None = None
    proxy: Text = PROXY_DEFAULT


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth]`: who may ask, besides the holders of keys."""

    issuers: Mapping[str, IssuerConfig] = MappingProxyType({})


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[providers.NAME]`: one place that serves models.

    Which settings a kind takes, which it needs, and where it is when no `base_url` is
    written, stands in `entente.config.kinds`; a configuration that was loaded has the
    `base_url` of every provider that is reached over the network.
    """

    kind: ProviderKind
    preset: Text | None = None
    responses: bool | None = None
    base_url: Text | None = None
    api_key: Secret | None = None
    tenant_id: Text | None = None
    client_id: Text | None = None
    client_secret: Secret | None = None
    authority: Text | None = None
    api_version: Text | None = None
    region: Text | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    version: Text | None = None
    betas: Annotated[tuple[Text, ...], Meta(max_length=BETAS_MAX)] = ()
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    proxy: Text = PROXY_DEFAULT
    connect_s: Timeout = CONNECT_S_DEFAULT
    first_byte_s: Timeout = FIRST_BYTE_S_DEFAULT
    idle_s: Timeout = IDLE_S_DEFAULT
    total_s: Timeout = TOTAL_S_DEFAULT
    connections_max: Annotated[int, Meta(ge=1, le=CONNECTIONS_MAX_MAX)] = CONNECTIONS_MAX_DEFAULT
    script: Path | None = None
    attributes: Traits = MappingProxyType({})


class TargetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's deployment of a model: where a request for it may go."""

    provider: Text
    model: Text
    priced_as: Text | None = None


class PriceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tokens cost, by class, in `currency` for each `per`; or what another unit costs.

    What a class without a rate costs is decided in `entente.metering.prices`.
    """

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    per: PricePer
    input: Fraction | None = None
    output: Fraction | None = None
    cached_input: Fraction | None = None
    cache_write: Fraction | None = None
    cache_write_1h: Fraction | None = None
    reasoning: Fraction | None = None
    audio_input: Fraction | None = None
    audio_output: Fraction | None = None
    image_input: Fraction | None = None
    image_output: Fraction | None = None

    def rates(self) -> dict[str, Fraction]:
        """Give the rates that are set, by token class or unit as `domain.usage` names them."""
        named = {name: getattr(self, name) for name in RATES}
        return self.per.rates({name: rate for name, rate in named.items() if rate is not None})


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[models."NAME"]`: a model that clients may name. No `price` means unpriced."""

    targets: Annotated[tuple[TargetConfig, ...], Meta(min_length=1, max_length=TARGETS_MAX)]
    price: PriceConfig | None = None
    output_tokens_max: TokenCount = OUTPUT_TOKENS_MAX_DEFAULT
    context_tokens: TokenCount | None = None
    attachment_tokens_max: TokenCount = ATTACHMENT_TOKENS_MAX_DEFAULT
    audio_s_max: Annotated[int, Meta(ge=1, le=DURATION_S_MAX)] = AUDIO_S_MAX_DEFAULT
    owned_by: Text = OWNED_BY_DEFAULT
    shutdown_date: Text | None = None
    unsupported: OnLoss = OnLoss.REFUSE
    attributes: Traits = MappingProxyType({})


_ZERO: Final = Fraction(0)

BUILTIN_PRICE: Final = PriceConfig(
    currency="USD",
    per=PricePer.MILLION,
    input=_ZERO,
    output=_ZERO,
    cached_input=_ZERO,
    cache_write=_ZERO,
    cache_write_1h=_ZERO,
    reasoning=_ZERO,
    audio_input=_ZERO,
    audio_output=_ZERO,
    image_input=_ZERO,
    image_output=_ZERO,
)
"""The built-in model costs nothing, and says so."""

BUILTIN_PROVIDERS: Final[Mapping[str, ProviderConfig]] = MappingProxyType(
    {BUILTIN_PROVIDER: ProviderConfig(kind=ProviderKind.LOCAL)}
)
BUILTIN_MODELS: Final[Mapping[str, ModelConfig]] = MappingProxyType(
    {
        BUILTIN_MODEL: ModelConfig(
            targets=(TargetConfig(provider=BUILTIN_PROVIDER, model=BUILTIN_MODEL),),
            price=BUILTIN_PRICE,
            output_tokens_max=BUILTIN_CONTEXT_TOKENS,
            context_tokens=BUILTIN_CONTEXT_TOKENS,
        )
    }
)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. A file that names neither providers nor models gets the built-in one."""

    server: ServerConfig = ServerConfig()
    ledger: LedgerConfig = LedgerConfig()
    limits: LimitsConfig = LimitsConfig()
    storage: StorageConfig = StorageConfig()
    files: FilesConfig = FilesConfig()
    batches: BatchesConfig = BatchesConfig()
    realtime: RealtimeConfig = RealtimeConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    azure: AzureConfig = AzureConfig()
    auth: AuthConfig = AuthConfig()
    agreement: AgreementConfig | None = None
    providers: Mapping[str, ProviderConfig] = BUILTIN_PROVIDERS
    models: Mapping[str, ModelConfig] = BUILTIN_MODELS
