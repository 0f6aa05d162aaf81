"""Requests for completions: read as far as governing needs, passed on, or read whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson
from entente.domain.inference import ChatRequest, Message, Role, Sampling, Text
from entente.wire.members import is_text, split
from entente.wire.openai import CHOICES_MAX, OUTPUT_TOKENS_MAX, encode, wants_usage
from entente.wire.parameters import (
    MALFORMED,
    boolean,
    check_spelling,
    decoded,
    empty,
    integer,
    missing,
    model_name,
    text,
)

OUTPUT_TOKENS_USUAL: Final = 16
"""What the API bounds the answer by where the client does not."""
BEST_OF_MAX: Final = 20
PROMPTS_MAX: Final = 2048

_GOVERNING: Final = frozenset(
    {"model", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens"}
)
_CROSSING: Final = frozenset(
    {
        *_GOVERNING,
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "temperature",
        "top_p",
        "user",
    }
)
"""Members that have a place in a conversation."""
_HARMLESS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "echo": (b"false", b"null"),
    "logprobs": (b"null",),
    "suffix": (b"null", b'""'),
}
"""Members that have none, by the values that ask for nothing."""
_ONLY_TEXT: Final = (
    "Unsupported value: 'prompt' can only be one text for this model, which answers in "
    "conversations. Send each prompt as a request of its own, and as text, not as tokens."
)
_NO_PLACE: Final = (
    "Unsupported parameter: '{}' is not supported with this model, which answers in conversations."
)

Prompt: TypeAlias = str | list[str | int | list[int]]

_prompt_decoder: Final[msgspec.json.Decoder[Prompt | None]] = msgspec.json.Decoder(Prompt | None)
_float: Final[msgspec.json.Decoder[float | None]] = msgspec.json.Decoder(float | None)
_stop: Final[msgspec.json.Decoder[str | list[str] | None]] = msgspec.json.Decoder(
    str | list[str] | None
)


def decode_completions(body: bytes) -> Call:
    """Read a request as far as governing it needs.

    Raises MalformedJson or InvalidParameter, worded as OpenAI does: model, prompt, names, types.
    """
    members = split(body)
    if members is None or not is_text(body):
        raise MalformedJson(MALFORMED)
    model = model_name(members)
    prompts = _count(_prompt(members))
    check_spelling(members, _GOVERNING)
    choices = integer(members, "n", 1, CHOICES_MAX) or 1
    tried = max(integer(members, "best_of", 0, BEST_OF_MAX) or 0, choices)
    stream = boolean(members, "stream")
    return Call(
        surface=Surface.COMPLETIONS,
        model=model,
        body=body,
        members=members,
        stream=stream,
        wants_usage=stream and wants_usage(members),
        output_tokens_max=integer(members, "max_tokens", 0, OUTPUT_TOKENS_MAX),
        output_tokens_usual=OUTPUT_TOKENS_USUAL,
        choices=tried * prompts,
        prompts=prompts,
    )


def encode_completions(call: Call, *, model: str, output_tokens_max: int | None) -> bytes:
    """Write the call for a provider that knows the model as `model`; see `encode_chat`."""
    return encode(call, "max_tokens", model=model, output_tokens_max=output_tokens_max)


def _prompt(members: Mapping[str, Raw]) -> Prompt:
    """Read what is to be completed: a text, several, or either as tokens."""
    expected = "a string or an array of strings or tokens"
    found: Prompt | None = decoded(members, "prompt", _prompt_decoder, expected)
    if found is None:
        raise missing("prompt")
    if found == []:
        raise empty("prompt")
    return found


def _count(prompt: Prompt) -> int:
    """Count the texts; a list of numbers is one, in tokens."""
    if isinstance(prompt, str) or any(isinstance(each, int) for each in prompt):
        return 1
    if len(prompt) > PROMPTS_MAX:
        message = (
            f"Invalid 'prompt': array too long. Expected an array with maximum length "
            f"{PROMPTS_MAX}, but got an array with length {len(prompt)} instead."
        )
        raise InvalidParameter(message, param="prompt", code="array_above_max_length")
    return len(prompt)


def read_request(call: Call) -> ChatRequest:
    """Read the whole of a call as a conversation of one message.

    Raises InvalidParameter for what has no place in one.
    """
    members = call.members
    prompt = _prompt(members)
    said = prompt if isinstance(prompt, str) else prompt[0] if len(prompt) == 1 else None
    if not isinstance(said, str):
        raise InvalidParameter(_ONLY_TEXT, param="prompt", code="unsupported_value")
    for name, harmless in _HARMLESS.items():
        if name in members and bytes(members[name]) not in harmless:
            raise _no_place(name)
    choices = integer(members, "n", 1, CHOICES_MAX) or 1
    if call.choices > choices:
        raise _no_place("best_of")
    asked = call.output_tokens_max
    if asked == 0:
        raise _no_place("max_tokens")
    others = members.keys() - _CROSSING - _HARMLESS.keys()
    return ChatRequest(
        model=call.model,
        messages=(Message(Role.USER, (Text(said),)),),
        sampling=Sampling(
            temperature=_number(members, "temperature"),
            top_p=_number(members, "top_p"),
            seed=integer(members, "seed", -(2**63), 2**63 - 1),
            frequency_penalty=_number(members, "frequency_penalty"),
            presence_penalty=_number(members, "presence_penalty"),
            stop=_stops(members),
            output_tokens_max=OUTPUT_TOKENS_USUAL if asked is None else asked,
            choices=choices,
        ),
        user=text(members, "user"),
        stream=call.stream,
        others=tuple(name for name in members if name in others and not _is_null(members[name])),
    )


def _number(members: Mapping[str, Raw], name: str) -> float | None:
    return decoded(members, name, _float, "a number")


def _stops(members: Mapping[str, Raw]) -> tuple[str, ...]:
    found: str | list[str] | None = decoded(
        members, "stop", _stop, "a string or an array of strings"
    )
    if found is None:
        return ()
    return (found,) if isinstance(found, str) else tuple(found)


def _is_null(raw: Raw) -> bool:
    return bytes(raw) == b"null"


def _no_place(name: str) -> InvalidParameter:
    return InvalidParameter(_NO_PLACE.format(name), param=name, code="unsupported_parameter")
