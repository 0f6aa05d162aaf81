"""Blocks of headers that are the same for every call of a provider, written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from entente.domain.chat import Surface
from entente.domain.secret import Secret

BARE_BLOCK: Final = b"accept-encoding: identity\r\nuser-agent: entente\r\n"
"""What comes back is not compressed."""
JSON_BLOCK: Final = b"content-type: application/json\r\n" + BARE_BLOCK
"""JSON goes out besides."""
ACCEPT_EVENTS: Final = b"accept: application/json, text/event-stream\r\n"


ANY_KIND: Final = frozenset(
    {
        Surface.TRANSCRIPTIONS,
        Surface.TRANSLATIONS,
        Surface.SPEECH,
        Surface.IMAGE_GENERATIONS,
        Surface.IMAGE_EDITS,
        Surface.IMAGE_VARIATIONS,
    }
)
"""Surfaces whose requests may be forms, and whose answers may be no JSON."""
ACCEPT_ANY: Final = b"accept: */*\r\n"
"""Sound, subtitles, pictures: what comes back was said in the body."""


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write lines of headers whose values somebody has looked at; b"" for none."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def session_headers(
    name: str, secret: Secret | None, scheme: str, beta: str | None
) -> list[tuple[str, str]]:
    """Write the headers of a WebSocket's handshake, with a credential if there is one."""
    headers = [("user-agent", "entente")]
    if secret is not None:
        headers.append((name, f"{scheme} {secret.reveal()}".strip()))
    if beta is not None:
        headers.append(("openai-beta", beta))
    return headers


def secret_line(name: bytes, secret: Secret | None, scheme: bytes = b"") -> bytes:
    """Write the line with a credential, behind its `scheme` if it has one; b"" for none."""
    if secret is None:
        return b""
    value = secret.reveal().encode()
    return b"%b: %b\r\n" % (name, b"%b %b" % (scheme, value) if scheme else value)
