"""The routes of conversations."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entente.domain.chat import Call, Front
from entente.domain.principal import Principal
from entente.gateway.client import Client
from entente.gateway.keeping.completions import CompletionRecord
from entente.gateway.keeping.recorder import Recorder, Shelf
from entente.gateway.pipeline import Gateway
from entente.http.exchange import Exchange
from entente.http.handler import Handler, somebody
from entente.http.routes import Match
from entente.routing.deployments import Deployed
from entente.wire import (
    anthropic,
    azure,
    openai,
    openai_stored,
    strict,
)
from entente.wire.attribution import attributed, read_tags
from entente.wire.carried import BETAS, TAGS, carried


class Inference:
    """Serves conversations through the gateway."""

    def __init__(
        self, gateway: Gateway, shelf: Shelf | None = None, *, is_strict: bool = False
    ) -> None:
        """Take the use case.

        Without a shelf no answer is kept. `is_strict` refuses what the vendor of a surface
        would, instead of letting it pass.
        """
        self._is_strict = is_strict
        self._gateway = gateway
        self._shelf = shelf

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "chat": self._chat,
            "messages": self._messages,
        }

    async def _chat(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/chat/completions."""
        body = named(await exchange.body(), match)
        if self._is_strict:
            strict.check_chat(body, is_azures=match.front is Front.AZURE)
        who = somebody(who)
        call = as_sent(exchange, match, openai.decode_chat(body))
        client: Client = exchange
        if "store" in call.members and openai_stored.wants_store(call):
            if self._shelf is not None:
                await self._shelf.objects.check_room(who, len(body))
                record = CompletionRecord(self._shelf, who, call, exchange.request_id)
                client = Recorder(exchange, record)
            call = openai_stored.without_store(call)
        await self._gateway.chat(who, call, exchange.request_id, client)

    async def _messages(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/messages."""
        body = await exchange.body()
        if self._is_strict:
            strict.check_messages(body, names_a_beta=BETAS in carried(exchange.headers))
        call = as_sent(exchange, match, anthropic.decode_messages(body))
        await self._gateway.chat(somebody(who), call, exchange.request_id, exchange)


def named(body: bytes, match: Match) -> bytes:
    """Give the body with the model; at Azure the path may name it in its stead."""
    return azure.name_model(body, match.deployment) if match.deployment is not None else body


def as_sent(exchange: Exchange, match: Match, call: Call) -> Call:
    """Note whom the client takes us for and serves, and what of its headers may go on.

    Raises InvalidParameter for tags that are none.
    """
    call = attributed(call)
    kept = carried(exchange.headers)
    if TAGS in kept:
        call = msgspec.structs.replace(call, tags=read_tags(kept.pop(TAGS)))
    deployed = match.deployments.get(call.model)
    if deployed is not None:
        call = _deployed(call, deployed)
    if match.front is Front.OPENAI and not kept:
        return call
    return msgspec.structs.replace(call, front=match.front, carried=kept)


def _deployed(call: Call, deployed: Deployed) -> Call:
    """Name the model that a deployment stands for, in the body as well."""
    name = msgspec.Raw(msgspec.json.encode(deployed.model))
    return msgspec.structs.replace(
        call,
        model=deployed.model,
        body=azure.name_model(call.body, deployed.model),
        members={**call.members, "model": name},
        quota=deployed.quota,
    )
