"""OpenAI's embeddings: requests in, answers followed, vectors in either of their two forms. Pure.

A vector is a list of numbers, or base64 of single-precision floats, little-endian. The client
says which it wants; a provider that knows only one of them is no reason for it to get the
other. Both forms stand for the same 32 bits a number, so that going over is exact.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson, UpstreamProtocolError
from entente.domain.usage import Usage
from entente.wire.members import is_text, rewrite, split
from entente.wire.openai import REPORTED_TOKENS_MAX
from entente.wire.parameters import (
    MALFORMED,
    bad_choice,
    check_spelling,
    empty,
    integer,
    missing,
    model_name,
    text,
    wrong_type,
)

INPUTS_MAX: Final = 2048
DIMENSIONS_MAX: Final = 65_536
FLOAT_BYTES: Final = 4

Format: TypeAlias = Literal["float", "base64"]
FORMATS: Final[tuple[Format, ...]] = ("float", "base64")

_GOVERNING: Final = frozenset({"model", "input", "encoding_format", "dimensions"})
_TOO_MANY: Final = (
    f"Invalid 'input': array too long. Expected an array with maximum length {INPUTS_MAX}, "
    "but got an array with length {} instead."
)
NO_VECTORS: Final = "The provider's answer is no list of embeddings."

Inputs: TypeAlias = list[str] | list[list[int]]
"""Texts, or token ids of texts."""

_inputs_decoder: Final[msgspec.json.Decoder[str | list[str | int | list[int]]]] = (
    msgspec.json.Decoder(str | list[str | int | list[int]])
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for embeddings, read whole."""

    inputs: Inputs
    format: Format
    dimensions: int | None
    others: tuple[str, ...]
    """Names of members that have no place here, and so are lost."""


class Vectors(msgspec.Struct, frozen=True):
    """Vectors in the order of the inputs, and the tokens of these; None is unknown."""

    vectors: Sequence[Sequence[float]]
    tokens: int | None = None


def decode_embeddings(body: bytes) -> Call:
    """Read a request as far as governing it needs.

    Raises MalformedJson or InvalidParameter, worded as OpenAI does: model, input, names, types.
    """
    members = split(body)
    if members is None or not is_text(body):
        raise MalformedJson(MALFORMED)
    model = model_name(members)
    prompts = len(read_inputs(members))
    check_spelling(members, _GOVERNING)
    integer(members, "dimensions", 1, DIMENSIONS_MAX)
    return Call(
        surface=Surface.EMBEDDINGS,
        model=model,
        body=body,
        members=members,
        output_tokens_max=0,
        prompts=prompts,
        form=_format(members),
    )


def encode_embeddings(call: Call, *, model: str) -> bytes:
    """Write the call for a provider that knows the model as `model`: its own bytes, if possible."""
    return rewrite(call, {"model": msgspec.json.encode(model)} if model != call.model else {})


def read_request(call: Call) -> Asked:
    """Read the whole of a call, for a provider of another dialect."""
    members = call.members
    return Asked(
        inputs=read_inputs(members),
        format=_format(members),
        dimensions=integer(members, "dimensions", 1, DIMENSIONS_MAX),
        others=tuple(
            name
            for name, raw in members.items()
            if name not in _GOVERNING and bytes(raw) != b"null"
        ),
    )


def only_texts(asked: Asked, target: str) -> list[str]:
    """Give the texts of a request. Raises InvalidParameter for tokens, which mean nothing there."""
    texts = [each for each in asked.inputs if isinstance(each, str)]
    if len(texts) != len(asked.inputs):
        message = (
            f"Unsupported value: 'input' can only be text for the {target} API, which serves "
            "this model: tokens of another tokenizer mean nothing to it."
        )
        raise InvalidParameter(message, param="input", code="unsupported_value")
    return texts


def read_inputs(members: Mapping[str, Raw]) -> Inputs:
    """Read what is to be embedded. A list of numbers is one text in tokens."""
    raw = members.get("input")
    if raw is None:
        raise missing("input")
    try:
        found = _inputs_decoder.decode(raw)
    except msgspec.ValidationError:
        raise wrong_type("input", "a string or an array of strings or tokens", raw) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    if isinstance(found, str):
        return [found]
    if not found:
        raise empty("input")
    texts = [each for each in found if isinstance(each, str)]
    numbers = [each for each in found if isinstance(each, int)]
    lists = [each for each in found if isinstance(each, list)]
    if max(len(texts), len(numbers), len(lists)) != len(found) or not all(lists):
        message = "Invalid 'input': the items of an array have to be of one kind, and not empty."
        raise InvalidParameter(message, param="input", code="invalid_value")
    if numbers:
        return [numbers]
    if len(found) > INPUTS_MAX:
        message = _TOO_MANY.format(len(found))
        raise InvalidParameter(message, param="input", code="array_above_max_length")
    return texts or lists


def _format(members: Mapping[str, Raw]) -> Format:
    """Read the form in which the client wants vectors."""
    word = text(members, "encoding_format")
    if word is None:
        return "float"
    for known in FORMATS:
        if word == known:
            return known
    raise bad_choice("encoding_format", word, FORMATS)


# ---- answers ----


class _Vector(msgspec.Struct):
    embedding: Raw


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Vector]
    usage: Raw = Raw(b"null")


_answer_decoder = msgspec.json.Decoder(_Answer)
_usage_decoder = msgspec.json.Decoder(_Usage | None)
_whole_decoder = msgspec.json.Decoder(dict[str, Raw])
_data_decoder = msgspec.json.Decoder(list[dict[str, Raw]])
_floats_decoder = msgspec.json.Decoder(list[float])
_text_decoder = msgspec.json.Decoder(str)


def follow(body: bytes, wanted: str | None) -> tuple[bytes, Usage | None]:
    """Take a whole answer in OpenAI's form; give it with vectors as they are wanted, and the usage.

    Its own bytes, if they are in that form already. Raises UpstreamProtocolError for what is
    no such answer.
    """
    try:
        answer = _answer_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamProtocolError(NO_VECTORS) from None
    mark = ord('"') if wanted == "base64" else ord("[")
    if all(memoryview(vector.embedding)[0] == mark for vector in answer.data):
        return body, _usage(answer.usage)
    members = _whole_decoder.decode(body)
    items = _data_decoder.decode(members["data"])
    for item in items:
        item["embedding"] = Raw(_turned(bytes(item["embedding"]), wanted))
    written = {**members, "data": Raw(msgspec.json.encode(items))}
    return msgspec.json.encode(written), _usage(answer.usage)


def _usage(raw: Raw) -> Usage | None:
    """Read a usage; one that makes no sense is unknown."""
    try:
        found = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    tokens = None if found is None else found.prompt_tokens
    if tokens is None or not 0 <= tokens <= REPORTED_TOKENS_MAX:
        return None
    return Usage(input=tokens)


def _turned(value: bytes, wanted: str | None) -> bytes:
    """Give a vector in the form that is wanted."""
    try:
        if wanted == "base64":
            if value.startswith(b'"'):
                return value
            return b'"%b"' % b64encode(packed(_floats_decoder.decode(value)))
        if value.startswith(b"["):
            return value
        return msgspec.json.encode(unpacked(b64decode(_text_decoder.decode(value), validate=True)))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, struct.error):
        raise UpstreamProtocolError(NO_VECTORS) from None


def packed(vector: Sequence[float]) -> bytes:
    """Write numbers as single-precision floats, little-endian. Raises struct.error beyond those."""
    try:
        return struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError as error:
        raise struct.error(*error.args) from None


def unpacked(data: bytes) -> tuple[float, ...]:
    """Read such floats. Raises struct.error for half a number."""
    return struct.unpack(f"<{len(data) // FLOAT_BYTES}f", data)


def write_answer(
    vectors: Sequence[Sequence[float]], *, wanted: str | None, model: str, tokens: int
) -> bytes:
    """Write an answer of vectors that came in another dialect, in the order of the inputs."""
    items = [
        {
            "object": "embedding",
            "index": at,
            "embedding": _written(vector, wanted),
        }
        for at, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": items, "model": model, "usage": usage})


def _written(vector: Sequence[float], wanted: str | None) -> str | Sequence[float]:
    if wanted != "base64":
        return vector
    try:
        return b64encode(packed(vector)).decode("ascii")
    except struct.error:
        raise UpstreamProtocolError(NO_VECTORS) from None
