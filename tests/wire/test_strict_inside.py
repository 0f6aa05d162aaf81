"""What is unknown inside of a request's objects, refused in place; all that there is, let pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anthropic.types
import pytest

from entente.domain.chat import Surface
from entente.domain.errors import InvalidParameter
from entente.wire.anthropic.shapes import SHAPES as ANTHROPICS
from entente.wire.openai_chat.shapes import SHAPES as CHATS
from entente.wire.openai_responses.shapes import SHAPES as RESPONSES
from entente.wire.shapes import Kinds, Shape, unknown
from entente.wire.strict import (
    beside,
    check_added_items,
    check_changed_conversation,
    check_chat,
    check_compaction,
    check_count_tokens,
    check_form,
    check_input_tokens,
    check_json,
    check_messages,
    check_new_conversation,
    check_responses,
    messages,
)
from tests.support.contract.schemas import SPECIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALL: Final = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL: Final = {"type": "function", "function": {"name": "f"}}


def chat(**more: Any) -> bytes:
    """Write a chat request."""
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], **more}
    ).encode()


def said(**message: Any) -> bytes:
    """Write a chat request of this message."""
    return chat(messages=[{"role": "user", "content": "x"}, message])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (said(role="user", content="x", zzz=1), "messages[1].zzz"),
        (said(role="user", content=[{"type": "text", "text": "x", "cache_control": {}}]),
         "messages[1].content[0].cache_control"),
        (said(role="user", content=[{"type": "image_url", "image_url": {"url": "u", "zzz": 1}}]),
         "messages[1].content[0].image_url.zzz"),
        (said(role="assistant", content="x", reasoning_content="y"),
         "messages[1].reasoning_content"),
        (said(role="assistant", tool_calls=[{**CALL, "index": 0}]),
         "messages[1].tool_calls[0].index"),
        (chat(tools=[{**TOOL, "cache_control": {}}]), "tools[0].cache_control"),
        (chat(tools=[{"type": "function", "function": {"name": "f", "zzz": 1}}]),
         "tools[0].function.zzz"),
        (chat(tool_choice={"type": "function", "function": {"name": "f", "zzz": 1}}, tools=[TOOL]),
         "tool_choice.function.zzz"),
        (chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "zzz": 1}}),
         "response_format.json_schema.zzz"),
        (chat(response_format={"type": "text", "schema": {}}), "response_format.schema"),
        (chat(stream_options={"zzz": True}), "stream_options.zzz"),
    ],
)  # fmt: skip
def test_inside_of_chat(body: bytes, place: str) -> None:
    """The first of them, by its place, as OpenAI writes places."""
    with pytest.raises(InvalidParameter) as caught:
        check_chat(body)
    error = caught.value
    assert (error.param, error.code) == (place, "unknown_parameter")
    assert error.message == f"Unknown parameter: '{place}'."


def test_the_order_of_what_is_inside() -> None:
    """What messages lack before what is unknown in them, and that before other parameters."""
    both = said(role="assistant", tool_calls=[{"index": 0}])
    with pytest.raises(InvalidParameter, match=r"Missing required parameter: 'messages\[1\]"):
        check_chat(both)
    with pytest.raises(InvalidParameter, match=r"'messages\[0\]\.zzz'"):
        check_chat(chat(messages=[{"role": "user", "content": "x", "zzz": 1}], temperature=-1))
    with pytest.raises(InvalidParameter, match="Unknown parameter: 'zzz'"):
        check_chat(chat(messages=[{"role": "user", "content": "x", "y": 1}], zzz=1))


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"input": [{"role": "user", "content": "x", "zzz": 1}]}, "input[0].zzz"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "z": 1}]}]},
            "input[0].content[0].z",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x", "z": 1}]},
            "input[0].z",
        ),
        ({"tools": [{"type": "function", "name": "f", "zzz": 1}]}, "tools[0].zzz"),
        ({"tools": [{"type": "web_search", "zzz": 1}]}, "tools[0].zzz"),
        ({"text": {"format": {"type": "text", "zzz": 1}}}, "text.format.zzz"),
        ({"text": {"zzz": 1}}, "text.zzz"),
        ({"reasoning": {"effort": "low", "zzz": 1}}, "reasoning.zzz"),
        ({"stream": True, "stream_options": {"include_usage": True}},
         "stream_options.include_usage"),
    ],
)  # fmt: skip
def test_inside_of_responses(more: dict[str, Any], place: str) -> None:
    """Of items, content, tools and parameters."""
    with pytest.raises(InvalidParameter) as caught:
        check_responses(json.dumps({"model": "m", "input": "x", **more}).encode())
    assert (caught.value.param, caught.value.code) == (place, "unknown_parameter")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"messages": [{"role": "user", "content": "x", "zzz": 1}]}, "messages.0.zzz"),
        (
            {"messages": [{"role": "assistant", "content": [
                {"type": "thinking", "thinking": "x", "signature": "y", "cache_control": {}}]}]},
            "messages.0.content.0.thinking.cache_control",
        ),
        (
            {"messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "index": 0}]}]},
            "messages.0.content.0.tool_use.index",
        ),
        (
            {"system": [{"type": "text", "text": "x", "cache_control":
                {"type": "ephemeral", "scope": "global"}}]},
            "system.0.text.cache_control.ephemeral.scope",
        ),
        ({"tools": [{"name": "f", "input_schema": {}, "zzz": 1}]}, "tools.0.custom.zzz"),
        ({"tool_choice": {"type": "auto", "zzz": 1}}, "tool_choice.auto.zzz"),
        ({"metadata": {"zzz": 1}}, "metadata.zzz"),
        ({"output_config": {"zzz": 1}}, "output_config.zzz"),
    ],
)  # fmt: skip
def test_inside_of_messages(more: dict[str, Any], place: str) -> None:
    """In Anthropic's words, with the kind of a block in its place; a beta's client is trusted."""
    asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    body = json.dumps({**asked, **more}).encode()
    with pytest.raises(InvalidParameter) as caught:
        check_messages(body)
    assert caught.value.message == f"{place}: Extra inputs are not permitted"
    check_messages(body, names_a_beta=True)


@pytest.mark.parametrize(
    ("surface", "body", "param", "code"),
    [
        (Surface.COMPLETIONS, {"prompt": "x"}, None, None),
        (Surface.COMPLETIONS, {"model": "m"}, "prompt", "missing_required_parameter"),
        (Surface.COMPLETIONS, {"model": "m", "prompt": "x", "zzz": 1, "n": "x"}, "zzz",
         "unknown_parameter"),
        (Surface.COMPLETIONS, {"model": "m", "prompt": "x", "logprobs": 6}, "logprobs",
         "integer_above_max_value"),
        (Surface.EMBEDDINGS, {"model": "m", "input": "x", "input_type": "q"}, "input_type",
         "unknown_parameter"),
        (Surface.EMBEDDINGS, {"model": "m", "input": "x", "encoding_format": "hex"},
         "encoding_format", "invalid_value"),
        (Surface.MODERATIONS, {"input": "x", "user": "u"}, "user", "unknown_parameter"),
        (Surface.SPEECH, {"model": "m", "input": "x"}, "voice", "missing_required_parameter"),
        (Surface.SPEECH, {"model": "m", "input": "x", "voice": "v", "speed": 5}, "speed",
         "decimal_above_max_value"),
        (Surface.IMAGE_GENERATIONS, {"prompt": "x", "style": "x"}, "style", "invalid_value"),
        (Surface.IMAGE_GENERATIONS, {"prompt": "x", "images": []}, "images", "unknown_parameter"),
        (Surface.IMAGE_EDITS, {"prompt": "x", "images": [{"zzz": 1}]}, "images[0].zzz",
         "unknown_parameter"),
    ],
)  # fmt: skip
def test_what_is_no_conversation(
    surface: Surface, body: dict[str, Any], param: str | None, code: str | None
) -> None:
    """Model, what has to be there, names, then the rest."""
    with pytest.raises(InvalidParameter) as caught:
        check_json(surface, json.dumps(body).encode())
    assert (caught.value.param, caught.value.code) == (param, code)


USER: Final = {"type": "message", "role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("check", "body", "param", "code"),
    [
        (check_input_tokens, {"zzz": 1}, "model", "missing_required_parameter"),
        (check_input_tokens, {"model": "m", "input": 7, "zzz": 1}, "zzz", "unknown_parameter"),
        (check_input_tokens, {"model": "m", "input": "x", "store": True}, "store",
         "unknown_parameter"),
        (check_input_tokens, {"model": "m", "input": "x", "personality": 1}, "personality",
         "invalid_type"),
        (check_input_tokens, {"model": "m", "input": "x", "truncation": "x"}, "truncation",
         "invalid_value"),
        (check_input_tokens, {"model": "m", "input": [{**USER, "zzz": 1}]}, "input[0].zzz",
         "unknown_parameter"),
        (check_compaction, {"input": "x"}, "model", "missing_required_parameter"),
        (check_compaction, {"model": "m", "input": "x", "tools": []}, "tools",
         "unknown_parameter"),
        (check_compaction, {"model": "m", "input": "x", "service_tier": "x"}, "service_tier",
         "invalid_value"),
        (check_compaction, {"model": "m"}, None, "missing_required_parameter"),
        (check_new_conversation, {"zzz": 1, "metadata": 7}, "zzz", "unknown_parameter"),
        (check_new_conversation, {"metadata": 7}, "metadata", "invalid_type"),
        (check_new_conversation, {"items": [USER, {**USER, "zzz": 1}]}, "items[1].zzz",
         "unknown_parameter"),
        (check_changed_conversation, {"zzz": 1}, "metadata", "missing_required_parameter"),
        (check_changed_conversation, {"metadata": {}, "items": []}, "items", "unknown_parameter"),
        (check_added_items, {"zzz": 1}, "items", "missing_required_parameter"),
        (check_added_items, {"items": [], "metadata": {}}, "metadata", "unknown_parameter"),
        (check_added_items, {"items": [USER] * 21}, "items", "array_above_max_length"),
    ],
)  # fmt: skip
def test_what_is_beside_responses(
    check: Callable[[bytes], None], body: dict[str, Any], param: str | None, code: str
) -> None:
    """The model or what has to be there, names, then the rest."""
    with pytest.raises(InvalidParameter) as caught:
        check(json.dumps(body).encode())
    assert (caught.value.param, caught.value.code) == (param, code)


def test_what_is_right_beside_responses() -> None:
    """Passes, also where next to nothing is said."""
    check_input_tokens(b'{"model":"m","input":"x","personality":"friendly","truncation":"auto"}')
    check_input_tokens(b'{"model":"m","previous_response_id":"resp_1"}', with_store=True)
    check_compaction(json.dumps({"model": "m", "input": [USER], "service_tier": "flex"}).encode())
    check_new_conversation(b"")
    check_new_conversation(json.dumps({"items": [USER], "metadata": {"a": "b"}}).encode())
    check_changed_conversation(b'{"metadata":{"a":"b"}}')
    check_added_items(json.dumps({"items": [USER]}).encode())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_tokens": 5}, "max_tokens: Extra inputs are not permitted"),
        ({"stream": True}, "stream: Extra inputs are not permitted"),
        ({"diagnostics": {}}, "diagnostics: Extra inputs are not permitted"),
        ({"mcp_servers": []}, "mcp_servers: Extra inputs are not permitted"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"tool_choice": {"type": "auto", "zzz": 1}},
         "tool_choice.auto.zzz: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_counts_of_messages(more: dict[str, Any], said: str) -> None:
    """What is told to the model, and nothing about its answer."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    check_count_tokens(json.dumps(asked).encode())
    with pytest.raises(InvalidParameter) as caught:
        check_count_tokens(json.dumps({**asked, **more}).encode())
    assert caught.value.message == said
    check_count_tokens(json.dumps({**asked, "mcp_servers": []}).encode(), names_a_beta=True)


def test_fields_of_forms() -> None:
    """By name; those that are arrays may say so."""
    check_form(Surface.TRANSCRIPTIONS, ["file", "model", "timestamp_granularities[]"])
    with pytest.raises(InvalidParameter, match="Unknown parameter: 'zzz'"):
        check_form(Surface.TRANSLATIONS, ["file", "model", "zzz"])
    check_json(Surface.EMBEDDINGS, b'{"model":"m","input":"x","input_type":"q"}', is_azures=True)


# ---- nothing that there is may be refused ----


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SPECIFICATION.read_bytes())["components"]["schemas"]
    return found


def _resolved(schema: Any, schemas: dict[str, Any]) -> Any:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _options(schema: Any, schemas: dict[str, Any]) -> Iterator[Any]:
    """Give the objects and arrays that a schema may be."""
    schema = _resolved(schema, schemas)
    parts = [part for word in ("oneOf", "anyOf") for part in schema.get(word, ())]
    for part in parts:
        yield from _options(part, schemas)
    if not parts:
        yield schema


def _members(schema: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = _resolved(schema, schemas)
    found: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        found |= _members(part, schemas)
    properties: dict[str, Any] = schema.get("properties", {})
    return found | properties


def _examples(schema: Any, schemas: dict[str, Any], depth: int = 5) -> Iterator[Any]:
    """Write objects with every member that the specification has, of every kind."""
    for option in _options(schema, schemas):
        if option.get("type") == "array":
            yield list(_examples(option["items"], schemas, depth))
            continue
        members = _members(option, schemas)
        if not members or not depth:
            continue
        value: dict[str, Any] = {}
        for name, inner in members.items():
            words = _resolved(inner, schemas).get("enum")
            inside = list(_examples(inner, schemas, depth - 1))
            value[name] = words[0] if words else (inside[0] if inside else None)
        yield value
        for name, inner in members.items():
            yield from ({**value, name: each} for each in _examples(inner, schemas, depth - 1))


@pytest.mark.parametrize(
    ("request_name", "shapes"),
    [("CreateChatCompletionRequest", CHATS), ("CreateResponse", RESPONSES)],
)
def test_every_member_of_the_specification_is_known(
    request_name: str, shapes: dict[str, Shape | Kinds]
) -> None:
    """Where it is at hand: objects of each kind, with all that they may have."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there")
    schemas = _schemas()
    members = _members(schemas[request_name], schemas)
    count = 0
    for name, expected in shapes.items():
        for example in _examples(members[name], schemas, 3):
            count += 1
            assert unknown(example, expected, (name,)) is None
    assert count > 20


@pytest.mark.parametrize(
    ("request_name", "names"),
    [
        ("TokenCountsBody", beside.COUNTED),
        ("CompactResponseMethodPublicBody", beside.COMPACTED),
        ("CreateConversationBody", beside.NEW),
        ("UpdateConversationBody", beside.CHANGED),
    ],
)
def test_requests_have_the_names_of_the_specification(
    request_name: str, names: frozenset[str]
) -> None:
    """Beside responses: all of them, and no other."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there")
    schemas = _schemas()
    assert _members(schemas[request_name], schemas).keys() == names


def test_counts_have_the_names_of_anthropics_own_types() -> None:
    """As its SDK has them; those of headers apart."""
    known = anthropic.types.MessageCountTokensParams.__annotations__.keys()
    assert {*messages.COUNTED, *messages.LATER - {"diagnostics"}} == set(known)


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("content", ("Text", "Image", "Document", "SearchResult", "Thinking", "RedactedThinking",
                     "ToolUse", "ToolResult")),
        ("tool_choice", ("ToolChoiceAuto", "ToolChoiceAny", "ToolChoiceTool", "ToolChoiceNone")),
        ("thinking", ("ThinkingConfigEnabled", "ThinkingConfigAdaptive", "ThinkingConfigDisabled")),
    ],
)  # fmt: skip
def test_every_member_of_anthropics_own_types_is_known(shape: str, names: tuple[str, ...]) -> None:
    """As its SDK has them."""
    said = ANTHROPICS["messages"]
    assert isinstance(said, Shape)
    found = said.members["content"] if shape == "content" else ANTHROPICS[shape]
    assert isinstance(found, Kinds)
    kinds = [frozenset(each.members) for each in found.of.values()]
    for name in names:
        suffix = "BlockParam" if shape == "content" else "Param"
        members = getattr(anthropic.types, f"{name}{suffix}").__annotations__
        assert frozenset(members) in kinds, name
    tools = ANTHROPICS["tools"]
    assert isinstance(tools, Kinds)
    assert tools.of["custom"].members.keys() == anthropic.types.ToolParam.__annotations__.keys()
