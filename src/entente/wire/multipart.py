"""Multipart forms (RFC 7578), read piece by piece: bytes in, heads and data of parts out. Pure.

Nothing is kept of a part but its head, so that a file of any length goes through in the
memory of one piece.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from entente.domain.errors import RequestError

PARTS_MAX: Final = 64
NAME_CHARS_MAX: Final = 256
FILENAME_CHARS_MAX: Final = 1024
HEADERS_MAX: Final = 8
"""Headers of one part."""
HEADER_BYTES_MAX: Final = 4096

_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_OPTION: Final = re.compile(rb";[ \t]*([^ \t;=]+)[ \t]*=")
_EXTENDED: Final = (b"name*", b"boundary*")
"""Forms have no such spellings of what decides (RFC 7578, 4.2); some readers take them."""
_SILENT: Final = 100
"""A level above every message: what a client sends is no matter for our log."""


class PartHead(msgspec.Struct, frozen=True):
    """What stands over a part. `filename` is None for a plain field."""

    name: str
    filename: str | None = None
    content_type: str = ""


Event: TypeAlias = PartHead | bytes
"""A part begins, or goes on with so many bytes."""


class FormReader:
    """Reads one form. Raises RequestError for what is none, or breaks a bound."""

    def __init__(self, content_type: bytes) -> None:
        """Take the header that names the boundary."""
        kind, options = _options(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise RequestError(_NO_FORM)
        self._events: list[Event] = []
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_head,
                    "on_part_data": self._on_data,
                    "on_end": self._end,
                },
                max_header_count=HEADERS_MAX,
                max_header_size=HEADER_BYTES_MAX,
            )
        except FormParserError:
            raise RequestError(_NO_FORM) from None
        self._parser.logger = logging.Logger(__name__, _SILENT)  # noqa: LOG001  (nobody else's)

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the body; give what it brought."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise RequestError(_BROKEN) from None
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Take the end of the body, which has to be the end of the form."""
        if not self._ended:
            raise RequestError(_CUT_SHORT)

    def _begin(self) -> None:
        self._parts += 1
        self._headers = {}
        if self._parts > PARTS_MAX:
            raise RequestError(f"The form has more than {PARTS_MAX} parts.")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        name = self._field.lower()
        if name in self._headers:
            raise RequestError(_TWICE)
        self._headers[name] = self._value
        self._field = self._value = b""

    def _on_head(self) -> None:
        self._events.append(_head(self._headers))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _options(header: bytes) -> tuple[bytes, Mapping[bytes, bytes]]:
    """Read a header with options, each of them said once. Raises RequestError.

    Of an option that is said twice others take the first, or the second, or a third spelling.
    """
    if len(header) > HEADER_BYTES_MAX:
        raise RequestError(_NO_FORM)
    named = [name.lower() for name in _OPTION.findall(_QUOTED.sub(b"", header))]
    if len(set(named)) < len(named) or any(name.startswith(_EXTENDED) for name in named):
        raise RequestError(_TWICE)
    return parse_options_header(header)


def _head(headers: Mapping[bytes, bytes]) -> PartHead:
    """Read the head of a part."""
    kind, options = _options(headers.get(b"content-disposition", b""))
    name = options.get(b"name", b"").decode("utf-8", "replace")
    if kind != b"form-data" or not name:
        raise RequestError("A part of the form has no name.")
    filename = options.get(b"filename")
    head = PartHead(
        name,
        None if filename is None else filename.decode("utf-8", "replace"),
        headers.get(b"content-type", b"").decode("latin-1"),
    )
    if len(head.name) > NAME_CHARS_MAX or len(head.filename or "") > FILENAME_CHARS_MAX:
        raise RequestError("A name in the form is too long.")
    return head


class FormPart(msgspec.Struct, frozen=True):
    """A whole part."""

    head: PartHead
    data: bytes


class Form(msgspec.Struct, frozen=True):
    """A whole form, its parts in order."""

    parts: tuple[FormPart, ...]

    def named(self, *names: str) -> Iterator[FormPart]:
        """Give the parts of these names; a list is sent as `name` or `name[]`."""
        return (part for part in self.parts if part.head.name in names)

    def file(self, name: str) -> FormPart | None:
        """Give the first part of a name that is a file, or None."""
        return next((p for p in self.named(name) if p.head.filename is not None), None)

    def text(self, name: str) -> str | None:
        """Give the last plain value of a name, None for none. Raises RequestError if no text."""
        found = [part for part in self.named(name) if part.head.filename is None]
        return as_text(found[-1]) if found else None


def as_text(part: FormPart) -> str:
    """Give the text of a part. Raises RequestError for what is no UTF-8."""
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        raise RequestError(f"The form's field {part.head.name!r} is not UTF-8 text.") from None


class _Places(FormReader):
    """Notes where the data of each part stands in a body that is fed at once."""

    def __init__(self, content_type: bytes) -> None:
        """Start before the first part."""
        super().__init__(content_type)
        self.places: list[tuple[int, int]] = []

    def _begin(self) -> None:
        super()._begin()
        self.places.append((0, 0))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        first, _ = self.places[-1]
        self.places[-1] = (first or start, end)
        super()._on_data(data[:0], 0, 0)


def with_value(body: bytes, content_type: bytes, name: str, value: bytes) -> bytes:
    """Give a form with another value of a plain field; all else keeps its bytes.

    One that is not there, or is empty, is put before the others. Raises RequestError for what
    is no form.
    """
    reader = _Places(content_type)
    heads = [event for event in reader.feed(body) if isinstance(event, PartHead)]
    reader.close()
    for head, (start, end) in zip(heads, reader.places, strict=True):
        if head.name == name and head.filename is None and start:
            return body[:start] + value + body[end:]
    boundary = b"--" + parse_options_header(content_type)[1][b"boundary"]
    part = b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    before, _, behind = body.partition(boundary)
    return before + part % (boundary, name.encode(), value) + boundary + behind


_NO_FORM: Final = (
    "The body has to be a form: content-type `multipart/form-data` with a boundary. "
    "Your HTTP library writes both when it is given a file to send."
)
_BROKEN: Final = "The body does not read as the multipart form that its content-type says."
_TWICE: Final = "A header of the form says something twice."
_CUT_SHORT: Final = "The multipart form ends before its last boundary."
