"""Anthropic's Messages API, or any server that speaks its dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from entente.domain.chat import Surface
from entente.domain.secret import Secret
from entente.net import Client, Response
from entente.providers.base import Ask
from entente.providers.checks import Checked, ask
from entente.providers.headers import ACCEPT_EVENTS, JSON_BLOCK, lines, secret_line
from entente.providers.vendors import ANTHROPIC_VERSION
from entente.wire.carried import BETAS, VERSION

PATH: Final = b"/v1/messages"
COUNT_PATH: Final = b"/v1/messages/count_tokens"


class AnthropicProvider:
    """A provider that gets Messages, with our credentials."""

    dialect = "anthropic"
    surfaces = frozenset({Surface.MESSAGES})
    credentials = ("api_key",)
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
        self._credentials = JSON_BLOCK + ACCEPT_EVENTS + secret_line(b"x-api-key", api_key)
        self._version = version.encode("ascii")
        self._betas = tuple(beta.encode("ascii") for beta in betas)
        self._block = self._headers(self._version, self._betas)

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`."""
        return await self._post(PATH, ask)

    async def count(self, ask: Ask) -> Response:
        """Have tokens counted; see `Countable.count`."""
        return await self._post(COUNT_PATH, ask)

    async def _post(self, path: bytes, ask: Ask) -> Response:
        """Send a call to one of the paths."""
        block = self._block if not ask.headers else self._with(dict(ask.headers))
        return await self._client.request(b"POST", path, block, ask.body)

    def _with(self, theirs: Mapping[bytes, bytes]) -> bytes:
        """Write the headers with the client's version, and its betas behind ours."""
        named = (beta.strip() for beta in theirs.get(BETAS, b"").split(b","))
        betas = dict.fromkeys([*self._betas, *(beta for beta in named if beta)])
        return self._headers(theirs.get(VERSION, self._version), betas)

    def _headers(self, version: bytes, betas: Iterable[bytes]) -> bytes:
        """Write the headers of a call."""
        named = b",".join(betas)
        about = [(VERSION, version), *([(BETAS, named)] if named else [])]
        return self._credentials + lines(about)

    async def check(self) -> Checked:
        """Ask for one of its models; see `Checkable.check`."""
        return await ask(self._client, "/v1/models?limit=1", self._block)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
