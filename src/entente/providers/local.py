"""The local model runtime, which speaks OpenAI's dialect on a loopback port of its own.

Its address and key change whenever it is restarted, so they are asked for at each call
and a client is kept for as long as they stay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from entente.domain.chat import Surface
from entente.domain.errors import InvalidParameter
from entente.domain.secret import Secret
from entente.providers.base import Answer, Ask, Provider

Address: TypeAlias = Callable[[], Awaitable[tuple[str, Secret]]]
"""Waits until the runtime is up; gives its base URL and key. Raises UpstreamConnectError."""
Connect: TypeAlias = Callable[[str, Secret], Provider]
"""Makes the provider that speaks to a runtime with this base URL and key."""


ALSO: Final = frozenset({Surface.COMPLETIONS})
"""The runtime answers with the model's text; its vectors would be those of a model for text."""


class LocalProvider:
    """A provider in a child process of ours."""

    dialect = "openai"
    surfaces = ALSO | {Surface.CHAT}
    chat_surface = Surface.CHAT
    credentials = ("api_key",)
    quirks = None

    def __init__(self, name: str, address: Address, connect: Connect) -> None:
        """Ask `address` where the runtime is, and `connect` to it."""
        self.name = name
        self._address = address
        self._connect = connect
        self._base_url = ""
        self._inner: Provider | None = None

    async def open(self, ask: Ask) -> Answer:
        """Send the call to the runtime, waiting for it while it starts."""
        if ask.choices > 1:
            # llama.cpp would report the tokens of one choice only.
            message = (
                "The local runtime gives one choice per request: 'n' can only be 1, and 'prompt' "
                "one text."
            )
            raise InvalidParameter(message, param="n", code="unsupported_value")
        base_url, api_key = await self._address()
        inner = self._inner
        if inner is None or base_url != self._base_url:
            old = inner
            inner = self._inner = self._connect(base_url, api_key)
            self._base_url = base_url
            if old is not None:
                await old.aclose()
        return await inner.open(ask)

    async def aclose(self) -> None:
        """Close every connection."""
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.aclose()
