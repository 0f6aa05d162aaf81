"""What a response repeats of its request. Pure.

A response object is required to say with which parameters it was made. They are the
client's own bytes, with OpenAI's defaults where it said nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call
from entente.wire.dialect import Head

_NULL: Final = b"null"
_DEFAULTS: Final[Mapping[str, bytes]] = {
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": _NULL,
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
    "user": _NULL,
}
_FILLED: Final[Mapping[str, Mapping[str, Raw]]] = {
    "reasoning": {"effort": Raw(_NULL), "summary": Raw(_NULL)},
    "text": {"format": Raw(b'{"type":"text"}')},
}
"""Members that an object has in the response also where the client left them out."""
_FUNCTION: Final[Mapping[str, Raw]] = {
    "description": Raw(_NULL),
    "parameters": Raw(_NULL),
    "strict": Raw(b"false"),
}

_object_decoder = msgspec.json.Decoder(dict[str, Raw])
_objects_decoder = msgspec.json.Decoder(list[dict[str, Raw]])


class ResponsesHead(Head, frozen=True, kw_only=True):
    """The head of an answer in this dialect. Any other `Head` stands for the defaults."""

    echo: bytes
    """The members of the response that repeat the request: JSON, without the braces."""


def head(call: Call, *, id: str, created_s: int, stored: bool = False) -> ResponsesHead:
    """Make the head of the answer to a call that was read without complaint.

    `stored` says whether the answer is kept, to be fetched and continued.
    """
    return ResponsesHead(
        id=id, model=call.model, created_s=created_s, echo=_echo(call.members, stored=stored)
    )


def echo_of(head: Head) -> bytes:
    """Give the members that repeat the request."""
    return head.echo if isinstance(head, ResponsesHead) else DEFAULT_ECHO


def _echo(members: Mapping[str, Raw], *, stored: bool) -> bytes:
    said = {**_UNSAID, "store": b'"store":true'} if stored else dict(_UNSAID)
    for name, raw in members.items():
        value = bytes(raw)
        if name not in _DEFAULTS or value == _NULL:
            continue
        if name in _FILLED:
            value = msgspec.json.encode({**_FILLED[name], **_object_decoder.decode(value)})
        elif name == "tools":
            value = _tools(value)
        said[name] = b'"%b":%b' % (name.encode(), value)
    return b",".join(said.values())


_UNSAID: Final[Mapping[str, bytes]] = {
    name: b'"%b":%b' % (name.encode(), value)
    for name, value in {"background": b"false", "store": b"false", **_DEFAULTS}.items()
}
"""What stands in a response where its request said nothing."""


def _tools(tools: bytes) -> bytes:
    """Fill in what a function has in the response."""
    return msgspec.json.encode(
        [
            {**_FUNCTION, **tool} if bytes(tool["type"]) == b'"function"' else tool
            for tool in _objects_decoder.decode(tools)
        ]
    )


DEFAULT_ECHO: Final = _echo({}, stored=False)
