"""Requests in JSON and as forms, read as far as governing them needs, and passed on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson
from entente.domain.origin import END_USER_CHARS_MAX
from entente.wire.attribution import SIZE_CHARS_MAX
from entente.wire.members import hidden_names, is_text, rewrite, split
from entente.wire.multipart import Form, with_value
from entente.wire.parameters import (
    MALFORMED,
    MODEL_CHARS_MAX,
    boolean,
    check_spelling,
    integer,
    missing,
    model_name,
    text,
)

IMAGES_MAX: Final = 10
MODERATION_MODEL: Final = "omni-moderation-latest"
IMAGE_MODEL: Final = "dall-e-2"
"""What OpenAI takes where the client names no model."""
JSON: Final = b"application/json"

_GOVERNING: Final = frozenset({"model", "input", "prompt", "n", "stream", "stream_format"})
_REFERENCE: Final = re.compile(rb'"(?:image_url|file_id)"\s*:')
_TRUE: Final = "true"
_WHOLE: Final = re.compile(r"\d{1,9}")
_ONCE: Final = "Invalid form: the field '{}' can be sent once only."
_NO_FILE: Final = "Invalid form: the field '{}' has to be text, not a file."
_USUAL_MODELS: Final[Mapping[Surface, str]] = {
    Surface.MODERATIONS: MODERATION_MODEL,
    Surface.IMAGE_GENERATIONS: IMAGE_MODEL,
    Surface.IMAGE_EDITS: IMAGE_MODEL,
    Surface.IMAGE_VARIATIONS: IMAGE_MODEL,
}


def decode_json(surface: Surface, body: bytes) -> Call:
    """Read a request in JSON: moderation, speech, or pictures.

    Raises MalformedJson or InvalidParameter, worded as OpenAI does.
    """
    members = split(body)
    if members is None or not is_text(body):
        raise MalformedJson(MALFORMED)
    usual = _USUAL_MODELS.get(surface)
    model = usual if usual and _is_unset(members.get("model")) else model_name(members)
    check_spelling(members, _GOVERNING)
    if surface is Surface.SPEECH:
        return _speech(model, body, members)
    if surface is Surface.MODERATIONS:
        if "input" not in members:
            raise missing("input")
        return Call(
            surface=surface,
            model=model,
            body=body,
            members=members,
            output_tokens_max=0,
            attachments=_references(body),
        )
    if not text(members, "prompt"):
        raise missing("prompt")
    return Call(
        surface=surface,
        model=model,
        body=body,
        members=members,
        stream=boolean(members, "stream"),
        choices=integer(members, "n", 1, IMAGES_MAX) or 1,
        attachments=_references(body),
    )


def _speech(model: str, body: bytes, members: Mapping[str, Raw]) -> Call:
    """Read a request to speak."""
    said = text(members, "input")
    if not said:
        raise missing("input")
    return Call(
        surface=Surface.SPEECH,
        model=model,
        body=body,
        members=members,
        stream=True,
        characters=len(said),
    )


def decode_form(surface: Surface, form: Form, body: bytes, content_type: bytes) -> Call:
    """Read a request that is a form: a recording to write down, or pictures to change.

    Raises InvalidParameter, worded as OpenAI does, or RequestError for a field that is no text.
    """
    for name in ("model", "n", "stream", "response_format"):
        sent = list(form.named(name))
        if len(sent) > 1:
            raise InvalidParameter(_ONCE.format(name), param=name, code="invalid_value")
        if sent and sent[0].head.filename is not None:
            raise InvalidParameter(_NO_FILE.format(name), param=name, code="invalid_value")
    model = form.text("model")
    if model is None:
        model = _USUAL_MODELS.get(surface)
    if not model:
        message = "you must provide a model parameter"
        raise InvalidParameter(message, param=None, code=None)
    if len(model) > MODEL_CHARS_MAX or not model.isprintable():
        message = f"Invalid 'model': expected at most {MODEL_CHARS_MAX} printable characters."
        raise InvalidParameter(message, param="model", code="string_above_max_length")
    files = [part for part in form.parts if part.head.filename is not None]
    sounds = surface in (Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS)
    needed = ("file",) if sounds else ("image", "image[]")
    if not any(part.head.name in needed for part in files):
        raise missing(needed[0])
    if surface is Surface.IMAGE_EDITS and not form.text("prompt"):
        raise missing("prompt")
    return Call(
        surface=surface,
        model=model,
        body=body,
        members={},
        stream=(form.text("stream") or "").lower() == _TRUE,
        choices=1 if sounds else _images(form),
        attachments=len(files),
        text_bytes=sum(len(part.data) for part in form.parts if part.head.filename is None),
        content_type=content_type,
        form=(form.text("response_format") or "json") if sounds else None,
        end_user=(form.text("user") or "")[:END_USER_CHARS_MAX],
        size=(form.text("size") or "")[:SIZE_CHARS_MAX],
    )


def encode(call: Call, *, model: str) -> bytes:
    """Write the call for a provider that knows the model as `model`: its own bytes, if possible."""
    if call.content_type.startswith(JSON):
        changed = model != call.model or _is_unset(call.members.get("model"))
        return rewrite(call, {"model": msgspec.json.encode(model)} if changed else {})
    if model == call.model and b'name="model"' in call.body:
        return call.body
    return with_value(call.body, call.content_type, "model", model.encode())


def _images(form: Form) -> int:
    """Read how many pictures are wanted."""
    said = form.text("n") or "1"
    count = int(said) if _WHOLE.fullmatch(said) else 0
    if not 1 <= count <= IMAGES_MAX:
        message = f"Invalid 'n': expected a whole number from 1 to {IMAGES_MAX}."
        raise InvalidParameter(message, param="n", code="invalid_value")
    return count


def _references(body: bytes) -> int:
    """Count what is named by reference, and, to be safe, what may hide a name."""
    return len(_REFERENCE.findall(body)) + hidden_names(body)


def _is_unset(raw: Raw | None) -> bool:
    return raw is None or bytes(raw) == b"null"
