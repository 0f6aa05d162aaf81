"""The local model runtime, which speaks OpenAI's dialect on a loopback port of its own.

Its address and key change whenever it is restarted, so they are asked for at each call
and a client is kept for as long as they stay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from entente.domain.chat import Surface
from entente.domain.errors import InvalidParameter
from entente.domain.secret import Secret
from entente.providers.base import Answer, Ask, Provider
from entente.wire import llama_cpp
from entente.wire.llama_cpp import BAD_REQUEST

Address: TypeAlias = Callable[[], Awaitable[tuple[str, Secret]]]
"""Waits until the runtime is up; gives its base URL and key. Raises UpstreamConnectError."""
Connect: TypeAlias = Callable[[str, Secret], Provider]
"""Makes the provider that speaks to a runtime with this base URL and key."""

ERROR_BYTES_MAX: Final = 64 * 1024
ALSO: Final = frozenset({Surface.COMPLETIONS})
"""The runtime answers with the model's text; its vectors would be those of a model for text."""


class LocalProvider:
    """A provider in a child process of ours."""

    dialect = "openai"
    surfaces = ALSO | {Surface.CHAT}
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
        fitting = llama_cpp.request(ask.surface, ask.body)
        answer = await inner.open(msgspec.structs.replace(ask, body=fitting))
        if answer.status < BAD_REQUEST:
            return answer if ask.stream else _Whole(answer)
        try:
            said = await answer.read(ERROR_BYTES_MAX)
        finally:
            await answer.aclose()
        return _Refused(answer, *llama_cpp.refusal(answer.status, said))

    async def aclose(self) -> None:
        """Close every connection."""
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.aclose()


class _Told:
    """An answer of the runtime's, told as OpenAI would tell it."""

    def __init__(self, inner: Answer) -> None:
        """Tell of `inner`."""
        self._inner = inner

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._inner.status

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Headers by lower-case name."""
        return self._inner.headers

    @property
    def sends(self) -> int:
        """How often the request was sent."""
        return self._inner.sends

    async def chunk(self) -> bytes:
        """Give the next piece of the body."""
        return await self._inner.chunk()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand the pieces of the body to `take`."""
        return await self._inner.pour(take)

    async def read(self, bytes_max: int) -> bytes:
        """Give the rest of the body."""
        return await self._inner.read(bytes_max)

    async def aclose(self) -> None:
        """Let go of the exchange."""
        await self._inner.aclose()


class _Whole(_Told):
    """An answer that is read whole."""

    async def read(self, bytes_max: int) -> bytes:
        """Give the body."""
        return llama_cpp.answer(await self._inner.read(bytes_max))


class _Refused(_Told):
    """An error, which has been read."""

    def __init__(self, inner: Answer, status: int, body: bytes) -> None:
        """Tell of `inner`, whose words these are."""
        super().__init__(inner)
        self._status = status
        self._body = body

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._status

    async def chunk(self) -> bytes:
        """Give the body, then its end."""
        body, self._body = self._body, b""
        return body

    async def read(self, bytes_max: int) -> bytes:  # noqa: ARG002  (it is short)
        """Give the body."""
        return await self.chunk()
