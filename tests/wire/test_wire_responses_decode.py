"""Responses requests, read as far as governing needs; what the live API refuses, and how."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Call, Surface
from entente.domain.errors import (
    BodyTooLarge,
    InvalidParameter,
    MalformedJson,
    ModelNotFound,
    RequestError,
)
from entente.wire import openai_responses
from entente.wire.openai_responses import (
    State,
    behind,
    decode_responses,
    encode_responses,
    form,
    read_request,
)
from tests.kit.run import PROPERTY

SMALL: dict[str, Any] = {"model": "m", "input": "hi"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
STATE = {"previous_response_id": "resp_x"}
ONE_OF = (
    "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided."
)
INCLUDES = (
    "'file_search_call.results', 'web_search_call.results', 'web_search_call.action.sources', "
    "'message.input_image.image_url', 'computer_call_output.output.image_url', "
    "'code_interpreter_call.outputs', 'reasoning.encrypted_content', and "
    "'message.output_text.logprobs'"
)
MOVED = (
    "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved "
    "to 'input'. Try again with the new parameter. See the API documentation for more "
    "information: https://platform.openai.com/docs/api-reference/responses/create."
)
TOO_MANY = (
    "Invalid 'metadata': too many properties. Expected an object with at most 16 "
    "properties, but got an object with 17 properties instead."
)
EXCLUSIVE = (
    "Mutually exclusive parameters: ''. Ensure you are only providing one of: "
    "'pre..._id' or 'conversation'."
)
EFFORTS = "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"


def _decode(strict: bool = False, **members: Any) -> Call:
    body = {name: value for name, value in {**SMALL, **members}.items() if value is not ...}
    return decode_responses(json.dumps(body).encode(), strict=strict)


def _type(name: str, expected: str, got: str = "a string") -> tuple[str, str, str]:
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return (name, "invalid_type", message)


def _value(name: str, value: str, supported: str) -> tuple[str, str, str]:
    message = f"Invalid value: '{value}'. Supported values are: {supported}."
    return (name, "invalid_value", message)


def _missing(name: str) -> tuple[str, str, str]:
    return (name, "missing_required_parameter", f"Missing required parameter: '{name}'.")


def _unknown(name: str, hint: str = "") -> tuple[str, str, str]:
    return (name, "unknown_parameter", f"Unknown parameter: '{name}'.{hint}")


def _least(name: str, least: int, got: int) -> tuple[str, str, str]:
    message = (
        f"Invalid '{name}': integer below minimum value. "
        f"Expected a value >= {least}, but got {got} instead."
    )
    return (name, "integer_below_min_value", message)


def _user(content: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": content}]}


MEASURED: list[tuple[dict[str, Any], tuple[str | None, str | None, str]]] = [
    ({"model": ...}, _missing("model")),
    ({"model": None}, _type("model", "a string", "an object")),
    ({"model": 7}, _type("model", "a string", "an integer")),
    ({"model": ""}, ("model", "model_not_found", "The requested model '' does not exist.")),
    ({"input": ...}, _missing("input")),
    ({"input": ..., "zzz": 1}, _missing("input")),
    ({"input": ..., **STATE}, _missing("input")),
    ({"input": ..., "model": ...}, _missing("model")),
    ({"input": None}, _type("input", "a string", "an object")),
    ({"input": {}}, _type("input", "one of a string or array of input items", "an object")),
    ({"input": []}, (None, "missing_required_parameter", ONE_OF)),
    ({"input": ""}, (None, "missing_required_parameter", ONE_OF)),
    ({"input": [], "zzz": 1}, _unknown("zzz")),
    ({"input": [], "truncation": "x"}, _value("truncation", "x", "'auto' and 'disabled'")),
    ({"zzz": 1, "model": ...}, _missing("model")),
    ({"n": 2}, _unknown("n")),
    ({"stop": ["Z"]}, _unknown("stop", " Did you mean 'store'?")),
    ({"seed": 1}, _unknown("seed")),
    ({"logprobs": True}, _unknown("logprobs")),
    ({"max_tokens": 16}, _unknown("max_tokens")),
    ({"sto": 1}, _unknown("sto", " Did you mean 'store'?")),
    ({"st": 1}, _unknown("st")),
    ({"stre": 1}, _unknown("stre", " Did you mean 'store' or 'stream'?")),
    ({"strem": 1}, _unknown("strem", " Did you mean 'stream' or 'store'?")),
    ({"inpu": 1}, _unknown("inpu")),
    (
        {"messages": []},
        (
            None,
            "unsupported_parameter",
            MOVED,
        ),
    ),
    ({"text": "x"}, _type("text", "an object")),
    ({"text": {"zzz": 1}}, _unknown("text.zzz")),
    (
        {"text": {"format": {"type": "x"}}},
        _value("text.format.type", "x", "'json_object', 'text', and 'json_schema'"),
    ),
    ({"text": {"format": {"type": "json_schema"}}}, _missing("text.format.name")),
    (
        {"text": {"verbosity": "x"}},
        _value("text.verbosity", "x", "'low', 'medium', and 'high'"),
    ),
    ({"tools": "x"}, _type("tools", "an array of tools")),
    ({"tools": [{}]}, _missing("tools[0].type")),
    ({"tools": [{"type": "function"}]}, _missing("tools[0].name")),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, _missing("tools[0].name")),
    ({"reasoning": "low"}, _type("reasoning", "an object")),
    ({"reasoning": {"effort": "x"}}, _value("reasoning.effort", "x", EFFORTS)),
    (
        {"reasoning": {"summary": "x"}},
        _value("reasoning.summary", "x", "'concise', 'detailed', and 'auto'"),
    ),
    ({"reasoning": {"bogus": 1}}, _unknown("reasoning.bogus")),
    ({"temperature": "x"}, _type("temperature", "a decimal")),
    ({"presence_penalty": "x"}, _type("presence_penalty", "a decimal")),
    ({"top_logprobs": "x"}, _type("top_logprobs", "an integer")),
    ({"truncation": {}}, _type("truncation", "one of 'auto' or 'disabled'", "an object")),
    ({"include": ["x"]}, _value("include[0]", "x", INCLUDES)),
    ({"max_tool_calls": 0}, _least("max_tool_calls", 1, 0)),
    ({"max_output_tokens": 15}, _least("max_output_tokens", 16, 15)),
    ({"max_output_tokens": "x"}, _type("max_output_tokens", "an integer")),
    ({"metadata": "x"}, _type("metadata", "a metadata object")),
    (
        {"metadata": {f"k{at}": "v" for at in range(17)}},
        (
            "metadata",
            "object_above_max_properties",
            TOO_MANY,
        ),
    ),
    (
        {"service_tier": "x"},
        _value("service_tier", "x", "'auto', 'default', 'fast', 'flex', and 'priority'"),
    ),
    (
        {"prompt_cache_retention": "x"},
        _value("prompt_cache_retention", "x", "'in_memory' and '24h'"),
    ),
    ({"prompt_cache_options": {"bogus": 1}}, _unknown("prompt_cache_options.bogus")),
    ({"stream_options": {"include_usage": True}}, _unknown("stream_options.include_usage")),
    ({"stream_options": "x"}, _type("stream_options", "an object")),
    ({"stream": "x"}, _type("stream", "a boolean")),
    ({"background": "x"}, _type("background", "a boolean")),
    ({"store": "x"}, _type("store", "a boolean")),
    ({"instructions": {}}, _type("instructions", "a string", "an object")),
    ({"user": {}}, _type("user", "a string", "an object")),
    ({"prompt_cache_key": {}}, _type("prompt_cache_key", "a string", "an object")),
    ({"context_management": "x"}, _type("context_management", "an array of objects")),
    ({"moderation": "x"}, _type("moderation", "an object")),
    (
        {"tool_choice": 7},
        _type("tool_choice", "one of an object or 'none', 'auto', or 'required'", "an integer"),
    ),
    ({"tool_choice": "x"}, _value("tool_choice", "x", "'none', 'auto', and 'required'")),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function"}}, _missing("tool_choice.name")),
    ({"prompt": "x"}, _type("prompt", "an object")),
    ({"previous_response_id": {}}, _type("previous_response_id", "a string", "an object")),
    # the order of what is wrong
    ({"moderation": "x", "include": ["y"]}, _type("moderation", "an object")),
    ({"include": ["x"], "tools": "x"}, _value("include[0]", "x", INCLUDES)),
    ({"metadata": "x", "text": "x"}, _type("metadata", "a metadata object")),
    ({"parallel_tool_calls": "x", "stream": "x"}, _type("parallel_tool_calls", "a boolean")),
    ({"background": "x", "max_output_tokens": "x"}, _type("background", "a boolean")),
    ({"reasoning": "x", "user": 7}, _type("reasoning", "an object")),
    (
        {"truncation": "x", "instructions": 7},
        _value("truncation", "x", "'auto' and 'disabled'"),
    ),
    ({"store": "x", "service_tier": "x"}, _type("store", "a boolean")),
    ({**STATE, "truncation": "x"}, _value("truncation", "x", "'auto' and 'disabled'")),
    (
        {**STATE, "conversation": "conv_x"},
        (
            None,
            "mutually_exclusive_parameters",
            EXCLUSIVE,
        ),
    ),
    # items
    ({"input": [7]}, _type("input[0]", "an input item", "an integer")),
    ({"input": [None]}, _type("input[0]", "an input item", "null")),
    (
        {"input": [{"role": "x", "content": "hi"}]},
        _value("input[0]", "x", "'assistant', 'system', 'developer', and 'user'"),
    ),
    (
        {"input": [{}]},
        _value("input[0]", "", "'assistant', 'system', 'developer', and 'user'"),
    ),
    ({"input": [{"role": "user"}]}, _missing("input[0].content")),
    (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        _value("input[0].content[0]", "input_text", "'output_text' and 'refusal'"),
    ),
    (
        _user([{"type": "output_text", "text": "x"}]),
        _value(
            "input[0].content[0]",
            "output_text",
            "'input_text', 'input_image', 'input_file', 'scoped_content', and 'input_audio'",
        ),
    ),
    (
        _user([{"type": "bogus"}]),
        _value(
            "input[0].content[0].type",
            "bogus",
            "'input_text', 'input_image', 'input_audio', 'output_text', 'refusal', 'input_file', "
            "'computer_screenshot', 'summary_text', and 'encrypted_content'",
        ),
    ),
    (_user([{"type": "input_text"}]), _missing("input[0].content[0].text")),
]


@pytest.mark.parametrize(("members", "expected"), MEASURED)
def test_what_the_live_api_refuses(
    members: dict[str, Any], expected: tuple[str | None, str | None, str]
) -> None:
    """Parameter, code and sentence are those that the live API was measured to give."""
    with pytest.raises(InvalidParameter) as caught:
        read_request(_decode(strict=True, **members))
    error = caught.value
    assert (error.param, error.code, error.message) == expected


OWN: list[tuple[dict[str, Any], str | None, Any, str]] = [
    (STATE, "previous_response_id", "previous_response_not_found", "Previous response with id"),
    ({"conversation": {"id": "c"}}, None, None, "Conversation with id 'c' not found."),
    ({"prompt": {"id": "p"}, **STATE}, None, None, "Prompt with id 'p' not found."),
    ({"background": True}, "background", "unsupported_parameter", "Unsupported parameter"),
    ({"input": [{"type": "item_reference", "id": "i"}]}, "input", None, "Item with id 'i'"),
    ({"input": [{"id": "i"}]}, "input", None, "Item with id 'i' not found."),
    ({"response_format": {}}, None, "unsupported_parameter", "Unsupported parameter"),
    ({"model": "m" * 257}, "model", "string_above_max_length", "Invalid 'model': string too"),
    ({"Stream": True}, "Stream", "unknown_parameter", "Unknown parameter: 'Stream'."),
    ({"safety_identifier": "x" * 65}, "safety_identifier", "string_above_max_length", "Invalid"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length", "Invalid"),
    ({"metadata": {"k" * 65: ""}}, "metadata", "property_name_above_max_length", "Invalid"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value", "Invalid 'top_p': decimal above"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", ..., ""),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.mode", ..., "Missing"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id", ..., "Missing"),
    (_user([{"type": "input_image"}]), "input[0].content[0].image_url", ..., "Missing"),
    (_user([{"type": "input_file"}]), "input[0].content[0].file_data", ..., "Missing"),
    (_user([{"type": "input_audio"}]), "input[0].content[0].input_audio", ..., "Missing"),
    (
        _user([{"type": "input_image", "image_url": "data:text/plain;base64,aGk="}]),
        "input[0].content[0].image_url",
        "invalid_value",
        "Invalid 'input[0].content[0].image_url'. Expected a base64-encoded data URL",
    ),
    (
        _user([{"type": "input_file", "file_data": "data:text/plain;base64,?"}]),
        "input[0].content[0].file_data",
        "invalid_value",
        "Invalid 'input[0].content[0].file_data'. Expected text in UTF-8, base64-encoded.",
    ),
]


@pytest.mark.parametrize(("members", "param", "code", "words"), OWN)
def test_what_we_refuse(members: dict[str, Any], param: str, code: Any, words: str) -> None:
    """What builds on a store that is not there, and what nobody measured."""
    with pytest.raises(InvalidParameter) as caught:
        read_request(_decode(**members))
    assert caught.value.param == param
    assert caught.value.code == ("missing_required_parameter" if code is ... else code)
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"m","input":"\xff"}', b"null"])
def test_what_is_no_json_object(body: bytes) -> None:
    """It is not taken for one."""
    with pytest.raises(MalformedJson):
        read_request(decode_responses(body))


def test_what_governs_a_call() -> None:
    """Read off the body, and nothing else of it."""
    call = _decode(stream=True, max_output_tokens=50, future={"x": 1}, top_logprobs="later")
    assert (call.surface, call.model) == (Surface.RESPONSES, "m")
    assert (call.stream, call.wants_usage, call.output_tokens_max) == (True, True, 50)
    assert (call.choices, call.attachments) == (1, 0)
    assert _decode(stream=None, max_output_tokens=None).output_tokens_max is None


@pytest.mark.parametrize(
    ("members", "count"),
    [
        ({"tools": [FUNCTION, {"type": "custom", "name": "c"}]}, 0),
        ({"tools": [FUNCTION, {"type": "web_search"}, {"type": "mcp"}]}, 2),
        ({"tools": [{"no": "type"}]}, 1),
        (_user([{"type": "input_image", "image_url": "https://example.org"}]), 1),
        (_user([{"type": "input_file", "file_id": "f"}, {"file_url": "u"}]), 2),
    ],
)
def test_what_the_body_does_not_contain_is_counted(members: dict[str, Any], count: int) -> None:
    """By reference, or read by a tool that the vendor runs."""
    assert _decode(**members).attachments == count


def test_hidden_names_are_counted() -> None:
    """An escape in a name could hide a reference."""
    assert decode_responses(b'{"model":"m","input":[{"image_\\u0075rl":"x"}]}').attachments == 1


def test_what_a_call_asks_of_a_store() -> None:
    """With a store, a call may build on it; and its own input is there as items."""
    body = b'{"model":"m","input":"hi","store":false,"previous_response_id":"resp_1"}'
    call = decode_responses(body, with_store=True)
    expected = State(store=False, previous_response_id="resp_1")
    assert openai_responses.state(call) == expected
    call = decode_responses(
        b'{"model":"m","input":[],"conversation":{"id":"c"},"background":true}', with_store=True
    )
    assert openai_responses.state(call) == State(background=True, conversation="c")
    assert openai_responses.input_items(call) == []
    assert [bytes(item) for item in openai_responses.input_items(_decode(input='a "b"'))] == [
        b'{"type":"message","role":"user","content":"a \\"b\\""}'
    ]


def test_a_call_keeps_its_bytes() -> None:
    """Nothing is written anew that does not have to change; a provider never keeps anything."""
    body = b'{ "model": "m", "input" : "hi", "store":  false, "future": [1.50] }'
    call = decode_responses(body)
    assert encode_responses(call, model="m", output_tokens_max=None) == body
    unsaid = decode_responses(b'{"model": "m","input" :"hi","future":[1.50]}')
    assert encode_responses(unsaid, model="other", output_tokens_max=9) == (
        b'{"model":"other","input":"hi","future":[1.50],"max_output_tokens":9,"store":false}'
    )
    bounded = _decode(max_output_tokens=20, store=False)
    assert encode_responses(bounded, model="m", output_tokens_max=9) == bounded.body


def test_a_call_is_continued_with_the_items_of_our_store() -> None:
    """The provider is told what was said, and no name that is ours."""
    body = b'{"model":"m","input":"c","previous_response_id":"resp_1"}'
    call = decode_responses(body, with_store=True)
    earlier = [
        msgspec.Raw(b'{"role":"user","content":"a"}'),
        msgspec.Raw(b'{"type":"message","role":"assistant","content":"b","future":1.50}'),
    ]
    continued = behind(call, earlier)
    encoded = encode_responses(continued, model="m", output_tokens_max=None)
    written = json.loads(encoded)
    assert [item["content"] for item in written["input"]] == ["a", "b", "c"]
    assert b'"future":1.50' in encoded
    assert (written["previous_response_id"], written["store"]) == (None, False)
    assert len(continued.body) > len(call.body) + sum(map(len, earlier)), "it counts as input"
    read = read_request(continued)
    assert [message.parts[0].text for message in read.messages] == ["a", "b", "c"]  # type: ignore[union-attr]


THOUGHT = msgspec.Raw(b'{"id":"rs_1","type":"reasoning","summary":[]}')
SEALED = msgspec.Raw(b'{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"x"}')
CALLED = msgspec.Raw(
    b'{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{}"}'
)


def test_thoughts_that_only_their_provider_could_look_up_do_not_go_back() -> None:
    """Nor do the ids of what came with them: it would be looked up beside them."""
    call = decode_responses(b'{"model":"m","input":"go on"}')
    kept = json.loads(bytes(behind(call, [SEALED, CALLED]).members["input"]))
    assert [item.get("id") for item in kept] == ["rs_1", "fc_1", None]
    kept = json.loads(bytes(behind(call, [THOUGHT, CALLED]).members["input"]))
    assert [item["type"] for item in kept] == ["function_call", "message"]
    assert "id" not in kept[0]


def test_a_kept_answer_is_asked_for_with_its_thoughts() -> None:
    """So that they can go back; what the client asked for besides stays."""
    asked = ["message.output_text.logprobs"]
    thinking = {"reasoning": {"effort": "low"}, "store": False}
    for members, expected in (
        ({**thinking}, ["reasoning.encrypted_content"]),
        ({**thinking, "include": asked}, [*asked, "reasoning.encrypted_content"]),
        ({**thinking, "include": ["reasoning.encrypted_content"]}, None),
        ({"store": False}, None),
    ):
        call = _decode(**members)
        kept = msgspec.structs.replace(call, stored=True)
        written = json.loads(encode_responses(kept, model="m", output_tokens_max=None))
        assert written.get("include") == (expected or members.get("include"))
        assert encode_responses(call, model="m", output_tokens_max=None) == call.body


def test_a_background_call_is_asked_for_at_once() -> None:
    """Who waits for it is here."""
    call = decode_responses(b'{"model":"m","input":"a","background":true}', with_store=True)
    written = json.loads(encode_responses(call, model="m", output_tokens_max=None))
    assert (written["background"], written["store"]) == (False, False)


@pytest.mark.parametrize(
    ("members", "count"),
    [
        ({"input": "\\u0069mage_url"}, 0),
        ({"input": [{"role": "user", "content": 'an "image_url": no'}]}, 0),
        (_user([{"type": "input_text", "text": 'see "file_id":'}]), 0),
        ({"input": [json.loads(bytes(CALLED)), json.loads(bytes(SEALED))]}, 0),
        ({"instructions": '"image_url":', "text": {"verbosity": "low"}}, 0),
        (_user([{"type": "input_image", "image_url": "https://x/a.png"}]), 1),
        (
            _user([{"type": "input_file", "file_id": "f"}, {"type": "input_file", "file_url": ""}]),
            2,
        ),
        ({"tools": [FUNCTION, {"type": "web_search"}, {"type": "mcp"}]}, 2),
        ({"future": [{"image_url": "x"}]}, 1),
    ],
)
def test_what_is_read_beyond_the_body(members: dict[str, Any], count: int) -> None:
    """Texts name nothing, whatever they say; files, addresses and hosted tools do."""
    assert _decode(**members).attachments == count


def test_errors_in_the_words_of_this_api() -> None:
    """A model that is not there is a bad request here."""
    reply = openai_responses.render(ModelNotFound("x"))
    assert reply.status == 400
    assert json.loads(reply.body)["error"] == {
        "message": "The requested model 'x' does not exist.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert openai_responses.render(BodyTooLarge("x")).status == 413
    event = openai_responses.stream_error(InvalidParameter("m", param="p", code="c"), 3)
    assert event == (
        b'event: error\ndata: {"type":"error","code":"c","message":"m","param":"p",'
        b'"sequence_number":3}\n\n'
    )
    assert b'"code":"invalid_request_error"' in openai_responses.stream_error(RequestError("x"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("message"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "id", "format", "name", "tools"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@PROPERTY
@given(
    st.dictionaries(st.sampled_from(form.NAMES), VALUES, min_size=2, max_size=8),
    st.booleans(),
)
def test_any_request_is_read_or_refused(members: dict[str, Any], strict: bool) -> None:
    """Never anything else."""
    body = json.dumps({**members, "model": "m", "input": members.get("input") or "hi"}).encode()
    with contextlib.suppress(RequestError):
        assert read_request(decode_responses(body, strict=strict)).model == "m"
