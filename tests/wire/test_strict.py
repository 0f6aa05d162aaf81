"""Strict checks: what the live APIs were measured to refuse, in their order and words."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import InvalidParameter, MalformedJson, RequestError
from entente.wire.strict import check_chat, check_messages, check_responses
from tests.kit.run import PROPERTY
from tests.support.matrix import fuzzing

Wrong = tuple[str | None, str | None, str]

HI = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": "m", "messages": HI}
MESSAGES: dict[str, Any] = {"model": "m", "messages": HI, "max_tokens": 9}
ROLES = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
TIERS = "'auto', 'default', 'fast', 'flex', and 'priority'"


def _type(name: str, expected: str, got: str = "a string") -> Wrong:
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return (name, "invalid_type", message)


def _bound(name: str, kind: str, side: str, sign: str, limit: int, got: Any) -> Wrong:
    word = "below_min" if side == "below minimum" else "above_max"
    message = (
        f"Invalid '{name}': {kind} {side} value. "
        f"Expected a value {sign} {limit}, but got {got} instead."
    )
    return (name, f"{kind}_{word}_value", message)


def _value(name: str, value: str, supported: str) -> Wrong:
    message = f"Invalid value: '{value}'. Supported values are: {supported}."
    return (name, "invalid_value", message)


def _unknown(name: str, hint: str = "") -> Wrong:
    return (name, "unknown_parameter", f"Unknown parameter: '{name}'.{hint}")


def _empty(name: str) -> Wrong:
    message = (
        f"Invalid '{name}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead."
    )
    return (name, "empty_array", message)


def _absent(at: int) -> Wrong:
    message = "Invalid value for 'content': expected a string, got null."
    return (f"messages.[{at}].content", None, message)


def _said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*HI, *messages]}


NO_MODEL: Wrong = (None, None, "you must provide a model parameter")
NO_MESSAGES: Wrong = (
    "messages",
    "missing_required_parameter",
    "Missing required parameter: 'messages'.",
)
TOO_MANY: Wrong = (
    "metadata",
    "object_above_max_properties",
    (
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead."
    ),
)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

CHATS: list[tuple[dict[str, Any], Wrong]] = [
    ({"model": ...}, NO_MODEL),
    ({"messages": ...}, NO_MESSAGES),
    ({"messages": "x"}, _type("messages", "an array of objects")),
    ({"messages": []}, _empty("messages")),
    ({"zzz": 1}, _unknown("zzz")),
    ({"sto": True}, _unknown("sto", " Did you mean 'stop' or 'store'?")),
    ({"streem": True}, _unknown("streem", " Did you mean 'stream'?")),
    ({"max_output_tokens": 5}, _unknown("max_output_tokens")),
    ({"input": "x"}, _unknown("input")),
    ({"data_sources": []}, _unknown("data_sources")),
    ({"n": "x"}, _type("n", "an integer")),
    ({"n": 0}, _bound("n", "integer", "below minimum", ">=", 1, 0)),
    ({"n": 129}, _bound("n", "integer", "above maximum", "<=", 128, 129)),
    ({"temperature": "x"}, _type("temperature", "a decimal")),
    ({"temperature": -1}, _bound("temperature", "decimal", "below minimum", ">=", 0, -1)),
    ({"temperature": 2.5}, _bound("temperature", "decimal", "above maximum", "<=", 2, 2.5)),
    (
        {"presence_penalty": -3},
        _bound("presence_penalty", "decimal", "below minimum", ">=", -2, -3),
    ),
    ({"top_logprobs": 21}, _bound("top_logprobs", "integer", "above maximum", "<=", 20, 21)),
    ({"stop": 7}, _type("stop", "one of a string or array of strings", "an integer")),
    (
        {"stop": ["a"] * 5},
        (
            "stop",
            "array_above_max_length",
            (
                "Invalid 'stop': array too long. Expected an array with maximum length 4, "
                "but got an array with length 5 instead."
            ),
        ),
    ),
    ({"stream": "x"}, _type("stream", "a boolean")),
    ({"stream_options": []}, _type("stream_options", "an object", "an array")),
    ({"stream_options": {"zzz": True}}, _unknown("stream_options.zzz")),
    ({"tools": []}, _empty("tools")),
    ({"tools": "x"}, _type("tools", "an array of objects")),
    (
        {"tools": [{}]},
        (
            "tools[0].type",
            "missing_required_parameter",
            "Missing required parameter: 'tools[0].type'.",
        ),
    ),
    ({"tool_choice": "x"}, _value("tool_choice", "x", "'none', 'auto', and 'required'")),
    (
        {"response_format": {"type": "x"}},
        _value("response_format.type", "x", "'json_object', 'json_schema', and 'text'"),
    ),
    ({"service_tier": "bogus"}, _value("service_tier", "bogus", TIERS)),
    ({"verbosity": "x"}, _value("verbosity", "x", "'low', 'medium', and 'high'")),
    ({"metadata": {f"k{at}": "v" for at in range(17)}}, TOO_MANY),
    (
        {"metadata": {"k": "v" * 513}},
        (
            "metadata.k",
            "string_above_max_length",
            (
                "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, "
                "but got a string with length 513 instead."
            ),
        ),
    ),
    (
        {"metadata": {"k" * 65: "v"}},
        (
            "metadata",
            "property_name_above_max_length",
            (
                "Invalid 'metadata': property name too long. Expected a property name with maximum "
                "length 64, but got one with length 65 instead."
            ),
        ),
    ),
    (
        {"safety_identifier": "x" * 65},
        (
            "safety_identifier",
            "string_above_max_length",
            (
                "Invalid 'safety_identifier': string too long. Expected a string with maximum "
                "length 64, but got a string with length 65 instead."
            ),
        ),
    ),
    (_said({"role": "x", "content": "a"}), _value("messages[1].role", "x", ROLES)),
    (
        _said({"role": "user", "content": 7}),
        _type("messages[1].content", "one of a string or array of objects", "an integer"),
    ),
    (
        _said({"role": "user", "content": [{"type": "x"}]}),
        _value(
            "messages[1].content[0].type",
            "x",
            "'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'",
        ),
    ),
    ({"messages": [7]}, _type("messages[0]", "an object", "an integer")),
    (_said({"role": "user"}), _absent(1)),
    (_said({"role": "user", "content": None}), _absent(1)),
    (_said({"role": "assistant", "content": None}), _absent(1)),
    (_said({"role": "assistant", "tool_calls": []}), _absent(1)),
    # the order
    ({"model": ..., "messages": ..., "zzz": 1}, NO_MODEL),
    ({"messages": ..., "zzz": 1}, NO_MESSAGES),
    ({"zzz": 1, "n": "x"}, _unknown("zzz")),
    (
        {"temperature": "x", "stop": 7, "n": "x"},
        _type("n", "an integer"),
    ),
    (
        {"temperature": -1, **_said({"role": "user"})},
        _bound("temperature", "decimal", "below minimum", ">=", 0, -1),
    ),
    ({"temperature": -1, **_said({"role": "x"})}, _value("messages[1].role", "x", ROLES)),
]


def _body(base: dict[str, Any], members: dict[str, Any]) -> bytes:
    body = {name: value for name, value in {**base, **members}.items() if value is not ...}
    return json.dumps(body).encode()


@pytest.mark.parametrize(("members", "expected"), CHATS)
def test_what_chat_refuses(members: dict[str, Any], expected: Wrong) -> None:
    """Parameter, code and sentence."""
    with pytest.raises(InvalidParameter) as caught:
        check_chat(_body(CHAT, members))
    error = caught.value
    assert (error.param, error.code, error.message) == expected


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"n": None, "temperature": None, "tools": None, "metadata": None},
        {
            "temperature": 2,
            "top_p": 1,
            "n": 128,
            "stop": "x",
            "seed": -7,
            "logit_bias": {"5": -100},
        },
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"},
        {"tools": [{"type": "novel", "x": 1}], "parallel_tool_calls": False},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        {"metadata": {"k" * 64: "v" * 512}, "store": True, "service_tier": "priority"},
        _said({"role": "assistant", "content": None, "tool_calls": [CALL]}),
        _said({"role": "assistant", "refusal": "no"}, {"role": "developer", "content": "x"}),
        _said({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
        _said({"role": "assistant", "audio": {"id": "a"}}, {"role": "user", "content": ""}),
    ],
)
def test_what_chat_takes(members: dict[str, Any]) -> None:
    """Everything that the API has, null included."""
    check_chat(_body(CHAT, members))


def test_azures_clients_may_say_more() -> None:
    """What only Azure has."""
    body = _body(CHAT, {"data_sources": [], "user_security_context": {}})
    check_chat(body, is_azures=True)
    with pytest.raises(InvalidParameter, match="Unknown parameter: 'data_sources'"):
        check_chat(body)


ALLOWED = 'messages: Unexpected role "bogus". Allowed roles are "user" or "assistant"'
ANTHROPICS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"model": ...}, "model", "model: Field required"),
    ({"model": ""}, "model", "model: String should have at least 1 character"),
    ({"messages": ...}, "messages", "messages: Field required"),
    ({"messages": "x"}, "messages", "messages: Input should be a valid array"),
    ({"messages": []}, "messages", "messages: at least one message is required"),
    ({"messages": [{"content": "x"}]}, "messages.0.role", "messages.0.role: Field required"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "messages.0.content: Field required"),
    ({"messages": [{"role": "bogus", "content": "x"}]}, "messages", ALLOWED),
    ({"max_tokens": ...}, "max_tokens", "max_tokens: Field required"),
    ({"max_tokens": "x"}, "max_tokens", "max_tokens: Input should be a valid integer"),
    ({"temperature": 1.5}, "temperature", "temperature: range: 0..1"),
    ({"top_p": -1}, "top_p", "top_p: range: 0..1"),
    ({"top_k": -1}, "top_k", "top_k: Input should be greater than or equal to 0"),
    ({"stream": "x"}, "stream", "stream: Input should be a valid boolean"),
    ({"stop_sequences": "x"}, "stop_sequences", "stop_sequences: Input should be a valid array"),
    (
        {"service_tier": "x"},
        "service_tier",
        "service_tier: Input should be 'auto' or 'standard_only'",
    ),
    (
        {"thinking": {"type": "x"}},
        "thinking",
        (
            "thinking: Input tag 'x' found using 'type' does not match any of the expected tags: "
            "'adaptive', 'disabled', 'enabled'"
        ),
    ),
    (
        {"thinking": {"type": "enabled"}},
        "thinking.enabled.budget_tokens",
        "thinking.enabled.budget_tokens: Field required",
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "thinking.enabled.budget_tokens",
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        {"metadata": {"user_id": "x" * 257}},
        "metadata.user_id",
        "metadata.user_id: String should have at most 256 characters",
    ),
    ({"zzz": 1}, "zzz", "zzz: Extra inputs are not permitted"),
    ({"mcp_servers": []}, "mcp_servers", "mcp_servers: Extra inputs are not permitted"),
    # the order
    ({"model": ..., "zzz": 1}, "model", "model: Field required"),
    ({"zzz": 1, "top_p": -1}, "top_p", "top_p: range: 0..1"),
    ({"tools": 7, "messages": ...}, "tools", "tools: Input should be a valid array"),
    ({"max_tokens": ..., "temperature": 7}, "max_tokens", "max_tokens: Field required"),
    (
        {"zzz": 1, "messages": [{"role": "bogus", "content": "x"}]},
        "zzz",
        "zzz: Extra inputs are not permitted",
    ),
]


@pytest.mark.parametrize(("members", "param", "message"), ANTHROPICS)
def test_what_messages_refuse(members: dict[str, Any], param: str, message: str) -> None:
    """In the words of Anthropic's API."""
    with pytest.raises(InvalidParameter) as caught:
        check_messages(_body(MESSAGES, members))
    assert (caught.value.param, caught.value.message) == (param, message)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"temperature": 1, "top_p": 0, "top_k": 40, "stop_sequences": ["x"], "stream": None},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"tools": [{"type": "novel_20270101", "x": 1}], "tool_choice": {"type": "auto"}},
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"container": "c", "inference_geo": "eu", "speed": "fast"},
    ],
)
def test_what_messages_take(members: dict[str, Any]) -> None:
    """Everything that the API has; what a beta has, if one is named."""
    check_messages(_body(MESSAGES, members))
    check_messages(_body(MESSAGES, {**members, "context_management": {}}), names_a_beta=True)


def test_responses_look_at_the_input_before_other_parameters() -> None:
    """`tests/wire/test_wire_responses_decode.py` has the rows; this is their order."""
    asked = {"model": "m", "input": [{"role": "x"}], "include": ["y"], "zzz": 1}
    with pytest.raises(InvalidParameter, match="Unknown parameter: 'zzz'"):
        check_responses(json.dumps(asked).encode())
    del asked["zzz"]
    with pytest.raises(InvalidParameter) as caught:
        check_responses(json.dumps(asked).encode())
    assert caught.value.param == "input[0]"
    asked["input"] = "hi"
    with pytest.raises(InvalidParameter) as caught:
        check_responses(json.dumps(asked).encode())
    assert caught.value.param == "include[0]"
    check_responses(b'{"model":"m","input":"hi","tools":[{"type":"web_search"}]}')


def test_responses_that_build_on_kept_ones() -> None:
    """Only where responses are kept; whether they are there, the store says."""
    for more in (
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
    ):
        body = json.dumps({"model": "m", "input": "hi", **more}).encode()
        check_responses(body, with_store=True)
        with pytest.raises(InvalidParameter):
            check_responses(body)


@pytest.mark.parametrize("check", [check_chat, check_responses, check_messages])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_what_is_no_json_object(check: Any, body: bytes) -> None:
    """Is refused first."""
    with pytest.raises(MalformedJson):
        check(body)


@PROPERTY
@given(st.one_of(fuzzing.OPENAI, fuzzing.ANTHROPIC, fuzzing.RESPONSES))
def test_any_request_is_taken_or_refused(body: Any) -> None:
    """Never anything else."""
    data = fuzzing.encoded(body)
    for check in (check_chat, check_messages, check_responses):
        with contextlib.suppress(RequestError):
            check(data)
    assert isinstance(data, bytes)
