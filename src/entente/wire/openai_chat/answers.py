"""Whole chat completions, read and written; and what their streams share with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.inference import (
    ChatAnswer,
    Choice,
    Part,
    Refusal,
    Stop,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire.dialect import Head
from entente.wire.openai import WireUsage, read_created

ID_PREFIX: Final = "chatcmpl-"
_NULL: Final = Raw(b"null")
_Json = dict[str, Any]

# ---- reading ----


class TokenForm(msgspec.Struct):
    """How likely a token was."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: list[TokenForm] | None = None

    def canonical(self) -> TokenLogprob:
        """Give the canonical value."""
        top = tuple(token.canonical() for token in self.top_logprobs or ())
        return TokenLogprob(self.token, self.logprob, self.bytes, top)


class LogprobsForm(msgspec.Struct):
    """How likely the tokens of a choice were."""

    content: list[TokenForm] | None = None
    refusal: list[TokenForm] | None = None


class CalledForm(msgspec.Struct):
    """The function of a call, or a piece of it."""

    name: str | None = None
    arguments: str | None = None


class CallForm(msgspec.Struct):
    """A call, or a piece of it."""

    index: int | None = None
    id: str | None = None
    function: CalledForm | None = None


class _ThoughtForm(msgspec.Struct):
    text: str | None = None


class PieceForm(msgspec.Struct):
    """A piece of content that comes as a list, as Mistral's models that think give it."""

    text: str | None = None
    thinking: list[_ThoughtForm] | str | None = None


class MessageForm(msgspec.Struct):
    """What the model said, or a piece of it. Thoughts have either of two names, or are pieces."""

    content: str | list[PieceForm] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallForm] | None = None

    def said(self) -> Iterable[Text | Thinking]:
        """Give its text and the thoughts within it, in their order."""
        if isinstance(self.content, str):
            if self.content:
                yield Text(self.content)
            return
        for piece in self.content or ():
            thought = piece.thinking or ()
            if not isinstance(thought, str):
                thought = "".join(part.text or "" for part in thought)
            if thought:
                yield Thinking(thought)
            if piece.text:
                yield Text(piece.text)


class _ChoiceForm(msgspec.Struct):
    index: int | None = None
    message: MessageForm | None = None
    finish_reason: str | None = None
    logprobs: LogprobsForm | None = None


class _Unmetered(msgspec.Struct):
    """An answer without its usage."""

    choices: list[_ChoiceForm]
    id: str | None = None
    model: str | None = None
    created: Raw = _NULL
    service_tier: str | None = None


class _AnswerForm(_Unmetered):
    """An answer."""

    usage: WireUsage | None = None


_decoder = msgspec.json.Decoder(_AnswerForm)
_unmetered_decoder = msgspec.json.Decoder(_Unmetered)

_STOPS: Final[Mapping[str, Stop]] = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "tool_calls": Stop.TOOL_CALLS,
    "function_call": Stop.TOOL_CALLS,
    "content_filter": Stop.FILTERED,
}


def read_stop(reason: str, *, called: bool) -> Stop:
    """Read a finish reason; one that is new to us is a plain end.

    An answer that calls a tool it was told to call, ends with `stop`; but it awaits the result.
    """
    stop = _STOPS.get(reason, Stop.END)
    return Stop.TOOL_CALLS if called and stop is Stop.END else stop


def call_id(answer_id: str, choice: int, index: int) -> str:
    """Make up an id for a call to which the provider gave none, unique in its conversation."""
    kept = "".join(letter for letter in answer_id if letter.isascii() and letter.isalnum())
    return f"call_{kept}_{choice}_{index}"


def read_answer(body: bytes) -> ChatAnswer | None:
    """Read a whole answer; None when the body is none. Usage that makes no sense is unknown."""
    try:
        answer: _Unmetered = _decoder.decode(body)
    except msgspec.ValidationError:
        try:
            answer = _unmetered_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    usage = answer.usage if isinstance(answer, _AnswerForm) else None
    name = answer.id or ""
    return ChatAnswer(
        id=name,
        model=answer.model or "",
        choices=tuple(_choice(form, at, name) for at, form in enumerate(answer.choices)),
        usage=usage.disjoint() if usage else None,
        created_s=read_created(answer.created),
        service_tier=answer.service_tier,
    )


def _choice(form: _ChoiceForm, at: int, answer_id: str) -> Choice:
    index = at if form.index is None else form.index
    parts = tuple(_parts(form.message or MessageForm(), answer_id, index))
    called = any(isinstance(part, ToolCall) for part in parts)
    logprobs = form.logprobs or LogprobsForm()
    return Choice(
        index=index,
        parts=parts,
        stop=read_stop(form.finish_reason, called=called) if form.finish_reason else None,
        logprobs=read_tokens(logprobs.content),
        refusal_logprobs=read_tokens(logprobs.refusal),
    )


def _parts(message: MessageForm, answer_id: str, choice: int) -> Iterable[Part]:
    if thought := message.reasoning_content or message.reasoning:
        yield Thinking(thought)
    yield from message.said()
    if message.refusal:
        yield Refusal(message.refusal)
    for at, call in enumerate(message.tool_calls or ()):
        function = call.function or CalledForm()
        name = call.id or call_id(answer_id, choice, at)
        yield ToolCall(name, function.name or "", function.arguments or "")


def read_tokens(tokens: list[TokenForm] | None) -> tuple[TokenLogprob, ...] | None:
    """Read how likely tokens were; None where that is not told."""
    return None if tokens is None else tuple(token.canonical() for token in tokens)


class _Error(msgspec.Struct):
    message: str | None = None


class _ErrorForm(msgspec.Struct):
    error: _Error | str | None = None


_error_decoder = msgspec.json.Decoder(_ErrorForm)


def read_error(body: bytes) -> str | None:
    """Read the sentence of an error's body; None when there is none."""
    try:
        error = _error_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (error.message if isinstance(error, _Error) else error) or None


# ---- writing ----

_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")
"""OpenAI's words; client libraries take no other."""
_REASONS: Final[Mapping[Stop, str]] = {
    Stop.END: "stop",
    Stop.STOP_SEQUENCE: "stop",
    Stop.PAUSE: "stop",
    Stop.LENGTH: "length",
    Stop.CONTEXT: "length",
    Stop.TOOL_CALLS: "tool_calls",
    Stop.FILTERED: "content_filter",
    Stop.REFUSAL: "content_filter",
}


def finish_reason(stop: Stop) -> str:
    """Write why a choice ended."""
    return _REASONS[stop]


def answer_id(given: str, head: Head) -> str:
    """Give the id of an answer: the provider's own, made to look like one of this dialect."""
    name = given or head.id
    return name if name.startswith(ID_PREFIX) else ID_PREFIX + name


def write_answer(answer: ChatAnswer, head: Head) -> bytes:
    """Write a whole answer."""
    body: _Json = {
        "id": answer_id(answer.id, head),
        "object": "chat.completion",
        "created": head.created_s if answer.created_s is None else answer.created_s,
        "model": answer.model or head.model,
        "choices": [_write_choice(choice) for choice in answer.choices],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    if answer.service_tier in _TIERS:
        body["service_tier"] = answer.service_tier
    return msgspec.json.encode(body)


def _write_choice(choice: Choice) -> _Json:
    parts = choice.parts
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    thoughts = [part.text for part in parts if isinstance(part, Thinking) and part.text]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message: _Json = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (calls or refusals) else None,
        "refusal": "".join(refusals) if refusals else None,
        "annotations": [],
    }
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    logprobs = None
    if choice.logprobs is not None or choice.refusal_logprobs is not None:
        logprobs = {
            "content": write_tokens(choice.logprobs),
            "refusal": write_tokens(choice.refusal_logprobs),
        }
    return {
        "index": choice.index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": None if choice.stop is None else finish_reason(choice.stop),
    }


def write_tokens(tokens: tuple[TokenLogprob, ...] | None) -> list[_Json] | None:
    """Write how likely tokens were."""
    if tokens is None:
        return None
    return [
        {**_token(token), "top_logprobs": [_token(likely) for likely in token.top]}
        for token in tokens
    ]


def _token(token: TokenLogprob) -> _Json:
    return {"token": token.token, "logprob": token.logprob, "bytes": token.octets}


def write_usage(usage: Usage) -> _Json:
    """Write a usage as OpenAI does: totals that contain their details."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
