"""A chat completion put together from the chunks of its stream, as clients do it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from entente.wire.nesting import is_deep
from entente.wire.sse import Splitter, events, payload

_DONE: Final = b"[DONE]"
_WHOLE: Final = frozenset({"id", "type", "role", "name", "index"})
"""Members of a delta that are said once, not piece by piece."""
_NOT_OF_THE_ANSWER: Final = frozenset({"obfuscation", "choices", "object", "usage"})

_Json = dict[str, Any]
_decoder = msgspec.json.Decoder(_Json)


class ChatAssembly:
    """What has come of one stream so far."""

    __slots__ = ("_choices", "_head", "_splitter", "_usage", "failed")

    def __init__(self) -> None:
        """Start before the first chunk."""
        self._splitter = Splitter()
        self._head: _Json = {}
        self._choices: dict[int, _Json] = {}
        self._usage: Any = None
        self.failed = False
        """It broke off, or is none of a completion."""

    @property
    def id(self) -> str | None:
        """The completion's id, once it was said."""
        id = self._head.get("id")
        return id if isinstance(id, str) else None

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        for event in events(self._splitter.feed(data)):
            said = payload(event)
            if said and said != _DONE:
                self._chunk(said)

    def whole(self) -> bytes | None:
        """Give the completion; None if the stream did not come to its own end."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        if self.failed or not choices or not all(c["finish_reason"] for c in choices):
            return None
        for choice in choices:
            _tidy(choice["message"])
        written = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            written["usage"] = self._usage
        return _encoder.encode(written)

    def _chunk(self, said: bytes) -> None:
        if is_deep(said):
            self.failed = True
            return
        try:
            chunk = _decoder.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.failed = True
            return
        self.failed = self.failed or bool(chunk.get("error"))
        if chunk.get("id"):
            self._head.update((n, v) for n, v in chunk.items() if n not in _NOT_OF_THE_ANSWER)
        self._usage = chunk.get("usage") or self._usage
        for choice in _objects(chunk.get("choices")):
            self._choice(choice)

    def _choice(self, choice: _Json) -> None:
        index = choice.get("index")
        kept = self._choices.setdefault(
            index if isinstance(index, int) else 0,
            {"index": index, "message": {}, "logprobs": None, "finish_reason": None},
        )
        for name, value in choice.items():
            if name == "delta":
                if isinstance(value, Mapping):
                    _merge(kept["message"], value)
            elif name == "logprobs":
                if isinstance(value, Mapping):
                    kept["logprobs"] = kept["logprobs"] or {}
                    _merge(kept["logprobs"], value)
            elif name == "message" and not isinstance(value, Mapping):
                continue
            elif value is not None:
                kept[name] = value


def _objects(value: Any) -> list[_Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _merge(into: _Json, delta: Mapping[str, Any]) -> None:
    """Add a piece: texts and lists go on, calls by their index, all else is replaced.

    Takes time that grows with the piece, however much there is of the answer already.
    """
    for name, value in delta.items():
        before = into.get(name)
        if value is None or (value == "" and name in _WHOLE):
            into.setdefault(name, value)
        elif isinstance(value, Mapping) and isinstance(before, dict):
            _merge(before, value)
        elif isinstance(value, list) and name == "tool_calls":
            calls = before if isinstance(before, _Calls) else _Calls(_objects(before))
            calls.merge(_objects(value))
            into[name] = calls
        elif not before or name in _WHOLE:
            into[name] = value
        elif isinstance(value, str) and isinstance(before, str | _Text):
            into[name] = before if isinstance(before, _Text) else _Text(before)
            into[name].pieces.append(value)
        elif isinstance(value, list) and isinstance(before, list):
            before.extend(value)
        elif (
            name == "content"
            and isinstance(before, str | _Text | list)
            and isinstance(value, str | list)
        ):
            into[name] = _parts(before, value)
        else:
            into[name] = value


def _parts(before: str | _Text | list[Any], value: str | list[Any]) -> str | _Text | list[Any]:
    """Go on with content that is now a text and now a list of parts: its texts are parts, too."""
    if not value:
        return before
    parts = before if isinstance(before, list) else [{"type": "text", "text": before}]
    last = parts[-1]
    if isinstance(value, list):
        parts.extend(value)
    elif isinstance(last, dict) and last.get("type") == "text":
        _merge(last, {"text": value})
    else:
        parts.append({"type": "text", "text": value})
    return parts


class _Text:
    """A text of pieces that are joined once, when it is written."""

    __slots__ = ("pieces",)

    def __init__(self, first: str) -> None:
        """Start with its first piece."""
        self.pieces = [first]


def _joined(value: object) -> str:
    """Write what msgspec does not know."""
    if isinstance(value, _Text):
        return "".join(value.pieces)
    raise NotImplementedError(type(value).__name__)


_encoder: Final = msgspec.json.Encoder(enc_hook=_joined)


class _Calls(list[_Json]):
    """The calls of a message in the order of their beginning, found by their index.

    Some providers give every call the same one, or none: see `openai_chat.stream_reader`.
    """

    __slots__ = ("_by_index",)

    def __init__(self, calls: list[_Json]) -> None:
        """Start with these."""
        super().__init__(calls)
        self._by_index: dict[Any, _Json] = {}
        for call in calls:
            self._by_index.setdefault(_index(call), call)

    def merge(self, pieces: list[_Json]) -> None:
        """Add pieces of calls, and the calls that begin with them."""
        for piece in pieces:
            known = self._by_index.get(_index(piece))
            if known is None or _begins_another(piece, known):
                known = self._by_index[_index(piece)] = {}
                self.append(known)
            _merge(known, piece)


def _index(call: _Json) -> Any:
    """Give the index of a call; None if it says none that could be one."""
    index = call.get("index")
    return None if isinstance(index, dict | list) else index


def _begins_another(piece: _Json, known: _Json) -> bool:
    """Say whether a piece begins another call than the one that is known by its index."""
    id, function = piece.get("id"), piece.get("function")
    named = isinstance(function, Mapping) and function.get("name")
    return bool(id and named) and id != known.get("id")


def _tidy(message: _Json) -> None:
    """Give a message the members that a whole one has."""
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    message.setdefault("refusal", None)
    calls = _objects(message.get("tool_calls"))
    for call in calls:
        call.pop("index", None)
        call.setdefault("type", "function")
    if calls and message["content"] == "":
        message["content"] = None
