"""Requests of Converse and ConverseStream, whose bodies are alike. Pure.

The model is part of the path, so it is not in the body. What only some models take goes into
`additionalModelRequestFields`, which Converse passes on as it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter
from entente.domain.features import Feature, Losses, OnLoss
from entente.domain.inference import (
    ChatRequest,
    JsonObject,
    JsonSchema,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
)
from entente.wire.bedrock.content import ContentWriter
from entente.wire.bedrock.families import Family, family_of
from entente.wire.bedrock.thinking import Thought, thought
from entente.wire.dialect import Written
from entente.wire.turns import Turn, opened

TITLE: Final = "Amazon Bedrock Converse"
TEMPERATURE_MAX: Final = 1.0

_ANY_OBJECT: Final = Raw(b'{"type":"object","properties":{}}')
_TIERS: Final = ("default", "flex", "priority", "reserved")


def write_request(
    request: ChatRequest,
    /,
    *,
    model: str,
    output_tokens_max: int | None,
    on_loss: OnLoss,
) -> Written:
    """Write a request; see `wire.dialect.Outbound`."""
    losses = Losses(TITLE, on_loss)
    for name in request.others:
        losses.note(name)
    writer = _Writer(
        request, model, request.sampling.output_tokens_max or output_tokens_max, losses
    )
    return Written(msgspec.json.encode(writer.body()), losses.names)


class _Writer:
    """One request on its way into a body."""

    def __init__(self, request: ChatRequest, model: str, bound: int | None, losses: Losses) -> None:
        """Take what is asked, the model's id, and the bound on the output."""
        self._request = request
        self._model = model
        self._bound = bound
        self._losses = losses
        self._family = family_of(model)
        self._content = ContentWriter(self._family, losses)
        self._additional: dict[str, Any] = {}
        self._output: dict[str, Any] = {}
        self._thought = Thought()

    def body(self) -> dict[str, Any]:
        """Write all members that are not empty."""
        request = self._request
        system, turns = opened(request.messages, self._losses)
        messages = self._messages(turns)
        if request.cache is not None and messages:
            messages[-1]["content"] += self._content.caching(request.cache)
        self._thought = thought(request.reasoning, self._model, self._bound, turns, self._losses)
        self._additional.update(self._thought.additional)
        if self._thought.effort is not None:
            self._output["effort"] = self._thought.effort
        self._form()
        members = {
            "messages": messages,
            "system": self._content.system(system),
            "inferenceConfig": self._inference(),
            "toolConfig": self._tools(turns),
            "outputConfig": self._output,
            "serviceTier": self._tier(),
            "additionalModelRequestFields": self._additional,
            "additionalModelResponseFieldPaths": self._wanted(),
        }
        self._leave_out()
        return {name: value for name, value in members.items() if value}

    def _messages(self, turns: list[Turn]) -> list[dict[str, Any]]:
        """Write the turns. Where nothing of one is left, those around it are one."""
        messages: list[dict[str, Any]] = []
        for turn in turns:
            content = self._content.turn(turn)
            role = "assistant" if turn.by_model else "user"
            if content and messages and messages[-1]["role"] == role:
                messages[-1]["content"] += content
            elif content:
                messages.append({"role": role, "content": content})
        return messages

    # ---- sampling ----

    def _inference(self) -> dict[str, Any]:
        """Write how tokens are drawn; a model that thinks draws them in its own way."""
        asked = self._request.sampling
        config: dict[str, Any] = {}
        if self._bound is not None:
            config["maxTokens"] = self._bound
        stops = [stop for stop in asked.stop if stop]
        if stops:
            config["stopSequences"] = stops
        if self._thought.enabled:
            for name in (Feature.TEMPERATURE, Feature.TOP_P, Feature.TOP_K):
                if getattr(asked, name) not in {None, 1}:
                    self._losses.note(name)
            return config
        if asked.temperature is not None:
            if asked.temperature > TEMPERATURE_MAX:
                self._losses.note(Feature.TEMPERATURE)
            config["temperature"] = min(asked.temperature, TEMPERATURE_MAX)
        if asked.top_p is not None:
            config["topP"] = asked.top_p
        if asked.top_k is not None:
            self._top_k(asked.top_k)
        return config

    def _top_k(self, top_k: int) -> None:
        if self._family is Family.CLAUDE:
            self._additional["top_k"] = top_k
        elif self._family is Family.NOVA:
            self._additional["inferenceConfig"] = {"topK": top_k}
        else:
            self._losses.note(Feature.TOP_K)

    def _wanted(self) -> list[str]:
        """Ask Claude which stop sequence it met; Converse alone does not say."""
        claude = self._family is Family.CLAUDE
        return ["/stop_sequence"] if claude and any(self._request.sampling.stop) else []

    # ---- form and tools ----

    def _form(self) -> None:
        """Write which form the answer has to have."""
        match self._request.response_format:
            case JsonSchema() as asked:
                schema: dict[str, Any] = {"schema": _text(asked.schema)}
                if asked.name:
                    schema["name"] = asked.name
                if asked.description:
                    schema["description"] = asked.description
                structure = {"jsonSchema": schema}
                self._output["textFormat"] = {"type": "json_schema", "structure": structure}
            case JsonObject():
                self._losses.note(Feature.JSON_OBJECT, "response_format")
            case None:
                pass

    def _tools(self, turns: list[Turn]) -> dict[str, Any]:
        """Write the tools and the choice among them.

        Where earlier turns have calls, Converse wants tools to be defined, be they wanted now
        or not.
        """
        choice = self._request.tool_choice or ToolChoice(ToolMode.AUTO)
        written = self._offered(choice)
        names = _called(turns)
        forbidden = choice.mode is ToolMode.NONE or not written
        if forbidden and not names:
            return {}
        config: dict[str, Any] = {"tools": written or [_spec(name) for name in names]}
        if forbidden or (choice.mode is not ToolMode.AUTO and self._thought.enabled):
            self._losses.note(Feature.TOOL_CHOICE)
        elif choice.mode is ToolMode.REQUIRED:
            config["toolChoice"] = {"any": {}}
        elif choice.mode is ToolMode.NAMED:
            config["toolChoice"] = {"tool": {"name": choice.name}}
        elif self._request.tool_choice is not None:
            config["toolChoice"] = {"auto": {}}
        return config

    def _offered(self, choice: ToolChoice) -> list[dict[str, Any]]:
        """Write the tools that may be called."""
        written: list[dict[str, Any]] = []
        for tool in self._request.tools:
            if not isinstance(tool, Tool):
                self._losses.note(Feature.VENDOR_TOOLS, "tools")
            elif choice.allowed is None or tool.name in choice.allowed:
                written += [self._tool(tool), *self._content.caching(tool.cache)]
        return written

    def _tool(self, tool: Tool) -> dict[str, Any]:
        written = _spec(tool.name, tool.schema)
        if tool.description:
            written["toolSpec"]["description"] = tool.description
        if tool.strict is not None and self._family is Family.CLAUDE:
            written["toolSpec"]["strict"] = tool.strict
        elif tool.strict:
            self._losses.note(Feature.STRICT_TOOLS)
        return written

    # ---- account, and what has no place ----

    def _tier(self) -> dict[str, str]:
        tier = self._request.service_tier
        if tier in _TIERS:
            return {"type": tier}
        if tier not in {None, "auto"}:
            self._losses.note(Feature.SERVICE_TIER)
        return {}

    def _leave_out(self) -> None:
        """Note what Converse has no member for."""
        request, asked = self._request, self._request.sampling
        lost = {
            Feature.SEED: asked.seed is not None,
            Feature.FREQUENCY_PENALTY: bool(asked.frequency_penalty),
            Feature.PRESENCE_PENALTY: bool(asked.presence_penalty),
            Feature.N: asked.choices > 1,
            Feature.LOGPROBS: asked.logprobs,
            Feature.PARALLEL_TOOL_CALLS: request.parallel_tool_calls is False
            and bool(request.tools),
            Feature.VERBOSITY: request.verbosity not in {None, "medium"},
            Feature.USER: request.user is not None,
        }
        for feature, is_lost in lost.items():
            if is_lost:
                self._losses.note(feature)


def _text(schema: bytes) -> str:
    """Give a schema as text, which is how Converse wants it."""
    try:
        return schema.decode()
    except UnicodeDecodeError:
        message = "Invalid schema for response_format: it is not UTF-8."
        param = "response_format"
        raise InvalidParameter(message, param=param, code="invalid_value") from None


def _spec(name: str, schema: bytes | None = None) -> dict[str, Any]:
    """Write a tool; one whose schema is not known takes anything."""
    form = Raw(schema) if schema else _ANY_OBJECT
    return {"toolSpec": {"name": name, "inputSchema": {"json": form}}}


def _called(turns: list[Turn]) -> list[str]:
    """Give the names of the tools that were called before, each once."""
    parts = (part for turn in turns for part in turn.parts)
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)))
