"""Conversations for dialects whose turns alternate between a user and the model. Pure.

Such dialects take what the operator says apart from the conversation, and know neither a
role of tools nor names of participants: what a tool gave is said by the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses
from entente.domain.inference import Message, Part, Role, Text, ToolCall

_OPERATOR: Final = (Role.SYSTEM, Role.DEVELOPER)
_NO_ARGUMENTS: Final = Raw(b"{}")
_OBJECT: Final = re.compile(r"\s*\{")

_object_decoder = msgspec.json.Decoder(dict[str, Raw])


class Turn(msgspec.Struct, frozen=True):
    """What one side says before the other speaks."""

    by_model: bool
    parts: tuple[Part, ...]


def split(messages: Sequence[Message], losses: Losses) -> tuple[list[Text], list[Turn]]:
    """Give what the operator says, and the turns of the conversation, none of them empty.

    Messages of one side in a row are one turn. Notes what the form cannot hold: an operator
    who speaks in the middle, and names.
    """
    system: list[Text] = []
    rest: list[Message] = []
    for message in messages:
        if message.name is not None:
            losses.note(Feature.NAMES, "messages[].name")
        if message.role not in _OPERATOR:
            rest.append(message)
            continue
        if rest:
            losses.note(Feature.SYSTEM_POSITION, "messages")
        system += (part for part in message.parts if isinstance(part, Text) and part.text)
    return system, _turns(rest)


def opened(messages: Sequence[Message], losses: Losses) -> tuple[list[Text], list[Turn]]:
    """Do as `split`, but let the operator's words be the user's turn where there is no other.

    Dialects of this kind do not answer to instructions alone.
    """
    system, turns = split(messages, losses)
    if turns or not system:
        return system, turns
    losses.note(Feature.SYSTEM_POSITION, "messages")
    return [], [Turn(by_model=False, parts=tuple(system))]


def _turns(messages: Sequence[Message]) -> list[Turn]:
    """Join the messages of one side."""
    turns = []
    for by_model, group in groupby(messages, lambda message: message.role is Role.ASSISTANT):
        parts = tuple(part for message in group for part in message.parts)
        if parts:
            turns.append(Turn(by_model, parts))
    return turns


def arguments(call: ToolCall, losses: Losses) -> Raw:
    """Give the arguments of a call as a JSON object, byte for byte where they are one.

    What is none goes on in a wrapper, and is noted; nothing at all is an empty object.
    """
    text = call.arguments
    if not text.strip():
        return _NO_ARGUMENTS
    raw = json_object(text)
    if raw is not None:
        return raw
    losses.note(Feature.TOOL_ARGUMENTS, "messages[].tool_calls[].function.arguments")
    return Raw(msgspec.json.encode({"arguments": text}))


def json_object(text: str) -> Raw | None:
    """Give a text as JSON as it stands, None when it is no JSON object."""
    if not _OBJECT.match(text):
        return None
    try:
        _object_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Raw(text.strip().encode())
