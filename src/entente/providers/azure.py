"""Azure OpenAI: OpenAI's dialect at addresses and with credentials of Azure's own.

There are two surfaces. The classic one has the deployment in the path and wants a dated
`api-version`; the body's `model` means nothing to it. On the v1 surface the body's `model` is
the deployment, and `api-version` may be `preview`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from entente.domain.chat import Surface
from entente.domain.errors import ConfigError
from entente.domain.secret import Secret
from entente.net import Client, Response
from entente.providers.base import Ask
from entente.providers.entra import EntraTokens
from entente.providers.headers import ACCEPT_EVENTS, JSON_BLOCK, secret_line

PATHS: Final = {Surface.CHAT: "chat/completions"}
V1_WORDS: Final = ("", "v1", "preview")

_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:-preview)?")
_UNAUTHORIZED: Final = 401


class AzureProvider:
    """A resource of Azure OpenAI, whose deployments are the models."""

    dialect = "openai"

    def __init__(
        self, name: str, client: Client, credential: Secret | EntraTokens, *, api_version: str
    ) -> None:
        """Send to the resource that `client` points to, without a path: `https://….azure.com`.

        `credential` is the resource's key, or gives tokens of Entra's. `api_version` with a
        date means the classic surface, one of `V1_WORDS` the v1 surface. Raises ConfigError
        for any other.
        """
        if api_version not in V1_WORDS and not _DATED.fullmatch(api_version):
            message = (
                f"api_version {api_version!r} of the provider `{name}` is no version: write a "
                'date such as "2024-10-21", "preview", or leave it out for the v1 surface.'
            )
            raise ConfigError(message)
        self.name = name
        self._client = client
        self._credential = credential
        self._version = api_version
        self._token: Secret | None = None
        self._block = b""
        """Headers with `_token` in them; made anew only when that is another."""

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`."""
        credential = self._credential
        token = credential if isinstance(credential, Secret) else await credential.token()
        if token is not self._token:
            is_key = token is credential
            name, scheme = (b"api-key", b"") if is_key else (b"authorization", b"Bearer")
            self._block = JSON_BLOCK + ACCEPT_EVENTS + secret_line(name, token, scheme)
            self._token = token
        target = self._target(ask).encode("ascii")
        answer = await self._client.request(b"POST", target, self._block, ask.body)
        if answer.status == _UNAUTHORIZED and isinstance(credential, EntraTokens):
            credential.forget(token)
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        if isinstance(self._credential, EntraTokens):
            await self._credential.aclose()
        await self._client.aclose()

    def _target(self, ask: Ask) -> str:
        """Write path and query of a call."""
        path = PATHS[ask.surface]
        if self._version in V1_WORDS:
            query = "?api-version=preview" if self._version == "preview" else ""
            return f"/openai/v1/{path}{query}"
        deployment = quote(ask.model, safe="")
        return f"/openai/deployments/{deployment}/{path}?api-version={self._version}"
