"""A client of `/admin/v1` that holds every answer against the server's own document."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.support.contract import defects
from tests.support.server import ADMIN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.server import EntenteServer, Got

PREFIX: Final = "/admin/v1"
PRICED: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1000", output = "1000" }
output_tokens_max = 1000

[models."unpriced"]
targets = [{ provider = "fake", model = "u" }]
"""
SCRIPT: Final = "[[replies]]\ntext = 'ok'\n"


class Admin:
    """An administrator at a running server."""

    def __init__(self, server: EntenteServer, key: str = ADMIN_KEY) -> None:
        """Ask with a key; the document is fetched once."""
        self.server = server
        self.key = key
        self.document: Any = server.get(f"{PREFIX}/openapi.json", key=ADMIN_KEY).json

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Ask; the answer has to be one that the document has for this operation."""
        sent = None if body is None else json.dumps(body).encode()
        got = self.server.ask(method, PREFIX + path, key=self.key, body=sent, headers=headers)
        wrong = list(self._defects(method, path.partition("?")[0], got))
        assert not wrong, f"{method} {path} is answered with {got.status}, and: {wrong}"
        return got

    def get(self, path: str) -> Any:
        """Get what is there."""
        got = self.ask("GET", path)
        assert got.status == 200, got.body
        return got.json

    def post(self, path: str, body: Any = None) -> Any:
        """Make or do something."""
        got = self.ask("POST", path, body)
        assert got.status in (200, 201), got.body
        return got.json

    def operation(self, method: str, path: str) -> Any:
        """Find what the document has for a path."""
        for template, methods in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                return methods[method.lower()]
        message = f"the document has no {path}"
        raise AssertionError(message)

    def _defects(self, method: str, path: str, got: Got) -> Iterator[str]:
        answers = self.operation(method, path)["responses"]
        if str(got.status) not in answers:
            yield f"the document has no status {got.status}"
            return
        schema = answers[str(got.status)]["content"]["application/json"]["schema"]
        yield from defects(got.json, schema, self.document)
        yield from self._surplus(got.json, schema, "$")

    def _surplus(self, value: Any, schema: Any, at: str) -> Iterator[str]:
        """Give members that the document does not have."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from self._surplus(item, schema.get("items", {}), f"{at}[{number}]")
        elif isinstance(value, dict) and "properties" in schema:
            for name, inner in value.items():
                if name not in schema["properties"]:
                    yield f"{at}.{name} is not in the document"
                else:
                    yield from self._surplus(inner, schema["properties"][name], f"{at}.{name}")
