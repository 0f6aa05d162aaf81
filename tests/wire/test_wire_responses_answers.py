"""Whole responses in canonical values: what is written reads back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    Part,
    RedactedThinking,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head, Inbound, Outbound
from entente.wire.openai_responses import (
    decode_responses,
    head,
    read_request,
)
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_answers
from tests.wire.responses_schema import response_defects

CAPTURES = Path(__file__).parent / "captures"
HEAD = Head(id="req_1", model="asked", created_s=7)
INBOUND: Inbound = openai_responses
OUTBOUND: Outbound = openai_responses


def _unsealed(part: Part) -> Part:
    """Take off what a provider's seal adds to the signature that our client sees."""
    match part:
        case Thinking(text=text, signature=str(signature)):
            return Thinking(text, signature.split(":", 3)[3])
        case RedactedThinking(data=data):
            return RedactedThinking(data.split(":", 3)[3])
        case _:
            return part


@PROPERTY
@given(responses_answers())
def test_answers_read_back_as_they_were(answer: ChatAnswer) -> None:
    """With their logprobs, reasons and usage in disjoint classes."""
    body = INBOUND.write_answer(answer, HEAD)
    assert response_defects(body) == []
    read = OUTBOUND.read_answer(body)
    assert read is not None
    (choice,) = read.choices
    parts = tuple(_unsealed(part) for part in choice.parts)
    again = Choice(parts=parts, stop=choice.stop, logprobs=choice.logprobs)
    assert (
        ChatAnswer(
            id=read.id,
            model=read.model,
            choices=(again,),
            usage=read.usage,
            created_s=read.created_s,
            service_tier=read.service_tier,
        )
        == answer
    )


@PROPERTY
@given(responses_answers())
def test_an_answer_is_the_input_of_the_next_turn(answer: ChatAnswer) -> None:
    """Its items come back with every signature that they had, whoever's it is."""
    output = json.loads(INBOUND.write_answer(answer, HEAD))["output"]
    call = decode_responses(
        json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "go"}]}).encode()
    )
    messages = read_request(call).messages
    said = messages[0].parts if len(messages) > 1 else ()
    assert said == answer.choices[0].parts


def test_a_recorded_answer() -> None:
    """As Azure gave it, with members that are only its own."""
    body = (CAPTURES / "azure-responses.json").read_bytes()
    assert OUTBOUND.read_answer(body) == ChatAnswer(
        id="resp_036b62cf8c9abbe6006a6771240b088193b20bf84ec3e66e67",
        model="gpt-5.4",
        choices=(Choice(parts=(Text("Paris"),), stop=Stop.END),),
        usage=Usage(input=18, output=5),
        created_s=1785164068,
        service_tier="default",
    )


USED = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (USED, Usage(input=30, cache_read=60, cache_write=10, output=30, reasoning=20)),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input=3, output=2)),
        ({**USED, "output_tokens": 10}, None),
        ({"input_tokens": 3}, None),
        ({"input_tokens": 2**60, "output_tokens": 1}, None),
        ("x", None),
        (None, None),
    ],
)
def test_usage_in_disjoint_classes(usage: Any, read: Usage | None) -> None:
    """Or unknown, never half a truth; and written as it was."""
    body = json.dumps({"object": "response", "status": "completed", "usage": usage}).encode()
    answer = OUTBOUND.read_answer(body)
    assert answer is not None
    assert answer.usage == read
    written = json.loads(INBOUND.write_answer(answer, HEAD))
    assert ("usage" in written) == (read is not None)
    if usage == USED:
        assert written["usage"] == USED


@pytest.mark.parametrize(
    ("status", "reason", "stop"),
    [
        ("completed", None, Stop.END),
        ("incomplete", "max_output_tokens", Stop.LENGTH),
        ("incomplete", "content_filter", Stop.FILTERED),
        ("incomplete", None, Stop.LENGTH),
        ("incomplete", "something_new", Stop.PAUSE),
        ("failed", None, None),
        ("in_progress", None, None),
        ("cancelled", None, None),
    ],
)
def test_how_an_answer_ended(status: str, reason: str | None, stop: Stop | None) -> None:
    """What has no end of its own is not whole."""
    body = {"status": status, "incomplete_details": {"reason": reason} if reason else None}
    answer = OUTBOUND.read_answer(json.dumps(body).encode())
    assert answer is not None
    assert answer.choices[0].stop is stop


def test_items_of_hosted_tools_have_no_place() -> None:
    """What is said, and what the client runs, has one; a custom tool's text is wrapped."""
    output = [
        {"type": "web_search_call", "id": "ws", "action": {"type": "search"}, "content": 5},
        {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "raw"},
        {"type": "function_call", "id": "fc", "name": "f", "arguments": None},
        "nonsense",
    ]
    body = {"object": "response", "status": "completed", "output": output}
    answer = OUTBOUND.read_answer(json.dumps(body).encode())
    assert answer is not None
    assert answer.choices[0].stop is Stop.TOOL_CALLS
    assert answer.choices[0].parts == (
        ToolCall("c", "g", '{"input":"raw"}'),
        ToolCall("fc", "f", ""),
    )


def test_an_answer_that_was_not_ended_is_a_failure() -> None:
    """Never a completed one."""
    answer = ChatAnswer(id="", model="", choices=(Choice(parts=(Text("a"),), stop=None),))
    written = json.loads(INBOUND.write_answer(answer, HEAD))
    assert (written["status"], written["error"]["code"]) == ("failed", "server_error")
    assert written["output"][0]["status"] == "incomplete"
    empty = json.loads(INBOUND.write_answer(ChatAnswer(id="", model="", choices=()), HEAD))
    assert (empty["status"], empty["output"], empty["model"]) == ("failed", [], "asked")
    assert (empty["id"], empty["created_at"]) == ("resp_req_1", 7)


def test_a_response_repeats_its_request() -> None:
    """The client's own values, with the API's defaults around them."""
    body = (
        b'{"model":"m","input":"hi","temperature":0.50,"instructions":"Be brief.",'
        b'"metadata":{"a":"b"},"tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}],'
        b'"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"top_p":null,"user":"u"}'
    )
    call = decode_responses(body)
    answer = ChatAnswer(id="resp_1", model="x", choices=(Choice(parts=(), stop=Stop.END),))
    data = INBOUND.write_answer(answer, head(call, id="req_1", created_s=7, stored=True))
    assert b'"temperature":0.50' in data
    assert response_defects(data) == []
    written = json.loads(data)
    assert written["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False},
        {"type": "custom", "name": "c"},
    ]
    assert written["reasoning"] == {"effort": "low", "summary": None}
    assert written["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    expected = {"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "u", "top_p": 1.0}
    assert expected.items() <= written.items()
    assert (written["store"], written["background"]) == (True, False)


def test_a_refused_answer_is_no_text() -> None:
    """The words of refusing stay what they are."""
    answer = ChatAnswer(id="r", model="m", choices=(Choice(parts=(Refusal("no"),), stop=Stop.END),))
    read = OUTBOUND.read_answer(INBOUND.write_answer(answer, HEAD))
    assert read is not None
    assert read.choices == answer.choices
