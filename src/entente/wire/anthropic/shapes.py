"""What the objects inside of a request for a message have in them, for who refuses all else. Pure.

Tools, and blocks about their use, that only Anthropic runs are not looked into, nor is anything
that a client of a beta says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.wire.shapes import Kinds, Shape, kinds, shape

_CACHE: Final = kinds(ephemeral=shape("ttl"))
_CITATIONS: Final = shape("enabled")
_DATA: Final = shape("media_type", "data")
_TEXT: Final = shape("text", "citations", cache_control=_CACHE)
_IMAGE: Final = shape(
    "transformations",
    source=kinds(base64=_DATA, url=shape("url"), file=shape("file_id")),
    cache_control=_CACHE,
)
_DOCUMENT: Final = shape(
    *("title", "context"),
    source=kinds(
        base64=_DATA,
        text=_DATA,
        url=shape("url"),
        file=shape("file_id"),
        content=shape(content=kinds(text=_TEXT, image=_IMAGE)),
    ),
    citations=_CITATIONS,
    cache_control=_CACHE,
)
_FOUND: Final = shape(
    *("source", "title"),
    content=kinds(text=_TEXT),
    citations=_CITATIONS,
    cache_control=_CACHE,
)
_RESULT: Final = kinds(
    text=_TEXT,
    image=_IMAGE,
    document=_DOCUMENT,
    search_result=_FOUND,
    tool_reference=shape("tool_name", cache_control=_CACHE),
)
_BLOCK: Final = kinds(
    text=_TEXT,
    image=_IMAGE,
    document=_DOCUMENT,
    search_result=_FOUND,
    thinking=shape("thinking", "signature"),
    redacted_thinking=shape("data"),
    tool_use=shape("id", "name", "input", "caller", "toolset_name", cache_control=_CACHE),
    tool_result=shape(
        *("tool_use_id", "is_error", "toolset_name"), content=_RESULT, cache_control=_CACHE
    ),
)
_SWITCH: Final = shape("disable_parallel_tool_use")

SHAPES: Final[Mapping[str, Shape | Kinds]] = {
    "messages": shape("role", content=_BLOCK),
    "system": kinds(text=_TEXT),
    "tools": kinds(
        usual="custom",
        custom=shape(
            *("name", "description", "input_schema", "strict", "defer_loading"),
            *("allowed_callers", "input_examples", "eager_input_streaming"),
            cache_control=_CACHE,
        ),
    ),
    "tool_choice": kinds(
        auto=_SWITCH,
        any=_SWITCH,
        tool=shape("name", "disable_parallel_tool_use"),
        none=shape(),
    ),
    "thinking": kinds(
        enabled=shape("budget_tokens", "display"),
        adaptive=shape("display"),
        disabled=shape(),
    ),
    "output_config": shape("effort", format=kinds(json_schema=shape("schema"))),
    "cache_control": _CACHE,
    "metadata": shape("user_id"),
}
"""By parameter."""
