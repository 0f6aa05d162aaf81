"""Azure's control plane by plain HTTP, and what it does to calls on Azure's paths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from openai import APIStatusError, AzureOpenAI, OpenAI, RateLimitError

from tests.support.server import ADMIN_KEY, EntenteServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import Got

GROUP: Final = "/subscriptions/SUB-1/resourceGroups/people"
PROVIDER: Final = "providers/Microsoft.CognitiveServices"
ACCOUNT: Final = f"{GROUP}/{PROVIDER}/accounts/models"
LOCATION: Final = f"/subscriptions/SUB-1/{PROVIDER}/locations/home"
VERSION: Final = "?api-version=2025-06-01"
CONFIG: Final = """
[providers.fake]
kind = "scripted"

[models."gpt-5-mini"]
targets = [{ provider = "fake", model = "renamed" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "2" }
output_tokens_max = 100

[models."gpt-4o"]
targets = [{ provider = "fake", model = "gpt-4o" }]
output_tokens_max = 100

[azure]
subscription = "sub-1"
resource_group = "people"
account = "models"
location = "home"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EntenteServer]:
    """Run a server; what it wrote is checked in the end."""
    with EntenteServer(tmp_path, CONFIG) as running:
        yield running
        running.verify_at_rest()
        assert running.err_log.read_text() == ""


def arm(
    server: EntenteServer,
    method: str,
    path: str = "/deployments",
    body: object = None,
    *,
    key: str | None = ADMIN_KEY,
    version: str = VERSION,
) -> Got:
    """Ask the account."""
    sent = None if body is None else json.dumps(body).encode()
    return server.ask(method, ACCOUNT + path + version, key=key, body=sent)


def wanted(model: str = "gpt-5-mini", *, capacity: int = 10, **fields: Any) -> dict[str, Any]:
    """Write the body of a PUT."""
    named = {"format": "OpenAI", "name": model, "version": "1"}
    sku = {"name": "GlobalStandard", "capacity": capacity}
    return {"sku": sku, "properties": {"model": named, **fields}}


def azure(server: EntenteServer, key: str = ADMIN_KEY) -> AzureOpenAI:
    """Make Azure's own client."""
    return AzureOpenAI(
        api_key=key,
        azure_endpoint=f"http://127.0.0.1:{server.port}",
        api_version="2024-10-21",
        max_retries=0,
    )


def chat(client: OpenAI, model: str, **fields: Any) -> Any:
    """Ask, and give the answer with its headers; the client is done with then."""
    messages: Any = [{"role": "user", "content": "hello"}]
    with client:
        return client.chat.completions.with_raw_response.create(
            model=model, messages=messages, **fields
        )


def test_a_deployment_from_put_to_delete(server: EntenteServer) -> None:
    """It is in force at once, survives a restart, is changed in place, and is gone in the end."""
    made = arm(server, "PUT", "/deployments/My-Chat", wanted())
    assert made.status == 201
    body = made.json
    assert body["id"] == (
        f"/subscriptions/SUB-1/resourceGroups/people/{PROVIDER}/accounts/models/deployments/My-Chat"
    )
    assert body["type"] == "Microsoft.CognitiveServices/accounts/deployments"
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["properties"]["rateLimits"] == [
        {"key": "request", "renewalPeriod": 60, "count": 10},
        {"key": "token", "renewalPeriod": 60, "count": 10_000},
    ]
    answer = chat(azure(server), "My-Chat")
    assert answer.headers["x-ratelimit-limit-tokens"] == "10000"
    assert answer.headers["x-ms-deployment-name"] == "My-Chat"
    assert answer.parse().choices[0].message.content == "hello"
    server.kill()
    server.start()
    assert arm(server, "GET", "/deployments/my-chat").json["name"] == "My-Chat"
    with OpenAI(api_key=ADMIN_KEY, base_url=f"http://127.0.0.1:{server.port}/openai/v1") as client:
        assert chat(client, "My-Chat").headers["x-ratelimit-limit-requests"] == "10"
    changed = arm(server, "PUT", "/deployments/my-chat", wanted(capacity=20))
    assert (changed.status, changed.json["sku"]["capacity"]) == (200, 20)
    assert changed.json["systemData"]["createdAt"] == body["systemData"]["createdAt"]
    again = arm(server, "PUT", "/deployments/my-chat", changed.json)
    assert again.status == 200, "what was read can be sent back"
    assert arm(server, "DELETE", "/deployments/my-chat").status == 200
    assert arm(server, "DELETE", "/deployments/my-chat").status == 204
    with pytest.raises(APIStatusError) as gone:
        chat(azure(server), "My-Chat")
    assert gone.value.status_code == 404
    assert server.ask("POST", "/v1/chat/completions", key=ADMIN_KEY, body=b"{}").status == 400


def test_a_deployment_is_a_name_on_azures_paths_only(server: EntenteServer) -> None:
    """And for those alone who may use its model; the ledger names the model."""
    arm(server, "PUT", "/deployments/mine", wanted())
    assert server.chat(model="mine").status == 404
    stranger = server.make_key(models=("gpt-4o",))
    with pytest.raises(APIStatusError) as refused:
        chat(azure(server, stranger.secret), "mine")
    assert refused.value.status_code == 404
    friend = server.make_key(models=("gpt-5-mini",))
    chat(azure(server, friend.secret), "mine")
    (entry,) = server.settlements(friend)
    assert (entry.model, entry.target) == ("gpt-5-mini", "fake/renamed")


def test_capacity_is_what_all_keys_share(server: EntenteServer) -> None:
    """Beside the limits of each, in Azure's words; other deployments have their own."""
    arm(server, "PUT", "/deployments/small", wanted(capacity=1))
    arm(server, "PUT", "/deployments/other", wanted(capacity=1))
    keys = [server.make_key().secret for _ in range(4)]
    refused = []
    for key in keys:
        try:
            chat(azure(server, key), "small")
        except RateLimitError as error:
            refused.append(error.response)
    assert len(refused) >= 2, "one request a minute, and a minute may begin in between"
    for response in refused:
        assert response.json()["error"]["code"] == "429"
        assert int(response.headers["retry-after"]) <= 60
    chat(azure(server, keys[0]), "gpt-5-mini")
    with pytest.raises(RateLimitError):
        chat(azure(server), "other", max_completion_tokens=2_000)


def test_list_and_models_and_usages(server: EntenteServer) -> None:
    """Models of the configuration are there, for reading; what is deployed is counted."""
    arm(server, "PUT", "/deployments/b", wanted(capacity=30))
    arm(server, "PUT", "/deployments/a", wanted("gpt-4o", capacity=5))
    listed = arm(server, "GET").json["value"]
    assert [each["name"] for each in listed] == ["a", "b", "gpt-4o", "gpt-5-mini"]
    tags = [each.get("tags") for each in listed]
    assert tags == [None, None, *[{"managed-by": "entente.toml"}] * 2]
    for path in (f"{ACCOUNT}/models", f"{LOCATION}/models"):
        models = server.get(path + VERSION, key=ADMIN_KEY).json["value"]
        names = [each.get("model", each)["name"] for each in models]
        assert sorted(names) == ["gpt-4o", "gpt-5-mini"]
    for path in (f"{ACCOUNT}/usages", f"{LOCATION}/usages"):
        usages = server.get(path + VERSION, key=ADMIN_KEY).json["value"]
        used = {each["name"]["value"]: each["currentValue"] for each in usages}
        assert used["OpenAI.GlobalStandard.gpt-5-mini"] == 30
        assert used["OpenAI.Standard.gpt-5-mini"] == 0


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("d", wanted("unknown"), 400, "DeploymentModelNotSupported"),
        ("gpt-4o", wanted(), 409, "ReadOnlyDeployment"),
        ("GPT-4O", wanted(), 409, "ReadOnlyDeployment"),
        ("-bad", wanted(), 400, "InvalidResourceName"),
        ("d", wanted(capacity=0), 400, "InvalidRequestContent"),
        ("d", wanted(raiPolicyName="mine"), 400, "InvalidRequestContent"),
        ("d", {"properties": {}}, 400, "InvalidRequestContent"),
        (
            "d",
            {**wanted(), "sku": {"name": "ProvisionedManaged"}},
            400,
            "InvalidResourceProperties",
        ),
    ],
)
def test_what_cannot_be_deployed(
    server: EntenteServer, name: str, body: object, status: int, code: str
) -> None:
    """With Resource Manager's error body; nothing is kept."""
    refused = arm(server, "PUT", f"/deployments/{name}", body)
    assert (refused.status, refused.error["code"]) == (status, code)
    assert refused.error["message"]
    assert len(arm(server, "GET").json["value"]) == 2


def test_quota(server: EntenteServer) -> None:
    """All deployments of a model together have a bound, to which a change counts once."""
    assert arm(server, "PUT", "/deployments/a", wanted(capacity=900_000)).status == 201
    refused = arm(server, "PUT", "/deployments/b", wanted(capacity=200_000))
    assert (refused.status, refused.error["code"]) == (400, "InsufficientQuota")
    assert arm(server, "PUT", "/deployments/a", wanted(capacity=1_000_000)).status == 200


def test_who_and_where(server: EntenteServer) -> None:
    """Admins only, on this account only, with a version; nothing else is told."""
    member = server.make_key().secret
    for key, status, code in (
        (None, 401, "AuthenticationFailed"),
        ("wrong", 401, "AuthenticationFailed"),
        (member, 403, "AuthorizationFailed"),
    ):
        refused = arm(server, "GET", key=key)
        assert (refused.status, refused.error["code"]) == (status, code)
        assert arm(server, "PUT", "/deployments/d", wanted(), key=key).status == status
    for version, code in (
        ("", "MissingApiVersionParameter"),
        ("?api-version=v1", "InvalidApiVersionParameter"),
    ):
        refused = arm(server, "GET", version=version)
        assert (refused.status, refused.error["code"]) == (400, code)
    for path, status, code in (
        (ACCOUNT.replace("SUB-1", "other") + "/deployments", 404, "SubscriptionNotFound"),
        (ACCOUNT.replace("people", "other") + "/models", 404, "ResourceGroupNotFound"),
        (ACCOUNT + "x/usages", 404, "ResourceNotFound"),
        (LOCATION + "x/usages", 404, "LocationNotFound"),
        (ACCOUNT + "/deployments/none", 404, "ResourceNotFound"),
        (ACCOUNT + "/nothing", 404, "NotFound"),
    ):
        missing = server.get(path + VERSION, key=ADMIN_KEY)
        assert (missing.status, missing.error["code"]) == (status, code), path
        assert "x-ms-request-id" in missing.headers
    shouted = ACCOUNT.replace("resourceGroups", "RESOURCEGROUPS").replace("models", "MODELS")
    assert server.get(shouted + "/Deployments" + VERSION, key=ADMIN_KEY).status == 200
    refused = arm(server, "POST", "/deployments/d", wanted())
    assert (refused.status, refused.error["code"]) == (405, "MethodNotAllowed")
