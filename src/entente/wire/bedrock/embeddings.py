"""Embeddings on Bedrock, which are not in Converse: each family has a body of its own.

Sources: AWS's user guide, "Amazon Titan Text Embeddings" and "Cohere Embed". Titan takes one
text in a call. Cohere wants to be told what the vectors are for; OpenAI's API does not say,
so they count as those of documents that are to be found (`search_document`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entente.domain.errors import InvalidParameter
from entente.domain.features import Losses
from entente.wire.bedrock.answers import read_error
from entente.wire.embeddings import Asked, Vectors, only_texts

__all__ = ["read_error", "read_vectors", "write_request"]

COHERE_TEXTS_MAX: Final = 96
PURPOSE: Final = "search_document"
REPORTED_TOKENS_MAX: Final = 2**53

_COHERE: Final = "cohere.embed"
_TITAN: Final = "amazon.titan-embed"
_WITH_DIMENSIONS: Final = ("cohere.embed-v4", "amazon.titan-embed-text-v2")
_UNKNOWN: Final = (
    "Bedrock has embeddings of Amazon Titan and Cohere Embed; `{}` is neither. "
    "An administrator names one of these as the model's target."
)


class _Answer(msgspec.Struct):
    """An answer of either family."""

    embedding: list[float] | None = None
    embeddings: list[list[float]] | dict[str, list[list[float]]] | None = None
    inputTextTokenCount: int | None = None  # noqa: N815  (Titan's name)


_decoder = msgspec.json.Decoder(_Answer)


def write_request(asked: Asked, /, *, model: str, losses: Losses) -> bytes:
    """Write a request. Raises InvalidParameter for what the model's family does not take."""
    texts = only_texts(asked, "Bedrock")
    if asked.dimensions is not None and not any(name in model for name in _WITH_DIMENSIONS):
        losses.note("dimensions")
    dimensions = asked.dimensions if any(name in model for name in _WITH_DIMENSIONS) else None
    if _COHERE in model:
        if len(texts) > COHERE_TEXTS_MAX:
            raise _too_many(len(texts), COHERE_TEXTS_MAX)
        body: dict[str, Any] = {"texts": texts, "input_type": PURPOSE}
        if dimensions is not None:
            body |= {"output_dimension": dimensions, "embedding_types": ["float"]}
        return msgspec.json.encode(body)
    if _TITAN in model:
        if len(texts) > 1:
            raise _too_many(len(texts), 1)
        body = {"inputText": texts[0]}
        if dimensions is not None:
            body["dimensions"] = dimensions
        return msgspec.json.encode(body)
    raise InvalidParameter(_UNKNOWN.format(model), param="model", code="unsupported_model")


def _too_many(count: int, most: int) -> InvalidParameter:
    message = (
        f"Invalid 'input': array too long. This model takes at most {most} texts in a request, "
        f"but got {count}."
    )
    return InvalidParameter(message, param="input", code="array_above_max_length")


def read_vectors(body: bytes, /) -> Vectors | None:
    """Read an answer; None when it is none."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = answer.embeddings
    if isinstance(found, dict):
        found = found.get("float")
    if found is None and answer.embedding is not None:
        found = [answer.embedding]
    used = answer.inputTextTokenCount
    tokens = used if used is not None and 0 <= used <= REPORTED_TOKENS_MAX else None
    return None if found is None else Vectors(found, tokens)
