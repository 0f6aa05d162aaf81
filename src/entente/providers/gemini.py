"""Google's Gemini API: the model and the kind of answer are in the path."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from entente.domain.chat import Surface
from entente.domain.secret import Secret
from entente.net import Client, Response
from entente.providers.base import Ask
from entente.providers.checks import Checked, ask, by_status
from entente.providers.headers import ACCEPT_EVENTS, JSON_BLOCK, secret_line
from entente.wire import counts

_COLLECTIONS: Final = ("models/", "tunedModels/")
_UNARY: Final = ":generateContent"
_COUNT: Final = ":countTokens"
_STREAM: Final = ":streamGenerateContent?alt=sse"
"""Without `alt` a stream would be one JSON list."""
_EMBED: Final = ":batchEmbedContents"
_KEY_INVALID: Final = b'"API_KEY_INVALID"'


class GeminiProvider:
    """A provider that gets generateContent and batchEmbedContents, with our credentials."""

    dialect = "gemini"
    surfaces = frozenset({Surface.EMBEDDINGS})
    credentials = ("api_key",)
    quirks = None

    def __init__(self, name: str, client: Client, api_key: Secret | None) -> None:
        """Send to where `client` points: an address that `/models/…` goes behind."""
        self.name = name
        self._client = client
        self._block = JSON_BLOCK + ACCEPT_EVENTS + secret_line(b"x-goog-api-key", api_key)

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`. A model is `gemini-…` or `tunedModels/…`."""
        return await self._client.request(b"POST", _target(ask), self._block, ask.body)

    async def count(self, ask: Ask) -> Response:
        """Have tokens counted; see `Countable.count`."""
        place = _place(ask.model)
        body = counts.for_gemini(ask.body, place.lstrip("/"))
        return await self._client.request(
            b"POST", f"{place}{_COUNT}".encode("ascii"), self._block, body
        )

    async def check(self) -> Checked:
        """Ask for one of its models; see `Checkable.check`."""
        return await ask(self._client, "/models?pageSize=1", self._block, _judge)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _judge(status: int, body: bytes, kind: bytes) -> bool | None:
    """Tell whether the key is good; one that is not gets a 400, as a wrong parameter does."""
    return False if _KEY_INVALID in body else by_status(status, body, kind)


def _target(ask: Ask) -> bytes:
    """Write path and query of a call."""
    method = _STREAM if ask.stream else _UNARY
    if ask.surface is Surface.EMBEDDINGS:
        method = _EMBED
    return f"{_place(ask.model)}{method}".encode("ascii")


def _place(model: str) -> str:
    """Write the path of a model: `/models/…` or `/tunedModels/…`."""
    collection = next((c for c in _COLLECTIONS if model.startswith(c)), "")
    name = quote(model.removeprefix(collection), safe="")
    return f"/{collection or _COLLECTIONS[0]}{name}"
