"""Images and documents as OpenAI's APIs have them in requests: addresses and data URLs. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from entente.domain.errors import InvalidParameter
from entente.domain.inference import Inline, Link, PlainText, Source

PDF: Final = "application/pdf"
PLAIN_TEXT: Final = "text/plain"

_SCHEME: Final = "data:"


def image(url: str, path: str) -> Source:
    """Tell an address from an image in a data URL. Raises InvalidParameter for `path`."""
    if not url.startswith(_SCHEME):
        return Link(url)
    inline = _inline(url)
    if inline is None or not inline.media_type.startswith("image/"):
        message = (
            f"Invalid '{path}'. Expected a base64-encoded data URL with an image MIME type "
            "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=')."
        )
        raise InvalidParameter(message, param=path, code="invalid_value")
    return inline


def document(data: str, path: str) -> Source:
    """Read a document in the request: a data URL, or base64 of a PDF.

    Text is read as such. Raises InvalidParameter for `path`.
    """
    inline = _inline(data) if data.startswith(_SCHEME) else None
    if inline is None:
        return Inline(PDF, data)
    if inline.media_type != PLAIN_TEXT:
        return inline
    try:
        return PlainText(base64.b64decode(inline.data, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        message = f"Invalid '{path}'. Expected text in UTF-8, base64-encoded."
        raise InvalidParameter(message, param=path, code="invalid_value") from None


def _inline(url: str) -> Inline | None:
    """Take a data URL apart; None when it is not base64."""
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return Inline(head[len(_SCHEME) :].split(";", 1)[0], data)
