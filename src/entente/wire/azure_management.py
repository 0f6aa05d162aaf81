"""Azure's control plane for accounts: its paths, and what a client asks of a deployment. Pure.

    /subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.CognitiveServices
        /accounts/{a}/deployments[/{d}]    list, get, put, delete
        /accounts/{a}/models               list
        /accounts/{a}/usages               list
    /subscriptions/{s}/providers/Microsoft.CognitiveServices
        /locations/{l}/models|usages       list

Azure Resource Manager reads the fixed words of a path in any case. A deployment's capacity
stands for limits per minute. What a client asks of a deployment that is not done here is
refused, not kept and forgotten; what only we may say is ignored in what it sends, because
clients send back what they have read. What a client is told is in
`wire.azure_management_answers`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from entente.domain.errors import InvalidParameter, MalformedJson, UnknownRoute
from entente.wire.azure import QUERY_FIELDS_MAX, is_dated

PREFIX: Final = "/subscriptions/"
FIRST_VERSION: Final = date(2023, 5, 1)
"""The first that knows of quota."""
PART_CHARS_MAX: Final = 260
CAPACITY_MAX: Final = 1_000_000
TOKENS_PER_CAPACITY: Final = 1_000
REASON_CHARS_MAX: Final = 500

SKUS: Final = frozenset(
    {"Standard", "GlobalStandard", "DataZoneStandard", "GlobalBatch", "DataZoneBatch"}
)
"""Deployments that are limited by tokens per minute. Provisioned throughput is not."""
UPGRADES: Final = frozenset(
    {"OnceNewDefaultVersionAvailable", "OnceCurrentVersionExpired", "NoAutoUpgrade"}
)
_REQUESTS: Final = (
    (("o1-mini", "o3-mini", "o3-pro"), 1, 10),
    (("o1",), 1, 6),
    (("gpt-35-turbo", "gpt-3.5-turbo", "gpt-4o", "text-embedding-"), 6, 1),
)
"""Requests a minute that so much capacity brings, by the start of the model's name."""
_OLD_CHAT: Final = re.compile(r"gpt-4(?:-[a-z0-9-]+)?")
_PART: Final = rf"[^/\x00-\x1f\x7f]{{1,{PART_CHARS_MAX}}}"
_ACCOUNT: Final = re.compile(
    rf"/subscriptions/({_PART})/resourceGroups/({_PART})/providers/Microsoft\.CognitiveServices"
    rf"/accounts/({_PART})/(deployments|models|usages)(?:/({_PART}))?",
    re.IGNORECASE,
)
_LOCATION: Final = re.compile(
    rf"/subscriptions/({_PART})/providers/Microsoft\.CognitiveServices"
    rf"/locations/({_PART})/(models|usages)",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a path of the control plane is about."""

    collection: str
    """`deployments`, `models` or `usages`."""
    subscription: str
    resource_group: str | None = None
    account: str | None = None
    location: str | None = None
    name: str | None = None
    """One deployment; None for the list."""

    @property
    def id(self) -> str:
        """The resource's id, in the case that Azure writes."""
        parts = [f"/subscriptions/{self.subscription}"]
        if self.account is not None:
            parts.append(f"resourceGroups/{self.resource_group}")
        parts.append("providers/Microsoft.CognitiveServices")
        within = f"accounts/{self.account}" if self.account else f"locations/{self.location}"
        parts += [within, self.collection, *([self.name] if self.name else [])]
        return "/".join(parts)


class Sku(msgspec.Struct, frozen=True):
    """How a deployment is sold, and how much of it."""

    name: str
    capacity: int = 1


class ModelId(msgspec.Struct, frozen=True):
    """A model as Azure names it."""

    format: str
    name: str
    version: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as a store keeps it. Times are nanoseconds since 1970."""

    name: str
    sku: Sku
    model: ModelId
    version_upgrade: str = "NoAutoUpgrade"
    created_ns: int
    changed_ns: int
    read_only: bool = False
    """It is one of the configuration's."""


class DeploymentLimits(msgspec.Struct, frozen=True):
    """What a capacity allows, in any minute."""

    tokens_per_minute: int
    requests_per_minute: int


def locate(path: str, query: str) -> Place:
    """Read a path, percent-decoded, and the query of a URL as it was sent.

    Raises UnknownRoute, or InvalidParameter for an `api-version` that is missing or none.
    """
    place = _place(path)
    if place is None:
        raise UnknownRoute("The resource path is not one that is served here.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        pairs = []
    versions = {value for name, value in pairs if name.lower() == "api-version"}
    if not versions - {""}:
        raise InvalidParameter(
            "The api-version query parameter (?api-version=) is required for all requests.",
            param=None,
            code="MissingApiVersionParameter",
        )
    if len(versions) > 1 or not is_dated(versions.pop(), since=FIRST_VERSION):
        raise InvalidParameter(
            "The api-version is invalid: it must be a date from "
            f"{FIRST_VERSION} on, such as 2025-06-01.",
            param=None,
            code="InvalidApiVersionParameter",
        )
    return place


def is_management(path: str) -> bool:
    """Say whether a path belongs to the control plane."""
    return path[: len(PREFIX)].lower() == PREFIX


def route_of(path: str) -> str:
    """Give a path as the route table has it, its fixed words in Azure's own case."""
    place = _place(path)
    return place.id if place is not None else path


def _place(path: str) -> Place | None:
    """Read a path, None if it is not one of ours."""
    match = _ACCOUNT.fullmatch(path)
    if match is not None:
        subscription, group, account, collection, name = match.groups()
        if name is not None and collection.lower() != "deployments":
            return None
        return Place(
            collection=collection.lower(),
            subscription=subscription,
            resource_group=group,
            account=account,
            name=name,
        )
    match = _LOCATION.fullmatch(path)
    if match is None:
        return None
    subscription, location, collection = match.groups()
    return Place(collection=collection.lower(), subscription=subscription, location=location)


# ---- what a client asks for ----

_Text = Annotated[str, Meta(min_length=1, max_length=PART_CHARS_MAX)]


class _AskedSku(msgspec.Struct):
    name: _Text
    capacity: Annotated[int, Meta(ge=1, le=CAPACITY_MAX)] | None = None


class _AskedModel(msgspec.Struct, forbid_unknown_fields=True):
    format: _Text
    name: _Text
    version: str | None = None
    source: None = None
    publisher: None = None


class _AskedProperties(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Members without a use here may be null or as they were read, nothing else."""

    model: _AskedModel
    version_upgrade_option: str | None = None
    dynamic_throttling_enabled: bool | None = None
    rai_policy_name: None = None
    spillover_deployment_name: None = None
    parent_deployment_name: None = None
    provisioning_state: Any = None
    rate_limits: Any = None
    call_rate_limit: Any = None
    current_capacity: Any = None
    capabilities: Any = None


class _Asked(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    sku: _AskedSku
    properties: _AskedProperties
    id: Any = None
    name: Any = None
    type: Any = None
    etag: Any = None
    system_data: Any = None
    tags: Annotated[dict[str, str], Meta(max_length=0)] | None = None


_asked_decoder = msgspec.json.Decoder(_Asked)


def read_deployment(place: Place, body: bytes, *, created_ns: int, now_ns: int) -> Deployment:
    """Read the body of a PUT. `created_ns` is the present deployment's, or now.

    Raises MalformedJson, or InvalidParameter with ARM's code.
    """
    name = place.name or ""
    if not _NAME.fullmatch(name):
        message = "A deployment's name has 1 to 64 letters, digits, '-', '_' or '.'."
        raise InvalidParameter(message, param="name", code="InvalidResourceName")
    try:
        asked = _asked_decoder.decode(body)
    except msgspec.ValidationError as error:
        message = f"The request content is not valid: {str(error)[:REASON_CHARS_MAX]}."
        raise InvalidParameter(message, param=None, code="InvalidRequestContent") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson("The request content is not valid JSON.") from None
    wanted = asked.properties
    if asked.sku.name not in SKUS:
        message = (
            f"The specified SKU '{asked.sku.name}' for account deployment '{name}' is not "
            f"supported here. Supported: {', '.join(sorted(SKUS))}."
        )
        raise InvalidParameter(message, param="sku.name", code="InvalidResourceProperties")
    if wanted.dynamic_throttling_enabled:
        message = "Dynamic throttling is not supported here: leave it out."
        param = "properties.dynamicThrottlingEnabled"
        raise InvalidParameter(message, param=param, code="InvalidResourceProperties")
    upgrade = wanted.version_upgrade_option or "NoAutoUpgrade"
    if upgrade not in UPGRADES:
        message = f"The version upgrade option must be one of {', '.join(sorted(UPGRADES))}."
        param = "properties.versionUpgradeOption"
        raise InvalidParameter(message, param=param, code="InvalidResourceProperties")
    return Deployment(
        name=name,
        sku=Sku(asked.sku.name, asked.sku.capacity or 1),
        model=ModelId(wanted.model.format, wanted.model.name, wanted.model.version or ""),
        version_upgrade=upgrade,
        created_ns=created_ns,
        changed_ns=now_ns,
    )


def limits_of(deployment: Deployment) -> DeploymentLimits:
    """Give what a deployment's capacity allows: 1 is a thousand tokens a minute.

    How many requests come with it depends on the model: six with older chat models and
    embeddings, one with newer ones, fewer with those that think for long.
    """
    capacity, name = deployment.sku.capacity, deployment.model.name.lower()
    times, per = 6 if _OLD_CHAT.fullmatch(name) else 1, 1
    for starts, some_times, some_per in _REQUESTS:
        if name.startswith(starts):
            times, per = some_times, some_per
            break
    return DeploymentLimits(capacity * TOKENS_PER_CAPACITY, max(capacity * times // per, 1))
