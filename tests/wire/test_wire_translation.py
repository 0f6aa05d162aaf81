"""From one dialect into another and back: what is said stays said, what is lost has a name."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from entente.domain.errors import InvalidParameter
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.features import HINTS, OnLoss
from entente.domain.inference import STATUSES, ChatAnswer, ChatRequest, Stop, TokenLogprob
from entente.domain.usage import Usage
from entente.wire import anthropic, openai_chat
from entente.wire.dialect import Head, Written
from entente.wire.openai import decode_chat
from tests.kit.run import PROPERTY
from tests.wire.canonical import (
    anthropic_answers,
    anthropic_requests,
    openai_answers,
    openai_requests,
    streams,
)

CAPTURES = Path(__file__).parent / "captures"
HEAD = Head(id="req_1", model="asked", created_s=7)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = "iVBORw0KGgo="


def _to_anthropic(body: dict[str, Any], on_loss: OnLoss = OnLoss.REFUSE) -> Written:
    request = openai_chat.read_request(decode_chat(json.dumps(body).encode()))
    return anthropic.write_request(request, model="claude", output_tokens_max=None, on_loss=on_loss)


def _to_openai(body: dict[str, Any], on_loss: OnLoss = OnLoss.REFUSE) -> Written:
    compact = json.dumps(body, separators=(",", ":")).encode()
    request = anthropic.read_request(anthropic.decode_messages(compact))
    return openai_chat.write_request(request, model="gpt", output_tokens_max=None, on_loss=on_loss)


OPENAI = {
    "model": "gpt",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": f"call_{at}",
                    "type": "function",
                    "function": {"name": "look", "arguments": f'{{"city":"{city}"}}'},
                }
                for at, city in enumerate(("Paris", "Rome"))
            ],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_1", "content": "rainy"},
        {"role": "user", "content": "So?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": SCHEMA,
                "strict": True,
            },
        }
    ],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA, "strict": True},
    },
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "max_completion_tokens": 100,
    "reasoning_effort": "high",
    "user": "u1",
    "service_tier": "default",
}
ANTHROPIC = {
    "model": "claude",
    "max_tokens": 100,
    "system": "Be brief.",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this?"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                },
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": f"call_{at}", "name": "look", "input": {"city": city}}
                for at, city in enumerate(("Paris", "Rome"))
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_0", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_1", "content": "rainy"},
                {"type": "text", "text": "So?"},
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA, "strict": True}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "temperature": 0.5,
    "top_p": 0.9,
    "stop_sequences": ["END"],
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "thinking": {"type": "adaptive"},
    "metadata": {"user_id": "u1"},
    "service_tier": "standard_only",
}


def test_the_same_request_in_both_dialects() -> None:
    """Text, images, parallel calls, a schema, thinking: each says what the other does."""
    written = _to_anthropic(OPENAI)
    assert written.dropped == ()
    assert json.loads(written.body) == ANTHROPIC
    back = _to_openai(ANTHROPIC)
    assert back.dropped == ()
    expected: dict[str, Any] = json.loads(json.dumps(OPENAI))
    del expected["messages"][2]["content"]
    assert json.loads(back.body) == expected


LOST_IN_ANTHROPIC: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"seed": 1}, "seed"),
    ({"logprobs": True}, "logprobs"),
    ({"frequency_penalty": 1}, "frequency_penalty"),
    ({"presence_penalty": 1}, "presence_penalty"),
    ({"temperature": 1.5}, "temperature"),
    ({"response_format": {"type": "json_object"}}, "json_object"),
    ({"verbosity": "low"}, "verbosity"),
    ({"reasoning_effort": "minimal"}, "reasoning_effort"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "vendor_tools"),
    (
        {
            "tools": OPENAI["tools"],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": []},
            },
        },
        "allowed_tools",
    ),
    ({"messages": [{"role": "user", "content": "hi", "name": "Ann"}]}, "name"),
    ({"messages": [{"role": "system", "content": "hi"}]}, "system_position"),
    (
        {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
        "system_position",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
                    ],
                }
            ]
        },
        "audio",
    ),
    (
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "?"}}
                    ],
                }
            ]
        },
        "tool_arguments",
    ),
]
LOST_IN_OPENAI: list[tuple[dict[str, Any], str]] = [
    ({"top_k": 5}, "top_k"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "reasoning_budget"),
    ({"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "vendor_tools"),
    ({"container": "c"}, "container"),
    *(
        ({"messages": [{"role": "user", "content": [block]}]}, name)
        for block, name in (
            ({"type": "document", "source": {"type": "url", "url": "x"}}, "document_urls"),
            ({"type": "image", "source": {"type": "file", "file_id": "x"}}, "file_ids"),
            (
                {
                    "type": "document",
                    "source": {"type": "text", "data": "x"},
                    "citations": {"enabled": True},
                },
                "citations",
            ),
            (
                {"type": "document", "source": {"type": "text", "data": "x"}, "context": "y"},
                "document_context",
            ),
            (
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [{"type": "image", "source": {"type": "url", "url": "x"}}],
                },
                "tool_result_media",
            ),
        )
    ),
]
HINTS_LOST: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"service_tier": "flex"}, {}, "service_tier"),
    ({"prompt_cache_key": "k"}, {}, "prompt_cache_key"),
    ({"store": True}, {}, "store"),
    ({}, {"cache_control": {"type": "ephemeral"}}, "cache_control"),
    (
        {},
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        "cache_control",
    ),
    (
        {},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True}],
                },
            ]
        },
        "earlier_thinking",
    ),
]
SMALL = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("translate", "members", "name"),
    [
        *((_to_anthropic, members, name) for members, name in LOST_IN_ANTHROPIC),
        *((_to_openai, members, name) for members, name in LOST_IN_OPENAI),
    ],
)
def test_what_cannot_be_said_is_refused_or_named(
    translate: Any, members: dict[str, Any], name: str
) -> None:
    """As configured; never silently."""
    with pytest.raises(InvalidParameter) as caught:
        translate({**SMALL, **members})
    assert caught.value.code == "unsupported_parameter"
    assert "API, which serves this model" in caught.value.message
    assert f"'{caught.value.param}'" in caught.value.message
    written = translate({**SMALL, **members}, OnLoss.DROP)
    assert written.dropped == (name,)
    assert json.loads(written.body)["messages"] is not None


@pytest.mark.parametrize(("openai", "claude", "name"), HINTS_LOST)
def test_hints_are_named_and_never_refused(
    openai: dict[str, Any], claude: dict[str, Any], name: str
) -> None:
    """They change cost or bookkeeping, not what is asked."""
    written = _to_anthropic({**SMALL, **openai}) if openai else _to_openai({**SMALL, **claude})
    assert name in written.dropped
    assert set(written.dropped) <= HINTS


@PROPERTY
@given(st.one_of(openai_requests(), anthropic_requests()))
def test_any_request_can_be_written_with_its_losses_named(request: ChatRequest) -> None:
    """In either dialect; and what is refused is what would be named."""
    for target in (openai_chat, anthropic):
        written = target.write_request(
            request, model="m", output_tokens_max=50, on_loss=OnLoss.DROP
        )
        assert json.loads(written.body)["model"] == "m"
        try:
            strict = target.write_request(
                request, model="m", output_tokens_max=50, on_loss=OnLoss.REFUSE
            )
        except InvalidParameter:
            assert set(written.dropped) - HINTS
        else:
            assert strict == written
            assert set(written.dropped) <= HINTS


# ---- answers ----


@PROPERTY
@given(st.one_of(openai_answers(), anthropic_answers()))
def test_any_answer_has_a_valid_form_for_any_client(answer: ChatAnswer) -> None:
    """As the vendor's own client library sees it, and with the same usage in all."""
    body = openai_chat.write_answer(answer, HEAD)
    if all(choice.stop for choice in answer.choices):
        ChatCompletion.model_validate_json(body, strict=True)
    again = anthropic.read_answer(anthropic.write_answer(answer, HEAD))
    assert again is not None
    read = openai_chat.read_answer(body)
    assert read is not None
    if answer.usage is not None:
        assert read.usage is not None
        assert again.usage is not None
        assert read.usage == answer.usage
        assert again.usage.total == answer.usage.total


@pytest.mark.parametrize("stop", list(Stop))
def test_every_reason_has_a_word_with_the_same_status(stop: Stop) -> None:
    """Complete, length and filtered mean the same to every client; refusing is filtering."""
    for dialect in (openai_chat, anthropic):
        writer = dialect.stream_writer(HEAD)
        data = writer.feed(TextDelta("x")) + writer.feed(Ended(stop)) + writer.end()
        reader = dialect.stream_reader()
        reader.feed(data)
        assert reader.status is STATUSES[stop]


def _translate(data: bytes, source: ModuleType, target: ModuleType, step: int) -> bytes:
    reader, writer = source.stream_reader(), target.stream_writer(HEAD)
    out = b""
    for at in range(0, len(data), step):
        for event in reader.feed(data[at : at + step]):
            out += writer.feed(event)
    for event in reader.close():
        out += writer.feed(event)
    return out + bytes(writer.end())


def _read(data: bytes, dialect: ModuleType) -> list[Event]:
    reader = dialect.stream_reader()
    return [*reader.feed(data), *reader.close()]


@pytest.mark.parametrize("step", [1, 64, 10**6])
def test_recorded_streams_in_the_other_dialect(step: int) -> None:
    """Parallel calls with streamed arguments, text and a refusal; each chunk is valid there."""
    for name in ("text", "tools", "refusal"):
        data = (CAPTURES / f"anthropic-{name}.sse").read_bytes()
        out = _translate(data, anthropic, openai_chat, step)
        assert out.endswith(b"data: [DONE]\n\n")
        for event in out.split(b"\n\n")[:-2]:
            ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: "), strict=True)
        assert _said(_read(out, openai_chat)) == _said(_read(data, anthropic))
    for name in ("openai-parallel-tools", "openai-text", "azure-text"):
        data = (CAPTURES / f"{name}.sse").read_bytes()
        out = _translate(data, openai_chat, anthropic, step)
        assert out.endswith(b'data: {"type":"message_stop"}\n\n')
        assert _said(_read(out, anthropic)) == _said(_read(data, openai_chat))


def _said(events: list[Event]) -> list[Event]:
    """What a stream says: without its head, without what this is not about, and the last usage."""
    used = [event for event in events if isinstance(event, Used) and event.usage.total]
    kinds = (Started, Used, LogprobsDelta)
    said = [event for event in events if not isinstance(event, kinds)]
    filtered = [Ended(Stop.FILTERED) if event == Ended(Stop.REFUSAL) else event for event in said]
    return [*filtered, *used[-1:]]


@PROPERTY
@given(streams(signed=True))
def test_streams_from_anthropic_say_the_same_to_openai(events: list[Event]) -> None:
    """But for signatures and encrypted thoughts, which chat completions cannot hold."""
    writer = anthropic.stream_writer(HEAD)
    data = b"".join([*map(writer.feed, events), writer.end()])
    found = _said(_read(_translate(data, anthropic, openai_chat, 100), openai_chat))
    kept = [
        event
        for event in _said(events)
        if not isinstance(event, ThinkingDelta) or event.text
        if type(event).__name__ != "RedactedThinkingPart"
    ]
    assert found == kept


@pytest.mark.parametrize("target", [openai_chat, anthropic])
@pytest.mark.parametrize("source", ["openai-parallel-tools.sse", "anthropic-tools.sse"])
def test_a_stream_that_breaks_off_never_looks_whole(source: str, target: ModuleType) -> None:
    """Cut behind any event: before the reason an error, behind it the end; never anything else."""
    data = (CAPTURES / source).read_bytes()
    dialect = anthropic if source.startswith("anthropic") else openai_chat
    events = data.split(b"\n\n")[:-1]
    for count in range(len(events)):
        part = b"".join(event + b"\n\n" for event in events[:count])
        out = _translate(part, dialect, target, 10**6)
        ended = any(isinstance(event, Ended) for event in _read(part, dialect))
        assert (b'"error"' in out) is not ended
        again = target.stream_reader()
        again.feed(out)
        assert again.whole is ended
        assert again.failed is not ended


def test_a_failure_keeps_its_kind() -> None:
    """Whoever reads it knows whether trying again helps."""
    for kind in Failure:
        for target in (openai_chat, anthropic):
            writer = target.stream_writer(HEAD)
            writer.feed(Failed(kind, "x"))
            assert _read(writer.end(), target)[-1] == Failed(kind, "x")


def test_further_choices_and_logprobs_stay_behind() -> None:
    """Messages have one answer; what was asked beyond that was named when it was asked."""
    token = TokenLogprob("hi", -0.5)
    events: list[Event] = [
        Started("", ""),
        LogprobsDelta((token,)),
        TextDelta("hi"),
        TextDelta("ho", choice=1),
        RefusalDelta("no", choice=1),
        ToolCallStarted(0, "c", "f", choice=1),
        ToolArgumentsDelta(0, "{}", choice=1),
        Ended(Stop.END),
        Ended(Stop.TOOL_CALLS, choice=1),
        Used(Usage(input=1, output=2)),
    ]
    writer = anthropic.stream_writer(HEAD)
    data = b"".join([*map(writer.feed, events), writer.end()])
    assert _said(_read(data, anthropic)) == [
        TextDelta("hi"),
        Ended(Stop.END),
        Used(Usage(input=1, output=2)),
    ]
