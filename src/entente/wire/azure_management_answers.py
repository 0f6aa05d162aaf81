"""Azure's control plane for accounts: what a client is told, as bodies and errors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from entente.domain.errors import (
    AuthenticationError,
    BodyTimeout,
    BodyTooLarge,
    EntenteError,
    InvalidParameter,
    InvalidToken,
    LedgerError,
    LimitError,
    MalformedJson,
    MethodNotAllowed,
    ModelNotFound,
    ObjectNotFound,
    Overloaded,
    PermissionDenied,
    RequestError,
    StorageUnavailable,
    UnknownRoute,
)
from entente.wire.azure_management import (
    CAPACITY_MAX,
    SKUS,
    Deployment,
    ModelId,
    Place,
    limits_of,
)
from entente.wire.openai_errors import OVERLOADED_RETRY_MS, ErrorReply

RENEWAL_S: Final = 60
"""Limits are per minute, both of them."""
TYPE: Final = "Microsoft.CognitiveServices/accounts/deployments"
_MS_PER_S: Final = 1_000


class AvailableModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be deployed, and how far."""

    model: ModelId
    capabilities: tuple[str, ...] = ("chatCompletion",)
    retires: str | None = None
    """When it is no longer served, as RFC 3339; None for no such date."""
    capacity_max: int = CAPACITY_MAX


class QuotaUse(msgspec.Struct, frozen=True):
    """How much of a model's quota is deployed, in units of capacity."""

    sku: str
    model: str
    used: int
    limit: int


def write_deployment(place: Place, deployment: Deployment) -> bytes:
    """Write one deployment. `place` may be its own or that of the list."""
    return msgspec.json.encode(_deployment(place, deployment))


def write_deployments(place: Place, deployments: Iterable[Deployment]) -> bytes:
    """Write the list of an account's deployments, whole: there is no next page."""
    return msgspec.json.encode({"value": [_deployment(place, each) for each in deployments]})


def _deployment(place: Place, deployment: Deployment) -> Mapping[str, object]:
    own = msgspec.structs.replace(place, collection="deployments", name=deployment.name)
    limits = limits_of(deployment)
    model = {"format": deployment.model.format, "name": deployment.model.name}
    if deployment.model.version:
        model["version"] = deployment.model.version
    managed = {"tags": {"managed-by": "entente.toml"}} if deployment.read_only else {}
    return {
        "id": own.id,
        "type": TYPE,
        "name": deployment.name,
        "sku": {"name": deployment.sku.name, "capacity": deployment.sku.capacity},
        "properties": {
            "model": model,
            "versionUpgradeOption": deployment.version_upgrade,
            "currentCapacity": deployment.sku.capacity,
            "provisioningState": "Succeeded",
            "rateLimits": [
                _rate("request", limits.requests_per_minute),
                _rate("token", limits.tokens_per_minute),
            ],
        },
        "systemData": {
            "createdAt": _moment(deployment.created_ns),
            "lastModifiedAt": _moment(deployment.changed_ns),
        },
        **managed,
    }


def _rate(key: str, count: int) -> Mapping[str, object]:
    return {"key": key, "renewalPeriod": RENEWAL_S, "count": count}


def _moment(time_ns: int) -> str:
    """Write a time as RFC 3339, to the microsecond."""
    return (
        datetime.fromtimestamp(time_ns // 1_000 / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    )


def write_models(place: Place, models: Iterable[AvailableModel]) -> bytes:
    """Write the models that can be deployed: for an account, or wrapped for a location."""
    listed = [_model(each) for each in models]
    if place.account is None:
        wrapped = [{"kind": "OpenAI", "skuName": "S0", "model": each} for each in listed]
        return msgspec.json.encode({"value": wrapped})
    return msgspec.json.encode({"value": listed})


def _model(available: AvailableModel) -> Mapping[str, object]:
    capacity = {"minimum": 1, "maximum": available.capacity_max, "step": 1, "default": 1}
    found: dict[str, object] = {
        "format": available.model.format,
        "name": available.model.name,
        "version": available.model.version,
        "isDefaultVersion": True,
        "skus": [
            {"name": sku, "usageName": _usage(sku, available.model.name), "capacity": capacity}
            for sku in sorted(SKUS)
        ],
        "maxCapacity": available.capacity_max,
        "capabilities": dict.fromkeys(available.capabilities, "true"),
        "lifecycleStatus": "GenerallyAvailable",
    }
    if available.retires is not None:
        found["deprecation"] = {"inference": available.retires}
    return found


def write_usages(quotas: Iterable[QuotaUse]) -> bytes:
    """Write how much of each quota is deployed."""
    listed = [
        {
            "name": {
                "value": _usage(quota.sku, quota.model),
                "localizedValue": (f"Tokens Per Minute (thousands) - {quota.model} - {quota.sku}"),
            },
            "unit": "Count",
            "currentValue": quota.used,
            "limit": quota.limit,
        }
        for quota in quotas
    ]
    return msgspec.json.encode({"value": listed})


def _usage(sku: str, model: str) -> str:
    """Name a quota as Azure does."""
    return f"OpenAI.{sku}.{model}"


# ---- errors ----

ERRORS: Final[Mapping[type[EntenteError], tuple[int, str]]] = {
    RequestError: (400, "BadRequest"),
    ObjectNotFound: (404, "ResourceNotFound"),
    MalformedJson: (400, "InvalidRequestContent"),
    BodyTooLarge: (413, "RequestEntityTooLarge"),
    BodyTimeout: (408, "RequestTimeout"),
    UnknownRoute: (404, "NotFound"),
    MethodNotAllowed: (405, "MethodNotAllowed"),
    AuthenticationError: (401, "AuthenticationFailed"),
    InvalidToken: (401, "InvalidAuthenticationToken"),
    PermissionDenied: (403, "AuthorizationFailed"),
    ModelNotFound: (404, "ResourceNotFound"),
    LimitError: (429, "TooManyRequests"),
    LedgerError: (503, "ServiceUnavailable"),
    StorageUnavailable: (503, "ServiceUnavailable"),
    Overloaded: (503, "ServiceUnavailable"),
    EntenteError: (500, "InternalServerError"),
}
"""Status and code by class; a class without a row takes the row of its nearest base."""
_CONFLICTS: Final = {"ReadOnlyDeployment": 409}
"""Statuses of codes that are about the state of a resource."""


def render(error: EntenteError) -> ErrorReply:
    """Write an error as Azure Resource Manager would."""
    status, code = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    headers: list[tuple[bytes, bytes]] = []
    body: dict[str, object] = {"code": code, "message": error.message}
    retry_after_ms = None
    match error:
        case InvalidParameter():
            body["code"] = error.code or code
            status = _CONFLICTS.get(error.code or "", status)
            if error.param is not None:
                body["target"] = error.param
        case MethodNotAllowed():
            headers.append((b"allow", ", ".join(error.allow).encode()))
        case LimitError():
            retry_after_ms = error.retry_after_ms
        case LedgerError() | StorageUnavailable() | Overloaded():
            retry_after_ms = OVERLOADED_RETRY_MS
    if retry_after_ms is not None:
        headers.append((b"retry-after", b"%d" % -(-retry_after_ms // _MS_PER_S)))
    return ErrorReply(status, tuple(headers), msgspec.json.encode({"error": body}))
