"""Any server that speaks OpenAI's dialect, over HTTP."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from entente.domain.chat import Surface
from entente.domain.secret import Secret
from entente.net import Client, Response
from entente.providers.base import Ask

PATHS: Final = {Surface.CHAT: b"/chat/completions"}


class OpenAIProvider:
    """A provider that gets the client's own dialect, with our credentials."""

    def __init__(self, name: str, client: Client, api_key: Secret | None) -> None:
        """Send to where `client` points, with `api_key` if there is one."""
        self.name = name
        self._client = client
        self._headers = header_block(api_key)

    def open(self, ask: Ask) -> Coroutine[Any, Any, Response]:
        """Send the call; see `Provider.open`."""
        return self._client.request(b"POST", PATHS[ask.surface], self._headers, ask.body)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def header_block(api_key: Secret | None) -> bytes:
    """Write the headers that are the same for every call, once."""
    block = (
        b"content-type: application/json\r\n"
        b"accept: application/json, text/event-stream\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: entente\r\n"
    )
    if api_key is not None:
        block += b"authorization: Bearer %s\r\n" % api_key.reveal().encode()
    return block
