"""Responses requests, read as far as governing them needs, and passed on as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.members import hidden_names, misspelt, rewrite, split
from entente.wire.openai_responses import faults, form
from entente.wire.parameters import MALFORMED, MODEL_CHARS_MAX

FUNCTION_TYPES: Final = ("function", "custom")
"""Tools that the client runs; the vendor runs all others, and reads more than the body says."""
NO_INPUT: Final = (
    "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided."
)
NO_STORE: Final = "This server does not keep responses: send the earlier items in 'input' instead."

_GOVERNING: Final = (
    "tools",
    "stream",
    "background",
    "max_output_tokens",
    "store",
    "prompt",
    "conversation",
    "previous_response_id",
)
_MISSPELT: Final = ("model", "input", *_GOVERNING)
_MOVED: Final[Mapping[str, str]] = {
    "messages": "input",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "max_completion_tokens": "max_output_tokens",
}
_FOREIGN: Final = ("n", "max_tokens")
"""Names that govern another dialect, on which a lenient provider could act all the same."""
_ATTACHMENT: Final = re.compile(rb'"(?:image_url|file_id|file_url)"\s*:')
_NAMING_NOTHING: Final = frozenset(form.NAMES) - {"input", "instructions", "prompt", "tools"}
"""Members that the API defines as numbers, words, switches and options: no file is named there."""
_REFERENCE: Final = "item_reference"
_THOUGHTS: Final = "reasoning.encrypted_content"
_FALSE: Final = b"false"

_string: Final = msgspec.json.Decoder(str)
_tools_decoder: Final = msgspec.json.Decoder(list[form.ToolKind] | None)
_kinds_decoder: Final = msgspec.json.Decoder(list[form.ItemKind])
_items_decoder: Final = msgspec.json.Decoder(list[Raw])


class State(msgspec.Struct, frozen=True):
    """What a call asks of a store of responses."""

    store: bool = True
    """Keep the answer, so that it can be fetched and continued."""
    background: bool = False
    """Answer at once with a response that is not there yet."""
    previous_response_id: str | None = None
    conversation: str | None = None
    """The id of a conversation that the call continues."""


def decode_responses(body: bytes, *, strict: bool = False, with_store: bool = False) -> Call:
    """Read a request to create a response as far as governing it needs.

    `strict` refuses what the API does not know, and every value that it would refuse; else
    that is left to who reads the whole of it. Without a store of responses (`with_store`),
    a request that builds on one is refused. Raises MalformedJson or InvalidParameter, worded
    as OpenAI does, in OpenAI's order: model, input, unknown names, types and bounds, state.
    """
    members = _members(body)
    model = _model(members)
    _check_names(members, strict=strict)
    items = _check_input(members)
    asked = form.read(members, None if strict else _GOVERNING, strict=strict)
    state = _state(asked)
    _check_state(asked, state, with_store=with_store)
    if not items and not (state.previous_response_id or state.conversation):
        raise InvalidParameter(NO_INPUT, param=None, code="missing_required_parameter")
    texts = _texts(members["input"])
    if not with_store:
        _check_references(members["input"], texts)
    return Call(
        surface=Surface.RESPONSES,
        model=model,
        body=body,
        members=members,
        stream=asked.stream is True,
        wants_usage=True,
        output_tokens_max=asked.max_output_tokens,
        attachments=_attachments(members, are_texts=texts is not None),
    )


def check_model(body: bytes) -> dict[str, Raw]:
    """Refuse a request without a model; give its members."""
    members = _members(body)
    _model(members)
    return members


def check_head(body: bytes) -> list[Raw]:
    """Refuse, strictly, a request without model or input, and unknown names; give its items."""
    members = check_model(body)
    _check_names(members, strict=True)
    _check_input(members)
    return _as_items(members["input"])


def _members(body: bytes) -> dict[str, Raw]:
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    return members


def encode_responses(call: Call, *, model: str, output_tokens_max: int | None) -> bytes:
    """Write the call for a provider that knows the model as `model`.

    `output_tokens_max` is a bound to add where the client gave none; None adds nothing. The
    provider is asked to keep nothing, and to answer now; what the call builds on is no
    response or conversation of the provider's (`behind` puts the items themselves there).
    """
    members = call.members
    changes: dict[str, bytes] = {}
    if model != call.model:
        changes["model"] = msgspec.json.encode(model)
    if output_tokens_max is not None and call.output_tokens_max is None:
        changes["max_output_tokens"] = b"%d" % output_tokens_max
    if bytes(members.get("store", form.NULL)) != _FALSE:
        changes["store"] = _FALSE
    if bytes(members.get("background", _FALSE)) not in (_FALSE, form.NULL):
        changes["background"] = _FALSE
    for name in ("previous_response_id", "conversation"):
        if bytes(members.get(name, form.NULL)) != form.NULL:
            changes[name] = form.NULL
    if call.stored and "reasoning" in members:
        changes |= _with_thoughts(members.get("include"))
    return rewrite(call, changes)


def _with_thoughts(include: Raw | None) -> dict[str, bytes]:
    """Ask for thoughts in the form in which they can be sent back, by a client that thinks.

    An answer is to be continued from here, and a provider that keeps nothing takes no others.
    """
    asked = msgspec.json.decode(include, type=list[str] | None) if include else None
    if _THOUGHTS in (asked or ()):
        return {}
    return {"include": msgspec.json.encode([*(asked or ()), _THOUGHTS])}


def behind(call: Call, earlier: Iterable[Raw]) -> Call:
    """Give the call with the items of what it builds on before its own.

    `earlier` are input and output in their order, as a store of responses keeps them. Thoughts
    that only their provider could look up are left out, and with them the ids that would be
    looked up beside them. What the call builds on stays named, for the answer to repeat.
    """
    items = [*_replayable(earlier), *input_items(call)]
    members = {**call.members, "input": Raw(msgspec.json.encode(items))}
    body = msgspec.json.encode(members)
    are_texts = _texts(members["input"]) is not None
    count = _attachments(members, are_texts=are_texts)
    return msgspec.structs.replace(call, body=body, members=members, attachments=count)


def _replayable(items: Iterable[Raw]) -> list[Raw]:
    kept = list(items)
    bare = [item for item in kept if _is_bare_thought(item)]
    if not bare:
        return kept
    return [_without_id(item) for item in kept if item not in bare]


def _is_bare_thought(item: Raw) -> bool:
    """Say whether an item is a thought by its id alone."""
    if b"reasoning" not in bytes(item):
        return False
    found = split(bytes(item)) or {}
    is_thought = bytes(found.get("type", form.NULL)) == b'"reasoning"'
    return is_thought and bytes(found.get("encrypted_content", form.NULL)) == form.NULL


def _without_id(item: Raw) -> Raw:
    members = split(bytes(item))
    if members is None or members.pop("id", None) is None:
        return item
    return Raw(msgspec.json.encode(members))


def state(call: Call) -> State:
    """Give what a decoded call asks of a store of responses."""
    return _state(form.read(call.members, _GOVERNING))


def input_items(call: Call) -> list[Raw]:
    """Give the input of a decoded call as items; text is a message of the user's."""
    return _as_items(call.members["input"])


def _as_items(raw: Raw) -> list[Raw]:
    if not _is_text(raw):
        return _items(raw)
    return [Raw(b'{"type":"message","role":"user","content":%b}' % bytes(raw))]


def _state(asked: form.ResponsesForm) -> State:
    conversation = asked.conversation
    if isinstance(conversation, form.ConversationId):
        conversation = conversation.id
    return State(
        store=asked.store is not False,
        background=asked.background is True,
        previous_response_id=asked.previous_response_id,
        conversation=conversation,
    )


def _model(members: Mapping[str, Raw]) -> str:
    raw = members.get("model")
    if raw is None:
        raise faults.missing("model")
    try:
        model = _string.decode(raw)
    except msgspec.ValidationError:
        raise faults.wrong_type("model", "a string", faults.kind(raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedJson(MALFORMED) from None
    if not model:
        raise faults.no_model(model)
    if len(model) > MODEL_CHARS_MAX:
        raise faults.too_long("model", len(model), MODEL_CHARS_MAX)
    return model


def _check_names(members: Mapping[str, Raw], *, strict: bool) -> None:
    """Refuse a request without input, then names of another dialect, or that nobody knows."""
    for name, place in _MOVED.items():
        if name in members:
            raise faults.moved(name, place)
    if "input" not in members:
        raise faults.missing("input")
    wrong = misspelt(members, _MISSPELT)
    for name in members:
        if name == wrong or name in _FOREIGN or (strict and name not in form.NAMES):
            raise faults.unknown(name, form.NAMES, members.keys())


def _check_input(members: Mapping[str, Raw]) -> bool:
    """Refuse an input of a wrong type; say whether there is any."""
    raw = members["input"]
    text = memoryview(raw)
    first = text[0]
    if first == ord('"'):
        return len(text) > len('""')
    if first == ord("["):
        return not (len(text) == len("[]") or bytes(text[1:-1]).isspace())
    expected = "a string" if first == ord("n") else "one of a string or array of input items"
    raise faults.wrong_type("input", expected, faults.kind(raw))


def _items(raw: Raw) -> list[Raw]:
    try:
        return _items_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


def _check_state(asked: form.ResponsesForm, state: State, *, with_store: bool) -> None:
    """Refuse what cannot be together, and what nobody here keeps."""
    if state.conversation is not None and state.previous_response_id is not None:
        message = (
            "Mutually exclusive parameters: ''. Ensure you are only providing one of: "
            "'pre..._id' or 'conversation'."
        )
        raise InvalidParameter(message, param=None, code="mutually_exclusive_parameters")
    if state.conversation is not None and not with_store:
        message = f"Conversation with id '{_cited(state.conversation)}' not found. {NO_STORE}"
        raise InvalidParameter(message, param=None, code=None)
    if asked.prompt is not None:
        message = (
            f"Prompt with id '{_cited(asked.prompt.id)}' not found. This server does not keep "
            "prompts: send the prompt's own text instead."
        )
        raise InvalidParameter(message, param=None, code=None)
    if state.previous_response_id is not None and not with_store:
        name = "previous_response_id"
        cited = _cited(state.previous_response_id)
        message = f"Previous response with id '{cited}' not found. {NO_STORE}"
        raise InvalidParameter(message, param=name, code="previous_response_not_found")
    if state.background and not with_store:
        message = (
            "Unsupported parameter: 'background' is not supported, as this server does not keep "
            "responses. Send the request without it, and stream the answer."
        )
        raise InvalidParameter(message, param="background", code="unsupported_parameter")


def _cited(name: str) -> str:
    return name[: faults.NAME_CHARS_MAX]


def _check_references(raw: Raw, texts: list[form.TextItem] | None) -> None:
    """Refuse items that stand only by their id: who keeps none would reach somebody's."""
    kinds: Sequence[form.TextItem | form.ItemKind]
    try:
        kinds = _kinds_decoder.decode(raw) if texts is None else texts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # the reader of the whole, or the provider, says what is wrong
    for kind in kinds:
        if kind.type == _REFERENCE or (kind.type is None and kind.role is None and kind.id):
            raise not_kept(kind.id)


def not_kept(item_id: str | None) -> InvalidParameter:
    """Say that there is no item with this id."""
    message = f"Item with id '{_cited(item_id or '')}' not found. {NO_STORE}"
    return InvalidParameter(message, param="input", code=None)


def _attachments(members: Mapping[str, Raw], *, are_texts: bool) -> int:
    """Count what the model reads beyond the body: by reference, by hosted tools, or hidden.

    An input of nothing but texts names nothing by reference.
    """
    count = _hosted(members.get("tools"))
    for name, raw in members.items():
        if name in _NAMING_NOTHING or _is_text(raw) or (are_texts and name == "input"):
            continue
        text = bytes(raw)
        count += hidden_names(text)
        if b'"image_url"' in text or b'"file_' in text:
            count += len(_ATTACHMENT.findall(text))
    return count


def _is_text(raw: Raw) -> bool:
    return memoryview(raw)[0] == ord('"')


def _texts(raw: Raw) -> list[form.TextItem] | None:
    """Read an input of nothing but texts, None for any other.

    To see that it is such takes a fraction of the time that a search of it does.
    """
    if _is_text(raw):
        return []
    try:
        return form.texts_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _hosted(tools: Raw | None) -> int:
    """Count the tools that the vendor runs, which read what no body says."""
    if tools is None:
        return 0
    try:
        kinds = _tools_decoder.decode(tools) or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1
    return sum(kind.type not in FUNCTION_TYPES for kind in kinds)
