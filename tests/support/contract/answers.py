"""Which schema an answer of ours has to fit, by method, path and status."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from tests.support.contract import anthropics
from tests.support.contract.schemas import (
    Schema,
    a_list,
    an_object,
    defects,
    named,
    one_of,
    types_of,
)

_OK: Final = 200
_STREAM: Final = "text/event-stream"

_ROUTES: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "chat/completions"): "ChatCompletionList",
    ("POST", "chat/completions"): "CreateChatCompletionResponse",
    ("GET", "chat/completions/{id}"): "CreateChatCompletionResponse",
    ("POST", "chat/completions/{id}"): "CreateChatCompletionResponse",
    ("DELETE", "chat/completions/{id}"): "ChatCompletionDeleted",
    ("POST", "completions"): "CreateCompletionResponse",
    ("POST", "embeddings"): "CreateEmbeddingResponse",
    ("POST", "moderations"): "CreateModerationResponse",
    ("GET", "models"): "ListModelsResponse",
    ("GET", "models/{id}"): "Model",
    ("DELETE", "models/{id}"): "DeleteModelResponse",
    ("POST", "files"): "OpenAIFile",
    ("GET", "files"): "ListFilesResponse",
    ("GET", "files/{id}"): "OpenAIFile",
    ("DELETE", "files/{id}"): "DeleteFileResponse",
    ("POST", "uploads"): "Upload",
    ("POST", "uploads/{id}/parts"): "UploadPart",
    ("POST", "uploads/{id}/complete"): "Upload",
    ("POST", "uploads/{id}/cancel"): "Upload",
    ("POST", "batches"): "Batch",
    ("GET", "batches"): "ListBatchesResponse",
    ("GET", "batches/{id}"): "Batch",
    ("POST", "batches/{id}/cancel"): "Batch",
    ("POST", "images/generations"): "ImagesResponse",
    ("POST", "images/edits"): "ImagesResponse",
    ("POST", "images/variations"): "ImagesResponse",
    ("POST", "responses"): "Response",
    ("GET", "responses/{id}"): "Response",
    ("POST", "responses/{id}/cancel"): "Response",
    ("GET", "responses/{id}/input_items"): "ResponseItemList",
    ("POST", "responses/input_tokens"): "TokenCountsResource",
    ("POST", "responses/compact"): "CompactResource",
    ("POST", "conversations"): "ConversationResource",
    ("GET", "conversations/{id}"): "ConversationResource",
    ("POST", "conversations/{id}"): "ConversationResource",
    ("DELETE", "conversations/{id}"): "DeletedConversationResource",
    ("GET", "conversations/{id}/items"): "ConversationItemList",
    ("POST", "conversations/{id}/items"): "ConversationItemList",
    ("GET", "conversations/{id}/items/{id}"): "ConversationItem",
    ("DELETE", "conversations/{id}/items/{id}"): "ConversationResource",
    ("POST", "realtime/client_secrets"): "RealtimeCreateClientSecretResponse",
    ("GET", "organization/usage/{report}"): "UsageResponse",
    ("GET", "organization/costs"): "UsageResponse",
}
"""Behind `/v1/`, and behind what stands for it at Azure.

Messages of a stored completion are none of them: OpenAI's schema says that all are the
assistant's, its own example has the user's.
"""
_EVENTS: Final[Mapping[str, str]] = {
    "chat/completions": "CreateChatCompletionStreamResponse",
    "completions": "CreateCompletionResponse",
    "responses": "ResponseStreamEvent",
    "responses/{id}": "ResponseStreamEvent",
    "images/generations": "ImageGenStreamEvent",
    "images/edits": "ImageEditStreamEvent",
    "audio/speech": "CreateSpeechResponseStreamEvent",
    "audio/transcriptions": "CreateTranscriptionResponseStreamEvent",
}
_ERROR: Final = "ErrorResponse"
_REALTIME: Final = "RealtimeServerEvent"
SCHEMAS: Final = frozenset({*_ROUTES.values(), *_EVENTS.values(), _ERROR, _REALTIME})
"""The schemas that anything is held against."""

_NULL_ON_THE_WIRE: Final = frozenset(
    {
        *("usage", "user", "top_logprobs", "service_tier", "system_fingerprint"),
        *("errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at"),
        *("completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"),
        "status_details",
    }
)
"""Members that the live API has as null although its specification does not say so.

Those of batches are null in the vendor's own examples, too.
"""
_NOT_AZURES: Final = ".cache_write_tokens is missing"
"""What the specification wants of a usage, and recorded answers of Azure's do not have."""
_AZURES_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "code"],
            "properties": {"message": {"type": "string"}},
        }
    },
}
_AZURES_FILE: Final = an_object(
    {"expires_at": {"type": "integer"}},
    id={"type": "string"},
    bytes={"type": "integer"},
    created_at={"type": "integer"},
    filename={"type": "string"},
    object=one_of("file"),
    purpose=one_of(
        *("assistants", "assistants_output", "batch", "batch_output", "fine-tune"),
        *("fine-tune-results", "evals"),
    ),
    status=one_of("uploaded", "pending", "running", "processed", "error", "deleting", "deleted"),
)
_AZURES: Final[Mapping[tuple[str, str], Schema]] = {
    ("POST", "files"): _AZURES_FILE,
    ("GET", "files/{id}"): _AZURES_FILE,
    ("GET", "files"): an_object(
        object=one_of("list"),
        data=a_list(_AZURES_FILE),
        first_id={"type": "string"},
        last_id={"type": "string"},
        has_more={"type": "boolean"},
    ),
}
"""What Azure's specification describes otherwise than OpenAI's. Of batches it says nothing."""
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_FIXED: Final = {
    *("chat", "completions", "input_tokens", "compact", "generations", "edits"),
    *("usage", "costs"),
}
_AZURE: Final = re.compile(r"/openai/(?:v1/|deployments/[^/]+/)?")


def defects_of(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    asked: Mapping[str, str] = _NO_HEADERS,
) -> list[str]:
    """Give what is wrong with an answer; nothing for what no vendor has a word about.

    `asked` are headers of the request: one of them says whose models are listed.
    """
    kind = headers.get("content-type", "")
    path = path.partition("?")[0]
    if not body or not kind.startswith(("application/json", _STREAM)):
        return []
    if anthropics.is_route(path) or ("anthropic-version" in asked and anthropics.is_shared(path)):
        return anthropics.defects_of(method, path, status, body, streamed=kind.startswith(_STREAM))
    azure = _AZURE.match(path)
    if not azure and not path.startswith("/v1/"):
        return []
    if status != _OK:
        return _error_defects(json.loads(body), azures=azure is not None)
    name = "/".join(_segments(path[azure.end() if azure else len("/v1/") :]))
    if kind.startswith(_STREAM):
        return list(_stream_defects(body, _EVENTS.get(name), azures=azure is not None))
    return _whole_defects(method, name, json.loads(body), azures=azure is not None)


def _whole_defects(method: str, name: str, body: Any, *, azures: bool) -> list[str]:
    """Give what is wrong with an answer that is no error and no stream."""
    if azures and (method, name) in _AZURES:
        return list(defects(body, _AZURES[method, name], {}))
    if name.startswith("organization/usage/"):
        name = "organization/usage/{report}"
    schema = _ROUTES.get((method, name))
    found = [] if schema is None else named(_as_specified(body), schema)
    return [each for each in found if not azures or _NOT_AZURES not in each]


def realtime_defects(event: Mapping[str, Any]) -> list[str]:
    """Give what is wrong with an event of a session; nothing for one that is new to the vendor."""
    kinds = types_of(_REALTIME)
    return named(_as_specified(event), _REALTIME) if event.get("type") in kinds else []


def _segments(path: str) -> Iterator[str]:
    """Give the words of a path, ids as such."""
    words = path.split("/")
    for place, word in enumerate(words):
        if words[0] == "chat":
            place -= 1  # noqa: PLW2901  (`chat/completions` is one word)
        is_id = place % 2 == 1 and word not in _FIXED and words[0] != "audio"
        yield "{id}" if is_id else word


def _as_specified(value: Any) -> Any:
    """Leave out members that are null on the wire; put right what the schema forgets.

    That is a word, vectors in base64, which have to be whole numbers of floats, and pieces of a
    completion that have not ended.
    """
    if isinstance(value, list):
        return [_as_specified(each) for each in value]
    if not isinstance(value, dict):
        return value
    packed = value.get("embedding")
    if isinstance(packed, str):
        data = base64.b64decode(packed, validate=True)
        value = {**value, "embedding": list(struct.unpack(f"<{len(data) // 4}f", data))}
    if value.get("finish_reason", "") is None and "text" in value:
        value = {**value, "finish_reason": "stop"}
    return {
        name: _as_specified(each)
        for name, each in value.items()
        if each is not None or name not in _NULL_ON_THE_WIRE
    } | ({"purpose": "user_data"} if value.get("purpose") == "evals" else {})


def _error_defects(body: Any, *, azures: bool) -> list[str]:
    """Give what is wrong with an error; Azure has forms of its own besides OpenAI's."""
    found = named(body, _ERROR)
    if found and azures:
        if isinstance(body, dict) and body.keys() == {"statusCode", "message"}:
            return []
        return list(defects(body, _AZURES_ERROR, {}))
    return found


def _stream_defects(body: bytes, schema: str | None, *, azures: bool) -> Iterator[str]:
    """Give what is wrong with the events of a stream; one that failed ends with an error.

    Azure's chunk about the filtering of the prompt has no type and no choice.
    """
    for number, block in enumerate(re.split(rb"\r?\n\r?\n", body)):
        data = b"\n".join(re.findall(rb"(?m)^data: ?(.*?)\r?$", block))
        if not data or data == b"[DONE]":
            continue
        event = json.loads(data)
        if isinstance(event, dict) and event.get("error") and "type" not in event:
            yield from (f"event {number}: {each}" for each in named(event, _ERROR))
        elif schema is not None and not (azures and event.get("prompt_filter_results")):
            yield from (f"event {number}: {each}" for each in named(_as_specified(event), schema))
