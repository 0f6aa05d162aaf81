"""Azure's control plane: paths, what is asked of a deployment, and what is told of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain import errors
from entente.domain.errors import (
    EntenteError,
    InvalidParameter,
    InvalidToken,
    MalformedJson,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    UnknownRoute,
)
from entente.wire.azure_management import (
    SKUS,
    Deployment,
    DeploymentLimits,
    ModelId,
    Place,
    Sku,
    limits_of,
    locate,
    read_deployment,
)
from entente.wire.azure_management_answers import (
    AvailableModel,
    QuotaUse,
    render,
    write_deployment,
    write_deployments,
    write_models,
    write_usages,
)
from tests.kit.run import PROPERTY

GA = "api-version=2025-06-01"
ACCOUNT = (
    "/subscriptions/sub-1/resourceGroups/rg 1/providers/Microsoft.CognitiveServices/accounts/acct"
)
PLACES = "/subscriptions/sub-1/providers/Microsoft.CognitiveServices/locations/eastus2"
ONE = Place(
    collection="deployments",
    subscription="sub-1",
    resource_group="rg 1",
    account="acct",
    name="gpt-4o",
)
LIST = msgspec.structs.replace(ONE, name=None)
NOW_NS = 1_790_000_000_123_456_789

ASKED: dict[str, Any] = {
    "sku": {"name": "GlobalStandard", "capacity": 120},
    "properties": {"model": {"format": "OpenAI", "name": "gpt-4.1-mini", "version": "2025-04-14"}},
}


def deployment(name: str = "gpt-4.1-mini", capacity: int = 120) -> Deployment:
    """Give a deployment of a model."""
    return Deployment(
        name="gpt-4o",
        sku=Sku("Standard", capacity),
        model=ModelId("OpenAI", name, "2025-04-14"),
        created_ns=NOW_NS,
        changed_ns=NOW_NS,
    )


def ask(change: dict[str, Any] | None = None, *, name: str = "gpt-4o") -> Deployment:
    """Read a PUT of the usual body with members of it changed."""
    body = {**ASKED, **(change or {})}
    place = msgspec.structs.replace(ONE, name=name)
    return read_deployment(place, json.dumps(body).encode(), created_ns=1, now_ns=NOW_NS)


# ---- paths ----


def test_paths_are_read_and_written() -> None:
    """Each becomes a place, and the place writes the same path again."""
    for path, place in {
        f"{ACCOUNT}/deployments/gpt-4o": ONE,
        f"{ACCOUNT}/deployments": LIST,
        f"{ACCOUNT}/models": msgspec.structs.replace(LIST, collection="models"),
        f"{ACCOUNT}/usages": msgspec.structs.replace(LIST, collection="usages"),
        f"{PLACES}/usages": Place(collection="usages", subscription="sub-1", location="eastus2"),
        f"{PLACES}/models": Place(collection="models", subscription="sub-1", location="eastus2"),
    }.items():
        assert locate(path, GA) == place
        assert place.id == path
        assert locate(path.replace("resourceGroups", "RESOURCEGROUPS"), GA) == place
        assert locate(path.replace("Microsoft", "microsoft"), GA) == place


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/openai/models",
        ACCOUNT,
        f"{ACCOUNT}/",
        f"{ACCOUNT}/deployments/",
        f"{ACCOUNT}/deployments/a/b",
        f"{ACCOUNT}/models/a",
        f"{ACCOUNT}/raiPolicies",
        f"{PLACES}/deployments",
        f"{ACCOUNT}/deployments/a\nb",
        f"{ACCOUNT}/deployments/{'a' * 261}",
        ACCOUNT.replace("Microsoft.", "Microsoft-") + "/models",
    ],
)
def test_other_paths_are_unknown(path: str) -> None:
    """Whatever they are."""
    with pytest.raises(UnknownRoute):
        locate(path, GA)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MissingApiVersionParameter"),
        ("api-version=", "MissingApiVersionParameter"),
        ("&".join(["a=b"] * 65), "MissingApiVersionParameter"),
        ("api-version=v1", "InvalidApiVersionParameter"),
        ("api-version=2023-04-30", "InvalidApiVersionParameter"),
        (f"{GA}&api-version=2024-10-01", "InvalidApiVersionParameter"),
    ],
)
def test_versions_are_demanded(query: str, code: str) -> None:
    """In ARM's own words for the code."""
    with pytest.raises(InvalidParameter) as caught:
        locate(f"{ACCOUNT}/models", query)
    reply = render(caught.value)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, code)
    assert locate(f"{ACCOUNT}/models", "API-Version=2023-05-01-preview").collection == "models"


@PROPERTY
@given(st.text(max_size=60), st.text(max_size=40))
def test_any_path_is_a_place_or_a_refusal(path: str, query: str) -> None:
    """And a place leads back to itself."""
    for asked in (path, f"{ACCOUNT}/deployments/{path}", f"{PLACES}/{path}"):
        try:
            place = locate(asked, f"{GA}&{query}")
        except EntenteError as error:
            assert isinstance(error, UnknownRoute | InvalidParameter)  # noqa: PT017
        else:
            assert locate(place.id, GA) == place


# ---- what is asked ----


def test_a_deployment_is_asked_for() -> None:
    """As the vendor's command line and library write it."""
    assert ask() == Deployment(
        name="gpt-4o",
        sku=Sku("GlobalStandard", 120),
        model=ModelId("OpenAI", "gpt-4.1-mini", "2025-04-14"),
        created_ns=1,
        changed_ns=NOW_NS,
    )
    assert ask({"sku": {"name": "Standard"}}).sku.capacity == 1
    kept = ask({"properties": {**ASKED["properties"], "versionUpgradeOption": "NoAutoUpgrade"}})
    assert kept.version_upgrade == "NoAutoUpgrade"


def test_what_was_read_can_be_sent_back() -> None:
    """A client reads, changes the capacity, and writes; what only we say is ignored."""
    read = json.loads(write_deployment(ONE, deployment()))
    read["sku"]["capacity"] = 7
    read["properties"]["raiPolicyName"] = None
    assert ask(read).sku.capacity == 7


PROPERTIES = ASKED["properties"]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "provisioned": ({"sku": {"name": "ProvisionedManaged", "capacity": 15}}, "SKU"),
    "no sku": ({"sku": None}, "sku"),
    "no capacity": ({"sku": {"name": "Standard", "capacity": 0}}, "capacity"),
    "capacity as text": ({"sku": {"name": "Standard", "capacity": "1"}}, "capacity"),
    "endless": ({"sku": {"name": "Standard", "capacity": 10**7}}, "capacity"),
    "no model": ({"properties": {}}, "model"),
    "no name": ({"properties": {"model": {"format": "OpenAI", "name": ""}}}, "name"),
    "a policy": ({"properties": {**PROPERTIES, "raiPolicyName": "strict"}}, "raiPolicyName"),
    "spillover": (
        {"properties": {**PROPERTIES, "spilloverDeploymentName": "x"}},
        "spilloverDeploymentName",
    ),
    "throttling": ({"properties": {**PROPERTIES, "dynamicThrottlingEnabled": True}}, "throttling"),
    "upgrade": ({"properties": {**PROPERTIES, "versionUpgradeOption": "Daily"}}, "upgrade"),
    "an unknown property": ({"properties": {**PROPERTIES, "x" * 9000: 1}}, "unknown field"),
    "tags": ({"tags": {"team": "a"}}, "tags"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_done_is_refused(name: str) -> None:
    """Not kept and forgotten; the message says where, and is bounded."""
    change, word = REFUSED[name]
    with pytest.raises(InvalidParameter, match=word) as caught:
        ask(change)
    reply = render(caught.value)
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["code"].startswith("Invalid")
    assert len(reply.body) < 1_000


def test_bodies_and_names_that_are_none() -> None:
    """No JSON, no object, no name."""
    for body in (b"", b"{", b"\xff", b"[" * 5000):
        with pytest.raises((MalformedJson, InvalidParameter)):
            read_deployment(ONE, body, created_ns=1, now_ns=1)
    for name in ("-x", "a/b", "ü", "a" * 65, ""):
        with pytest.raises(InvalidParameter, match="name"):
            ask(name=name)


@pytest.mark.parametrize(
    ("model", "capacity", "tokens", "requests"),
    [
        ("gpt-4.1-mini", 120, 120_000, 120),
        ("gpt-4o", 10, 10_000, 60),
        ("gpt-4o-mini", 1, 1_000, 6),
        ("gpt-4", 2, 2_000, 12),
        ("gpt-4-32k", 2, 2_000, 12),
        ("gpt-35-turbo", 3, 3_000, 18),
        ("text-embedding-3-large", 5, 5_000, 30),
        ("o3", 4, 4_000, 4),
        ("o4-mini", 4, 4_000, 4),
        ("o3-mini", 100, 100_000, 10),
        ("o3-mini", 1, 1_000, 1),
        ("O1-Mini", 20, 20_000, 2),
        ("o1", 12, 12_000, 2),
        ("gpt-5", 1_000_000, 1_000_000_000, 1_000_000),
    ],
)
def test_capacity_is_limits(model: str, capacity: int, tokens: int, requests: int) -> None:
    """The first row is a recorded answer's limits."""
    assert limits_of(deployment(model, capacity)) == DeploymentLimits(tokens, requests)


# ---- what is told: slim schemas of the vendor's library, which knows no other members ----


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class _Sku(_Strict):
    name: str
    capacity: int


class _Rate(_Strict):
    key: str
    renewal_period: float
    count: float


class _Model(_Strict):
    format: str
    name: str
    version: str | None = None


class _Properties(_Strict):
    model: _Model
    version_upgrade_option: str
    current_capacity: int
    provisioning_state: str
    rate_limits: list[_Rate]


class _System(_Strict):
    created_at: str
    last_modified_at: str


class _Deployment(_Strict):
    id: str
    type: str
    name: str
    sku: _Sku
    properties: _Properties
    system_data: _System


class _Capacity(_Strict):
    minimum: int
    maximum: int
    step: int
    default: int


class _ModelSku(_Strict):
    name: str
    usage_name: str
    capacity: _Capacity


class _Deprecation(_Strict):
    inference: str


class _AccountModel(_Strict):
    format: str
    name: str
    version: str
    is_default_version: bool
    skus: list[_ModelSku]
    max_capacity: int
    capabilities: dict[str, str]
    lifecycle_status: str
    deprecation: _Deprecation | None = None


class _LocationModel(_Strict):
    kind: str
    sku_name: str
    model: _AccountModel


class _MetricName(_Strict):
    value: str
    localized_value: str


class _Usage(_Strict):
    name: _MetricName
    unit: str
    current_value: float
    limit: float


def _value(body: bytes, kind: Any) -> list[Any]:
    """Read a list as the vendor's library does."""
    listed = msgspec.json.decode(body, type=dict[str, list[kind]])
    assert list(listed) == ["value"]
    return listed["value"]


def test_a_deployment_is_told() -> None:
    """Id, sku, model, state, and the limits that are really kept."""
    told = msgspec.json.decode(write_deployment(LIST, deployment()), type=_Deployment)
    assert told.id == f"{ACCOUNT}/deployments/gpt-4o"
    assert told.type == "Microsoft.CognitiveServices/accounts/deployments"
    assert (told.name, told.sku.name, told.sku.capacity) == ("gpt-4o", "Standard", 120)
    assert told.properties.provisioning_state == "Succeeded"
    assert [(r.key, r.renewal_period, r.count) for r in told.properties.rate_limits] == [
        ("request", 60, 120),
        ("token", 60, 120_000),
    ]
    assert told.system_data.created_at == "2026-09-21T14:13:20.123456Z"
    assert write_deployment(ONE, deployment()) == write_deployment(LIST, deployment())
    (one,) = _value(write_deployments(LIST, [deployment()]), _Deployment)
    assert one == told
    assert _value(write_deployments(LIST, []), _Deployment) == []
    bare = msgspec.structs.replace(deployment(), model=ModelId("OpenAI", "m"))
    assert b'"version"' not in write_deployment(ONE, bare)


def test_models_are_told() -> None:
    """Plain for an account; for a location wrapped in their kind."""
    model = AvailableModel(
        model=ModelId("OpenAI", "gpt-4o", "2024-11-20"), retires="2027-01-01T00:00:00Z"
    )
    place = locate(f"{ACCOUNT}/models", GA)
    (plain,) = _value(write_models(place, [model]), _AccountModel)
    assert plain.capabilities == {"chatCompletion": "true"}
    assert plain.deprecation == _Deprecation("2027-01-01T00:00:00Z")
    assert {sku.name for sku in plain.skus} == SKUS
    assert plain.skus[0].usage_name.startswith("OpenAI.")
    (wrapped,) = _value(write_models(locate(f"{PLACES}/models", GA), [model]), _LocationModel)
    assert (wrapped.kind, wrapped.sku_name, wrapped.model) == ("OpenAI", "S0", plain)


def test_usages_are_told() -> None:
    """In units of capacity, by the name that models have for their quota."""
    (usage,) = _value(write_usages([QuotaUse("Standard", "gpt-4o", 10, 240)]), _Usage)
    assert usage.name.value == "OpenAI.Standard.gpt-4o"
    assert (usage.unit, usage.current_value, usage.limit) == ("Count", 10, 240)


# ---- errors ----


def _tree(kind: type[EntenteError] = EntenteError) -> Iterator[type[EntenteError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _tree(each)


@pytest.mark.parametrize("kind", list(_tree()), ids=lambda kind: kind.__name__)
def test_every_error_renders(kind: type[EntenteError]) -> None:
    """In ARM's form: a code and a message, and a target where there is one."""
    values: dict[str, Any] = {
        "message": "m",
        "param": "sku",
        "code": None,
        "allow": ("GET",),
        "model": "x",
        "retry_after_ms": 1_500,
        "unit": "tokens",
        "phase": "idle",
        "clauses": ("X1",),
        "operation": "embeddings",
    }
    wanted = inspect.signature(kind.__init__).parameters
    reply = render(kind(**{name: value for name, value in values.items() if name in wanted}))
    error = json.loads(reply.body)["error"]
    assert error.keys() - {"target"} == {"code", "message"}
    assert all(isinstance(value, str) and value for value in error.values())
    assert 400 <= reply.status < 600


def test_errors_of_the_wire() -> None:
    """Statuses, codes and waits that clients act on."""
    for error, status, code in (
        (InvalidToken("m"), 401, "InvalidAuthenticationToken"),
        (PermissionDenied("m"), 403, "AuthorizationFailed"),
        (ModelNotFound("m"), 404, "ResourceNotFound"),
        (RateLimited("m", unit="requests", retry_after_ms=1_500), 429, "TooManyRequests"),
    ):
        reply = render(error)
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (status, code)
    limited = RateLimited("m", unit="requests", retry_after_ms=1_500)
    assert dict(render(limited).headers) == {b"retry-after": b"2"}
    assert dict(render(Overloaded("m")).headers) == {b"retry-after": b"1"}
