"""Gemini's batchEmbedContents: one request for each text, all in one call.

Source: the reference of the Gemini API, v1beta, "Embeddings". Answers tell no usage as a rule;
where there is one it is read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from entente.domain.features import Losses
from entente.wire.embeddings import Asked, Vectors, only_texts
from entente.wire.gemini.answers import REPORTED_TOKENS_MAX, read_error

__all__ = ["read_error", "read_vectors", "write_request"]

_COLLECTIONS = ("models/", "tunedModels/")


class _Embedding(msgspec.Struct):
    values: list[float]


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Embedding]
    usage_metadata: _Usage | None = None


_decoder = msgspec.json.Decoder(_Answer)


def write_request(asked: Asked, /, *, model: str, losses: Losses) -> bytes:  # noqa: ARG001
    """Write a request. Raises InvalidParameter for tokens in place of text."""
    name = model if model.startswith(_COLLECTIONS) else f"models/{model}"
    requests: list[dict[str, Any]] = []
    for text in only_texts(asked, "Gemini"):
        request: dict[str, Any] = {"model": name, "content": {"parts": [{"text": text}]}}
        if asked.dimensions is not None:
            request["outputDimensionality"] = asked.dimensions
        requests.append(request)
    return msgspec.json.encode({"requests": requests})


def read_vectors(body: bytes, /) -> Vectors | None:
    """Read an answer; None when it is none."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    used = answer.usage_metadata.prompt_token_count if answer.usage_metadata else None
    tokens = used if used is not None and 0 <= used <= REPORTED_TOKENS_MAX else None
    return Vectors([embedding.values for embedding in answer.embeddings], tokens)
