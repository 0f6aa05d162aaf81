"""What the objects inside of a chat request have in them, for who refuses all else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.wire.shapes import Kinds, Shape, kinds, shape

_BREAKPOINT: Final = shape("mode")
_TEXT: Final = shape("text", prompt_cache_breakpoint=_BREAKPOINT)
_FUNCTION_CALL: Final = shape("name", "arguments")
_TEXTS: Final = kinds(text=_TEXT)
_SAID: Final = kinds(text=_TEXT, refusal=shape("refusal"))
_SHOWN: Final = kinds(
    text=_TEXT,
    image_url=shape(image_url=shape("url", "detail"), prompt_cache_breakpoint=_BREAKPOINT),
    input_audio=shape(input_audio=shape("data", "format"), prompt_cache_breakpoint=_BREAKPOINT),
    file=shape(file=shape("filename", "file_data", "file_id"), prompt_cache_breakpoint=_BREAKPOINT),
)
_CALLS: Final = kinds(
    usual="function",
    function=shape("id", function=_FUNCTION_CALL),
    custom=shape("id", custom=shape("name", "input")),
)
_MESSAGE: Final = kinds(
    by="role",
    developer=shape("name", content=_TEXTS),
    system=shape("name", content=_TEXTS),
    user=shape("name", content=_SHOWN),
    assistant=shape(
        *("name", "refusal", "annotations"),
        content=_SAID,
        audio=shape("id", "data", "expires_at", "transcript"),
        tool_calls=_CALLS,
        function_call=_FUNCTION_CALL,
    ),
    tool=shape("tool_call_id", "name", content=_TEXTS),
    function=shape("name", "content"),
)
"""An assistant's may be the message of an answer as it came, annotations and sound included."""
_NAMED: Final = shape("name")

SHAPES: Final[Mapping[str, Shape | Kinds]] = {
    "messages": _MESSAGE,
    "tools": kinds(
        function=shape(function=shape("name", "description", "parameters", "strict")),
        custom=shape(
            custom=shape(
                *("name", "description"),
                format=kinds(text=shape(), grammar=shape(grammar=shape("definition", "syntax"))),
            )
        ),
    ),
    "tool_choice": kinds(
        function=shape(function=_NAMED),
        custom=shape(custom=_NAMED),
        allowed_tools=shape(allowed_tools=shape("mode", "tools")),
    ),
    "response_format": kinds(
        text=shape(),
        json_object=shape(),
        json_schema=shape(json_schema=shape("name", "description", "schema", "strict")),
    ),
    "stream_options": shape("include_usage", "include_obfuscation"),
    "audio": shape("voice", "format"),
    "prediction": kinds(content=shape(content=_TEXTS)),
    "web_search_options": shape(
        "search_context_size",
        user_location=kinds(
            approximate=shape(approximate=shape("country", "region", "city", "timezone"))
        ),
    ),
    "prompt_cache_options": shape("mode", "ttl", "comparison_response_id"),
    "moderation": shape("model", policy=shape(input=shape("mode"), output=shape("mode"))),
    "functions": shape("name", "description", "parameters"),
    "function_call": _NAMED,
}
"""By parameter."""
