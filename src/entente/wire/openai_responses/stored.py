"""Stored responses and conversations: what is kept of them, and how it is shown. Pure.

Items are kept as they came, and get what the API shows of every item only when they are
listed; so what a later call builds on is what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.dialect import Head
from entente.wire.members import changed, split
from entente.wire.openai_responses import faults, form
from entente.wire.openai_responses.answer_writer import Frame
from entente.wire.parameters import MALFORMED
from entente.wire.sse import events, payload

KIND: Final = "response"
CONVERSATION: Final = "conversation"
QUEUED: Final = "queued"
IN_PROGRESS: Final = "in_progress"
RUNNING: Final = (QUEUED, IN_PROGRESS)
_AT: Final = "@"
"""In the state of one that is being made, between that and the worker that makes it."""
MAKERS_MAX: Final = 64
"""Workers that make responses beside each other."""
REFERENCE: Final = "item_reference"
COUNTED: Final = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
    }
)
"""What of a request has a bearing on the tokens of its input."""
COMPACTED: Final = frozenset(
    {
        "input",
        "instructions",
        "model",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
    }
)
"""What a request for a compaction can have."""
NEW_ITEMS_MAX: Final = 20
"""Items that one request can add to a conversation."""

_PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "compaction": "cmp",
}
_KINDS: Final = (
    *_PREFIXES,
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
)
"""What an item of a conversation can be."""
_PARTS: Final[Mapping[str, str | None]] = {
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "summary_text": "text",
    "input_image": None,
    "input_file": None,
    "input_audio": "input_audio",
}
"""What a message can be made of, and the member that each part must have."""
_WITH_STATUS: Final = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "computer_call",
    "computer_call_output",
)
ENDS: Final = ("response.completed", "response.incomplete", "response.failed")
_FILLED: Final[Mapping[bytes, Mapping[str, Raw]]] = {
    b'"output_text"': {"annotations": Raw(b"[]"), "logprobs": Raw(b"[]")},
    b'"input_image"': {"detail": Raw(b'"auto"')},
}

_Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_object_decoder = msgspec.json.Decoder(_Json)
_content_decoder = msgspec.json.Decoder(str | list[dict[str, Raw]])
_kind_decoder = msgspec.json.Decoder(form.ItemKind)


class Kept(msgspec.Struct):
    """What keeping a response needs of it."""

    status: str
    output: list[Raw]
    background: bool | None = None


class _Event(msgspec.Struct):
    """What keeping a response needs of the event that ends it."""

    type: str
    sequence_number: int = 0
    response: Raw = Raw(b"null")


class _Message(form.MessageItem):
    """Somebody speaks, and says who."""

    role: str = ""


class _Reasoning(msgspec.Struct):
    """A thought; it has a summary, if an empty one."""

    summary: list[form.Part]


_decoders: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "message": msgspec.json.Decoder(_Message),
    "function_call": msgspec.json.Decoder(form.CallItem),
    "function_call_output": msgspec.json.Decoder(form.ResultItem),
    "custom_tool_call": msgspec.json.Decoder(form.CustomCallItem),
    "custom_tool_call_output": msgspec.json.Decoder(form.ResultItem),
    "reasoning": msgspec.json.Decoder(_Reasoning),
}
_kept_decoder = msgspec.json.Decoder(Kept)
_event_decoder = msgspec.json.Decoder(_Event)


def queued_at(worker: int) -> str:
    """Give the state of a response that a worker makes, 0 for a server that is alone."""
    return f"{QUEUED}{_AT}{worker}" if worker else QUEUED


def maker_of(state: str) -> int:
    """Give the worker that makes a response, 0 where none does or there is only one."""
    _, found, worker = state.partition(_AT)
    return int(worker) if found else 0


def is_running(state: str) -> bool:
    """Say whether a response is being made."""
    return state.partition(_AT)[0] in RUNNING


def all_running() -> tuple[str, ...]:
    """Give the states of responses that are being made, wherever that is."""
    return (*RUNNING, *(queued_at(worker) for worker in range(1, MAKERS_MAX + 1)))


def read_kept(body: bytes) -> Kept | None:
    """Read what keeping a response needs; None for what is no response."""
    try:
        return _kept_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_background(body: bytes) -> bool:
    """Say whether a response was made in the background."""
    found = read_kept(body)
    return found is not None and found.background is True


def read_event(event: bytes) -> tuple[str, int, bytes] | None:
    """Give type, number and response of an event; the response is b"null" where it has none."""
    try:
        read = _event_decoder.decode(payload(event))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return read.type, read.sequence_number, bytes(read.response)


def ending(last: bytes) -> bytes | None:
    """Give the response that the last events of a stream end with; None if they do not."""
    for event in events(last):
        if any(name.encode() in event for name in ENDS):
            found = read_event(event)
            if found is not None and found[0] in ENDS:
                return found[2]
    return None


def write_event(kind: str, number: int, response: bytes) -> bytes:
    """Write an event about a whole response."""
    name = kind.encode()
    return b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % (
        *(name, name, number, response),
    )


def queued(head: Head) -> bytes:
    """Write a response that has not begun."""
    return Frame(head, "", "", None).response(QUEUED, usage=None)


def in_state(body: bytes, state: str, error: Mapping[str, str] | None = None) -> bytes:
    """Write a response in another state, and why it failed."""
    return changed(body, {"status": _encode(state), "error": _encode(error)})


def kind_of(item: Raw) -> str:
    """Give the type of an item; a message may leave it out, a reference as well."""
    try:
        kind = _kind_decoder.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return kind.type or (REFERENCE if kind.id and not kind.role else "message")


def id_of(item: Raw) -> str | None:
    """Give the id that an item says it has."""
    try:
        return _kind_decoder.decode(item).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def numbered(items: Iterable[Raw], new: Callable[[str], str]) -> list[tuple[str, bytes]]:
    """Give each item an id to be found by; `new` makes one with a prefix."""
    return [(new(_PREFIXES.get(kind_of(item), "item")), bytes(item)) for item in items]


def shown(id: str, item: bytes) -> Raw:
    """Write an item as it is listed: with an id, a type, a status, and content in parts."""
    said = split(item) or {}
    kind = kind_of(Raw(item)) or "message"
    said["id"] = Raw(_encode(id))
    said["type"] = Raw(_encode(kind))
    if kind in _WITH_STATUS and bytes(said.get("status", form.NULL)) == form.NULL:
        said["status"] = Raw(b'"completed"')
    if kind == "message" and "content" in said:
        said["content"] = _content(said["content"], said.get("role", Raw(form.NULL)))
    return Raw(_encode(said))


def _content(raw: Raw, role: Raw) -> Raw:
    """Write content as parts that say all that parts say."""
    try:
        content = _content_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    if isinstance(content, str):
        kind = b'"output_text"' if bytes(role) == b'"assistant"' else b'"input_text"'
        content = [{"type": Raw(kind), "text": raw}]
    filled = [{**_FILLED.get(bytes(part.get("type", b"")), {}), **part} for part in content]
    return Raw(_encode(filled))


# ---- conversations ----


def read_new_items(members: Mapping[str, Raw], *, needed: bool) -> list[Raw]:
    """Read `items` of a request about a conversation. Raises InvalidParameter."""
    raw = members.get("items")
    if raw is None or bytes(raw) == form.NULL:
        if needed:
            raise faults.missing("items")
        return []
    try:
        items = msgspec.json.decode(raw, type=list[Raw])
    except msgspec.ValidationError:
        raise faults.wrong_type("items", "an array of input items", faults.kind(raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    if len(items) > NEW_ITEMS_MAX:
        message = (
            f"Invalid 'items': array too long. Expected an array with maximum length "
            f"{NEW_ITEMS_MAX}, but got an array with length {len(items)} instead."
        )
        raise InvalidParameter(message, param="items", code="array_above_max_length")
    for number, item in enumerate(items):
        _check_item(item, f"items[{number}]")
    return items


def _check_item(item: Raw, path: str) -> None:
    """Refuse what cannot be an item, or is one only by reference."""
    if memoryview(item)[0] != ord("{"):
        raise faults.wrong_type(path, "an input item", faults.kind(item))
    kind = kind_of(item)
    if not kind:
        raise faults.wrong_type(path, "an input item", "an object")
    if kind not in _KINDS:
        raise faults.wrong_value(f"{path}.type", kind, _KINDS)
    decoder = _decoders.get(kind, _object_decoder)
    try:
        said = decoder.decode(item)
    except msgspec.ValidationError as error:
        raise faults.invalid(error, path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    if isinstance(said, _Message):
        _check_message(said, path)


def _check_message(said: _Message, path: str) -> None:
    if said.role not in form.ROLES:
        raise faults.wrong_value(f"{path}.role", said.role, form.ROLES)
    for number, part in enumerate(() if isinstance(said.content, str) else said.content):
        within = f"{path}.content[{number}]"
        if part.type not in _PARTS:
            raise faults.wrong_value(f"{within}.type", part.type, tuple(_PARTS))
        needed = _PARTS[part.type]
        if needed is not None and getattr(part, needed) is None:
            raise faults.missing(f"{within}.{needed}")


def conversation(id: str, created_s: int, metadata: Mapping[str, str]) -> _Json:
    """Write a conversation."""
    return {
        "id": id,
        "object": CONVERSATION,
        "created_at": created_s,
        "metadata": dict(metadata),
    }


# ---- what is not there ----


def no_response(id: str) -> str:
    """Say that there is no such response."""
    return f"Response with id '{cited(id)}' not found."


def no_conversation(id: str) -> str:
    """Say that there is no such conversation."""
    return f"Conversation with id '{cited(id)}' not found."


def no_item(id: str) -> str:
    """Say that there is no such item."""
    return f"Item with id '{cited(id)}' not found."


def no_previous(id: str) -> InvalidParameter:
    """Say that there is no such response to go on from."""
    message = f"Previous response with id '{cited(id)}' not found."
    code = "previous_response_not_found"
    return InvalidParameter(message, param="previous_response_id", code=code)


def cited(name: str) -> str:
    """Give what is cited of a name."""
    return name[: faults.NAME_CHARS_MAX]


def only(body: bytes, names: Collection[str]) -> bytes:
    """Cut a request to members of these names, and let it have an input, if an empty one.

    What is no object stays as it is: whoever decodes it says what is wrong.
    """
    members = split(body)
    if members is None:
        return body
    kept = {name: raw for name, raw in members.items() if name in names}
    if bytes(kept.get("input", form.NULL)) == form.NULL:
        kept["input"] = Raw(b"[]")
    return _encode(kept)


def with_input(call: Call, items: Iterable[Raw]) -> Call:
    """Give the call with other items as its input."""
    members = {**call.members, "input": Raw(_encode(list(items)))}
    return msgspec.structs.replace(call, body=_encode(members), members=members)


def compaction(call: Call) -> Call:
    """Make a call for a compaction of one that has all that is to be compacted."""
    members = {name: raw for name, raw in call.members.items() if name != "previous_response_id"}
    return msgspec.structs.replace(
        call, surface=Surface.COMPACTION, body=_encode(members), members=members
    )
