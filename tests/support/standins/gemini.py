"""A stand-in for Gemini's generateContent and streamGenerateContent."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from entente.domain.inference import Stop
from entente.domain.usage import Usage
from tests.support.standins.scenes import Asked, Scene, Told, given
from tests.support.standins.standin import KEY, Refused, Request, StandIn, sse

MODEL: Final = "gemini-3-flash"
SIGNATURE: Final = "c2lnbmVk"
REASONS: Final = {
    Stop.END: "STOP",
    Stop.STOP_SEQUENCE: "STOP",
    Stop.TOOL_CALLS: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.FILTERED: "SAFETY",
}
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}
_Json: TypeAlias = dict[str, Any]

# ---- what it takes ----


class _Form(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    pass


class _Blob(_Form):
    mime_type: str
    data: str


class _FileData(_Form):
    file_uri: str
    mime_type: str | UnsetType = UNSET


class _Call(_Form):
    name: str
    args: _Json = {}
    id: str | UnsetType = UNSET


class _Result(_Form):
    name: str
    response: _Json
    id: str | UnsetType = UNSET


class _Part(_Form):
    text: str | UnsetType = UNSET
    inline_data: _Blob | UnsetType = UNSET
    file_data: _FileData | UnsetType = UNSET
    function_call: _Call | UnsetType = UNSET
    function_response: _Result | UnsetType = UNSET
    thought: bool = False
    thought_signature: str | UnsetType = UNSET


class _Content(_Form):
    parts: list[_Part]
    role: Literal["user", "model"] = "user"


class _Function(_Form):
    name: str
    description: str | UnsetType = UNSET
    parameters_json_schema: _Json | UnsetType = UNSET


class _Tool(_Form):
    function_declarations: list[_Function]


class _Calling(_Form):
    mode: Literal["AUTO", "ANY", "NONE"]
    allowed_function_names: list[str] | UnsetType = UNSET


class _ToolConfig(_Form):
    function_calling_config: _Calling


class _Thinking(_Form):
    include_thoughts: bool = False
    thinking_budget: int | UnsetType = UNSET
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | UnsetType = UNSET


class _Generation(_Form):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_output_tokens: int | None = None
    candidate_count: int | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    stop_sequences: list[str] | None = None
    response_mime_type: Literal["text/plain", "application/json"] | None = None
    response_json_schema: _Json | None = None
    thinking_config: _Thinking | UnsetType = UNSET


class Body(_Form):
    """The body of a request, as far as these tests go."""

    contents: list[_Content]
    system_instruction: _Content | UnsetType = UNSET
    tools: list[_Tool] | UnsetType = UNSET
    tool_config: _ToolConfig | UnsetType = UNSET
    generation_config: _Generation = msgspec.field(default_factory=_Generation)


def _understood(body: Body, model: str, *, stream: bool) -> Asked:
    config, system = body.generation_config, body.system_instruction
    functions = [f for tool in body.tools or () for f in tool.function_declarations]
    thinking = config.thinking_config
    json = "object" if config.response_mime_type == "application/json" else None
    return Asked(
        model=model,
        stream=stream,
        system="".join(part.text or "" for part in system.parts) if system else "",
        said=tuple(_said(body.contents)),
        tools=tuple((f.name, f.parameters_json_schema or {}) for f in functions),
        choice=_choice(body.tool_config.function_calling_config) if body.tool_config else None,
        form=config.response_json_schema or json,
        settings=given(
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            seed=config.seed,
            frequency_penalty=config.frequency_penalty,
            presence_penalty=config.presence_penalty,
            max_completion_tokens=config.max_output_tokens,
            n=config.candidate_count,
            logprobs=config.response_logprobs,
            top_logprobs=config.logprobs,
            stop=config.stop_sequences,
            reasoning_effort=(thinking.thinking_level or "").lower() or None if thinking else None,
            thinking_budget=(thinking.thinking_budget or None) if thinking else None,
        ),
    )


def _choice(calling: _Calling) -> str:
    return calling.allowed_function_names[0] if calling.allowed_function_names else calling.mode


def _said(contents: list[_Content]) -> list[tuple[Any, ...]]:
    """Read the conversation. Results name the tool, and have the id of its call."""
    said: list[tuple[Any, ...]] = []
    for content in contents:
        for part in content.parts:
            call, result = part.function_call, part.function_response
            if call and not _calls_of(said) and not part.thought_signature:
                raise Refused(400, "Function call is missing a thought_signature")
            if call:
                said.append((content.role, "call", call.id, call.name, call.args))
            elif result:
                names = {said[2]: said[3] for said in _calls_of(said)}
                if names.get(result.id) != result.name:
                    raise Refused(400, "a function response part does not fit its call part")
                text = result.response.get("output", result.response.get("error"))
                said.append((content.role, "result", result.id, text))
            elif part.inline_data:
                kind = "image" if part.inline_data.mime_type.startswith("image/") else "document"
                said.append((content.role, kind, part.inline_data.mime_type, part.inline_data.data))
            elif part.file_data:
                said.append((content.role, "link", part.file_data.file_uri))
            elif part.text:
                said.append((content.role, "text", part.text))
    return said


def _calls_of(said: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Give the calls of a conversation."""
    return [part for part in said if part[1] == "call"]


# ---- what it says ----


class Gemini(StandIn):
    """`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse`."""

    counts_on_the_way = True

    def read(self, request: Request) -> Asked:
        """Read a request."""
        if request.headers.get("x-goog-api-key") != KEY or "authorization" in request.headers:
            raise Refused(401, "API key not valid. Please pass a valid API key.")
        place, _, method = request.path.rpartition(":")
        stream = method == "streamGenerateContent"
        if place != f"/v1beta/models/{MODEL}" or method not in {
            "generateContent",
            "streamGenerateContent",
        }:
            raise Refused(404, f"{request.path} is not found for API version v1beta")
        if request.query != ("alt=sse" if stream else ""):
            raise Refused(400, "a stream is read by its events here")
        return _understood(request.read(Body), MODEL, stream=stream)

    def tells(self, scene: Scene, *, stream: bool) -> Told:  # noqa: ARG002
        """No sequence that ended an answer, and no writing to a cache, is told."""
        used = scene.usage
        return Told(
            thought="".join(scene.thoughts),
            stop=Stop.END if scene.stop is Stop.STOP_SEQUENCE else scene.stop,
            usage=Usage(
                input=used.input + used.cache_write,
                cache_read=used.cache_read,
                output=used.output,
                reasoning=used.reasoning,
            ),
        )

    def whole(self, scene: Scene, asked: Asked) -> bytes:
        """Write a response of all candidates."""
        text = [{"text": scene.text}] if scene.texts else []
        thoughts = "".join(scene.thoughts)
        thought = [{"text": thoughts, "thought": True}] if thoughts else []
        parts = [*thought, *text, *_calls(scene)]
        count = asked.settings.get("n", 1)
        reason = REASONS[scene.stop]
        candidates = [
            {"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": at}
            for at in range(count)
        ]
        if asked.settings.get("logprobs"):
            likely = [{"token": text, "logProbability": -0.125} for text in scene.texts]
            result = {"chosenCandidates": likely, "topCandidates": [{"candidates": []}]}
            candidates = [{**candidate, "logprobsResult": result} for candidate in candidates]
        return msgspec.json.encode(_response(candidates, scene.usage))

    def events(
        self,
        scene: Scene,
        asked: Asked,  # noqa: ARG002
    ) -> tuple[list[bytes], list[bytes]]:
        """Write responses one after the other; the usage grows, calls come whole."""
        parts: list[_Json] = [{"text": text, "thought": True} for text in scene.thoughts]
        parts += [{"text": text} for text in scene.texts]
        parts += _calls(scene)
        so_far = msgspec.structs.replace(scene.usage, output=1)
        first = [
            sse(_response([{"content": {"parts": [part], "role": "model"}, "index": 0}], so_far))
            for part in parts
        ]
        last: _Json = {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}
        last["finishReason"] = REASONS[scene.stop]
        return first, [sse(_response([last], scene.usage))]

    def failure(self, message: str, asked: Asked, sent: int) -> bytes:  # noqa: ARG002
        """Write the event of a failure."""
        return b"data: %b\n\n" % self.error(503, message)

    def error(self, status: int, message: str) -> bytes:
        """Write the body of an error."""
        word = _STATUSES.get(status, "UNAVAILABLE")
        return msgspec.json.encode({"error": {"code": status, "message": message, "status": word}})


def _calls(scene: Scene) -> list[_Json]:
    """Write the calls of a scene; only the first one is signed."""
    parts: list[_Json] = []
    for at, call in enumerate(scene.calls):
        called = {"name": call.name, "args": call.arguments, "id": f"fc{at}x"}
        parts.append({"functionCall": called, **({} if at else {"thoughtSignature": SIGNATURE})})
    return parts


def _response(candidates: list[_Json], used: Usage) -> _Json:
    counts = {
        "promptTokenCount": used.input_total,
        "candidatesTokenCount": used.output,
        "totalTokenCount": used.total,
        "cachedContentTokenCount": used.cache_read,
        "thoughtsTokenCount": used.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": used.input_total}],
    }
    return {
        "candidates": candidates,
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": f"{MODEL}-001",
        "responseId": "Il0taoStandIn",
    }
