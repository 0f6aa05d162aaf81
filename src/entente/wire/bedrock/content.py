"""Parts of messages as the content blocks of Converse. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, assert_never

from entente.domain.features import Feature, Losses
from entente.domain.inference import (
    Audio,
    CacheMark,
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
from entente.wire.bedrock.families import Family
from entente.wire.turns import Turn, arguments

Block: TypeAlias = dict[str, Any]

NAME_CHARS_MAX: Final = 200

_IMAGE_FORMATS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_SHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_DOCUMENT_FORMATS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    _WORD: "docx",
    "application/vnd.ms-excel": "xls",
    _SHEET: "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_S3: Final = "s3://"
_SUFFIX: Final = re.compile(r"\.([a-z]+)$", re.IGNORECASE)
_JPEG_SUFFIX: Final = "jpg"
_CACHING: Final = (Family.CLAUDE, Family.NOVA)
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_SPACES: Final = re.compile(r" {2,}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
"""What a signature or an encrypted thought of Anthropic's is; other vendors' have a mark."""


def call_id(id: str) -> str:
    """Give the id of a call in the form that Converse takes, the same for the same id."""
    if _CALL_ID.fullmatch(id):
        return id
    return f"call_{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def cache_point(mark: CacheMark) -> Block:
    """Write a mark of the cache."""
    point = {"type": "default"}
    if mark is not CacheMark.DEFAULT:
        point["ttl"] = mark.value
    return {"cachePoint": point}


class ContentWriter:
    """Writes the blocks of one request, and notes what they cannot say."""

    __slots__ = ("_family", "_losses", "_names")

    def __init__(self, family: Family, losses: Losses) -> None:
        """Write for models of `family`."""
        self._family = family
        self._losses = losses
        self._names: dict[str, int] = {}
        """Of the documents so far, in small letters, with the last number that each was given.

        No two of a request may have the same name.
        """

    def turn(self, turn: Turn) -> list[Block]:
        """Write what one side says."""
        return [block for part in turn.parts for block in self._marked(part)]

    def system(self, texts: Iterable[Text]) -> list[Block]:
        """Write what the operator says."""
        return [block for text in texts for block in self._marked(text)]

    def caching(self, mark: CacheMark | None) -> list[Block]:
        """Give the mark of the cache, where there is one and the model has a cache."""
        if mark is None:
            return []
        if self._family not in _CACHING:
            self._losses.note(Feature.CACHE_CONTROL)
            return []
        return [cache_point(mark)]

    def _marked(self, part: Part) -> Iterator[Block]:
        """Write a part and the mark behind it."""
        block = self._block(part)
        if block is not None:
            yield block
        match part:
            case Text() | Image() | Document() | ToolCall() | ToolResult():
                yield from self.caching(part.cache)
            case _:
                pass

    def _block(self, part: Part) -> Block | None:
        """Write a part; None for one that is empty or cannot be said."""
        match part:
            case Text() | Refusal():
                return {"text": part.text} if part.text.strip() else None
            case Image() | Document() | Audio():
                return self._media(part)
            case ToolCall():
                called = {"toolUseId": call_id(part.id), "name": part.name}
                return {"toolUse": {**called, "input": arguments(part, self._losses)}}
            case ToolResult():
                return self._result(part)
            case Thinking() | RedactedThinking():
                return self._thought(part)
        assert_never(part)

    def _thought(self, part: Thinking | RedactedThinking) -> Block | None:
        """Write an earlier thought, if it is one of Claude's: only those can be taken back."""
        proof = part.signature if isinstance(part, Thinking) else part.data
        if self._family is not Family.CLAUDE or not proof or not _BASE64.fullmatch(proof):
            self._losses.note(Feature.EARLIER_THINKING)
            return None
        if isinstance(part, RedactedThinking):
            return {"reasoningContent": {"redactedContent": proof}}
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": proof}}}

    def _result(self, part: ToolResult) -> Block:
        """Write what a tool gave."""
        content = [block for inner in part.parts if (block := self._block(inner)) is not None]
        result: Block = {"toolUseId": call_id(part.call_id), "content": content}
        if part.failed and self._family in _CACHING:
            result["status"] = "error"
        elif part.failed:
            self._losses.note(Feature.TOOL_ERRORS)
        return {"toolResult": result}

    def _media(self, part: Image | Document | Audio) -> Block | None:
        """Write what is not text."""
        if isinstance(part, Audio):
            return {"audio": {"format": part.format, "source": {"bytes": part.data}}}
        return self._image(part) if isinstance(part, Image) else self._document(part)

    def _image(self, part: Image) -> Block | None:
        if part.detail not in {None, "auto"}:
            self._losses.note(Feature.IMAGE_DETAIL)
        source = self._source(part.source, Feature.IMAGE_URLS)
        kind = _format(part.source, _IMAGE_FORMATS)
        if source is not None and kind is None:
            self._losses.note(Feature.IMAGES, "messages[].content[].image_url")
        if source is None or kind is None:
            return None
        return {"image": {"format": kind, "source": source}}

    def _document(self, part: Document) -> Block | None:
        source = self._source(part.source, Feature.DOCUMENT_URLS)
        kind = _format(part.source, _DOCUMENT_FORMATS)
        if source is not None and kind is None:
            self._losses.note(Feature.DOCUMENTS, "messages[].content[].file")
        if source is None or kind is None:
            return None
        document: Block = {"format": kind, "name": self._name(part.name), "source": source}
        if part.context is not None:
            document["context"] = part.context
        if part.citations:
            document["citations"] = {"enabled": True}
        return {"document": document}

    def _name(self, given: str | None) -> str:
        """Give a document's name in the letters that Converse allows, with a number if taken."""
        plain = _SPACES.sub(" ", _NOT_IN_NAMES.sub(" ", given or "")).strip()
        name = plain = plain[:NAME_CHARS_MAX].rstrip() or "document"
        number = self._names.get(plain.lower(), 1)
        while name.lower() in self._names:
            number += 1
            suffix = f" {number}"
            name = plain[: NAME_CHARS_MAX - len(suffix)].rstrip() + suffix
        self._names[plain.lower()] = number
        self._names.setdefault(name.lower(), 1)
        return name

    def _source(self, source: Source, remote: Feature) -> Block | None:
        """Write where content comes from; None where Converse cannot fetch it."""
        match source:
            case Inline():
                return {"bytes": source.data}
            case PlainText():
                return {"bytes": base64.b64encode(source.text.encode()).decode()}
            case Link() if source.url.startswith(_S3):
                return {"s3Location": {"uri": source.url}}
            case Link():
                self._losses.note(remote)
            case StoredFile():
                self._losses.note(Feature.FILE_IDS)
        return None


def _format(source: Source, formats: Mapping[str, str]) -> str | None:
    """Give Converse's word for the form of a content; for an address by its ending."""
    match source:
        case Inline():
            return formats.get(source.media_type.lower())
        case PlainText():
            return "txt"
        case Link():
            found = _SUFFIX.search(source.url)
            suffix = found[1].lower() if found else ""
            suffix = "jpeg" if suffix == _JPEG_SUFFIX else suffix
            return suffix if suffix in formats.values() else None
        case StoredFile():
            return None
    assert_never(source)
