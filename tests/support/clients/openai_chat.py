"""A client that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, Final

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_message import ChatCompletionMessage
from pydantic import TypeAdapter

from entente.domain.inference import Stop
from entente.domain.usage import Usage
from tests.support.clients.client import (
    OUTPUT_TOKENS_MAX,
    Client,
    Seen,
    Wish,
    Wrong,
    arguments,
    events_of,
    validated,
)
from tests.wire.responses_schema import vendor_defects

_NULL: Final = re.compile(r"\.(?:finish_reason|usage|system_fingerprint) is None")
"""Members that are null on the wire although the specification does not say so."""
ALSO: Final = frozenset({"reasoning_content"})
"""What compatible servers say beside OpenAI's own members."""
_completions: Final = TypeAdapter(ChatCompletion)
_chunks: Final = TypeAdapter(ChatCompletionChunk)


class OpenAIChat(Client):
    """`POST /v1/chat/completions`."""

    name = "OpenAI chat"
    losses: ClassVar = {"json_object": "response_format"}
    says_stop_sequence = False
    words: ClassVar = {
        Stop.END: "stop",
        Stop.STOP_SEQUENCE: "stop",
        Stop.LENGTH: "length",
        Stop.TOOL_CALLS: "tool_calls",
        Stop.FILTERED: "content_filter",
        Stop.REFUSAL: "content_filter",
    }
    kinds: ClassVar = {400: "invalid_request_error", 500: "server_error"}
    also: ClassVar = ALSO

    def path(self, model: str) -> str:  # noqa: ARG002
        """The same for every model."""
        return "/v1/chat/completions"

    def headers(self, key: str) -> dict[str, str]:
        """Show the key as a bearer's."""
        return {"authorization": f"Bearer {key}"}

    def body(self, wish: Wish, model: str) -> dict[str, Any]:
        """Write a request; a stream asks for its usage."""
        messages = [{"role": "system", "content": wish.system}] if wish.system else []
        body: dict[str, Any] = {
            "model": model,
            "messages": messages + _messages(wish),
            "max_completion_tokens": OUTPUT_TOKENS_MAX,
            **wish.settings,
            **wish.extra,
        }
        if wish.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if wish.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": schema}}
                for name, schema in wish.tools
            ]
        if wish.choice:
            body["tool_choice"] = _choice(wish.choice)
        if wish.form:
            schema = {"name": "answer", "schema": wish.form, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def read(self, body: bytes) -> Seen:
        """Read a completion."""
        assert _defects(json.loads(body), "CreateChatCompletionResponse") == []
        answer = validated(_completions, json.loads(body), also=self.also)
        choice = answer.choices[0]
        assert [c.index for c in answer.choices] == list(range(len(answer.choices)))
        message = choice.message
        calls = [call for call in message.tool_calls or () if call.type == "function"]
        return Seen(
            model=answer.model,
            thought=_extra(message),
            text=message.content or "",
            calls=tuple(
                (call.id, call.function.name, arguments(call.function.arguments)) for call in calls
            ),
            stop=choice.finish_reason,
            usage=_usage(answer.usage),
            choices=len(answer.choices),
        )

    def read_stream(self, body: bytes) -> Seen:
        """Read a stream; behind a failure there is neither a reason nor a marker."""
        *events, (_, last) = events_of(body)
        failure = None
        if last != "[DONE]":
            assert set(last) == {"error"}, last
            failure = self._error(last).message
        data = [value for _, value in events]
        for value in data:
            assert _defects(value, "CreateChatCompletionStreamResponse") == []
        chunks = [validated(_chunks, value, also=self.also) for value in data]
        if not chunks:
            assert failure is not None
            return Seen(model="", failure=failure)
        assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
        seen = _gathered([c for chunk in chunks for c in chunk.choices])
        usages = [chunk.usage for chunk in chunks]
        assert all("usage" in value for value in data)
        assert all(usage is None for usage in usages[:-1])
        ended = any(c.finish_reason for chunk in chunks for c in chunk.choices)
        assert ended is (failure is None)
        assert (usages[-1] is None) is bool(chunks[-1].choices)
        return Seen(model=chunks[0].model, usage=_usage(usages[-1]), failure=failure, **seen)

    def wrong(self, body: bytes) -> Wrong:
        """Read an error."""
        return self._error(json.loads(body))

    def _error(self, value: Any) -> Wrong:
        assert set(value) == {"error"}, value
        error = value["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert isinstance(error["type"], str)
        return Wrong(error["type"], error["message"], error["param"])


def _defects(value: Any, name: str) -> list[str]:
    """Give what is wrong by OpenAI's specification, but for what the live API has as null."""
    return [wrong for wrong in vendor_defects(value, name) if not _NULL.search(wrong)]


def _choice(choice: str) -> Any:
    words = {"any": "required", "auto": "auto", "none": "none"}
    return words.get(choice) or {"type": "function", "function": {"name": choice}}


def _messages(wish: Wish) -> list[dict[str, Any]]:
    """Write the conversation; calls in a row are one message."""
    messages: list[dict[str, Any]] = []
    for who, kind, *content in wish.history:
        if kind == "call":
            function = {"name": content[1], "arguments": json.dumps(content[2])}
            call = {"id": content[0], "type": "function", "function": function}
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(call)
        elif kind == "result":
            messages.append({"role": "tool", "tool_call_id": content[0], "content": content[1]})
        else:
            role = "assistant" if who == "model" else "user"
            messages.append({"role": role, "content": content[0]})
    shown = [_part(*part) for part in wish.parts]
    text = {"type": "text", "text": wish.text}
    return [*messages, {"role": "user", "content": [text, *shown] if shown else wish.text}]


def _part(kind: str, *content: str) -> dict[str, Any]:
    match kind:
        case "link":
            return {"type": "image_url", "image_url": {"url": content[0]}}
        case "image":
            url = f"data:{content[0]};base64,{content[1]}"
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            data = f"data:{content[0]};base64,{content[1]}"
            return {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}


def _extra(message: ChatCompletionMessage) -> str:
    return str((message.model_extra or {}).get("reasoning_content", ""))


def _gathered(choices: list[Any]) -> dict[str, Any]:
    """Put the deltas of the only choice together, and see that they come in order."""
    thought, text, stop = "", "", None
    calls: list[list[str]] = []
    for at, choice in enumerate(choices):
        assert choice.index == 0
        assert stop is None, "a delta behind the reason"
        delta = choice.delta
        assert (delta.role == "assistant") is (at == 0), "the role is in the first delta"
        thought += (delta.model_extra or {}).get("reasoning_content", "")
        text += delta.content or ""
        for call in delta.tool_calls or ():
            if call.index == len(calls):
                assert call.type == "function"
                assert call.id
                calls.append([call.id, call.function.name, ""])
            else:
                assert (call.id, call.type, call.function.name) == (None, None, None)
            calls[call.index][2] += call.function.arguments or ""
        stop = choice.finish_reason
    read = tuple((id, name, arguments(text) if stop else text) for id, name, text in calls)
    return {"thought": thought, "text": text, "calls": read, "stop": stop}


def _usage(usage: CompletionUsage | None) -> Usage | None:
    if usage is None:
        return None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    inward, outward = usage.prompt_tokens_details, usage.completion_tokens_details
    read = (inward.cached_tokens if inward else 0) or 0
    written = (inward.cache_write_tokens if inward else 0) or 0
    reasoned = (outward.reasoning_tokens if outward else 0) or 0
    return Usage(
        input=usage.prompt_tokens - read - written,
        cache_read=read,
        cache_write=written,
        output=usage.completion_tokens - reasoned,
        reasoning=reasoned,
    )
