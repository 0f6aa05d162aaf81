"""`/admin/v1` on a real server: every answer is held against its own OpenAPI document."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.domain.chat import Surface
from entente.http.admin.paths import DOCUMENT_ACTION, PREFIX
from entente.http.admin.service import OPERATIONS
from entente.http.routes import ADMINS, ROUTES, Route
from entente.wire.nesting import DEPTH_MAX
from tests.support.admin import Admin
from tests.support.server import ADMIN_KEY, wait_until

if TYPE_CHECKING:
    from tests.support.server import EntenteServer

OWN = [route for route in ROUTES if route.surface is Surface.ADMIN]
NEVER: Final[dict[str, Any]] = {"events": ["prices.activated"]}
"""What no test here does: nothing is sent, and no name looked up in a network."""


def works(server: EntenteServer, secret: str) -> bool:
    """Say whether a key opens anything."""
    return server.get("/v1/models", key=secret).status == 200


def every(admin: Admin, path: str) -> list[Any]:
    """Fetch a list, page by page."""
    found: list[Any] = []
    mark = "&" if "?" in path else "?"
    page = admin.get(f"{path}{mark}limit=2")
    while True:
        assert len(page["data"]) <= 2
        found += page["data"]
        if not page["has_more"]:
            return found
        page = admin.get(f"{path}{mark}limit=2&after={page['last_id']}")


def test_routes_operations_and_document_are_the_same(admin: Admin) -> None:
    """Each route has one operation, each operation one place in the document."""
    assert {route.action for route in OWN} == {*OPERATIONS, DOCUMENT_ACTION}
    said = {
        (method.upper(), PREFIX + path)
        for path, methods in admin.document["paths"].items()
        for method in methods
    }
    assert said == {(route.method, route.path) for route in OWN}
    assert all(route.roles == ADMINS for route in OWN)
    names = [o["operationId"] for path in admin.document["paths"].values() for o in path.values()]
    assert len(set(names)) == len(names)


def test_the_patterns_of_the_document_are_of_json_schema(admin: Admin) -> None:
    """An amount ends where its pattern does, in the words of ECMA-262."""
    document = json.dumps(admin.document)
    assert json.dumps(r"^-?[0-9]{1,13}(\.[0-9]{1,9})?$") in document
    assert r"\Z" not in document


def test_the_document_refers_to_nothing_that_is_not_there(admin: Admin) -> None:
    """Every reference leads to a schema, every schema is referred to or asked with."""
    text = json.dumps(admin.document)
    for name in admin.document["components"]["schemas"]:
        assert "secret" not in name.lower() or "WithSecret" in name
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in admin.document["components"]["schemas"]


def test_every_path_of_usage_is_told(admin: Admin) -> None:
    """As the table of routes has them, whichever are added."""
    paths = [r.path for r in ROUTES if r.path.startswith("/v1/organization/usage/")]
    assert len(paths) > 1
    told = admin.get("/usage")
    assert (told["usage"], told["costs"]) == (paths, "/v1/organization/costs")


def test_a_project_from_its_begin_to_its_end(server: EntenteServer, admin: Admin) -> None:
    """Made, found, renamed, archived; its keys end with it, at once."""
    made = admin.post("/projects", {"id": "alpha", "name": "Alpha"})
    assert admin.get("/projects/alpha") == made
    assert admin.ask("POST", "/projects", {"id": "alpha"}).status == 409
    renamed = admin.ask("PATCH", "/projects/alpha", {"name": "Beta"}).json
    assert renamed == {**made, "name": "Beta"}
    key = admin.post("/keys", {"project": "alpha"})
    assert works(server, key["key"])
    archived = admin.post("/projects/alpha/archive")
    assert archived["archived"] is not None
    assert not works(server, key["key"])
    assert admin.post("/projects/alpha/archive") == archived
    listed = [project["id"] for project in every(admin, "/projects")]
    assert "alpha" not in listed
    assert "alpha" in [project["id"] for project in every(admin, "/projects?archived=true")]
    got = admin.ask("POST", "/keys", {"project": "alpha"})
    assert (got.status, got.error["code"]) == (400, "project_archived")


def test_a_key_from_its_begin_to_its_end(server: EntenteServer, admin: Admin) -> None:
    """Each change counts when its answer is there."""
    wish = {"name": "bob", "user": "ann", "tags": ["x", "y"], "models": ["m"],
            "expires": "2099-01-01T00:00:00+01:00", "tokens_per_minute": 9}  # fmt: skip
    made = admin.post("/keys", wish)
    assert made["expires"] == "2098-12-31T23:00:00.000000Z"
    assert {name: made[name] for name in wish if name != "expires"} == {
        name: value for name, value in wish.items() if name != "expires"
    }
    secret = made.pop("key")
    assert admin.get(f"/keys/{made['id']}") == made
    assert works(server, secret)
    changed = admin.ask(
        "PATCH", f"/keys/{made['id']}", {"user": None, "models": None, "expires": None}
    ).json
    assert changed == {**made, "user": None, "models": None, "expires": None}
    rotated = admin.post(f"/keys/{made['id']}/rotate", {"grace_s": 0})
    assert not works(server, secret)
    assert works(server, rotated["key"])
    revoked = admin.post(f"/keys/{made['id']}/revoke")
    assert revoked["revoked"] is not None
    assert not works(server, rotated["key"])
    assert admin.post(f"/keys/{made['id']}/revoke") == revoked
    for method, path in (("PATCH", ""), ("POST", "/rotate")):
        got = admin.ask(method, f"/keys/{made['id']}{path}", {})
        assert (got.status, got.error["code"]) == (400, "key_revoked")


def test_a_rule_is_for_who_is_there(admin: Admin) -> None:
    """Or for who may come, where requests say who they are; a key goes by its id."""
    admin.post("/projects", {"id": "closed"})
    key = admin.post("/keys", {"name": "short-lived", "project": "closed"})["id"]
    there = [("project", "closed"), ("key", key), ("model", "m")]
    for level, name in (*there, ("key", "*"), ("user", "x"), ("end_user", "x"), ("tag", "x")):
        made = admin.post("/rules", {"level": level, "name": name, **ONE})
        assert (made["level"], made["name"]) == (level, name)
        admin.post(f"/rules/{made['id']}/end")
    admin.post(f"/keys/{key}/revoke")
    admin.post("/projects/closed/archive")
    ended = ("project_archived", "key_revoked")
    for (level, name), code in zip(there, ended, strict=False):
        got = admin.ask("POST", "/rules", {"level": level, "name": name, **ONE})
        assert (got.status, got.error["code"]) == (400, code)


def test_keys_are_listed_by_page_project_and_user(admin: Admin) -> None:
    """Every key is in exactly one page."""
    admin.post("/projects", {"id": "listed"})
    made = [admin.post("/keys", {"project": "listed", "user": user})["id"] for user in "aabab"]
    assert [key["id"] for key in every(admin, "/keys?project=listed")] == sorted(made)
    of_a = every(admin, "/keys?project=listed&user=a")
    assert [key["id"] for key in of_a] == sorted([made[0], made[1], made[3]])
    admin.post(f"/keys/{made[0]}/revoke")
    assert len(every(admin, "/keys?project=listed")) == 4
    assert len(every(admin, "/keys?project=listed&revoked=true")) == 5


def test_a_budget_is_granted_and_spent(server: EntenteServer, admin: Admin) -> None:
    """Granted = spent + held + available; what is spent cannot be taken away."""
    made = admin.post("/keys", {"budget_usd": "5"})
    assert server.chat(made["key"], max_tokens=1).status == 200
    budget = admin.get(f"/keys/{made['id']}/budget")
    assert (budget["granted"], budget["held"]) == ("5", "0")
    spent = float(budget["spent"])
    assert spent > 0
    assert float(budget["available"]) == 5 - spent
    granted = admin.post(f"/keys/{made['id']}/grants", {"usd": "0.5", "note": "more"})
    assert (granted["amount"], granted["note"], granted["key"]) == ("0.5", "more", made["id"])
    got = admin.ask("POST", f"/keys/{made['id']}/grants", {"usd": "-5.5"})
    assert (got.status, got.error["param"]) == (400, "usd")
    assert admin.get(f"/keys/{made['id']}/budget")["granted"] == "5.5"


def test_a_budget_of_nothing_is_one(server: EntenteServer, admin: Admin) -> None:
    """Zero is hard, and a grant ends it."""
    made = admin.post("/keys", {"budget_usd": "0"})
    assert made["budgeted"]
    assert server.chat(made["key"]).status == 429
    admin.post(f"/keys/{made['id']}/grants", {"usd": "5"})
    wait_until(lambda: server.chat(made["key"], max_tokens=1).status == 200, "the grant to be seen")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/keys", {"name": "idempotent"}, "key"),
        ("/projects", {"id": "idempotent"}, None),
        ("/webhooks", {"url": "https://example.com/a", **NEVER}, "secret"),
    ],
)
def test_asking_twice_makes_one(admin: Admin, path: str, body: Any, answer: str | None) -> None:
    """The second answer is the object, without the secret that was shown once."""
    name = {"Idempotency-Key": f"once {path}"}
    first = admin.ask("POST", path, body, headers=name)
    again = admin.ask("POST", path, body, headers=name)
    assert (first.status, again.status) == (201, 201)
    expected = first.json if answer is None else {**first.json, answer: None}
    assert again.json == expected
    other = admin.ask("POST", path, {**body, **_other(path)}, headers=name)
    assert (other.status, other.error["code"]) == (409, "idempotency_conflict")


def _other(path: str) -> dict[str, str]:
    return {"/keys": {"name": "x"}, "/projects": {"id": "x"}}.get(
        path, {"url": "https://example.com/b", **NEVER}
    )


def test_a_grant_asked_for_twice_is_one(admin: Admin) -> None:
    """Money most of all."""
    made = admin.post("/keys", {"budget_usd": "0"})
    name = {"Idempotency-Key": "grant"}
    answers = [
        admin.ask("POST", f"/keys/{made['id']}/grants", {"usd": "3"}, headers=name).json
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert admin.get(f"/keys/{made['id']}/budget")["granted"] == "3"


def test_many_at_once_under_one_name_make_one(server: EntenteServer, admin: Admin) -> None:
    """They come in turn; each gets the same key."""
    got: list[Any] = []

    def ask() -> None:
        body = json.dumps({"name": "raced"}).encode()
        answer = server.ask(
            "POST", f"{PREFIX}/keys", key=ADMIN_KEY, body=body,
            headers={"Idempotency-Key": "raced"},
        )  # fmt: skip
        got.append(answer.json)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["id"] for answer in got}) == 1
    assert sum(answer["key"] is not None for answer in got) == 1
    assert [key["name"] for key in every(admin, "/keys")].count("raced") == 1


ONE: Final = {"unit": "requests", "amount": "1", "window": "day"}
SPEND: Final = {"unit": "spend", "amount": "1"}
"""What rules may allow."""


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("/keys", {"nam": "x"}, "nam", "unknown_parameter"),
        ("/keys", {"name": 3}, "name", "invalid_type"),
        ("/keys", {"tags": ["a", 3]}, "tags[1]", "invalid_type"),
        ("/keys", {"role": "king"}, "role", "invalid_value"),
        ("/keys", {"expires": "2099-01-01T00:00:00"}, "expires", "invalid_value"),
        ("/keys", {"expires": "2001-01-01T00:00:00Z"}, "expires", "invalid_value"),
        ("/keys", {"expires": "9999-12-31T23:59:59Z"}, "expires", "invalid_value"),
        ("/keys", {"expires": "0001-01-01T00:00:00+23:59"}, "expires", "invalid_value"),
        ("/keys", {"models": ["nope"]}, "models", "unknown_model"),
        ("/keys", {"budget_usd": "-1"}, "budget_usd", "invalid_value"),
        ("/keys", {"budget_usd": 1.5}, "budget_usd", "invalid_type"),
        ("/keys", {"budget_usd": "1e5"}, "budget_usd", "invalid_value"),
        ("/keys", {"budget_usd": "1\n"}, "budget_usd", "invalid_value"),
        ("/keys", {"budget_usd": "\u0661"}, "budget_usd", "invalid_value"),
        ("/keys", {"project": "nowhere"}, "project", "unknown_project"),
        ("/rules", {"level": "project", "name": "nowhere", **ONE}, "name", "unknown_project"),
        ("/rules", {"level": "key", "name": "bob", **ONE}, "name", "unknown_key"),
        ("/rules", {"level": "model", "name": "nope", **ONE}, "name", "unknown_model"),
        ("/rules", {"level": "organization", "name": "x", **ONE}, "name", "invalid_value"),
        ("/rules", {"level": "organization", **ONE, "zone": "Mars/A"}, "zone", "invalid_value"),
        (
            "/rules",
            {"level": "organization", **ONE, "currency": "USD"},
            "currency",
            "invalid_value",
        ),
        (
            "/rules",
            {"level": "organization", **SPEND, "currency": "u"},
            "currency",
            "invalid_value",
        ),
        ("/projects", {}, "id", "missing_required_parameter"),
        ("/projects", {"id": "a/b"}, "id", "invalid_value"),
        ("/webhooks", {"url": "https://a.b/", "events": ["no"]}, "events[0]", "invalid_value"),
        ("/webhooks", {"url": "http://a.b/"}, "url", "invalid_url"),
        ("/webhooks", {"url": "https://127.0.0.1/"}, "url", "invalid_url"),
        ("/webhooks", {"url": "https://[::1]/"}, "url", "invalid_url"),
        ("/webhooks", {"url": "https://u:p@a.b/"}, "url", "invalid_url"),
    ],
)
def test_what_is_wrong_is_named(admin: Admin, path: str, body: Any, param: str, code: str) -> None:
    """By member and by a word for programs; nothing is made."""
    before = admin.get("/audit?limit=1")["last_id"]
    got = admin.ask("POST", path, body)
    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code), got.body
    assert admin.get("/audit?limit=1")["last_id"] == before


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/rules", {"level": "projct", **ONE}, "organization, project, model, tag, user,"),
        ("/rules", {"level": "organization", **ONE, "window": "fortnight"}, "minute, hour, day,"),
        ("/keys", {"role": "king"}, "admin, member."),
        ("/webhooks", {"url": "https://a.b/", "events": ["no"]}, "budget.threshold_reached,"),
    ],
)
def test_a_word_that_is_none_is_answered_with_those_that_are(
    admin: Admin, path: str, body: Any, words: str
) -> None:
    """Nobody has to look for them elsewhere."""
    got = admin.ask("POST", path, body)
    assert got.status == 400
    assert f"There are {words}" in got.error["message"]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("from=2", "from"),
     ("limit=1&limit=2", "limit"), ("revoked=perhaps", "revoked"), (f"after={'x' * 257}", "after")],
)  # fmt: skip
def test_queries_are_as_strict(admin: Admin, query: str, param: str) -> None:
    """A parameter that is mistyped does not list everything."""
    got = admin.ask("GET", f"/keys?{query}")
    assert (got.status, got.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nul", b'{"name":', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000]
)
def test_bodies_that_are_none(server: EntenteServer, body: bytes) -> None:
    """Are a 400 of the client's, however deep."""
    got = server.ask("POST", f"{PREFIX}/projects", key=ADMIN_KEY, body=body)
    assert got.status == 400
    assert got.error["message"]


@pytest.mark.parametrize(
    "route", [r for r in OWN if r.method not in ("GET", "DELETE")], ids=lambda r: r.action
)
def test_how_deep_bodies_may_be(server: EntenteServer, route: Route) -> None:
    """As deep as all bodies may be, and a level deeper is refused before anything is read."""
    path = re.sub(r"\{\w+\}", "x", route.path)
    for levels, said in ((DEPTH_MAX, "Unknown parameter: `x`"), (DEPTH_MAX + 1, "levels deep")):
        body = b'{"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
        got = server.ask(route.method, path, key=ADMIN_KEY, body=body)
        assert got.status == 400
        assert said in got.error["message"]


def test_bodies_are_bounded(server: EntenteServer) -> None:
    """Far below the bound of requests to models."""
    body = b'{"id": "%s"}' % (b"x" * 300_000)
    got = server.ask("POST", f"{PREFIX}/projects", key=ADMIN_KEY, body=body)
    assert (got.status, got.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "path",
    ["", "/", "/keys/", "/keys//budget", "/keys/%2e%2e/projects", "/KEYS", "/keys/a/b/c",
     "/../v1/models", "/keys/%00", "/projects/%2Fdefault"],
)  # fmt: skip
def test_tricks_with_paths_find_nothing(server: EntenteServer, path: str) -> None:
    """Whoever asks; and never more than the path itself says."""
    for key in (ADMIN_KEY, None):
        got = server.ask("GET", PREFIX + path, key=key)
        assert got.status in ((401, 404) if key is None else (404,)), got.body


def test_other_roles_learn_nothing(server: EntenteServer, admin: Admin) -> None:
    """A member is told the same of what is there and of what is not."""
    member = admin.post("/keys")["key"]
    there = admin.post("/keys")["id"]
    for route in OWN:
        answers = []
        for name in (there, "key_of_nobody"):
            path = re.sub(r"\{\w+\}", "default", route.path.replace("{key}", name))
            got = server.ask(route.method, path, key=member, body=b"{}")
            answers.append((got.status, got.body))
        assert answers[0] == answers[1]
        assert answers[0][0] == 403


def test_every_change_is_in_the_audit(server: EntenteServer, admin: Admin) -> None:
    """By the API as by the command line; no secret is in it."""
    made = admin.post("/keys", {"name": "audited"})
    admin.ask("PATCH", f"/keys/{made['id']}", {"user": "zoe"})
    assert server.cli("keys", "set", made["id"], "--user", "none").returncode == 0
    admin.post(f"/keys/{made['id']}/grants", {"usd": "1"})
    rotated = admin.post(f"/keys/{made['id']}/rotate")
    admin.post(f"/keys/{made['id']}/revoke")
    changes = every(admin, f"/audit?object={made['id']}")
    said = [(change["action"], change["actor"]["name"]) for change in reversed(changes)]
    assert said == [
        ("key.create", "bootstrap-admin"),
        ("key.change", "bootstrap-admin"),
        ("key.change", "command line"),
        ("budget.grant", "bootstrap-admin"),
        ("key.rotate", "bootstrap-admin"),
        ("key.revoke", "bootstrap-admin"),
    ]
    users = [(c["before"] or {}).get("user") for c in changes if c["action"] == "key.change"]
    assert users == ["zoe", None]
    everything = json.dumps(changes)
    for secret in (made["key"], rotated["key"], ADMIN_KEY):
        assert secret not in everything
    listed = server.cli("audit", "list", "--object", made["id"], "--json").stdout.splitlines()
    assert [json.loads(line) for line in listed] == changes


def test_secrets_are_shown_once(admin: Admin, server: EntenteServer) -> None:
    """In the answer that made them, and nowhere else: not in lists, logs or the audit."""
    key = admin.post("/keys")
    webhook = admin.post("/webhooks", {"url": "https://example.com/hook", **NEVER})
    told = json.dumps([every(admin, path) for path in ("/keys", "/webhooks", "/audit")])
    told += server.out_log.read_text() + server.err_log.read_text()
    assert key["key"] not in told
    assert webhook["secret"] not in told
    assert webhook["secret"].removeprefix("whsec_") not in told


def test_a_key_ends_by_itself(server: EntenteServer, admin: Admin) -> None:
    """No later than a second after its end."""
    made = admin.post("/keys")
    assert works(server, made["key"])
    assert server.cli("keys", "set", made["id"], "--expires", "1s").returncode == 0
    wait_until(lambda: not works(server, made["key"]), "the key to end")
    assert admin.get(f"/keys/{made['id']}")["revoked"] is None
