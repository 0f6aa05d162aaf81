"""Reading multipart bodies off an exchange: small forms whole, files as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from entente.domain.errors import RequestError
from entente.http.exchange import Exchange
from entente.wire.multipart import Event, Form, FormPart, FormReader, PartHead

FIELD_BYTES_MAX: Final = 1024 * 1024
"""A part that is no file."""
FRAME_BYTES_MAX: Final = 1024 * 1024
"""What boundaries, heads and plain fields may add to the files of a form."""


async def stream_form(
    exchange: Exchange, files_bytes_max: int, setting: str
) -> AsyncIterator[Event]:
    """Give the heads of a form's parts and, behind each, its data as it comes in.

    While nobody asks for more, no more is read from the client. `setting` names the bound
    of the files together. Raises what `Exchange.pieces` does, and RequestError for a body
    that is no form.
    """
    reader = FormReader(exchange.header(b"content-type"))
    async for piece in exchange.pieces(files_bytes_max + FRAME_BYTES_MAX, setting):
        for event in reader.feed(piece):
            yield event
    reader.close()


def whole_form(body: bytes, content_type: bytes) -> Form:
    """Read a form that is there already. Raises RequestError for what is none."""
    reader = FormReader(content_type)
    events = reader.feed(body)
    reader.close()
    return collect(events)


def collect(events: list[Event]) -> Form:
    """Put parts together. Raises RequestError for a plain field that is too long."""
    parts: list[tuple[PartHead, list[bytes]]] = []
    for event in events:
        if isinstance(event, PartHead):
            parts.append((event, []))
        else:
            parts[-1][1].append(event)
    form = Form(tuple(FormPart(head, b"".join(data)) for head, data in parts))
    for part in form.parts:
        if part.head.filename is None and len(part.data) > FIELD_BYTES_MAX:
            raise RequestError(
                f"The form's field {part.head.name!r} is longer than {FIELD_BYTES_MAX} bytes."
            )
    return form
