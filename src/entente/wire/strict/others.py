"""Requests that are no conversation, checked as OpenAI does. Pure.

In the order of the conversations: the model, what has to be there, unknown names, then types,
bounds and choices. Of forms only the names of fields are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from entente.domain.chat import Surface
from entente.domain.errors import MalformedJson
from entente.wire.members import split
from entente.wire.openai import OUTPUT_TOKENS_MAX
from entente.wire.openai_responses import faults
from entente.wire.parameters import MALFORMED, missing, model_name
from entente.wire.shapes import shape
from entente.wire.strict.table import Table, decoders

SAID_CHARS_MAX: Final = 4096
PROMPT_CHARS_MAX: Final = 32_000
SPEEDS: Final = (0.25, 4)
IMAGES: Final = (1, 10)
_ARRAY: Final = "[]"
"""Behind the name of a field that may be sent several times."""


class _Completions(msgspec.Struct):
    n: int
    best_of: int
    stop: str | list[str]
    temperature: float
    top_p: float
    frequency_penalty: float
    presence_penalty: float
    max_tokens: int
    stream: bool
    stream_options: dict[str, bool]
    echo: bool
    suffix: str
    logprobs: int
    logit_bias: dict[str, int]
    seed: int
    user: str


class _Embeddings(msgspec.Struct):
    encoding_format: Literal["float", "base64"]
    dimensions: int
    user: str


class _Moderations(msgspec.Struct):
    """Nothing beside the model and the input."""


class _Speech(msgspec.Struct):
    input: str
    voice: str | dict[str, Raw]
    instructions: str
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
    speed: float
    stream_format: Literal["sse", "audio"]


class _Pictures(msgspec.Struct):
    prompt: str
    n: int
    quality: Literal["standard", "hd", "low", "medium", "high", "auto"]
    size: str
    response_format: Literal["url", "b64_json"]
    output_format: Literal["png", "jpeg", "webp"]
    output_compression: int
    stream: bool
    partial_images: int
    moderation: Literal["low", "auto"]
    background: Literal["transparent", "opaque", "auto"]
    user: str


class _Drawn(_Pictures):
    style: Literal["vivid", "natural"]


class _Changed(_Pictures):
    images: list[dict[str, Raw]]
    mask: dict[str, Raw]
    input_fidelity: Literal["high", "low"]


class _Rules(NamedTuple):
    """How requests of one surface are checked."""

    table: Table
    required: tuple[str, ...]
    has_usual_model: bool = False
    azures: tuple[str, ...] = ()
    """What Azure's clients may say besides."""


_DRAWN: Final[Mapping[str, tuple[float, float | None]]] = {
    "n": IMAGES,
    "output_compression": (0, 100),
    "partial_images": (0, 3),
}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": ("standard", "hd", "low", "medium", "high", "auto"),
    "response_format": ("url", "b64_json"),
    "output_format": ("png", "jpeg", "webp"),
    "moderation": ("low", "auto"),
    "background": ("transparent", "opaque", "auto"),
    "style": ("vivid", "natural"),
    "input_fidelity": ("high", "low"),
}
_RULES: Final[Mapping[Surface, _Rules]] = {
    Surface.COMPLETIONS: _Rules(
        Table(
            decoders=decoders(_Completions),
            also=frozenset({"model", "prompt"}),
            bounds={
                "n": (1, 128),
                "best_of": (0, 20),
                "temperature": (0, 2),
                "top_p": (0, 1),
                "frequency_penalty": (-2, 2),
                "presence_penalty": (-2, 2),
                "max_tokens": (0, OUTPUT_TOKENS_MAX),
                "logprobs": (0, 5),
            },
            lengths={"stop": 4},
            inner={"stream_options": shape("include_usage", "include_obfuscation")},
            expected={"stop": "one of a string or array of strings"},
        ),
        ("prompt",),
    ),
    Surface.EMBEDDINGS: _Rules(
        Table(
            decoders=decoders(_Embeddings),
            also=frozenset({"model", "input"}),
            bounds={"dimensions": (1, None)},
            choices={"encoding_format": ("float", "base64")},
        ),
        ("input",),
        azures=("input_type",),
    ),
    Surface.MODERATIONS: _Rules(
        Table(decoders=decoders(_Moderations), also=frozenset({"model", "input"})),
        ("input",),
        has_usual_model=True,
    ),
    Surface.SPEECH: _Rules(
        Table(
            decoders=decoders(_Speech),
            also=frozenset({"model"}),
            bounds={"speed": SPEEDS},
            lengths={"input": SAID_CHARS_MAX, "instructions": SAID_CHARS_MAX},
            inner={"voice": shape("id")},
            choices={
                "response_format": ("mp3", "opus", "aac", "flac", "wav", "pcm"),
                "stream_format": ("sse", "audio"),
            },
        ),
        ("input", "voice"),
    ),
    Surface.IMAGE_GENERATIONS: _Rules(
        Table(
            decoders=decoders(_Drawn),
            also=frozenset({"model"}),
            bounds=_DRAWN,
            lengths={"prompt": PROMPT_CHARS_MAX},
            choices=_WORDS,
        ),
        ("prompt",),
        has_usual_model=True,
    ),
    Surface.IMAGE_EDITS: _Rules(
        Table(
            decoders=decoders(_Changed),
            also=frozenset({"model"}),
            bounds=_DRAWN,
            lengths={"prompt": PROMPT_CHARS_MAX, "images": 16},
            choices=_WORDS,
            inner={
                "images": shape("image_url", "file_id"),
                "mask": shape("image_url", "file_id"),
            },
        ),
        ("prompt",),
        has_usual_model=True,
    ),
}
_FIELDS: Final[Mapping[Surface, frozenset[str]]] = {
    Surface.TRANSCRIPTIONS: frozenset(
        {
            *("file", "model", "language", "languages", "keywords", "prompt", "response_format"),
            *("temperature", "include", "timestamp_granularities", "stream", "chunking_strategy"),
            *("known_speaker_names", "known_speaker_references"),
        }
    ),
    Surface.TRANSLATIONS: frozenset({"file", "model", "prompt", "response_format", "temperature"}),
    Surface.IMAGE_EDITS: frozenset(
        {
            *("image", "prompt", "mask", "background", "model", "n", "size", "response_format"),
            *("output_format", "output_compression", "user", "input_fidelity", "stream"),
            *("partial_images", "quality", "moderation"),
        }
    ),
    Surface.IMAGE_VARIATIONS: frozenset({"image", "model", "n", "response_format", "size", "user"}),
}


def check_json(surface: Surface, body: bytes, *, is_azures: bool = False) -> None:
    """Check a request in JSON; `is_azures` says that a client of Azure's sent it."""
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    rules = _RULES[surface]
    if not rules.has_usual_model:
        model_name(members)
    for name in rules.required:
        if name not in members:
            raise missing(name)
    rules.table.check_names(members, more=rules.azures if is_azures else ())
    rules.table.check(members)


def check_form(surface: Surface, names: Iterable[str]) -> None:
    """Check the names of a form's fields."""
    known = _FIELDS[surface]
    for name in names:
        if name.removesuffix(_ARRAY) not in known:
            raise faults.unknown(name, sorted(known))
