"""Azure's error bodies, in the words that its clients know."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from entente.domain import errors
from entente.domain.errors import (
    BudgetExceeded,
    EntenteError,
    InvalidKey,
    InvalidParameter,
    InvalidToken,
    IssuerUnavailable,
    MalformedJson,
    MethodNotAllowed,
    MissingKey,
    ModelNotFound,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
    UnknownRoute,
    UpstreamTimeout,
)
from entente.wire import openai_errors
from entente.wire.azure import locate
from entente.wire.azure_errors import (
    ACCESS_DENIED,
    NO_DEPLOYMENT,
    TABLE,
    for_openai,
    from_openai,
    passed_on,
    prompt_filtered,
    render,
)

SENTENCE = "A sentence."


def _tree(kind: type[EntenteError] = EntenteError) -> Iterator[type[EntenteError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _tree(each)


ARGUMENTS: dict[str, Any] = {
    "message": SENTENCE,
    "param": "n",
    "code": "invalid_type",
    "allow": ("GET", "POST"),
    "model": "gpt",
    "retry_after_ms": 1_500,
    "unit": "tokens",
    "phase": "idle",
    "clauses": ("X1",),
    "operation": "embeddings",
}


def _make(kind: type[EntenteError]) -> EntenteError:
    wanted = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in ARGUMENTS.items() if name in wanted})


@pytest.mark.parametrize("kind", list(_tree()), ids=lambda kind: kind.__name__)
def test_every_error_renders(kind: type[EntenteError]) -> None:
    """With a sentence, a code as text, and the status that OpenAI's dialect has, but one."""
    error = _make(kind)
    reply = render(error)
    body = json.loads(reply.body)
    inner = body.get("error", body)
    assert inner["message"]
    assert isinstance(inner.get("code") or "", str)
    same = openai_errors.render(error)
    assert reply.status == (401 if kind is PermissionDenied else same.status)
    assert reply.headers == same.headers
    assert set(TABLE) <= set(_tree())


WIRE: list[tuple[EntenteError, int, dict[str, Any]]] = [
    (InvalidKey(SENTENCE), 401, {"error": {"code": "401", "message": ACCESS_DENIED}}),
    (MissingKey(SENTENCE), 401, {"error": {"code": "401", "message": ACCESS_DENIED}}),
    (
        InvalidToken(SENTENCE),
        401,
        {
            "statusCode": 401,
            "message": "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired.",
        },
    ),
    (
        PermissionDenied(SENTENCE),
        401,
        {"error": {"code": "PermissionDenied", "message": SENTENCE}},
    ),
    (
        ModelNotFound("gpt-5-nano"),
        404,
        {
            "error": {
                "type": "invalid_request_error",
                "code": "DeploymentNotFound",
                "message": NO_DEPLOYMENT,
            }
        },
    ),
    (UnknownRoute(SENTENCE), 404, {"error": {"code": "404", "message": "Resource not found"}}),
    (
        RateLimited(SENTENCE, unit="tokens", retry_after_ms=59_001),
        429,
        {"error": {"code": "429", "message": f"{SENTENCE} Please retry after 60 seconds."}},
    ),
    (RequestTooLarge(SENTENCE), 429, {"error": {"code": "429", "message": SENTENCE}}),
    (
        BudgetExceeded(SENTENCE),
        429,
        {
            "error": {
                "message": SENTENCE,
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
    ),
    (
        InvalidParameter(SENTENCE, param="n", code="invalid_type"),
        400,
        {
            "error": {
                "message": SENTENCE,
                "type": "invalid_request_error",
                "param": "n",
                "code": "invalid_type",
            }
        },
    ),
    (
        MalformedJson(SENTENCE),
        400,
        {
            "error": {
                "message": SENTENCE,
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
    ),
    (
        UpstreamTimeout(SENTENCE, phase="idle"),
        504,
        {"error": {"code": "Timeout", "message": SENTENCE}},
    ),
    (
        IssuerUnavailable(SENTENCE),
        503,
        {"error": {"code": "ServiceUnavailable", "message": SENTENCE}},
    ),
    (EntenteError(SENTENCE), 500, {"error": {"code": "InternalServerError", "message": SENTENCE}}),
]


@pytest.mark.parametrize(("error", "status", "body"), WIRE, ids=lambda v: type(v).__name__)
def test_bodies_of_the_wire(error: EntenteError, status: int, body: dict[str, Any]) -> None:
    """SURFACE 2.5, member for member."""
    reply = render(error)
    assert (reply.status, json.loads(reply.body)) == (status, body)


def test_a_version_that_does_not_exist_is_refused_shortly() -> None:
    """In the form of Azure's front, from the error that the path's reader raises."""
    with pytest.raises(InvalidParameter) as caught:
        locate("/openai/v1/models", "api-version=2024-10-21")
    reply = render(caught.value)
    body = {"error": {"code": "BadRequest", "message": "API version not supported"}}
    assert (reply.status, json.loads(reply.body)) == (400, body)


def test_retries_are_told_in_both_units() -> None:
    """Seconds rounded up, and milliseconds."""
    headers = dict(render(RateLimited(SENTENCE, unit="requests", retry_after_ms=1_500)).headers)
    assert headers == {
        b"retry-after-ms": b"1500",
        b"retry-after": b"2",
        b"x-should-retry": b"true",
    }
    assert dict(render(MethodNotAllowed(SENTENCE, allow=("GET",))).headers) == {b"allow": b"GET"}


def test_a_prompt_that_was_filtered() -> None:
    """The live form: `innererror`, and `content_filter_result` in the singular."""
    results = {
        "jailbreak": {"filtered": True, "detected": True},
        "hate": {"filtered": False, "severity": "safe"},
    }
    reply = prompt_filtered(results)
    error = json.loads(reply.body)["error"]
    assert reply.status == 400
    assert (error["code"], error["param"], error["type"]) == ("content_filter", "prompt", None)
    assert error["status"] == 400
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert list(error["innererror"]["content_filter_result"]) == ["hate", "jailbreak"]
    assert error["message"].startswith("The response was filtered due to the prompt triggering")


OURS = {"message": SENTENCE, "type": "invalid_request_error", "param": "n", "code": "invalid_type"}


def _dump(error: object) -> bytes:
    return json.dumps({"error": error}).encode()


def test_what_a_models_own_checks_found_passes() -> None:
    """Azure says it in OpenAI's form, too; so does what is no error of either."""
    body = _dump(OURS)
    assert from_openai(400, body) is body
    for odd in (b"", b"[]", b'{"error":"text"}', b'{"detail":1}'):
        assert from_openai(400, odd) is odd


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
@pytest.mark.parametrize("name", ["content_filter_result", "content_filter_results"])
def test_a_filtered_prompt_is_said_in_azures_form(code: str, name: str) -> None:
    """With what was found, where the provider says it, by whichever name."""
    inner = {"code": "ResponsibleAIPolicyViolation", name: {"hate": {"filtered": True}}}
    said = json.loads(from_openai(400, _dump({**OURS, "code": code, "innererror": inner})))
    assert said["error"]["innererror"]["content_filter_result"] == {"hate": {"filtered": True}}
    assert said == json.loads(prompt_filtered({"hate": {"filtered": True}}).body)
    bare = json.loads(from_openai(400, _dump({**OURS, "code": code})))
    assert bare["error"]["innererror"]["content_filter_result"] == {}


@pytest.mark.parametrize(
    ("status", "code"), [(404, "DeploymentNotFound"), (409, "409"), (529, "ServiceUnavailable")]
)
def test_other_refusals_have_azures_codes(status: int, code: str) -> None:
    """And the provider's sentence, or one that says that there is none."""
    error = {"code": code, "message": SENTENCE}
    assert json.loads(from_openai(status, _dump(OURS))) == {"error": error}
    assert json.loads(passed_on(status, SENTENCE)) == {"error": error}
    silent = json.loads(from_openai(status, b"<html>"))["error"]["message"]
    assert silent == f"The provider answered with status {status} and did not say why."
    assert json.loads(passed_on(400, SENTENCE))["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "said", "param", "code"),
    [
        (400, OURS, "n", "invalid_type"),
        (
            400,
            {"message": SENTENCE, "type": None, "param": "prompt", "code": "content_filter"},
            "prompt",
            "content_filter",
        ),
        (429, {"code": "429", "message": SENTENCE}, None, "rate_limit_exceeded"),
        (401, {"code": 401, "message": SENTENCE}, None, None),
        (500, {"code": "InternalServerError", "message": SENTENCE}, None, None),
    ],
)
def test_what_azure_said_for_clients_of_openai(
    status: int, said: dict[str, Any], param: str | None, code: str | None
) -> None:
    """In OpenAI's envelope: parameter and code of a model's checks, else what fits the status."""
    error = json.loads(for_openai(status, _dump(said)))["error"]
    assert (error["message"], error["param"], error["code"]) == (SENTENCE, param, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert json.loads(for_openai(status, b"?"))["error"]["message"].startswith("The provider")


def test_an_operation_that_a_model_does_not_have() -> None:
    """In Azure's words, with the address of its table of models."""
    body = json.loads(render(errors.OperationNotSupported("embeddings", "gpt")).body)
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["code"] == "OperationNotSupported"
    assert body["error"]["message"].startswith(
        "The embeddings operation does not work with the specified model, gpt. "
    )
