"""Hundreds of half-right requests: each answer is one that the document has, none a 500."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.domain.chat import Surface
from entente.http.admin.paths import DOCUMENT_ACTION, PREFIX
from entente.http.routes import ROUTES

if TYPE_CHECKING:
    from tests.support.admin import Admin

REQUESTS: Final = 400
ANYTHING: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**63, 10**30, 1.5, "", "x", "\0", "a" * 5000, "\U0001f600", "../x",
    [], ["a"], [1], {}, {"a": 1},
)  # fmt: skip
LIKELY: Final[dict[str, tuple[Any, ...]]] = {
    "id": ("p1", "p2", "a.b"), "name": ("bob", "", "*"), "project": ("default", "p1"),
    "usd": ("1", "-1", "-1000000", "999999999999"), "note": ("x", "", "\n"),
    "budget_usd": ("1", "0", "999999999999.999999999"), "tags": (["a"], []), "user": ("u", None),
    "expires": ("2099-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
    "models": (["m"], ["unpriced"], None), "role": ("member", "admin"),
    "requests_per_minute": (1, None), "tokens_per_minute": (1, 10**12, None),
    "grace_s": (0, 5, 10**9, 2**62), "level": ("key", "organization", "user", "tag"),
    "unit": ("spend", "requests", "tokens", "concurrency"), "window": ("minute", "lifetime"),
    "amount": ("1", "0", "1.5", "9999999999999.999999999"), "thresholds": ([50], [1000], []),
    "zone": ("UTC", "Europe/Berlin", "../etc/passwd"), "currency": ("USD", "EUR", None),
    "hard": (True, False), "url": ("https://example.com/", "https://a.b/c?d"),
    "events": ([], ["key.created"], ["webhook.test"]), "enabled": (True, False),
}  # fmt: skip
QUERIES: Final = (
    "limit=1", "after=zz", "after=", "archived=true", "revoked=1", "ended=true", "object=x",
    "state=dead", "state=zz", "limit=99999999999999999999", "%00=1", "a=%ff", "user=%ff",
)  # fmt: skip


class Guessing:
    """Makes requests that are nearly right."""

    def __init__(self, admin: Admin, seed: int) -> None:
        """Begin with what every server has."""
        self.admin = admin
        self.chance = random.Random(seed)  # noqa: S311  (tests want it foreseeable)
        self.ids = ["default", "nothing"]
        self.own = [
            route
            for route in ROUTES
            if route.surface is Surface.ADMIN and route.action != DOCUMENT_ACTION
        ]

    def ask(self) -> int:
        """Ask once; give the status."""
        chance = self.chance
        route = chance.choice(self.own)
        template = route.path.removeprefix(PREFIX)
        path = re.sub(r"\{\w+\}", lambda _: chance.choice(self.ids[-20:]), template)
        if chance.random() < 0.2:
            path += f"?{chance.choice(QUERIES)}"
        named = {"Idempotency-Key": chance.choice("abc")} if chance.random() < 0.2 else {}
        body = self._body(self.admin.operation(route.method, path.partition("?")[0]))
        got = self.admin.ask(route.method, path, body, headers=named)
        if got.status in (200, 201) and "id" in got.json:
            self.ids.append(got.json["id"])
        return got.status

    def _body(self, operation: Any) -> dict[str, Any]:
        chance = self.chance
        if "requestBody" not in operation:
            return {}
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        form = self.admin.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        body = {}
        for name in form["properties"]:
            luck = chance.random()
            if luck < 0.6:
                body[name] = chance.choice(LIKELY.get(name, ANYTHING))
            elif luck < 0.65:
                body[name] = chance.choice(ANYTHING)
        return body


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_breaks(admin: Admin, seed: int) -> None:
    """The client of the tests holds each answer against the document, which has no 500."""
    guessing = Guessing(admin, seed)
    statuses = {guessing.ask() for _ in range(REQUESTS)}
    assert {200, 201, 400, 404} <= statuses <= {200, 201, 400, 404, 409}
