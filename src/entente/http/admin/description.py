"""The OpenAPI document of `/admin/v1`, made of the route table and the operations' types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from entente import __version__
from entente.domain.chat import Surface
from entente.http.admin.forms import ErrorAnswer, Nothing
from entente.http.admin.operation import Operation
from entente.http.admin.paths import DOCUMENT_ACTION, PREFIX
from entente.http.routes import Route

OPENAPI: Final = "3.1.0"
REFERENCE: Final = "#/components/schemas/{name}"
_HOLE: Final = re.compile(r"\{(\w+)\}")
_INTRODUCTION: Final = (
    "Projects, keys, grants, webhooks and the audit. Every path is for keys with the role admin."
)
_JSON: Final = "application/json"
_ERRORS: Final = {
    "400": "Something in the request is wrong; `param` names it.",
    "401": "The key is missing, unknown, revoked or has ended.",
    "403": "The key has another role.",
    "404": "There is no such object.",
    "409": "What is there already stands against it.",
    "413": "The body is too large.",
    "503": "The database cannot be used now, or the server stops.",
}

Tree = dict[str, Any]
"""A part of the document."""


def describe(routes: Iterable[Route], operations: Mapping[str, Operation]) -> Tree:
    """Write the document. Raises KeyError for a route without an operation."""
    own = [route for route in routes if route.surface is Surface.ADMIN]
    told = [operations[route.action] for route in own if route.action != DOCUMENT_ACTION]
    kinds: list[Any] = [ErrorAnswer]
    for operation in told:
        kinds += [operation.answer, operation.body, operation.query]
    (_, *schemas), components = _schemas(kinds)
    queries = [_resolved(schema, components) for schema in schemas[2::3]]
    paths: dict[str, Tree] = {}
    described = zip(told, schemas[0::3], schemas[1::3], queries, strict=True)
    for route in own:
        path = paths.setdefault(route.path.removeprefix(PREFIX), {})
        if route.action == DOCUMENT_ACTION:
            path["get"] = _DOCUMENT
            continue
        operation, answer, body, query = next(described)
        path[route.method.lower()] = _operation(route, operation, answer, body, query)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Entente", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": PREFIX}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(kinds: list[Any]) -> tuple[list[Tree], Tree]:
    """Describe the types; a pattern ends as JSON Schema has it, whose `$` lets nothing follow."""
    made = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    written = msgspec.json.encode(made).replace(rb'\\Z"', b'$"')
    return msgspec.json.decode(written, type=tuple[list[Tree], Tree])


def _operation(route: Route, operation: Operation, answer: Tree, body: Tree, query: Tree) -> Tree:
    """Describe one operation."""
    described: Tree = {
        "operationId": route.action.removeprefix("admin_"),
        "summary": operation.summary,
        "parameters": [
            *(_parameter(name, "path", {"type": "string"}) for name in _HOLE.findall(route.path)),
            *(_parameter(name, "query", of) for name, of in query["properties"].items()),
            *([_IDEMPOTENCY] if operation.again is not None else []),
        ],
        "responses": {
            str(operation.status): {
                "description": "It is done.",
                "content": {_JSON: {"schema": answer}},
            },
            **{status: _error(text) for status, text in _ERRORS.items()},
        },
    }
    if operation.body is not Nothing:
        described["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(operation.body)),
            "content": {_JSON: {"schema": body}},
        }
    return described


def _parameter(name: str, place: str, schema: Tree) -> Tree:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _error(text: str) -> Tree:
    reference = {"$ref": REFERENCE.format(name=ErrorAnswer.__name__)}
    return {"description": text, "content": {_JSON: {"schema": reference}}}


def _resolved(schema: Tree, components: Mapping[str, Tree]) -> Tree:
    """Give what a reference stands for."""
    return components[schema["$ref"].rpartition("/")[2]]


_IDEMPOTENCY: Final[Tree] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of the client's for what is made, so that asking twice makes one.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_DOCUMENT: Final[Tree] = {
    "operationId": "openapi",
    "summary": "This document.",
    "responses": {
        "200": {"description": "It.", "content": {_JSON: {"schema": {"type": "object"}}}}
    },
}
