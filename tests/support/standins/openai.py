"""A stand-in for OpenAI's chat completions."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from entente.domain.inference import Stop
from tests.support.standins import responses
from tests.support.standins.scenes import Asked, Called, Scene, Told, given
from tests.support.standins.standin import KEY, Refused, Request, StandIn, sse

MODEL: Final = "gpt-5-mini"
CREATED_S: Final = 1_700_000_000
REASONS: Final = {
    Stop.END: "stop",
    Stop.STOP_SEQUENCE: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL_CALLS: "tool_calls",
    Stop.FILTERED: "content_filter",
}
_Json: TypeAlias = dict[str, Any]
T = TypeVar("T", "Body", responses.Body)

# ---- what it takes ----


class _Form(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class _Text(_Form, tag_field="type", tag="text"):
    text: str


class _Url(_Form):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class _Image(_Form, tag_field="type", tag="image_url"):
    image_url: _Url


class _FileData(_Form):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class _File(_Form, tag_field="type", tag="file"):
    file: _FileData


class _Operator(_Form, tag_field="role", tag="system"):
    content: str | list[_Text]


class _Developer(_Operator, tag="developer"):
    pass


class _User(_Form, tag_field="role", tag="user"):
    content: str | list[_Text | _Image | _File]


class _Function(_Form):
    name: str
    arguments: str


class _Call(_Form):
    id: str
    type: Literal["function"]
    function: _Function


class _Assistant(_Form, tag_field="role", tag="assistant"):
    content: str | list[_Text] | None = None
    tool_calls: list[_Call] | UnsetType = UNSET
    refusal: str | None = None
    annotations: list[_Json] | None = None


class _Result(_Form, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | list[_Text]


class _Definition(_Form):
    name: str
    description: str | UnsetType = UNSET
    parameters: _Json | UnsetType = UNSET
    strict: bool | None = None


class _Tool(_Form):
    type: Literal["function"]
    function: _Definition


class _Named(_Form):
    name: str


class _Choice(_Form):
    type: Literal["function"]
    function: _Named


class _Schema(_Form):
    name: str
    schema: _Json
    description: str | UnsetType = UNSET
    strict: bool | None = None


class _Format(_Form):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | UnsetType = UNSET


class _Options(_Form):
    include_usage: bool = False


class Body(_Form):
    """The body of a request, as far as these tests go."""

    model: str
    messages: list[_Operator | _Developer | _User | _Assistant | _Result]
    stream: bool = False
    stream_options: _Options | UnsetType = UNSET
    tools: list[_Tool] | UnsetType = UNSET
    tool_choice: Literal["auto", "none", "required"] | _Choice | UnsetType = UNSET
    parallel_tool_calls: bool | None = None
    response_format: _Format | UnsetType = UNSET
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    user: str | None = None


def understood(body: Body) -> Asked:
    """Read a body as a canonical request."""
    settings = {
        name: getattr(body, name)
        for name in (
            "parallel_tool_calls",
            "temperature",
            "top_p",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "max_completion_tokens",
            "n",
            "logprobs",
            "top_logprobs",
            "reasoning_effort",
            "user",
        )
    }
    stop = [body.stop] if isinstance(body.stop, str) else body.stop
    choice = body.tool_choice
    form = body.response_format
    schema = form.json_schema if form else UNSET
    operators = [m.content for m in body.messages if isinstance(m, _Operator)]
    return Asked(
        model=body.model,
        stream=body.stream,
        system="".join(text for content in operators for text in _texts(content)),
        said=tuple(part for message in body.messages for part in _said(message)),
        tools=tuple((t.function.name, t.function.parameters or {}) for t in body.tools or ()),
        choice=_choice(choice) if choice else None,
        form=schema.schema if schema else "object" if form else None,
        settings=given(**settings, stop=stop),
    )


def _choice(choice: str | _Choice) -> str:
    if isinstance(choice, _Choice):
        return choice.function.name
    return "any" if choice == "required" else choice


def _texts(content: str | list[_Text] | None) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part.text for part in content or ()]


def _said(message: _Operator | _User | _Assistant | _Result) -> list[tuple[Any, ...]]:
    match message:
        case _User(content=str(text)):
            return [("user", "text", text)]
        case _User():
            return [_part(part) for part in message.content if not isinstance(part, str)]
        case _Assistant():
            texts = [("model", "text", text) for text in _texts(message.content)]
            calls = [
                ("model", "call", call.id, call.function.name, call.function.arguments)
                for call in message.tool_calls or ()
            ]
            decoded = [(*call[:4], msgspec.json.decode(call[4])) for call in calls]
            return [*texts, *decoded]
        case _Result():
            return [("user", "result", message.tool_call_id, "".join(_texts(message.content)))]
    return []


def _part(part: _Text | _Image | _File) -> tuple[Any, ...]:
    match part:
        case _Text():
            return ("user", "text", part.text)
        case _File():
            return ("user", "document", *_data(part.file.file_data or ""))
    url = part.image_url.url
    return ("user", "image", *_data(url)) if url.startswith("data:") else ("user", "link", url)


def _data(url: str) -> tuple[str, str]:
    """Take a data URL apart."""
    head, _, data = url.partition(",")
    media_type, _, coding = head.removeprefix("data:").partition(";")
    if coding != "base64":
        raise Refused(400, "a data URL has to be in base64")
    return media_type, data


# ---- what it says ----


class OpenAI(StandIn):
    """`POST /v1/chat/completions`, and `/v1/responses`."""

    def read(self, request: Request) -> Asked:
        """Read a request."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "Incorrect API key provided.")
        if request.target == "/v1/responses":
            return responses.understood(self._known(request.read(responses.Body)))
        if request.target != "/v1/chat/completions":
            raise Refused(404, f"Invalid URL (POST {request.target})")
        return self._counting(self._known(request.read(Body)))

    def _known(self, body: T) -> T:
        """See that the model is the one that is here."""
        if body.model != MODEL:
            raise Refused(404, f"The model `{body.model}` does not exist")
        return body

    def _counting(self, body: Body) -> Asked:
        """See that a stream is asked for its usage, without which nobody could charge for it."""
        if body.stream and not (body.stream_options and body.stream_options.include_usage):
            raise Refused(400, "a stream without usage")
        return understood(body)

    def tells(self, scene: Scene, *, stream: bool) -> Told:  # noqa: ARG002
        """Thoughts are counted, not told; nor which sequence ended an answer."""
        stop = Stop.END if scene.stop is Stop.STOP_SEQUENCE else scene.stop
        return Told(stop=stop, usage=scene.usage)

    def whole(self, scene: Scene, asked: Asked) -> bytes:
        """Write a completion."""
        if asked.surface == responses.SURFACE:
            return responses.whole(scene, asked)
        message: _Json = {"role": "assistant", "content": scene.text or None, "refusal": None}
        calls = [
            {
                "id": f"call_{at}x",
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.pieces) or "{}"},
            }
            for at, call in enumerate(scene.calls)
        ]
        if calls:
            message["tool_calls"] = calls
        choices = [
            {
                "index": at,
                "message": {**message, "annotations": []},
                "logprobs": _logprobs(scene.texts) if "logprobs" in asked.settings else None,
                "finish_reason": REASONS[scene.stop],
                **self.annotations(),
            }
            for at in range(asked.settings.get("n", 1))
        ]
        body = {**_frame("chat.completion", asked), "choices": choices, "usage": usage(scene)}
        return msgspec.json.encode({**body, **self.prompt_annotations()})

    def events(self, scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
        """Write chunks."""
        if asked.surface == responses.SURFACE:
            return responses.events(scene, asked)
        role = {"role": "assistant", "content": None if scene.calls else "", "refusal": None}
        deltas: list[_Json] = [role, *({"content": text} for text in scene.texts)]
        for at, call in enumerate(scene.calls):
            deltas += _call_deltas(at, call)
        frame = {**_frame("chat.completion.chunk", asked), "usage": None}
        first = [sse({**frame, "choices": [self._choice(delta)]}) for delta in deltas]
        reason = REASONS[scene.stop]
        end = [
            sse({**frame, "choices": [self._choice({}, reason)]}),
            sse({**frame, "choices": [], "usage": usage(scene)}),
            b"data: [DONE]\n\n",
        ]
        return first, end

    def _choice(self, delta: _Json, reason: str | None = None) -> _Json:
        return {"index": 0, "delta": delta, "finish_reason": reason, **self.annotations()}

    def annotations(self) -> _Json:
        """Give what a choice also has."""
        return {}

    def prompt_annotations(self) -> _Json:
        """Give what an answer also has."""
        return {}

    def failure(self, message: str, asked: Asked, sent: int) -> bytes:
        """Write the event of a failure, behind which there is no marker."""
        if asked.surface == responses.SURFACE:
            return responses.failure(message, sent)
        error = {"message": message, "type": "server_error", "param": None, "code": None}
        return sse({"error": error})

    def error(self, status: int, message: str) -> bytes:
        """Write the body of an error."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": None}
        return msgspec.json.encode({"error": error})


def _frame(kind: str, asked: Asked) -> _Json:
    return {
        "id": "chatcmpl-9standin",
        "object": kind,
        "created": CREATED_S,
        "model": f"{asked.model}-2026-08-01",
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _call_deltas(at: int, call: Called) -> list[_Json]:
    function = {"name": call.name, "arguments": ""}
    begun = {"index": at, "id": f"call_{at}x", "type": "function", "function": function}
    pieces = call.pieces or ("{}",)
    more = [{"index": at, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [piece]} for piece in (begun, *more)]


def _logprobs(texts: tuple[str, ...]) -> _Json:
    tokens = [
        {"token": text, "logprob": -0.125, "bytes": list(text.encode()), "top_logprobs": []}
        for text in texts
    ]
    return {"content": tokens, "refusal": None}


def usage(scene: Scene) -> _Json:
    """Write a usage: totals that contain their details."""
    used = scene.usage
    return {
        "prompt_tokens": used.input_total,
        "completion_tokens": used.output_total,
        "total_tokens": used.total,
        "prompt_tokens_details": {
            "cached_tokens": used.cache_read,
            "cache_write_tokens": used.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
