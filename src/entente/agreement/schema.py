"""The document's JSON Schema, from its types; editors check and complete with it."""

from __future__ import annotations

import ast
import inspect
import sys
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from entente.agreement.conditions import Condition
from entente.agreement.document import Document, schema_hook

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
PARAMETER: Final = "ParameterReference"

_SHARED: Final[dict[type, str]] = {Condition: "Condition", Fraction: "Exact"}
"""Types whose form is described once."""
_WITHOUT: Final = ("Parameter", "Scenario", "Document")
"""Structs in which a parameter cannot stand."""
_NEVER: Final = ("id", "source", "quote", "trust", "note")
"""Fields in which one would make no sense."""


def schema() -> dict[str, Any]:
    """Describe a document. A parameter may stand for the value of any field of a clause."""
    (root,), parts = msgspec.json.schema_components(
        [Document], schema_hook=_hook, ref_template="#/$defs/{name}"
    )
    kinds = _structs()
    definitions = {
        name: _field_notes(kinds.get(name), _dedented(part)) for name, part in parts.items()
    }
    definitions |= {name: schema_hook(kind) for kind, name in _SHARED.items()}
    definitions[PARAMETER] = {
        "type": "object",
        "description": "Stands for the value of a parameter.",
        "properties": {"parameter": {"type": "string"}},
        "required": ["parameter"],
        "additionalProperties": False,
    }
    return {"$schema": DIALECT, "title": "Entente agreement", **root, "$defs": definitions}


def schema_text() -> str:
    """Write the schema as the file in the documentation has it."""
    encoded = msgspec.json.encode(schema(), order="sorted")
    return msgspec.json.format(encoded, indent=1).decode() + "\n"


def _hook(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{_SHARED[kind]}"} if kind in _SHARED else schema_hook(kind)


def _dedented(part: dict[str, Any]) -> dict[str, Any]:
    """Take the source's indent out of a docstring: some Pythons have done so, others have not."""
    text = part.get("description")
    return part if text is None else {**part, "description": inspect.cleandoc(text)}


def _field_notes(kind: type | None, part: dict[str, Any]) -> dict[str, Any]:
    """Give a struct's fields their meaning, and let parameters stand for them."""
    properties = part.get("properties")
    if kind is None or not isinstance(properties, dict):
        return part
    notes = field_notes(kind)
    return {
        **part,
        "properties": {
            name: _noted(kind.__name__, name, field, notes.get(name))
            for name, field in properties.items()
        },
    }


def _noted(struct: str, name: str, field: dict[str, Any], note: str | None) -> dict[str, Any]:
    made = dict(field)
    if struct not in _WITHOUT and name not in _NEVER:
        default = {"default": made.pop("default")} if "default" in made else {}
        forms = made["anyOf"] if set(made) == {"anyOf"} else [made]
        made = {"anyOf": [*forms, {"$ref": f"#/$defs/{PARAMETER}"}], **default}
    return {**made, "description": note} if note else made


def _structs() -> dict[str, type]:
    """Give every struct that a document holds, by its name."""
    found: dict[str, type] = {}
    waiting: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(Document)]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType) and kind.cls.__name__ not in found:
            found[kind.cls.__name__] = kind.cls
            waiting.extend(field.type for field in kind.fields)
        for inner in ("item_type", "value_type", "type"):
            part = getattr(kind, inner, None)
            waiting.extend([part] if isinstance(part, msgspec.inspect.Type) else [])
        waiting.extend(kind.types if isinstance(kind, msgspec.inspect.UnionType) else ())
    return found


def field_notes(kind: type) -> dict[str, str]:
    """Give the meaning of a struct's fields: the texts that stand below them in its source."""
    notes: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        notes |= _module_notes(each.__module__).get(each.__name__, {})
    return notes


@lru_cache(maxsize=64)
def _module_notes(module: str) -> dict[str, dict[str, str]]:
    """Read the texts below the fields of each class of a module."""
    if not module.startswith("entente."):
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found: dict[str, dict[str, str]] = {}
    for part in tree.body:
        if not isinstance(part, ast.ClassDef):
            continue
        for field, below in pairwise(part.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                text = " ".join(below.value.value.split())
                found.setdefault(part.name, {})[field.target.id] = text
    return found
