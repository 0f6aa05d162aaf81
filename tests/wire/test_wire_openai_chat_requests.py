"""Reading whole chat requests: OpenAI's words for what is wrong, names for what has no place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import EntenteError, InvalidParameter, MalformedJson
from entente.domain.features import OnLoss
from entente.domain.inference import CacheMark, ChatRequest, Text, ToolCall
from entente.wire import openai_chat
from entente.wire.openai import decode_chat
from entente.wire.openai_chat import form
from tests.kit.run import PROPERTY


def _read(**members: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return openai_chat.read_request(decode_chat(json.dumps(body).encode()))


WRONG = [
    (
        {"messages": [{"role": "bogus", "content": "hi"}]},
        "messages[0].role",
        "invalid_value",
        (
            "Invalid value: 'bogus'. Supported values are: 'system', 'assistant', 'user', "
            "'function', 'tool', and 'developer'."
        ),
    ),
    (
        {"messages": [{"role": "user"}]},
        "messages[0].content",
        "missing_required_parameter",
        "Missing required parameter: 'messages[0].content'.",
    ),
    (
        {"messages": [{"role": "user", "content": 5}]},
        "messages[0].content",
        "invalid_type",
        (
            "Invalid type for 'messages[0].content': expected one of a string or an array, "
            "but got an integer instead."
        ),
    ),
    (
        {"temperature": 2.5},
        "temperature",
        "decimal_above_max_value",
        (
            "Invalid 'temperature': decimal above maximum value. "
            "Expected a value <= 2, but got 2.5 instead."
        ),
    ),
    (
        {"top_logprobs": -1},
        "top_logprobs",
        "integer_below_min_value",
        (
            "Invalid 'top_logprobs': integer below minimum value. "
            "Expected a value >= 0, but got -1 instead."
        ),
    ),
    (
        {"tools": [{"type": "function", "function": {}}]},
        "tools[0].function.name",
        "missing_required_parameter",
        "Missing required parameter: 'tools[0].function.name'.",
    ),
    (
        {"tools": [{"type": "function"}]},
        "tools[0].function",
        "missing_required_parameter",
        "Missing required parameter: 'tools[0].function'.",
    ),
    (
        {"tool_choice": "all"},
        "tool_choice",
        "invalid_value",
        "Invalid value: 'all'. Supported values are: 'none', 'auto', and 'required'.",
    ),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
        "Missing required parameter: 'response_format.json_schema'.",
    ),
]


@pytest.mark.parametrize(("members", "param", "code", "message"), WRONG)
def test_errors_in_the_vendors_words(
    members: dict[str, Any], param: str, code: str, message: str
) -> None:
    """Paths as in SURFACE 5.2."""
    with pytest.raises(InvalidParameter) as caught:
        _read(**members)
    assert (caught.value.param, caught.value.code, caught.value.message) == (param, code, message)


@pytest.mark.parametrize("url", ["data:image/png,xx", "data:text/html;base64,aGk=", "data:"])
def test_images_in_data_urls_that_are_none(url: str) -> None:
    """Refused, as nobody could show them."""
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(InvalidParameter, match="base64-encoded data URL"):
        _read(messages=[{"role": "user", "content": [part]}])


def test_what_has_no_canonical_place_is_named() -> None:
    """And what asks for nothing beyond the default is not."""
    request = _read(
        logit_bias={"5": 1},
        metadata={},
        store=False,
        prediction=None,
        modalities=["text"],
        web_search_options={"a": 1},
        prompt_cache_key="k",
    )
    assert request.others == ("logit_bias", "web_search_options", "prompt_cache_key")
    with pytest.raises(InvalidParameter) as caught:
        openai_chat.write_request(request, model="m", output_tokens_max=9, on_loss=OnLoss.REFUSE)
    assert caught.value.param == "logit_bias"
    assert caught.value.message == (
        "Unsupported parameter: 'logit_bias' cannot be expressed in the Chat Completions API, "
        "which serves this model."
    )
    written = openai_chat.write_request(
        request, model="m", output_tokens_max=9, on_loss=OnLoss.DROP
    )
    assert written.dropped == request.others
    assert json.loads(written.body)["max_completion_tokens"] == 9


def test_older_forms_of_messages() -> None:
    """A custom tool's call keeps its text; a function's message is named as lost."""
    call = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}
    request = _read(
        messages=[
            {"role": "assistant", "tool_calls": [call], "audio": {"id": "a"}},
            {"role": "function", "name": "f", "content": "x"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
        ]
    )
    assert request.messages[0].parts == (ToolCall("c", "f", '{"input":"x"}'),)
    assert request.others == ("audio", "function", "function_call")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=5,
)


@PROPERTY
@given(st.dictionaries(st.sampled_from(sorted(form.ChatForm.__struct_fields__)), JSON))
def test_any_json_is_a_request_or_a_clean_error(members: dict[str, Any]) -> None:
    """Nothing that is JSON makes the server fail."""
    try:
        request = _read(**members)
    except EntenteError:
        return
    assert request.model == "m"


def test_marks_of_the_cache_are_read_in_both_forms() -> None:
    """OpenAI's own, and Anthropic's, which many gateways take in this dialect."""
    parts = [
        {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}},
    ]
    request = _read(messages=[{"role": "user", "content": parts}])
    assert request.messages[0].parts == (
        Text("a", CacheMark.DEFAULT),
        Text("b", CacheMark.ONE_HOUR),
        Text("c", CacheMark.DEFAULT),
    )


def test_bytes_that_nobody_decodes_are_text_too() -> None:
    """A schema goes on as it is, so it has to be UTF-8 like the rest."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    tools = b'[{"type":"function","function":{"name":"f","parameters":{"x":"\xff"}}}]'
    with pytest.raises(MalformedJson):
        openai_chat.read_request(decode_chat(body[:-1].encode() + b',"tools":' + tools + b"}"))


def test_names_of_the_clients_fit_into_a_header() -> None:
    """Bounded in letters, length and number."""
    members = {f"x\r\nevil: {at}" + "y" * 500: 1 for at in range(500)}
    request = _read(**members)
    written = openai_chat.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.DROP
    )
    assert 1 <= len(written.dropped) <= 32
    assert all(len(name) <= 64 for name in written.dropped)
    assert written.dropped[0].startswith("x__evil__0yyy")


def test_a_providers_error_in_words() -> None:
    """Whatever its form."""
    for body, words in (
        (b'{"error":{"message":"No."}}', "No."),
        (b'{"error":"No."}', "No."),
        (b'{"error":{}}', None),
        (b"{}", None),
        (b"<html>", None),
    ):
        assert openai_chat.read_error(body) == words
