"""Asking vendors how many tokens a prompt has: a request of theirs, cut to what is counted. Pure.

Vendors count for nothing, but refuse what has no bearing on the count.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import Raw

from entente.wire.members import split

TOKENS_MAX: Final = 2**53

_RESPONSES: Final = frozenset(
    {
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
    }
)
_MESSAGES: Final = frozenset(
    {
        "cache_control",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "output_format",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)


class _Count(msgspec.Struct):
    """What the vendors answer, each in its own member."""

    input_tokens: int | None = None
    total_tokens: int | None = msgspec.field(default=None, name="totalTokens")


_decoder = msgspec.json.Decoder(_Count)


def for_responses(body: bytes) -> bytes:
    """Write what OpenAI counts of a request for a response."""
    return _only(body, _RESPONSES)


def for_messages(body: bytes) -> bytes:
    """Write what Anthropic counts of a request for a message."""
    return _only(body, _MESSAGES)


def for_gemini(body: bytes, model: str) -> bytes:
    """Write what Gemini counts: a whole request, which there has to name its model."""
    named = {"model": Raw(msgspec.json.encode(model)), **(split(body) or {})}
    return msgspec.json.encode({"generateContentRequest": named})


def read(body: bytes) -> int | None:
    """Read a count; None for what is none."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    count = found.input_tokens if found.input_tokens is not None else found.total_tokens
    return count if count is not None and 0 <= count <= TOKENS_MAX else None


def _only(body: bytes, names: Collection[str]) -> bytes:
    members = split(body) or {}
    return msgspec.json.encode({name: raw for name, raw in members.items() if name in names})
