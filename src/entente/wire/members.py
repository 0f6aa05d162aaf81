"""A request's top-level members with their bytes, for dialects whose requests are JSON. Pure.

A request is scanned once into its members; only the few that govern it are decoded. What
goes to a provider of the same dialect is the client's own body or, where a member has to
change, the same members with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.chat import Call

Members: TypeAlias = dict[str, Raw]

LONG_BYTES_MIN: Final = 8 * 1024
"""From here on a body is worth being split around what makes it long."""
AROUND_BYTES_MAX: Final = 2 * 1024
"""Before that member, and behind it."""

_ESCAPED_LETTER: Final = re.compile(rb"\\u00(?:5f|6[1-9a-f]|7[0-9a])", re.IGNORECASE)
"""An escape of a letter or underscore: no encoder needs it, but a name can hide behind it."""
_NAME: Final = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*')
_SEPARATOR: Final = re.compile(rb"[ \t\n\r]*[,}][ \t\n\r]*")
_OPENING: Final = re.compile(rb'"messages"[ \t\n\r]*:[ \t\n\r]*(?=\[)')
_CLOSING: Final = re.compile(rb'\}\](?<=["l\]]\}\])(?=[ \t\n\r]*[,}])')
"""How a list of messages ends whose last one ends with a text, null or a list."""
_GAP: Final = b"-0.0e-0"
"""Stands in the place of the list: a value that no client has a use for."""

_decoder = msgspec.json.Decoder(dict[str, Raw])


def split(body: bytes) -> Members | None:
    """Scan a body into its members, the last of two with one name; None if it is no object."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def split_around(body: bytes, messages: msgspec.json.Decoder[Any]) -> Members | None:
    """Split a long body around its messages, where these are such as `messages` takes, and some.

    So each byte is read once: the messages by their reader, and what is around them here. Where
    they begin and end is guessed, and proved: if what is around is an object with a gap for its
    messages, and what goes into the gap is a value by itself, the body is the one with the other
    in it. None where a guess is wrong, or they are other messages: then `split` says what it is.
    """
    if len(body) < LONG_BYTES_MIN:
        return None
    opening = _OPENING.search(body, 0, AROUND_BYTES_MAX)
    closing = _CLOSING.search(body, len(body) - AROUND_BYTES_MAX)
    if opening is None or closing is None:
        return None
    start, end = opening.end(), closing.end()
    around = body[:start] + _GAP + body[end:]
    members = split(around)
    if not members or around.count(_GAP) != 1 or bytes(members.get("messages", b"")) != _GAP:
        return None
    between = memoryview(body)[start:end]
    try:
        if not messages.decode(between):
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return {**members, "messages": Raw(between)}


def is_text(body: bytes) -> bool:
    """Say whether a body is UTF-8 all through, also where nobody has decoded it."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def rewrite(call: Call, changes: Mapping[str, bytes]) -> bytes:
    """Give the call's body with these members changed or added: its own bytes, if it can be.

    Of two equal members we act on the last; a provider that acts on the first would do
    what nobody checked. Such a body is written anew, each member once.
    """
    if not changes and _says_each_once(call):
        return call.body
    return msgspec.json.encode({**call.members, **{n: Raw(value) for n, value in changes.items()}})


def changed(body: bytes, changes: Mapping[str, bytes]) -> bytes:
    """Give a JSON object with these members changed or added; all else keeps its bytes."""
    members = split(body) or {}
    return msgspec.json.encode({**members, **{n: Raw(value) for n, value in changes.items()}})


def misspelt(members: Mapping[str, Raw], governing: Collection[str]) -> str | None:
    """Find a second spelling of a governing member.

    Servers whose JSON library ignores case (Go's does) would act on `"Model"`, which
    nobody has checked.
    """
    for name in members:
        if name not in governing and name.casefold() in governing:
            return name
    return None


def hidden_names(body: bytes) -> int:
    """Count the places in which a body may hide a name from a search for its bytes."""
    return len(_ESCAPED_LETTER.findall(body)) if b"\\u00" in body else 0


def _says_each_once(call: Call) -> bool:
    """Say whether each member stands once in the body, its name written out."""
    body = call.body
    if len(body) == len(msgspec.json.encode(call.members)):  # no form of it is shorter
        return True
    position = body.index(b"{") + 1
    for name, raw in call.members.items():
        found = _NAME.match(body, position)
        value = bytes(raw)
        if found is None or not _writes(found[1], name) or not body.startswith(value, found.end()):
            return False
        separator = _SEPARATOR.match(body, found.end() + len(value))
        if separator is None:
            return False
        position = separator.end()
    return position == len(body)


def _writes(literal: bytes, name: str) -> bool:
    """Say whether a JSON string is this name, with no ASCII letter of it escaped."""
    if b"\\" not in literal:
        return literal[1:-1] == name.encode()
    return not _ESCAPED_LETTER.search(literal) and bool(msgspec.json.decode(literal) == name)
