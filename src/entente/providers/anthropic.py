"""Anthropic's Messages API, or any server that speaks its dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from entente.domain.chat import Surface
from entente.domain.secret import Secret
from entente.net import Client, Response
from entente.providers.base import Ask
from entente.providers.checks import Checked, ask
from entente.providers.headers import ACCEPT_EVENTS, JSON_BLOCK, secret_line
from entente.providers.vendors import ANTHROPIC_VERSION

PATH: Final = b"/v1/messages"


class AnthropicProvider:
    """A provider that gets Messages, with our credentials."""

    dialect = "anthropic"
    surfaces = frozenset({Surface.MESSAGES})
    chat_surface = Surface.MESSAGES
    quirks = None

    def __init__(
        self,
        name: str,
        client: Client,
        api_key: Secret | None,
        *,
        version: str = ANTHROPIC_VERSION,
        betas: Sequence[str] = (),
    ) -> None:
        """Send to where `client` points: an address that `/v1/messages` goes behind.

        `version` is the `anthropic-version`, `betas` what `anthropic-beta` names.
        """
        self.name = name
        self._client = client
        self._block = (
            JSON_BLOCK
            + ACCEPT_EVENTS
            + secret_line(b"x-api-key", api_key)
            + b"anthropic-version: %b\r\n" % version.encode("ascii")
        )
        if betas:
            self._block += b"anthropic-beta: %b\r\n" % ",".join(betas).encode("ascii")

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`."""
        return await self._client.request(b"POST", PATH, self._block, ask.body)

    async def check(self) -> Checked:
        """Ask for one of its models; see `Checkable.check`."""
        return await ask(self._client, "/v1/models?limit=1", self._block)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
