"""The items of a streamed response while they are written: each from `added` to `done`. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entente.domain.inference import RedactedThinking, Thinking, TokenLogprob
from entente.wire.brackets import Brackets
from entente.wire.openai_responses import thoughts
from entente.wire.openai_responses.answer_writer import (
    call_item,
    message_item,
    refusal_part,
    text_part,
    write_tokens,
)

_EVENT: Final = b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'
_ITEM: Final = b'"output_index":%d,"item":%b'
_PLACE: Final = b'"item_id":%b,"output_index":%d'
_NO_TOKENS: Final = b"[]"

_encode = msgspec.json.Encoder().encode


class Events:
    """Writes events, and numbers them from 0."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        """Start before the first event."""
        self.number = 0

    def write(self, kind: bytes, members: bytes) -> bytes:
        """Write an event with these members behind its type and number."""
        written = _EVENT % (kind, kind, self.number, members)
        self.number += 1
        return written


class _OpenItem:
    """An item that has begun and not ended. `pieces` are those of the text being written."""

    __slots__ = ("_events", "_id", "_pieces", "_place", "index", "written")

    def __init__(self, events: Events, item_id: str, index: int) -> None:
        """Start at this place of the output."""
        self._events = events
        self._id = item_id
        self._pieces: list[str] = []
        self._place = _PLACE % (_encode(item_id), index)
        self.index = index
        self.written = b""
        """The item as it is in the output, once it is closed."""

    def _added(self, item: dict[str, Any]) -> bytes:
        members = _ITEM % (self.index, _encode(item))
        return self._events.write(b"response.output_item.added", members)

    def _done(self, item: dict[str, Any]) -> bytes:
        self.written = _encode(item)
        return self._events.write(b"response.output_item.done", _ITEM % (self.index, self.written))


class OpenMessage(_OpenItem):
    """What the model says: parts of text and of refusal, one after the other."""

    __slots__ = ("_content", "_refusing", "_tokens", "_within")

    def __init__(self, events: Events, item_id: str, index: int) -> None:
        """Start before the first part."""
        super().__init__(events, item_id, index)
        self._content: list[dict[str, Any]] = []
        self._refusing: bool | None = None
        self._tokens: list[TokenLogprob] = []
        self._within = b""

    def open(self) -> bytes:
        """Begin the item."""
        return self._added(message_item(self._id, [], "in_progress"))

    def text(self, text: str, tokens: list[TokenLogprob]) -> bytes:
        """Write more text."""
        before = b"" if self._refusing is False else self._part(refusing=False)
        self._pieces.append(text)
        logprobs = _NO_TOKENS
        if tokens:
            self._tokens += tokens
            logprobs = _encode(write_tokens(tokens))
        members = b'%b,"delta":%b,"logprobs":%b' % (self._within, _encode(text), logprobs)
        return before + self._events.write(b"response.output_text.delta", members)

    def refusal(self, text: str) -> bytes:
        """Write more of a refusal."""
        before = b"" if self._refusing is True else self._part(refusing=True)
        self._pieces.append(text)
        members = b'%b,"delta":%b' % (self._within, _encode(text))
        return before + self._events.write(b"response.refusal.delta", members)

    def close(self, status: str, tokens: list[TokenLogprob]) -> bytes:
        """End the item; `tokens` are the ones that came behind their text."""
        self._tokens += tokens
        ended = self._part_done()
        return ended + self._done(message_item(self._id, self._content, status))

    def _part(self, *, refusing: bool) -> bytes:
        """Begin a part, and end the one before."""
        before = self._part_done()
        self._refusing = refusing
        self._within = b'%b,"content_index":%d' % (self._place, len(self._content))
        part = refusal_part("") if refusing else text_part("")
        members = b'%b,"part":%b' % (self._within, _encode(part))
        return before + self._events.write(b"response.content_part.added", members)

    def _part_done(self) -> bytes:
        if self._refusing is None:
            return b""
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._refusing:
            part = refusal_part(text)
            members = b'%b,"refusal":%b' % (self._within, _encode(text))
            ended = self._events.write(b"response.refusal.done", members)
        else:
            part = text_part(text, self._tokens)
            self._tokens = []
            members = b'%b,"text":%b,"logprobs":%b' % (
                self._within,
                _encode(text),
                _encode(part["logprobs"]),
            )
            ended = self._events.write(b"response.output_text.done", members)
        self._content.append(part)
        members = b'%b,"part":%b' % (self._within, _encode(part))
        return ended + self._events.write(b"response.content_part.done", members)


class OpenThought(_OpenItem):
    """What the model thinks, shown as a summary of one part."""

    __slots__ = ("_within",)

    def __init__(self, events: Events, item_id: str, index: int) -> None:
        """Start before the summary."""
        super().__init__(events, item_id, index)
        self._within = self._place + b',"summary_index":0'

    def open(self) -> bytes:
        """Begin the item."""
        return self._added(thoughts.item(self._id, "", None))

    def text(self, text: str) -> bytes:
        """Write more of the summary."""
        before = b""
        if not self._pieces:
            members = self._within + b',"part":{"type":"summary_text","text":""}'
            before = self._events.write(b"response.reasoning_summary_part.added", members)
        self._pieces.append(text)
        members = b'%b,"delta":%b' % (self._within, _encode(text))
        return before + self._events.write(b"response.reasoning_summary_text.delta", members)

    def close(self, sealed: Thinking | RedactedThinking | None = None) -> bytes:
        """End the item, with the seal of the thought, if it has one."""
        text = "".join(self._pieces)
        ended = b""
        if self._pieces:
            written = _encode(text)
            members = b'%b,"text":%b' % (self._within, written)
            ended = self._events.write(b"response.reasoning_summary_text.done", members)
            members = b'%b,"part":{"type":"summary_text","text":%b}' % (self._within, written)
            ended += self._events.write(b"response.reasoning_summary_part.done", members)
        encrypted = None if sealed is None else thoughts.for_client(sealed)
        return ended + self._done(thoughts.item(self._id, text, encrypted))


class OpenCall(_OpenItem):
    """The model calls a function."""

    __slots__ = ("_brackets", "_call_id", "_name")

    def __init__(self, events: Events, item_id: str, index: int, call_id: str, name: str) -> None:
        """Start before the arguments."""
        super().__init__(events, item_id, index)
        self._brackets = Brackets()
        self._call_id = call_id
        self._name = name

    @property
    def is_whole(self) -> bool:
        """Whether its arguments have come to their end."""
        return self._brackets.closed

    def open(self) -> bytes:
        """Begin the item."""
        return self._added(call_item(self._id, self._call_id, self._name, "", "in_progress"))

    def text(self, text: str) -> bytes:
        """Write more of the arguments."""
        self._pieces.append(text)
        self._brackets.feed(text)
        members = b'%b,"delta":%b' % (self._place, _encode(text))
        return self._events.write(b"response.function_call_arguments.delta", members)

    def close(self, status: str) -> bytes:
        """End the item."""
        arguments = "".join(self._pieces)
        name = _encode(self._name)
        members = b'%b,"name":%b,"arguments":%b' % (self._place, name, _encode(arguments))
        ended = self._events.write(b"response.function_call_arguments.done", members)
        item = call_item(self._id, self._call_id, self._name, arguments, status)
        return ended + self._done(item)
