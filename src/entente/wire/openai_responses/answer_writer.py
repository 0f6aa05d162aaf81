"""Whole responses, written; and what their streams share with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    RedactedThinking,
    Refusal,
    Stop,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire.dialect import Head
from entente.wire.openai_responses import thoughts
from entente.wire.openai_responses.head import ID_PREFIX, answer_id, echo_of

BROKEN_OFF: Final = (
    "The provider's answer broke off before its end. What was sent so far is not the whole answer."
)
_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
"""OpenAI's words; client libraries take no other."""
_Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class Frame:
    """What every state of one response shares: the whole object is written several times."""

    __slots__ = ("_before", "_behind", "id")

    def __init__(self, head: Head, given: str, model: str, created_s: int | None) -> None:
        """Take what is known when the answer begins: the provider's own id, model and time."""
        self.id = answer_id(given, head)
        self._before = b'{"id":%b,"object":"response","created_at":%d,"status":"' % (
            _encode(self.id),
            head.created_s if created_s is None else created_s,
        )
        self._behind = b',"model":%b,%b' % (_encode(model or head.model), echo_of(head))

    def item_id(self, prefix: str, output_index: int) -> str:
        """Make the id of an item; unique as the response's is."""
        return f"{prefix}_{self.id.removeprefix(ID_PREFIX)}_{output_index}"

    def response(
        self,
        status: str,
        output: Iterable[bytes] = (),
        usage: bytes | None = b"null",
        *,
        reason: str | None = None,
        error: _Json | None = None,
        service_tier: str | None = None,
    ) -> bytes:
        """Write the object. A usage of None is not known, and left out.

        `reason` is why it is not complete, `error` why it failed.
        """
        pieces = [
            self._before,
            status.encode(),
            b'","error":',
            _encode(error),
            b',"incomplete_details":',
            b"null" if reason is None else b'{"reason":"%b"}' % reason.encode(),
            self._behind,
            b',"output":[',
            b",".join(output),
            b"]",
        ]
        if usage is not None:
            pieces += (b',"usage":', usage)
        if service_tier in _TIERS:
            pieces += (b',"service_tier":', _encode(service_tier))
        pieces.append(b"}")
        return b"".join(pieces)


_REASONS: Final[Mapping[Stop, str | None]] = {
    Stop.END: None,
    Stop.TOOL_CALLS: None,
    Stop.STOP_SEQUENCE: None,
    Stop.PAUSE: None,
    Stop.LENGTH: "max_output_tokens",
    Stop.CONTEXT: "max_output_tokens",
    Stop.FILTERED: "content_filter",
    Stop.REFUSAL: "content_filter",
}


def incomplete_reason(stop: Stop) -> str | None:
    """Write why an answer is not complete; None when it is."""
    return _REASONS[stop]


def write_answer(answer: ChatAnswer, head: Head) -> bytes:
    """Write a whole answer: the first choice, as there is never another.

    One that its provider did not end is a failed response.
    """
    choice = answer.choices[0] if answer.choices else Choice(parts=(), stop=None)
    frame = Frame(head, answer.id, answer.model, answer.created_s)
    reason = None if choice.stop is None else incomplete_reason(choice.stop)
    whole = choice.stop is not None and reason is None
    items = list(_items(choice, frame))
    if items and not whole and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    error = None
    status = "incomplete" if reason else "completed"
    if choice.stop is None:
        status, error = "failed", {"code": "server_error", "message": BROKEN_OFF}
    return frame.response(
        status,
        map(_encode, items),
        None if answer.usage is None else _encode(write_usage(answer.usage)),
        reason=reason,
        error=error,
        service_tier=answer.service_tier,
    )


def _items(choice: Choice, frame: Frame) -> Iterable[_Json]:
    """Write the output; what the model said in a row is one message."""
    said: list[_Json] = []
    tokens = choice.logprobs
    index = 0
    for part in choice.parts:
        written: _Json | None = None
        match part:
            case Text():
                said.append(text_part(part.text, tokens or ()))
                tokens = None
            case Refusal():
                said.append(refusal_part(part.text))
            case Thinking() | RedactedThinking():
                text = part.text if isinstance(part, Thinking) else ""
                item_id = frame.item_id("rs", index + bool(said))
                written = thoughts.item(item_id, text, thoughts.for_client(part))
            case ToolCall():
                item_id = frame.item_id("fc", index + bool(said))
                written = call_item(item_id, part.id, part.name, part.arguments)
            case _:
                pass  # no model answers with anything else
        if written is not None:
            if said:
                yield message_item(frame.item_id("msg", index), said)
                said, index = [], index + 1
            yield written
            index += 1
    if said:
        yield message_item(frame.item_id("msg", index), said)


def text_part(text: str, tokens: Iterable[TokenLogprob] = ()) -> _Json:
    """Write text, with how likely its tokens were."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": write_tokens(tokens),
    }


def refusal_part(text: str) -> _Json:
    """Write the model's words of refusing."""
    return {"type": "refusal", "refusal": text}


def message_item(item_id: str, content: list[_Json], status: str = "completed") -> _Json:
    """Write what the model said."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def call_item(
    item_id: str, call_id: str, name: str, arguments: str, status: str = "completed"
) -> _Json:
    """Write the call of a function."""
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def write_tokens(tokens: Iterable[TokenLogprob]) -> list[_Json]:
    """Write how likely tokens were; their bytes are always told here."""
    return [
        {**_token(token), "top_logprobs": [_token(likely) for likely in token.top]}
        for token in tokens
    ]


def _token(token: TokenLogprob) -> _Json:
    octets = tuple(token.token.encode()) if token.octets is None else token.octets
    return {"token": token.token, "logprob": token.logprob, "bytes": octets}


def write_usage(usage: Usage) -> _Json:
    """Write a usage. Sound is counted with the text, as it has no class here."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
