"""Values of any JSON schema, and what is nearly one: a strategy for the fuzz.

Every kind that a schema has is drawn, to a bound of depth; now and then something stands where it
does not belong, or what is required is not there.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from tests.support.contract.schemas import Schema
from tests.support.matrix.fuzzing import ODD

DEPTH_MAX: Final = 7
ODDS: Final = 90
"""One value in so many is none of its schema."""
COUNTS: Final = (1, 1, 2, 1, 0)
"""How many items an array has."""
OPTIONALS: Final = 2
"""Members that an object has, on the whole, besides those that it needs."""
_WORDS: Final = ("hi", "", "user", "auto", "text", "é\U0001f600", "a" * 70)
_NUMBERS: Final = (0, 1, 2, 16, 100, -1, 0.5, 2**40)
_PLAIN: Final[dict[str, tuple[Any, ...]]] = {
    "object": ({}, {"a": "b"}, {"type": "object"}),
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "boolean": (False, True),
    "null": (None,),
}


class Drawer:
    """Draws values of the schemas of one specification."""

    def __init__(self, draw: st.DrawFn, root: Schema, words: tuple[str, ...]) -> None:
        """Take where references point, and the words that texts are, besides some of any kind."""
        self._draw = draw
        self._root = root
        self._words = (*words, *_WORDS)

    def value(self, schema: Schema, depth: int = DEPTH_MAX) -> Any:
        """Draw a value."""
        schema = self._resolved(schema)
        if depth == 0 or self._draw(st.integers(0, ODDS)) == ODDS:
            return self._draw(st.sampled_from(ODD))
        options = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
        if options:
            return self.value(self._draw(st.sampled_from(options)), depth)
        members = self._members(schema)
        if members:
            return self._object(schema, members, depth)
        return self._plain(schema, depth)

    def _plain(self, schema: Schema, depth: int) -> Any:
        words = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if words:
            return self._draw(st.sampled_from(words))
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "array":
            count = self._draw(st.sampled_from(COUNTS))
            return [self.value(schema.get("items", {}), depth - 1) for _ in range(count)]
        if kind in ("integer", "number") and self._draw(st.booleans()):
            return schema.get("minimum", 1)
        return self._draw(st.sampled_from(_PLAIN.get(kind, self._words)))

    def _object(self, schema: Schema, members: Schema, depth: int) -> dict[str, Any]:
        required = self._required(schema)
        rarity = (len(members) - len(required)) // OPTIONALS
        made = {}
        for name, inner in members.items():
            wanted = name in required or self._draw(st.integers(0, rarity)) == 0
            if wanted and not (name in required and self._draw(st.integers(0, ODDS)) == ODDS):
                made[name] = self.value(inner, depth - 1)
        return made

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            found: Any = self._root
            for name in schema["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            schema = found
        return schema

    def _members(self, schema: Schema) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in schema.get("allOf", ()):
            found |= self._members(self._resolved(part))
        return found | dict(schema.get("properties", {}))

    def _required(self, schema: Schema) -> set[str]:
        inner = (self._required(self._resolved(part)) for part in schema.get("allOf", ()))
        return set(schema.get("required", ())).union(*inner)


@st.composite
def values(draw: st.DrawFn, schema: Schema, root: Schema, words: tuple[str, ...] = ()) -> Any:
    """Draw a value of a schema."""
    return Drawer(draw, root, words).value(schema)
