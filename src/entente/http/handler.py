"""What a route's handler is given, and the few things that many of them do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from entente.domain.chat import Surface
from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.routes import Match
from entente.wire import azure

Handler: TypeAlias = Callable[[Exchange, Principal | None, Match], Awaitable[None]]
"""Takes the exchange, who is asking (None on routes for anyone), and the row that was found."""

_KEY_HEADERS: Final = (b"api-key", b"x-api-key")
KEY_PROTOCOL: Final = b"openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; behind this a subprotocol carries the key."""

JSON: Final = (b"content-type", b"application/json")


def somebody(who: Principal | None) -> Principal:
    """Give the principal of a route that has roles; the table and this code agree or fail."""
    if who is None:
        message = "a route for anyone has a handler that needs a principal"
        raise RuntimeError(message)
    return who


async def answer_json(exchange: Exchange, body: object, status: int = 200) -> None:
    """Answer with JSON; bytes are JSON already. On Azure's paths its headers come with it."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    about = azure.answer_headers(exchange.request_id) if azure.is_azure(exchange.path) else ()
    await exchange.answer(status, (JSON, *about), encoded)


def is_anthropics(exchange: Exchange, surface: Surface) -> bool:
    """Say whether a client of Anthropic's asks; models are listed on a path of others, too."""
    if surface is not Surface.MODELS:
        return surface is Surface.MESSAGES
    return any(name == b"anthropic-version" for name, _ in exchange.headers)


def presented_key(exchange: Exchange, *, handshake: bool = False) -> bytes | None:
    """Give the key of `Authorization: Bearer KEY`, `api-key` or `x-api-key`, None for none.

    On a WebSocket's `handshake` it may stand among the subprotocols instead.
    """
    offered: bytes | None = None
    for name, value in exchange.headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer" and (key := key.strip()):
                return key
        elif name in _KEY_HEADERS and value:
            return value.strip()
        elif handshake and name == b"sec-websocket-protocol":
            offered = _offered(value) or offered
    return offered


def _offered(value: bytes) -> bytes | None:
    """Find the key among the subprotocols of a handshake."""
    for offer in value.split(b","):
        _, found, key = offer.strip().partition(KEY_PROTOCOL)
        if found and key:
            return key
    return None
