"""Conversations: made, changed and deleted, and their items added, listed and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.errors import MalformedJson, ObjectNotFound, Overloaded
from entente.domain.ids import NowNs
from entente.domain.principal import Principal
from entente.gateway.keeping import earlier
from entente.gateway.keeping.keeping import Keeping
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query, wanted
from entente.http.responses import check_include
from entente.http.routes import Match
from entente.http.stored_completions import CHANGED
from entente.http.turns import Turns
from entente.objects import Item, Order, StoredObject
from entente.wire import openai_stored, strict
from entente.wire.members import split
from entente.wire.openai_responses import stored
from entente.wire.parameters import MALFORMED

NS_PER_S: Final = 1_000_000_000


class Conversations:
    """Serves conversations; responses add to them, see `gateway.keeping.responses`."""

    def __init__(self, keeping: Keeping, now_ns: NowNs, *, is_strict: bool = False) -> None:
        """Take the store. `is_strict` refuses what the vendor would."""
        self._is_strict = is_strict
        self._objects = keeping.objects
        self._ids = keeping.ids
        self._now_ns = now_ns
        self._turns = Turns()

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "create_conversation": self._create,
            "get_conversation": self._get,
            "update_conversation": self._update,
            "delete_conversation": self._delete,
            "add_items": self._add,
            "list_items": self._list,
            "get_item": self._get_item,
            "delete_item": self._delete_item,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """POST /v1/conversations."""
        who = somebody(who)
        body = await exchange.body()
        if self._is_strict:
            strict.check_new_conversation(body)
        members = _members(body) if body.strip() else {}
        items = self._items(stored.read_new_items(members, needed=False))
        await self._objects.check_room(who, len(body))
        made = StoredObject(
            id=self._ids.new("conv"),
            kind=stored.CONVERSATION,
            project=who.project,
            key=who.key_id,
            created_ns=self._now_ns(),
            metadata=openai_stored.metadata_of(members),
            body=b"",
        )
        await self._objects.create(who, made, items)
        await answer_json(exchange, _written(made))

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/conversations/{id}."""
        await answer_json(exchange, _written(await self._found(who, match)))

    async def _update(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/conversations/{id}: the metadata is what can change."""
        body = await exchange.body()
        if self._is_strict:
            strict.check_changed_conversation(body)
        metadata = openai_stored.new_metadata(body)
        async with self._turns.of((await self._found(who, match)).id):
            kept = msgspec.structs.replace(await self._found(who, match), metadata=metadata)
            if not await self._objects.replace(somebody(who), kept):
                raise Overloaded(CHANGED)
        await answer_json(exchange, _written(kept))

    async def _delete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/conversations/{id}, with its items."""
        id = match.parameters["id"]
        if not await self._objects.delete(somebody(who), stored.CONVERSATION, id):
            raise _missing(id)
        written = {"id": id, "object": f"{stored.CONVERSATION}.deleted", "deleted": True}
        await answer_json(exchange, written)

    async def _add(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/conversations/{id}/items."""
        check_include(read_query(exchange.query))
        body = await exchange.body()
        if self._is_strict:
            strict.check_added_items(body)
        items = stored.read_new_items(_members(body), needed=True)
        kept = await self._found(who, match)
        await self._objects.check_room(somebody(who), len(body))
        added = self._items(items)
        if not await self._objects.append(
            somebody(who),
            stored.CONVERSATION,
            kept.id,
            added,
            items_max=earlier.CONVERSATION_ITEMS_MAX,
        ):
            raise earlier.full(kept.id)
        await answer_json(exchange, _listed(added, has_more=False))

    async def _list(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/conversations/{id}/items."""
        fields = read_query(exchange.query)
        check_include(fields)
        asked = wanted(fields, order=Order.DESC)
        kept = await self._found(who, match)
        page = await self._objects.items(somebody(who), stored.CONVERSATION, kept.id, asked)
        await answer_json(exchange, _listed(page.found, has_more=page.has_more))

    async def _get_item(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/conversations/{id}/items/{item}."""
        check_include(read_query(exchange.query))
        kept = await self._found(who, match)
        id = match.parameters["item"]
        item = await self._objects.item(somebody(who), stored.CONVERSATION, kept.id, id)
        if item is None:
            raise _no_item(id)
        await answer_json(exchange, bytes(stored.shown(item.id, item.body)))

    async def _delete_item(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/conversations/{id}/items/{item}: gives the conversation."""
        kept = await self._found(who, match)
        id = match.parameters["item"]
        if not await self._objects.delete_item(somebody(who), stored.CONVERSATION, kept.id, id):
            raise _no_item(id)
        await answer_json(exchange, _written(kept))

    async def _found(self, who: Principal | None, match: Match) -> StoredObject:
        """Find the conversation that a path names."""
        id = match.parameters["id"]
        kept = await self._objects.get(somebody(who), stored.CONVERSATION, id)
        if kept is None:
            raise _missing(id)
        return kept

    def _items(self, items: Sequence[Raw]) -> list[Item]:
        return [Item(*numbered) for numbered in stored.numbered(items, self._ids.new)]


def _members(body: bytes) -> dict[str, Raw]:
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    return members


def _written(kept: StoredObject) -> dict[str, object]:
    created_s = kept.created_ns // NS_PER_S
    return stored.conversation(kept.id, created_s, kept.metadata)


def _listed(items: Sequence[Item], *, has_more: bool) -> dict[str, object]:
    data = [stored.shown(item.id, item.body) for item in items]
    return openai_stored.page(data, [item.id for item in items], has_more=has_more)


def _missing(id: str) -> ObjectNotFound:
    return ObjectNotFound(stored.no_conversation(id), param=None, code=None)


def _no_item(id: str) -> ObjectNotFound:
    return ObjectNotFound(stored.no_item(id), param=None, code=None)
