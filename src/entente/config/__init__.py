"""The configuration: `entente.toml`, read once into frozen values.

    config = load(find(None, Path.cwd()), environ)

`load` raises one ConfigProblems (a ConfigError) that names every problem with its file,
line, setting and remedy. Nothing here reads the process's environment by itself.
"""

from entente.config.load import CONFIG_NAME, ConfigProblems, find, load
from entente.config.model import (
    BUILTIN_PROVIDER,
    WORKERS_MAX,
    AgreementConfig,
    AgreementMode,
    AuthConfig,
    AzureConfig,
    BatchesConfig,
    Config,
    FilesConfig,
    IssuerConfig,
    LedgerConfig,
    LimitsConfig,
    MetricsAccess,
    ModelConfig,
    PriceConfig,
    ProviderConfig,
    ProviderKind,
    RealtimeConfig,
    ServerConfig,
    StorageConfig,
    TargetConfig,
    Validation,
)
from entente.config.problems import Problem
from entente.config.rules import against_workers
from entente.engine.model import BUILTIN_MODEL
from entente.metering.units import PricePer

__all__ = [
    "BUILTIN_MODEL",
    "BUILTIN_PROVIDER",
    "CONFIG_NAME",
    "WORKERS_MAX",
    "AgreementConfig",
    "AgreementMode",
    "AuthConfig",
    "AzureConfig",
    "BatchesConfig",
    "Config",
    "ConfigProblems",
    "FilesConfig",
    "IssuerConfig",
    "LedgerConfig",
    "LimitsConfig",
    "MetricsAccess",
    "ModelConfig",
    "PriceConfig",
    "PricePer",
    "Problem",
    "ProviderConfig",
    "ProviderKind",
    "RealtimeConfig",
    "ServerConfig",
    "StorageConfig",
    "TargetConfig",
    "Validation",
    "against_workers",
    "find",
    "load",
]
