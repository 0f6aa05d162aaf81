"""Every route with every role, and everything that is no route: the table decides."""

from __future__ import annotations

import re
from typing import Final

import pytest

from entente.domain.chat import Surface
from entente.http.routes import ROUTES
from tests.support.server import ADMIN_KEY, EntenteServer, Key, chat_body, wait_until

ROLES: Final = ("none", "wrong", "member", "admin", "revoked")
BODIES: Final = {
    Surface.CHAT: chat_body(),
    Surface.RESPONSES: b'{"model":"m","input":"hi"}',
    Surface.MESSAGES: b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
}
_HOLE: Final = re.compile(r"\{\w+\}|\*")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.fixture(scope="session")
def revoked(shared: tuple[EntenteServer, list[Key]]) -> str:
    """Give a key that was good until it was revoked, while the server ran."""
    server, keys = shared
    key = keys[-1]
    assert server.get("/v1/models", key=key.secret).status == 200
    assert server.cli("keys", "revoke", key.id).returncode == 0
    wait_until(
        lambda: server.get("/v1/models", key=key.secret).status == 401, "the revocation to count"
    )
    return key.secret


def _refused(roles: frozenset[object], who: str) -> int | None:
    """Say with which status a role is refused on a route for `roles`; None if it is not."""
    if not roles:
        return None
    if who in ("none", "wrong", "revoked"):
        return 401
    return None if who in roles else 403


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_role_gets_what_the_table_says(
    server: EntenteServer, key: Key, revoked: str, route: object, who: str
) -> None:
    """No route is more open, or more closed, than its row."""
    row = next(r for r in ROUTES if r is route)
    presented = {
        "none": None,
        "wrong": "sk-wrong",
        "member": key.secret,
        "admin": ADMIN_KEY,
        "revoked": revoked,
    }[who]
    body = BODIES.get(row.surface) if row.method == "POST" else None
    got = server.ask(row.method, _HOLE.sub("m", row.path), key=presented, body=body)
    expected = _refused(row.roles, who)
    if expected is None:
        allowed = (403,) if row.action == "delete_model" else (200, 201, 400, 404)
        assert got.status in allowed, got.body
    else:
        assert got.status == expected, got.body


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_are_not_allowed(server: EntenteServer, method: str) -> None:
    """A path answers to the methods of its rows only, and says which they are."""
    for path in {_HOLE.sub("m", row.path) for row in ROUTES}:
        has = {r.method for r in ROUTES if _HOLE.sub("m", r.path) == path}
        if method in has:
            continue
        got = server.ask(method, path, key=ADMIN_KEY)
        assert (got.status, got.headers["allow"]) == (405, ", ".join(sorted(has)))
        assert got.error["message"].startswith(f"Not allowed to {method} on {path}.")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/models/", "/v1/edits", "/metrics/", "/healthz/x", "//v1/models",
     "/V1/models", "/v1/chat/completions/", "/v1/../healthz", "/docs", "/admin"],
)  # fmt: skip
def test_what_has_no_row_does_not_exist(server: EntenteServer, path: str) -> None:
    """Unknown paths are 404 in OpenAI's words, with any key and without."""
    for key in (None, ADMIN_KEY):
        got = server.get(path, key=key)
        assert (got.status, got.error["message"]) == (404, f"Invalid URL (GET {path})")


@pytest.mark.parametrize(
    ("path", "meant", "where"),
    [
        ("/chat/completions", "/v1/chat/completions", "ends with"),
        ("/v1/v1/messages", "/v1/messages", "ends before"),
    ],
)
def test_a_base_url_that_is_wrong_is_recognised(
    server: EntenteServer, path: str, meant: str, where: str
) -> None:
    """The commonest mistake of a new client is told to whoever made it."""
    got = server.ask("POST", path, key=ADMIN_KEY, body=b"{}")
    assert got.status == 404
    assert got.error["message"] == (
        f"Invalid URL (POST {path}) "
        f"(HINT: Perhaps you meant {meant}? The base URL of this client {where} /v1.)"
    )


def test_a_deployment_has_no_list(server: EntenteServer) -> None:
    """Stored completions are no deployment's, so that Azure has no such path."""
    path = "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    got = server.get(path, key=ADMIN_KEY)
    assert (got.status, got.error["code"]) == (404, "404")


def test_head_has_no_body(server: EntenteServer) -> None:
    """HEAD is a method like the others: not allowed, and without a body as HTTP wants."""
    got = server.ask("HEAD", "/healthz")
    assert (got.status, got.body) == (405, b"")


def test_key_may_come_in_either_header(server: EntenteServer, key: Key) -> None:
    """`Authorization: Bearer` in any case, or `api-key`."""
    for header in ({"Authorization": f"bEaReR  {key.secret} "}, {"Api-Key": key.secret}):
        assert server.ask("GET", "/v1/models", headers=header).status == 200
    for other in (
        {"Authorization": f"Basic {key.secret}"},
        {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{key.secret}"},  # for realtime only
    ):
        assert server.ask("GET", "/v1/models", headers=other).status == 401


def test_models_of_others_do_not_exist(server: EntenteServer) -> None:
    """A key with a list of models sees those, and no other, on every route."""
    key = server.make_key(models=("other/model",))
    listed = server.get("/v1/models", key=key.secret).json["data"]
    assert [model["id"] for model in listed] == ["other/model"]
    assert server.get("/v1/models/other%2Fmodel", key=key.secret).status == 200
    for got in (server.get("/v1/models/m", key=key.secret), server.chat(key.secret)):
        assert (got.status, got.error["code"]) == (404, "model_not_found")


def test_readiness_and_metrics(server: EntenteServer, key: Key) -> None:
    """`/readyz` is ready, and `/metrics` has counted what was settled."""
    assert server.get("/readyz").json == {"status": "ok"}
    assert server.chat(key.secret).status == 200
    text = server.get("/metrics", key=ADMIN_KEY).body.decode()
    assert 'entente_requests_total{gen_ai_request_model="m",status="complete"}' in text
    assert key.id not in text
