"""A stand-in for Bedrock's Converse and ConverseStream: AWS's own SDK says what it takes."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias

import msgspec

from entente.domain.inference import Stop
from entente.domain.usage import Usage
from tests.kit import aws
from tests.support.standins.scenes import Asked, Scene, Told, given
from tests.support.standins.standin import Refused, Request, StandIn

MODEL: Final = "us.anthropic.claude-sonnet-4-6-v1:0"
REGION: Final = "eu-central-1"
KEY_ID: Final = "AKIDSTANDIN"
REASONS: Final = {
    Stop.END: "end_turn",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL_CALLS: "tool_use",
    Stop.FILTERED: "guardrail_intervened",
}
_SIGNED: Final = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={KEY_ID}/\d{{8}}/{REGION}/bedrock/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]*\bhost\b[a-z0-9;-]*, Signature=[0-9a-f]{64}"
)
_Json: TypeAlias = dict[str, Any]


class Bedrock(StandIn):
    """`POST /model/{id}/converse` and `/converse-stream`. The signature's form is looked at."""

    stream_type = b"application/vnd.amazon.eventstream"

    def read(self, request: Request) -> Asked:
        """Read a request."""
        if not _SIGNED.fullmatch(request.headers.get("authorization", "")):
            raise Refused(401, "The security token included in the request is invalid.")
        operations = {
            f"/model/{MODEL}/converse": ("Converse", False),
            f"/model/{MODEL}/converse-stream": ("ConverseStream", True),
        }
        if request.path not in operations:
            raise Refused(404, "The provided model identifier is invalid.")
        operation, stream = operations[request.path]
        defects = aws.converse_defects(request.body, operation)
        if defects:
            raise Refused(400, defects)
        return _understood(json.loads(request.body), stream=stream)

    def tells(self, scene: Scene, *, stream: bool) -> Told:  # noqa: ARG002
        """Thoughts are told, but counted as output."""
        used = scene.usage
        counted = msgspec.structs.replace(used, output=used.output + used.reasoning, reasoning=0)
        return Told(
            thought="".join(scene.thoughts),
            stop=scene.stop,
            stop_sequence=scene.stop_sequence,
            usage=counted,
        )

    def whole(self, scene: Scene, asked: Asked) -> bytes:
        """Write an answer."""
        content: list[_Json] = []
        if scene.thoughts:
            thought = {"text": "".join(scene.thoughts), "signature": "c2lnbmVk"}
            content.append({"reasoningContent": {"reasoningText": thought}})
        if scene.texts:
            content.append({"text": scene.text})
        for at, call in enumerate(scene.calls):
            called = {"toolUseId": f"tooluse_{at}x", "name": call.name, "input": call.arguments}
            content.append({"toolUse": called})
        body = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": REASONS[scene.stop],
            **_matched(scene, asked),
            "usage": _usage(scene.usage),
            "metrics": {"latencyMs": 7},
        }
        return msgspec.json.encode(body)

    def events(self, scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
        """Write the messages of a stream; the usage comes behind the end."""
        first = [aws.event("messageStart", {"role": "assistant", "p": "abcdefghijk"})]
        blocks: list[tuple[_Json | None, list[_Json]]] = []
        if scene.thoughts:
            deltas = [{"reasoningContent": {"text": text}} for text in scene.thoughts]
            blocks.append((None, [*deltas, {"reasoningContent": {"signature": "c2lnbmVk"}}]))
        if scene.texts:
            blocks.append((None, [{"text": text} for text in scene.texts]))
        for at, call in enumerate(scene.calls):
            start = {"toolUse": {"toolUseId": f"tooluse_{at}x", "name": call.name}}
            blocks.append((start, [{"toolUse": {"input": piece}} for piece in call.pieces]))
        for index, (begun, deltas) in enumerate(blocks):
            at_index = {"contentBlockIndex": index}
            if begun is not None:
                first.append(aws.event("contentBlockStart", {"start": begun, **at_index}))
            first += [aws.event("contentBlockDelta", {"delta": d, **at_index}) for d in deltas]
            first.append(aws.event("contentBlockStop", at_index))
        stop = {"stopReason": REASONS[scene.stop], **_matched(scene, asked)}
        metadata = {"usage": _usage(scene.usage), "metrics": {"latencyMs": 7}}
        return first, [aws.event("messageStop", stop), aws.event("metadata", metadata)]

    def failure(self, message: str, asked: Asked, sent: int) -> bytes:  # noqa: ARG002
        """Write the exception that a stream ends with."""
        return aws.exception("modelStreamErrorException", {"message": message})

    def error(self, status: int, message: str) -> bytes:  # noqa: ARG002
        """Write the body of an error."""
        return msgspec.json.encode({"message": message})


def _matched(scene: Scene, asked: Asked) -> _Json:
    """Say which sequence ended the answer, where the request asks for it."""
    if scene.stop_sequence is None or not asked.settings.get("wants_stop_sequence"):
        return {}
    return {"additionalModelResponseFields": {"stop_sequence": scene.stop_sequence}}


def _usage(used: Usage) -> _Json:
    return {
        "inputTokens": used.input,
        "outputTokens": used.output_total,
        "totalTokens": used.total,
        "cacheReadInputTokens": used.cache_read,
        "cacheWriteInputTokens": used.cache_write,
    }


def _understood(body: _Json, *, stream: bool) -> Asked:
    config, tools = body.get("inferenceConfig", {}), body.get("toolConfig", {})
    extra = body.get("additionalModelRequestFields", {})
    output = body.get("outputConfig", {})
    text_format = output.get("textFormat")
    specs = [tool["toolSpec"] for tool in tools.get("tools", ()) if "toolSpec" in tool]
    wanted = body.get("additionalModelResponseFieldPaths")
    schema = text_format["structure"]["jsonSchema"]["schema"] if text_format else None
    return Asked(
        model=MODEL,
        stream=stream,
        system="".join(block.get("text", "") for block in body.get("system", ())),
        said=tuple(
            (("model" if message["role"] == "assistant" else "user"), *part)
            for message in body["messages"]
            for block in message["content"]
            if (part := _part(block))
        ),
        tools=tuple((spec["name"], spec["inputSchema"]["json"]) for spec in specs),
        choice=_choice(tools.get("toolChoice")),
        form=json.loads(schema) if schema else None,
        settings=given(
            max_completion_tokens=config.get("maxTokens"),
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            stop=config.get("stopSequences"),
            top_k=extra.get("top_k"),
            reasoning_effort=output.get("effort"),
            thinking_budget=extra.get("thinking", {}).get("budget_tokens"),
            wants_stop_sequence=True if wanted == ["/stop_sequence"] else None,
        ),
    )


def _choice(choice: _Json | None) -> str | None:
    if choice is None:
        return None
    ((kind, named),) = choice.items()
    return str(named.get("name", kind))


def _part(block: _Json) -> tuple[Any, ...] | None:
    """Read a block; None for a mark of the cache."""
    ((kind, value),) = block.items()
    part: tuple[Any, ...] | None = None
    match kind:
        case "text":
            part = ("text", value)
        case "image":
            part = ("image", f"image/{value['format']}", value["source"]["bytes"])
        case "document":
            media = {"pdf": "application/pdf", "txt": "text/plain"}[value["format"]]
            part = ("document", media, value["source"]["bytes"])
        case "toolUse":
            part = ("call", value["toolUseId"], value["name"], value["input"])
        case "toolResult":
            texts = [inner.get("text", "") for inner in value["content"]]
            part = ("result", value["toolUseId"], "".join(texts))
        case "reasoningContent":
            thought = value["reasoningText"]
            part = ("thought", thought["text"], thought["signature"])
    return part
