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

ID_PREFIX: Final = "resp_"

_NULL: Final = b"null"
_DEFAULTS: Final[Mapping[str, bytes]] = {
    "background": b"false",
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
    own_id: str | None = None
    """The id that the answer has, whatever the provider calls it; None leaves it to that one."""


def head(call: Call, *, id: str, created_s: int, stored: bool = False) -> ResponsesHead:
    """Make the head of the answer to a call that was read without complaint.

    `stored` says whether the answer is kept, to be fetched and continued.
    """
    return ResponsesHead(
        id=id,
        model=call.model,
        created_s=created_s,
        echo=_echo(call.members, stored=stored),
        own_id=own_id(id) if stored else None,
    )


def own_id(request_id: str) -> str:
    """Give the id of a response that is kept: no provider's, which another may give as well."""
    return ID_PREFIX + request_id.rpartition("_")[2]


def answer_id(given: str, head: Head) -> str:
    """Give the id of an answer: ours, or the provider's made to look like one of this dialect."""
    if isinstance(head, ResponsesHead) and head.own_id is not None:
        return head.own_id
    name = given or head.id
    return name if name.startswith(ID_PREFIX) else ID_PREFIX + name


def conversation(given: bytes) -> bytes:
    """Write the conversation of a response; a request may name it by its id alone."""
    return given if given.startswith(b"{") else b'{"id":%b}' % given


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
    named = bytes(members.get("conversation", _NULL))
    if named != _NULL:
        said["conversation"] = b'"conversation":' + conversation(named)
    return b",".join(said.values())


_UNSAID: Final[Mapping[str, bytes]] = {
    name: b'"%b":%b' % (name.encode(), value)
    for name, value in {"store": b"false", **_DEFAULTS}.items()
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
