"""Parts of messages as the parts of Gemini's contents. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses
from entente.domain.inference import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Part,
    PlainText,
    RedactedThinking,
    Refusal,
    Source,
    StoredFile,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from entente.wire.turns import Turn, arguments

Block: TypeAlias = dict[str, Any]

SIGNATURE_MARK: Final = "gemini:"
UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google documents for a call whose signature is not known, as that of another model."""

_FETCHED: Final = ("https://", "gs://")
_SUFFIX: Final = re.compile(r"\.([a-z0-9]+)(?:[?#]|$)", re.IGNORECASE)
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
}
_JSON: Final = re.compile(r"\s*[\[{]")


class ContentWriter:
    """Writes the contents of one request, and notes what they cannot say.

    `calls` are the names of the tools by the ids of their calls. `signed`: the model wants a
    signature on the first call of each turn. `sees_results`: it takes images from tools.
    """

    __slots__ = ("_calls", "_losses", "_sees_results", "_signed")

    def __init__(
        self, calls: Mapping[str, str], losses: Losses, *, signed: bool, sees_results: bool
    ) -> None:
        """Start with what the whole conversation says."""
        self._calls = calls
        self._losses = losses
        self._signed = signed
        self._sees_results = sees_results

    def turn(self, turn: Turn) -> list[Block]:
        """Write what one side says. A thought is its signature, on the part behind it."""
        blocks: list[Block] = []
        signature: str | None = None
        called = False
        for part in turn.parts:
            if isinstance(part, Thinking | RedactedThinking):
                if signature is not None:
                    blocks.append({"text": "", "thoughtSignature": signature})
                signature = self._signature(part)
                continue
            block = self._block(part)
            if block is None:
                continue
            if isinstance(part, ToolCall) and not called:
                called = True
                signature = signature or (UNSIGNED if self._signed else None)
            if signature is not None:
                block["thoughtSignature"] = signature
                signature = None
            blocks.append(block)
        if signature is not None:
            blocks.append({"text": "", "thoughtSignature": signature})
        return blocks

    def system(self, texts: Sequence[Text]) -> Block:
        """Write what the operator says."""
        for text in texts:
            if text.cache is not None:
                self._losses.note(Feature.CACHE_CONTROL)
        return {"parts": [{"text": text.text} for text in texts]} if texts else {}

    def _signature(self, part: Thinking | RedactedThinking) -> str | None:
        """Give the signature of a thought that is Gemini's own."""
        proof = part.signature if isinstance(part, Thinking) else None
        if proof is None or not proof.startswith(SIGNATURE_MARK):
            self._losses.note(Feature.EARLIER_THINKING)
            return None
        return proof.removeprefix(SIGNATURE_MARK)

    def _block(self, part: Part) -> Block | None:
        """Write a part; None for one that is empty or cannot be said."""
        match part:
            case Text() | Image() | Document() | ToolCall() | ToolResult() if part.cache:
                self._losses.note(Feature.CACHE_CONTROL)
            case _:
                pass
        match part:
            case Text() | Refusal():
                return {"text": part.text} if part.text else None
            case Image() | Document() | Audio():
                return self._media(part)
            case ToolCall():
                called = {"id": part.id, "name": part.name}
                return {"functionCall": {**called, "args": arguments(part, self._losses)}}
            case ToolResult():
                return {"functionResponse": self._result(part)}
            case Thinking() | RedactedThinking():
                return None
        assert_never(part)

    def _result(self, part: ToolResult) -> Block:
        """Write what a tool gave: JSON as JSON, media beside it."""
        texts = [inner.text for inner in part.parts if isinstance(inner, Text)]
        response = {"error" if part.failed else "output": _value("\n".join(texts))}
        result: Block = {"id": part.call_id, "name": self._calls.get(part.call_id, part.call_id)}
        result["response"] = response
        media = [inner for inner in part.parts if not isinstance(inner, Text)]
        if media and not self._sees_results:
            self._losses.note(Feature.TOOL_RESULT_MEDIA)
        elif media:
            parts = [block for inner in media if (block := self._media(inner)) is not None]
            result["parts"] = parts
        return result

    def _media(self, part: Image | Document | Audio) -> Block | None:
        """Write what is not text."""
        match part:
            case Audio():
                return _inline(f"audio/{part.format}", part.data)
            case Image():
                if part.detail not in {None, "auto"}:
                    self._losses.note(Feature.IMAGE_DETAIL)
                return self._source(part.source, Feature.IMAGE_URLS)
            case Document():
                if part.context is not None:
                    self._losses.note(Feature.DOCUMENT_CONTEXT)
                if part.citations:
                    self._losses.note(Feature.CITATIONS)
                return self._source(part.source, Feature.DOCUMENT_URLS)

    def _source(self, source: Source, remote: Feature) -> Block | None:
        """Write content, or from where Gemini fetches it."""
        match source:
            case Inline():
                return _inline(source.media_type, source.data)
            case PlainText():
                return _inline("text/plain", base64.b64encode(source.text.encode()).decode())
            case Link() if source.url.startswith(_FETCHED):
                found = _SUFFIX.search(source.url)
                media_type = _MEDIA_TYPES.get(found[1].lower()) if found else None
                kind = {"mimeType": media_type} if media_type else {}
                return {"fileData": {**kind, "fileUri": source.url}}
            case Link():
                self._losses.note(remote)
            case StoredFile():
                self._losses.note(Feature.FILE_IDS)
        return None


def _inline(media_type: str, data: str) -> Block:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _value(text: str) -> str | Raw:
    """Give a tool's text as the JSON that it is, or as text."""
    if not _JSON.match(text):
        return text
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    return Raw(text.strip().encode())
