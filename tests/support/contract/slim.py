"""Cut OpenAI's specification to what answers are held against: names and types, no words.

python -m tests.support.contract.slim
"""

from __future__ import annotations

import json
from typing import Any, Final

from tests.support.contract.answers import SCHEMAS
from tests.support.contract.schemas import SLIM, SPECIFICATION

_KEPT: Final = (
    *("type", "required", "enum", "const", "nullable", "items"),
    *("properties", "anyOf", "oneOf", "allOf", "$ref"),
)


def cut(schema: Any) -> Any:
    """Keep what a value can break."""
    if not isinstance(schema, dict):
        return {}
    kept: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    if "properties" in kept:
        kept["properties"] = {name: cut(inner) for name, inner in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = cut(kept["items"])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in kept:
            kept[word] = [cut(inner) for inner in kept[word]]
    return kept


def referred(schema: Any) -> set[str]:
    """Give the names of the schemas that one refers to."""
    if isinstance(schema, list):
        return {name for inner in schema for name in referred(inner)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own | {name for inner in schema.values() for name in referred(inner)}


def slim(schemas: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """Cut the wanted schemas and all that they refer to."""
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        found[name] = cut(schemas[name])
        wanted |= referred(found[name]) - found.keys()
    return dict(sorted(found.items()))


def slim_copy() -> str:
    """Write the cut, a schema a line."""
    schemas = json.loads(SPECIFICATION.read_bytes())["components"]["schemas"]
    lines = [
        f"{json.dumps(name)}:{json.dumps(schema, separators=(',', ':'))}"
        for name, schema in slim(schemas, set(SCHEMAS)).items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    SLIM.write_text(slim_copy(), encoding="utf-8")
