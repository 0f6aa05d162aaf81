"""JSON schemas: where those of OpenAI are, and what is wrong with a value by one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.kit.house import ROOT

SPECIFICATION: Final = ROOT.parent / "shared" / "api" / "specs" / "openai.json"
SLIM: Final = Path(__file__).with_name("openai.json")

Schema: TypeAlias = Mapping[str, Any]

_ABSENT: Final = object()
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@cache
def components() -> Schema:
    """Give OpenAI's schemas by name, as a root for references."""
    if SPECIFICATION.exists():
        schemas = json.loads(SPECIFICATION.read_bytes())["components"]["schemas"]
    else:
        schemas = json.loads(SLIM.read_bytes())
    return {"components": {"schemas": schemas}}


def named(value: Any, name: str) -> list[str]:
    """Give what is wrong with a value by a schema of OpenAI's."""
    return list(defects(value, {"$ref": f"#/components/schemas/{name}"}, components()))


def is_known(name: str) -> bool:
    """Say whether there is a schema of this name, which for requests needs the whole file."""
    return name in components()["components"]["schemas"]


def types_of(name: str) -> frozenset[str]:
    """Name the types that the parts of a schema are for."""
    root = components()
    return frozenset(
        word
        for part in root["components"]["schemas"][name]["anyOf"]
        for inner in _parts(part, root)
        for word in inner["properties"]["type"].get("enum", ())
    )


def an_object(optional: Mapping[str, Any] | None = None, **required: Any) -> Schema:
    """Write the schema of an object with these members."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def a_list(items: Any) -> Schema:
    """Write the schema of a list."""
    return {"type": "array", "items": items}


def one_of(*words: str) -> Schema:
    """Write the schema of one of some words."""
    return {"type": "string", "enum": list(words)}


def maybe(schema: Schema) -> Schema:
    """Write the schema of something that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def defects(value: Any, schema: Schema, root: Schema, at: str = "$") -> Iterator[str]:
    """Give what is wrong with a value; `root` is where references point."""
    if value is None and schema.get("nullable"):
        return
    yield from _composed_defects(value, schema, root, at)
    words = schema.get("enum", [schema["const"]] if "const" in schema else [value])
    if value not in words:
        yield f"{at} is {value!r}, not one of {words}"
    if not _is_of_type(value, schema.get("type")):
        yield f"{at} is {value!r}, not of type {schema['type']}"
    elif isinstance(value, dict):
        yield from _object_defects(value, schema, root, at)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from defects(item, schema["items"], root, f"{at}[{number}]")


def _composed_defects(value: Any, schema: Schema, root: Schema, at: str) -> Iterator[str]:
    for part in _parts(schema, root):
        yield from defects(value, part, root, at)
    for word in ("anyOf", "oneOf"):
        options = schema.get(word, ())
        meant = [part for part in options if _is_meant(value, part, root)]
        found: list[str] = []
        for part in sorted(options, key=lambda part: part not in meant):
            wrong = list(defects(value, part, root, at))
            if not wrong:
                found = []
                break
            if not found or (part in meant and len(wrong) < len(found)):
                found = wrong
        yield from found[:1]


def _is_meant(value: Any, schema: Schema, root: Schema) -> bool:
    """Say whether an object has the very type that one of several schemas is for."""
    for part in _parts(schema, root):
        if _is_meant(value, part, root):
            return True
    kind = schema.get("properties", {}).get("type", {})
    words = kind.get("enum", [kind["const"]] if "const" in kind else [])
    return isinstance(value, dict) and value.get("type", _ABSENT) in words


def _parts(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Give what else a value has to be: what a schema refers to, and what it adds up from."""
    if "$ref" in schema:
        found: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        yield found
    yield from schema.get("allOf", ())


def _is_of_type(value: Any, kinds: str | list[str] | None) -> bool:
    if kinds is None:
        return True
    wanted = [
        kind for name in ([kinds] if isinstance(kinds, str) else kinds) for kind in _TYPES[name]
    ]
    return type(value) in wanted


def _object_defects(
    value: Mapping[str, Any], schema: Schema, root: Schema, at: str
) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from defects(value[name], inner, root, f"{at}.{name}")
