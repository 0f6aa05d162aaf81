"""Azure OpenAI: OpenAI's dialect at addresses and with credentials of Azure's own.

There are two surfaces. The classic one has the deployment in the path and wants a dated
`api-version`; the body's `model` means nothing to it. On the v1 surface the body's `model` is
the deployment, and `api-version` may be `preview`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from entente.domain.chat import Surface
from entente.domain.errors import ConfigError
from entente.domain.secret import Secret
from entente.net import Client, Declined, Response, Socket
from entente.providers.base import Ask, SessionAsk
from entente.providers.checks import OK, Checked
from entente.providers.checks import ask as ask_provider
from entente.providers.entra import EntraTokens
from entente.providers.headers import (
    ACCEPT_ANY,
    ACCEPT_EVENTS,
    ANY_KIND,
    BARE_BLOCK,
    JSON_BLOCK,
    lines,
    secret_line,
    session_headers,
)
from entente.providers.vendors import AZURE_V1_VERSIONS, is_azure_version

IN_DEPLOYMENTS: Final = {
    Surface.CHAT: "chat/completions",
    Surface.COMPLETIONS: "completions",
    Surface.EMBEDDINGS: "embeddings",
    Surface.TRANSCRIPTIONS: "audio/transcriptions",
    Surface.TRANSLATIONS: "audio/translations",
    Surface.SPEECH: "audio/speech",
    Surface.IMAGE_GENERATIONS: "images/generations",
    Surface.IMAGE_EDITS: "images/edits",
}
"""What the classic surface has below a deployment; of the rest the body names it."""
PATHS: Final = {**IN_DEPLOYMENTS, Surface.RESPONSES: "responses"}

_UNAUTHORIZED: Final = 401


class AzureProvider:
    """A resource of Azure OpenAI, whose deployments are the models."""

    dialect = "azure"
    quirks = None

    def __init__(
        self,
        name: str,
        client: Client,
        credential: Secret | EntraTokens,
        *,
        api_version: str,
        responses: bool | None = None,
    ) -> None:
        """Send to the resource that `client` points to, without a path: `https://….azure.com`.

        `credential` is the resource's key, or gives tokens of Entra's. `api_version` with a
        date means the classic surface, any other that is one the v1 surface. `responses` says
        whether responses are served; unless told, they are on the v1 surface. Raises ConfigError
        for a version that is none.
        """
        if not is_azure_version(api_version):
            message = (
                f"api_version {api_version!r} of the provider `{name}` is no version: write a "
                'date such as "2024-10-21", "preview", or leave it out for the v1 surface.'
            )
            raise ConfigError(message)
        if responses is None:
            responses = api_version in AZURE_V1_VERSIONS
        self.surfaces: frozenset[Surface] = frozenset(PATHS if responses else IN_DEPLOYMENTS)
        is_key = isinstance(credential, Secret)
        self.credentials = ("api_key",) if is_key else ("tenant_id", "client_id", "client_secret")
        self.name = name
        self._client = client
        self._credential = credential
        self._version = api_version
        self._token: Secret | None = None
        self._block = self._proof = b""
        """Headers with `_token` in them; made anew only when that is another."""

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`."""
        block, token = await self._headers()
        if ask.surface in ANY_KIND:
            kind = lines([(b"content-type", ask.content_type)])
            block = BARE_BLOCK + ACCEPT_ANY + kind + self._proof
        if ask.headers:
            block += lines(ask.headers)
        target = self._target(ask).encode("ascii")
        answer = await self._client.request(b"POST", target, block, ask.body)
        if answer.status == _UNAUTHORIZED:
            self._forget(token)
        return answer

    async def open_session(self, ask: SessionAsk) -> Socket | Declined:
        """Open a realtime session; see `RealtimeProvider.open_session`."""
        credential = self._credential
        is_key = isinstance(credential, Secret)
        token = credential if isinstance(credential, Secret) else await credential.token()
        name, scheme = ("api-key", "") if is_key else ("authorization", "Bearer")
        opened = await self._client.websocket(
            self._session_target(ask),
            session_headers(name, token, scheme, ask.beta),
            message_bytes_max=ask.message_bytes_max,
        )
        if isinstance(opened, Declined) and opened.status == _UNAUTHORIZED:
            self._forget(token)
        return opened

    async def check(self) -> Checked:
        """Ask for the resource's models; see `Checkable.check`."""
        block, _ = await self._headers()
        return await ask_provider(self._client, self._at("models"), block, _judge)

    async def aclose(self) -> None:
        """Close every connection."""
        if isinstance(self._credential, EntraTokens):
            await self._credential.aclose()
        await self._client.aclose()

    async def _headers(self) -> tuple[bytes, Secret]:
        """Give the headers of every call, and the key or token in them."""
        credential = self._credential
        token = credential if isinstance(credential, Secret) else await credential.token()
        if token is not self._token:
            is_key = token is credential
            name, scheme = (b"api-key", b"") if is_key else (b"authorization", b"Bearer")
            self._proof = secret_line(name, token, scheme)
            self._block = JSON_BLOCK + ACCEPT_EVENTS + self._proof
            self._token = token
        return self._block, token

    def _forget(self, token: Secret) -> None:
        """Get another token for the next call; a key stays what it is."""
        if isinstance(self._credential, EntraTokens):
            self._credential.forget(token)

    def _session_target(self, ask: SessionAsk) -> str:
        """Write path and query of a session; a deployment is named even where it transcribes."""
        name = "model" if self._version in AZURE_V1_VERSIONS else "deployment"
        target = self._at("realtime")
        target += f"{'&' if '?' in target else '?'}{name}={quote(ask.model, safe='')}"
        return f"{target}&intent=transcription" if ask.transcribes else target

    def _target(self, ask: Ask) -> str:
        """Write path and query of a call."""
        path = PATHS[ask.surface]
        if self._version in AZURE_V1_VERSIONS or ask.surface not in IN_DEPLOYMENTS:
            return self._at(path)
        return self._at(f"deployments/{quote(ask.model, safe='')}/{path}")

    def _at(self, path: str) -> str:
        """Write where something is on the surface of the version."""
        if self._version not in AZURE_V1_VERSIONS:
            return f"/openai/{path}?api-version={self._version}"
        query = "?api-version=preview" if self._version == "preview" else ""
        return f"/openai/v1/{path}{query}"


def _judge(status: int, _body: bytes, _kind: bytes) -> bool | None:
    """Tell whether credentials are good; a 403 may be the resource's network rules."""
    return True if status == OK else False if status == _UNAUTHORIZED else None
