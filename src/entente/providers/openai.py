"""Any server that speaks OpenAI's dialect, over HTTP."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import quote

from entente.domain.chat import Surface
from entente.domain.secret import Secret
from entente.net import Client, Declined, Response, Socket
from entente.providers.base import Ask, SessionAsk
from entente.providers.checks import Checked, by_status
from entente.providers.checks import ask as ask_provider
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
from entente.wire.quirks import Quirks

PATHS: Final = {
    Surface.CHAT: b"/chat/completions",
    Surface.RESPONSES: b"/responses",
    Surface.COMPACTION: b"/responses/compact",
    Surface.COMPLETIONS: b"/completions",
    Surface.EMBEDDINGS: b"/embeddings",
    Surface.MODERATIONS: b"/moderations",
    Surface.TRANSCRIPTIONS: b"/audio/transcriptions",
    Surface.TRANSLATIONS: b"/audio/translations",
    Surface.SPEECH: b"/audio/speech",
    Surface.IMAGE_GENERATIONS: b"/images/generations",
    Surface.IMAGE_EDITS: b"/images/edits",
    Surface.IMAGE_VARIATIONS: b"/images/variations",
}

COUNT_PATH: Final = b"/responses/input_tokens"


class OpenAIProvider:
    """A provider that gets OpenAI's dialect, with our credentials."""

    dialect = "openai"
    credentials = ("api_key",)

    def __init__(
        self,
        name: str,
        client: Client,
        api_key: Secret | None,
        *,
        quirks: Quirks | None = None,
        lists_to_anyone: bool = False,
        also: frozenset[Surface] = frozenset(),
    ) -> None:
        """Send to where `client` points, with `api_key` if there is one.

        `lists_to_anyone`: its list of models says nothing about the key. `also`: what it serves
        besides chat completions.
        """
        if Surface.RESPONSES in also:
            also |= {Surface.COMPACTION}
        self.surfaces = also | {Surface.CHAT}
        self.name = name
        self.quirks = quirks
        self._client = client
        self._api_key = api_key
        proof = secret_line(b"authorization", api_key, b"Bearer")
        self._headers = JSON_BLOCK + ACCEPT_EVENTS + proof
        self._bare = BARE_BLOCK + ACCEPT_ANY + proof
        self._is_telling = api_key is None or not lists_to_anyone

    def open(self, ask: Ask) -> Coroutine[Any, Any, Response]:
        """Send the call; see `Provider.open`."""
        block = self._headers
        if ask.surface in ANY_KIND:
            block = self._bare + lines([(b"content-type", ask.content_type)])
        if ask.headers:
            block += lines(ask.headers)
        return self._client.request(b"POST", PATHS[ask.surface], block, ask.body)

    def open_session(self, ask: SessionAsk) -> Coroutine[Any, Any, Socket | Declined]:
        """Open a realtime session; see `RealtimeProvider.open_session`."""
        what = "intent=transcription" if ask.transcribes else f"model={quote(ask.model, safe='')}"
        return self._client.websocket(
            f"/realtime?{what}",
            session_headers("authorization", self._api_key, "Bearer", ask.beta),
            message_bytes_max=ask.message_bytes_max,
        )

    def count(self, ask: Ask) -> Coroutine[Any, Any, Response]:
        """Have the input of a response counted; see `Countable.count`."""
        block = self._headers + lines(ask.headers) if ask.headers else self._headers
        return self._client.request(b"POST", COUNT_PATH, block, ask.body)

    async def check(self) -> Checked:
        """Ask for its models; see `Checkable.check`."""
        return await ask_provider(self._client, "/models", self._headers, self._judge)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def _judge(self, status: int, body: bytes, kind: bytes) -> bool | None:
        """Tell whether the key is good, as far as the list of models tells."""
        accepted = by_status(status, body, kind)
        return None if accepted and not self._is_telling else accepted
