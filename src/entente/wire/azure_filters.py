"""What Azure says about its content filter, on answers that OpenAI's dialect gave. Pure.

On Azure every answer carries annotations: what was found in the prompt, and in each
choice. Nothing here checks content yet, so nothing is claimed. Of the forms that are
valid on the wire this is the one that says so, and the one that Azure itself gives when
its filter did not run: `content_filter_results` with an `error`, "The contents are not
filtered", in place of severities that nobody has measured. As on Azure, what has no text
(the role, the end, tool calls) has `{}`. A choice that the provider's own filter ended
has `{}` too: something was filtered, and we were not told what. Responses list the checks
that were made in `content_filters`; none was, so the list is empty.

What is annotated already is left as it is: a provider that is Azure knows better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.wire.members import split
from entente.wire.sse import events, payload, rewritten

_ERROR: Final = (
    b'{"error":{"code":"content_filter_error","message":"The contents are not filtered"}}'
)
NOT_FILTERED: Final = Raw(_ERROR)
_NOTHING: Final = Raw(b"{}")
_NULL: Final = Raw(b"null")
_PROMPT: Final = Raw(b'[{"prompt_index":0,"content_filter_results":%b}]' % _ERROR)
FIRST_EVENT: Final = (
    b'data: {"choices":[],"created":0,"id":"","model":"","object":"",'
    b'"prompt_filter_results":%b}\n\n' % bytes(_PROMPT)
)
"""What a stream of chat or completions begins with. It has no choice: some clients stumble
over that, so it is for Azure's routes only."""

_CHOICES: Final = b'"choices"'
_RESPONSE: Final = b'"response"'
_FILTERED: Final = b'"content_filter"'
CHECKS: Final = "content_filters"
"""Where a response lists the checks that were made."""
_RESULTS: Final = "content_filter_results"
_PROMPT_RESULTS: Final = "prompt_filter_results"
_MARK: Final = b"_filter_results"


class _Text(msgspec.Struct):
    """The text of a message, or of a delta."""

    content: Raw = _NULL
    refusal: Raw = _NULL


_choices_decoder = msgspec.json.Decoder(list[dict[str, Raw]])
_text_decoder = msgspec.json.Decoder(_Text)
_WORDLESS: Final = frozenset({b"null", b'""', b"[]"})


def annotate(body: bytes) -> bytes:
    """Annotate a whole answer: of chat, of completions or of responses.

    Every other member keeps its bytes; what is none of these is given back as it is.
    """
    members = split(body)
    if members is None:
        return body
    if members.get("object") == Raw(b'"response"'):
        return body if CHECKS in members else msgspec.json.encode(_with_checks(members))
    if _PROMPT_RESULTS in members and _are_annotated(members):
        return body
    choices = _choices(members)
    if choices is None:
        return body
    annotated = {_PROMPT_RESULTS: _PROMPT, **members, "choices": choices}
    return msgspec.json.encode(annotated, order="sorted")


class AnnotatedStream:
    """Turns the events of a stream in OpenAI's form into Azure's.

    The first chunk is preceded by the event for the prompt. Events that it does not know
    pass as they are.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        """Start before the first event."""
        self._begun = False

    def feed(self, block: bytes) -> bytes:
        """Take whole events, end markers included; give what goes to the client."""
        if _CHOICES not in block and _RESPONSE not in block:
            return block
        return b"".join([self._event(event) for event in events(block)])

    def _event(self, event: bytes) -> bytes:
        """Annotate one event."""
        members = split(payload(event))
        if members is None:
            return event
        choices = _choices(members)
        if choices is not None:
            return self._chunk(event, members, choices)
        response = split(bytes(members["response"])) if "response" in members else None
        if response is None or CHECKS in response:
            return event
        whole = {**members, "response": _with_checks(response)}
        return rewritten(event, msgspec.json.encode(whole))

    def _chunk(
        self, event: bytes, members: Mapping[str, Raw], choices: list[dict[str, Raw]]
    ) -> bytes:
        """Annotate a chunk, and tell of the prompt before the first one."""
        first = b"" if self._begun or _PROMPT_RESULTS in members else FIRST_EVENT
        self._begun = True
        if not choices or _are_annotated(members):
            return first + event
        data = msgspec.json.encode({**members, "choices": choices}, order="sorted")
        return first + rewritten(event, data)


def _are_annotated(members: Mapping[str, Raw]) -> bool:
    """Say whether every choice is annotated already."""
    try:
        choices = _choices_decoder.decode(members["choices"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return all(_RESULTS in choice for choice in choices)


def _choices(members: Mapping[str, Raw]) -> list[dict[str, Raw]] | None:
    """Give the choices of an answer or a chunk, annotated; None if it has none to speak of."""
    raw = members.get("choices")
    if raw is None:
        return None
    try:
        choices = _choices_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for choice in choices:
        if _RESULTS not in choice:
            choice[_RESULTS] = NOT_FILTERED if _says_something(choice) else _NOTHING
    return choices


def _says_something(choice: Mapping[str, Raw]) -> bool:
    """Say whether a choice has text of which it can be said that nobody has checked it."""
    if bytes(choice.get("finish_reason", _NULL)) == _FILTERED:
        return False
    said = next((choice[name] for name in ("delta", "message") if name in choice), None)
    if said is None:
        return bytes(choice.get("text", _NULL)) not in _WORDLESS
    try:
        text = _text_decoder.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not {bytes(text.content), bytes(text.refusal)} <= _WORDLESS


def _with_checks(response: Mapping[str, Raw]) -> dict[str, Raw]:
    """Add the list of checks to a response: none was made."""
    return {**response, CHECKS: Raw(b"[]")}


def without(body: bytes) -> bytes:
    """Take annotations out of an answer of chat or completions, for clients of OpenAI.

    Every other member keeps its bytes; what has none is given back as it is.
    """
    members = split(body) if _MARK in body else None
    if members is None:
        return body
    plain = {name: raw for name, raw in members.items() if name != _PROMPT_RESULTS}
    choices = _choices(members)
    if choices is not None:
        kept = [{n: raw for n, raw in choice.items() if n != _RESULTS} for choice in choices]
        plain["choices"] = Raw(msgspec.json.encode(kept))
    return msgspec.json.encode(plain)


def without_in_events(block: bytes) -> bytes:
    """Take annotations out of whole events; an event that says nothing else goes with them."""
    if _MARK not in block:
        return block
    return b"".join([_plain_event(event) for event in events(block)])


def _plain_event(event: bytes) -> bytes:
    data = payload(event)
    members = split(data) if _MARK in data else None
    if members is None:
        return event
    if _PROMPT_RESULTS in members and "usage" not in members and not _choices(members):
        return b""
    return rewritten(event, without(data))
