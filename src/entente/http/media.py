"""The routes of embeddings, completions, moderation, sound and pictures.

All of them are one call of a model through the gateway; they differ in how a request is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import msgspec

from entente.domain.chat import Call, Front, Surface
from entente.domain.principal import Principal
from entente.gateway.pipeline import Gateway
from entente.http.exchange import Exchange
from entente.http.forms import whole_form
from entente.http.handler import Handler, somebody
from entente.http.inference import as_sent, named
from entente.http.routes import Match
from entente.wire import strict
from entente.wire.embeddings import decode_embeddings
from entente.wire.media.requests import decode_form, decode_json
from entente.wire.multipart import with_value
from entente.wire.openai_completions import decode_completions

FORM: Final = b"multipart/form-data"

Decode: TypeAlias = Callable[[bytes], Call]

_JSON: Final = {
    "embeddings": Surface.EMBEDDINGS,
    "completions": Surface.COMPLETIONS,
    "moderations": Surface.MODERATIONS,
    "speech": Surface.SPEECH,
    "image_generations": Surface.IMAGE_GENERATIONS,
}
_DECODERS: Final[Mapping[Surface, Decode]] = {
    Surface.EMBEDDINGS: decode_embeddings,
    Surface.COMPLETIONS: decode_completions,
}
"""All others are read alike."""
_FORMS: Final = {
    "transcriptions": Surface.TRANSCRIPTIONS,
    "translations": Surface.TRANSLATIONS,
    "image_edits": Surface.IMAGE_EDITS,
    "image_variations": Surface.IMAGE_VARIATIONS,
}
"""Requests that are forms. Edits may be JSON, too, with pictures by reference."""


class Media:
    """Serves what is no conversation through the gateway."""

    def __init__(self, gateway: Gateway, *, is_strict: bool = False) -> None:
        """Take the use case. `is_strict` refuses what the vendor would."""
        self._is_strict = is_strict
        self._gateway = gateway

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            **{action: partial(self._json, surface) for action, surface in _JSON.items()},
            **{action: partial(self._form, surface) for action, surface in _FORMS.items()},
        }

    async def _json(
        self, surface: Surface, exchange: Exchange, who: Principal | None, match: Match
    ) -> None:
        """Serve a request in JSON."""
        body = named(await exchange.body(), match)
        if self._is_strict:
            strict.check_json(surface, body, is_azures=match.front is Front.AZURE)
        decode = _DECODERS.get(surface) or partial(decode_json, surface)
        call = as_sent(exchange, match, decode(body))
        await self._gateway.chat(somebody(who), call, exchange.request_id, exchange)

    async def _form(
        self, surface: Surface, exchange: Exchange, who: Principal | None, match: Match
    ) -> None:
        """Serve a request that is a form."""
        kind = exchange.header(b"content-type")
        if surface is Surface.IMAGE_EDITS and not kind.lower().startswith(FORM):
            await self._json(surface, exchange, who, match)
            return
        body = await exchange.body()
        if match.deployment is not None:
            body = with_value(body, kind, "model", match.deployment.encode())
        form = whole_form(body, kind)
        call = decode_form(surface, form, body, kind)
        if self._is_strict:
            strict.check_form(surface, (part.head.name for part in form.parts))
        deployed = match.deployments.get(call.model)
        if deployed is not None:
            named_so = with_value(body, kind, "model", deployed.model.encode())
            call = msgspec.structs.replace(call, body=named_so)
        call = as_sent(exchange, match, call)
        await self._gateway.chat(somebody(who), call, exchange.request_id, exchange)
