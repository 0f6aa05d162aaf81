"""The error table: every error of the tree has an answer that OpenAI's clients understand."""

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
    LedgerUnavailable,
    MethodNotAllowed,
    RateLimited,
    RequestTooLarge,
    UpstreamTimeout,
)
from entente.wire.openai_errors import TABLE, render


def _tree(kind: type[EntenteError] = EntenteError) -> Iterator[type[EntenteError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _tree(each)


ARGUMENTS: dict[str, Any] = {
    "message": "A sentence.",
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


STATUSES = {
    "ConfigError": 500,
    "StartError": 500,
    "EntenteError": 500,
    "RequestError": 400,
    "MalformedJson": 400,
    "InvalidParameter": 400,
    "ObjectNotFound": 404,
    "Conflict": 409,
    "OperationNotSupported": 400,
    "BodyTooLarge": 413,
    "BodyTimeout": 408,
    "UnknownRoute": 404,
    "MethodNotAllowed": 405,
    "AuthenticationError": 401,
    "MissingKey": 401,
    "InvalidKey": 401,
    "InvalidToken": 401,
    "PermissionDenied": 403,
    "AgreementForbids": 403,
    "ModelNotFound": 404,
    "ModelRetired": 404,
    "LimitError": 429,
    "RateLimited": 429,
    "RequestTooLarge": 429,
    "BudgetExceeded": 429,
    "Unpriced": 403,
    "UpstreamError": 502,
    "UpstreamConnectError": 502,
    "UpstreamTimeout": 504,
    "UpstreamClosed": 502,
    "UpstreamProtocolError": 502,
    "UpstreamRefused": 502,
    "UpstreamBusy": 503,
    "LedgerError": 503,
    "LedgerUnavailable": 503,
    "IdempotencyConflict": 503,
    "LedgerCorrupt": 503,
    "StorageUnavailable": 503,
    "IdTaken": 503,
    "Overloaded": 503,
    "IssuerUnavailable": 503,
}
"""A new error has to be entered here, and so somebody has to think what a client sees."""


@pytest.mark.parametrize("kind", list(_tree()), ids=lambda kind: kind.__name__)
def test_every_error_renders(kind: type[EntenteError]) -> None:
    """SURFACE 5: all four members are there, of the right types, whatever the error."""
    error = _make(kind)
    reply = render(error)
    assert reply.status == STATUSES[kind.__name__]
    body = json.loads(reply.body)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"] == error.message != ""
    assert isinstance(body["error"]["type"], str)
    for name in ("param", "code"):
        assert body["error"][name] is None or isinstance(body["error"][name], str)
    assert all(name == name.lower() for name, _ in reply.headers)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The picture names every class, once, with its own base above it."""
    picture = [
        line.split("── ")[-1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    ]
    assert sorted(picture) == sorted(kind.__name__ for kind in _tree() if kind is not EntenteError)
    assert set(TABLE) <= set(_tree())


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (
            RateLimited("m", unit="tokens", retry_after_ms=1_500),
            {"retry-after-ms": "1500", "retry-after": "2", "x-should-retry": "true"},
        ),
        (RequestTooLarge("m"), {"x-should-retry": "false"}),
        (BudgetExceeded("m"), {"x-should-retry": "false"}),
        (
            BudgetExceeded("m", retry_after_ms=1_000),
            {"retry-after-ms": "1000", "retry-after": "1", "x-should-retry": "true"},
        ),
        (
            LedgerUnavailable("m"),
            {"retry-after-ms": "1000", "retry-after": "1", "x-should-retry": "true"},
        ),
        (MethodNotAllowed("m", allow=("GET", "POST")), {"allow": "GET, POST"}),
        (UpstreamTimeout("m", phase="idle"), {}),
    ],
)
def test_the_retry_contract_of_the_sdks(error: EntenteError, headers: dict[str, str]) -> None:
    """What waiting cures is retried after the right time; what it does not is not retried."""
    found = {name.decode(): value.decode() for name, value in render(error).headers}
    assert found == headers


def test_rate_limits_name_their_unit_as_the_type() -> None:
    """As OpenAI does: `type` is requests or tokens."""
    for unit in ("requests", "tokens"):
        error = RateLimited("m", unit=unit, retry_after_ms=1)
        assert json.loads(render(error).body)["error"]["type"] == unit
