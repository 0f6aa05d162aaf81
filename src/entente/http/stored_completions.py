"""Chat completions that clients have stored: list, get, update, delete, and their messages."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entente.domain.errors import ObjectNotFound, Overloaded
from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query, text, wanted
from entente.http.routes import Match
from entente.http.turns import Turns
from entente.objects import Objects, Order, StoredObject
from entente.wire import openai_stored
from entente.wire.openai_stored import KIND


class StoredCompletions:
    """Serves what `gateway.keeping` has kept of chat completions."""

    def __init__(self, objects: Objects) -> None:
        """Take the store."""
        self._objects = objects
        self._turns = Turns()

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "list_completions": self._list,
            "get_completion": self._get,
            "update_completion": self._update,
            "delete_completion": self._delete,
            "list_completion_messages": self._messages,
        }

    async def _list(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """GET /v1/chat/completions."""
        fields = read_query(exchange.query)
        asked = msgspec.structs.replace(
            wanted(fields, order=Order.ASC),
            model=text(fields, "model"),
            metadata=openai_stored.searched_metadata(fields),
        )
        page = await self._objects.page(somebody(who), KIND, asked)
        data = [openai_stored.shown(kept.body, kept.metadata) for kept in page.found]
        ids = [kept.id for kept in page.found]
        await answer_json(exchange, openai_stored.page(data, ids, has_more=page.has_more))

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/chat/completions/{id}."""
        kept = await self._found(who, match)
        await answer_json(exchange, bytes(openai_stored.shown(kept.body, kept.metadata)))

    async def _update(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/chat/completions/{id}: the metadata is what can change."""
        metadata = openai_stored.new_metadata(await exchange.body())
        async with self._turns.of((await self._found(who, match)).id):
            kept = await self._found(who, match)
            kept = msgspec.structs.replace(kept, metadata=metadata)
            if not await self._objects.replace(somebody(who), kept):
                raise Overloaded(CHANGED)
        await answer_json(exchange, bytes(openai_stored.shown(kept.body, kept.metadata)))

    async def _delete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/chat/completions/{id}."""
        id = match.parameter
        if not await self._objects.delete(somebody(who), KIND, id):
            raise _missing(id)
        await answer_json(exchange, openai_stored.deleted(id))

    async def _messages(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/chat/completions/{id}/messages."""
        asked = wanted(read_query(exchange.query), order=Order.ASC)
        kept = await self._found(who, match)
        page = await self._objects.items(somebody(who), KIND, kept.id, asked)
        data = [msgspec.Raw(item.body) for item in page.found]
        ids = [item.id for item in page.found]
        await answer_json(exchange, openai_stored.page(data, ids, has_more=page.has_more))

    async def _found(self, who: Principal | None, match: Match) -> StoredObject:
        """Find the completion that a path names."""
        id = match.parameters["id"]
        kept = await self._objects.get(somebody(who), KIND, id)
        if kept is None:
            raise _missing(id)
        return kept


def _missing(id: str) -> ObjectNotFound:
    return ObjectNotFound(openai_stored.not_found(id), param=None, code=None)


CHANGED = "Somebody else changes this object at the same time. Try again."
