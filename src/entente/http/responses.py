"""OpenAI's responses: made now or in the background, fetched, followed, cancelled, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final, Protocol

import msgspec

from entente.domain.chat import Call
from entente.domain.errors import EntenteError, InvalidParameter, ObjectNotFound
from entente.domain.principal import Principal
from entente.gateway.client import Client, Headers
from entente.gateway.counting import ESTIMATED, Counting
from entente.gateway.keeping.background import EVENTS_KIND, events_id
from entente.gateway.keeping.earlier import expanded, input_of
from entente.gateway.keeping.keeping import Keeping
from entente.gateway.keeping.recorder import Recorder
from entente.gateway.keeping.responses import Entry, ResponseRecord
from entente.gateway.keeping.run import Run
from entente.gateway.pipeline import Gateway
from entente.gateway.sides import client_side
from entente.http.exchange import Exchange
from entente.http.handler import JSON, Handler, answer_json, somebody
from entente.http.inference import as_sent, named
from entente.http.neighbours import ALONE, Neighbours
from entente.http.queries import Fields, boolean, number, read_query, wanted
from entente.http.routes import Match
from entente.objects import Order, Wanted
from entente.wire import openai_responses, openai_stored, strict
from entente.wire.openai_responses import faults, form, stored

_SSE: Final[Headers] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_NO_BACKGROUND_WITHOUT_STORE: Final = (
    "Invalid 'background': a response in the background is kept until it is fetched, so it "
    "cannot be asked for with 'store' set to false."
)
_NOT_STREAMED: Final = (
    "Response with id '{}' has no events to follow: it was not created with both 'background' "
    "and 'stream'. Fetch it without 'stream'."
)
_SYNCHRONOUS: Final = "Cannot cancel a synchronous response."


class _Check(Protocol):
    """Refuses what the vendor would."""

    def __call__(self, body: bytes, *, with_store: bool) -> None:
        """Check a body; `with_store` says that it may build on what is kept here."""


class Responses:
    """Serves responses through the gateway, and from the shelf.

    Without a shelf none is kept, and what builds on a kept one is refused.
    """

    def __init__(
        self,
        gateway: Gateway,
        keeping: Keeping,
        counting: Counting,
        neighbours: Neighbours = ALONE,
        *,
        is_strict: bool = False,
    ) -> None:
        """Take the parts. `is_strict` refuses what the vendor would."""
        self._neighbours = neighbours
        self._gateway = gateway
        self._counting = counting
        self._objects = keeping.objects
        self._shelf = keeping.shelf
        self._background = keeping.background
        self._is_strict = is_strict

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "responses": self._create,
            "get_response": self._get,
            "delete_response": self._delete,
            "cancel_response": self._cancel,
            "list_input_items": self._input_items,
            "count_input": self._count,
            "compact_response": self._compact,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/responses."""
        who = somebody(who)
        body = named(await exchange.body(), match)
        if self._is_strict:
            strict.check_responses(body, with_store=self._shelf is not None)
        call = openai_responses.decode_responses(body, with_store=self._shelf is not None)
        call = as_sent(exchange, match, call)
        if self._shelf is None:
            await self._gateway.chat(who, call, exchange.request_id, exchange)
            return
        asked = openai_responses.state(call)
        if asked.background and not asked.store:
            raise InvalidParameter(_NO_BACKGROUND_WITHOUT_STORE, param="background", code=None)
        call = msgspec.structs.replace(call, stored=asked.store)
        whole = await expanded(self._objects, who, call, asked)
        if asked.store or asked.conversation is not None:
            await self._objects.check_room(who, len(body))
        if asked.background and self._background is not None:
            run = await self._background.begin(who, call, asked, whole, exchange.request_id)
            await _answer(exchange, call, run)
            return
        client: Client = exchange
        if asked.store or asked.conversation is not None:
            entry = Entry(self._shelf, who, call, asked, exchange.request_id)
            client = Recorder(exchange, ResponseRecord(entry))
        await self._gateway.chat(who, whole, exchange.request_id, client)

    async def _count(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/responses/input_tokens: the provider's count, or our upper bound."""
        who = somebody(who)
        call = await self._asked_of(exchange, who, match, stored.COUNTED, strict.check_input_tokens)
        count = await self._counting.input(who, call, exchange.request_id)
        written = {"object": "response.input_tokens", "input_tokens": count.input_tokens}
        about: Headers = (ESTIMATED,) if count.is_estimated else ()
        about += _front_headers(exchange, match)
        await exchange.answer(200, (JSON, *about), msgspec.json.encode(written))

    async def _compact(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/responses/compact: by a provider that has it."""
        who = somebody(who)
        call = await self._asked_of(exchange, who, match, stored.COMPACTED, strict.check_compaction)
        call = stored.compaction(call)
        await self._gateway.chat(who, call, exchange.request_id, exchange)

    async def _asked_of(
        self,
        exchange: Exchange,
        who: Principal,
        match: Match,
        names: Collection[str],
        check: _Check,
    ) -> Call:
        """Read a request about what a response would be told, with what that builds on."""
        body = named(await exchange.body(), match)
        if self._is_strict:
            check(body, with_store=self._shelf is not None)
        body = stored.only(body, names)
        call = openai_responses.decode_responses(body, with_store=self._shelf is not None)
        call = as_sent(exchange, match, call)
        return await expanded(self._objects, who, call, openai_responses.state(call))

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/responses/{id}: as it is now, or its events."""
        who, id = somebody(who), match.parameters["id"]
        fields = read_query(exchange.query)
        check_include(fields)
        after = number(fields, "starting_after", default=-1)
        streams = boolean(fields, "stream")
        if await self._passed_on(exchange, who, id):
            return
        body = await self._body(who, id)
        if not streams:
            await answer_json(exchange, body)
            return
        log = await self._background.follow(who, id, after) if self._background else None
        if log is None:
            message = _NOT_STREAMED.format(stored.cited(id))
            raise InvalidParameter(message, param="stream", code=None)
        await _send(exchange, log, _front_headers(exchange, match))

    async def _delete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/responses/{id}. One that is being made is cancelled first."""
        who, id = somebody(who), match.parameters["id"]
        if await self._passed_on(exchange, who, id):
            return
        if self._background is not None:
            await self._background.cancel(who, id)
        if not await self._objects.delete(who, stored.KIND, id):
            raise _missing(id)
        await self._objects.delete(who, EVENTS_KIND, events_id(id))
        await answer_json(exchange, {"id": id, "object": "response", "deleted": True})

    async def _cancel(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/responses/{id}/cancel. One that has ended stays as it is."""
        who, id = somebody(who), match.parameters["id"]
        if await self._passed_on(exchange, who, id):
            return
        run = await self._background.cancel(who, id) if self._background else None
        body = run.body if run is not None else await self._body(who, id)
        if run is None and not stored.is_background(body):
            raise InvalidParameter(_SYNCHRONOUS, param=None, code=None)
        await answer_json(exchange, body)

    async def _input_items(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/responses/{id}/input_items: all that the model was told, by earlier calls too."""
        who, id = somebody(who), match.parameters["id"]
        fields = read_query(exchange.query)
        check_include(fields)
        asked = wanted(fields, order=Order.DESC)
        items = await input_of(self._objects, who, id)
        if items is None:
            raise _missing(id)
        found, has_more = _page(items, asked)
        data = [stored.shown(*item) for item in found]
        ids = [item_id for item_id, _ in found]
        await answer_json(exchange, openai_stored.page(data, ids, has_more=has_more))

    async def _passed_on(self, exchange: Exchange, who: Principal, id: str) -> bool:
        """Have the worker answer that makes a response, if it is another one."""
        if not self._neighbours.others:
            return False
        kept = await self._objects.get(who, stored.KIND, id)
        maker = 0 if kept is None else stored.maker_of(kept.state)
        if not self._neighbours.is_elsewhere(exchange, maker):
            return False
        await self._neighbours.pass_on(exchange, maker)
        return True

    async def _body(self, who: Principal, id: str) -> bytes:
        """Give a response as it is now."""
        run = self._background.find(who, id) if self._background is not None else None
        if run is not None:
            return run.body
        kept = await self._objects.get(who, stored.KIND, id)
        if kept is None:
            raise _missing(id)
        return kept.body


async def _answer(exchange: Exchange, call: Call, run: Run) -> None:
    """Answer with a response in the background as it was queued, or with its events."""
    side = client_side(call.surface, call.front)
    about: Headers = ()
    if side.headers is not None:
        about = side.headers(exchange.request_id, model=call.model, carried=call.carried)
    if run.streams:
        await _send(exchange, run.follow(-1), about)
    else:
        await exchange.answer(200, (JSON, *about), run.queued)


async def _send(exchange: Exchange, log: AsyncIterator[bytes], about: Headers) -> None:
    """Send events as they come, until the last, or until the client has left."""
    sent = 0

    def fail(error: EntenteError) -> bytes:
        return openai_responses.stream_error(error, sent)

    await exchange.start(200, (*_SSE, *about), fail=fail)
    async for event in log:
        sent += 1
        if not exchange.send(event):
            await exchange.caught_up()
        if exchange.gone:
            break
    await exchange.finish(b"")


def _front_headers(exchange: Exchange, match: Match) -> Headers:
    """Give what every answer of a front carries."""
    side = client_side(match.route.surface, match.front)
    return side.headers(exchange.request_id) if side.headers is not None else ()


def _page(items: list[tuple[str, bytes]], asked: Wanted) -> tuple[list[tuple[str, bytes]], bool]:
    """Cut a page out of a list that is in memory; an unknown mark gives nothing."""
    listed = items if asked.order is Order.ASC else items[::-1]
    at = {id: number for number, (id, _) in enumerate(listed)}
    start, end = 0, len(listed)
    if asked.after is not None:
        start = at.get(asked.after, end) + 1
    if asked.before is not None:
        end = at.get(asked.before, 0)
    cut = listed[start:end]
    is_backwards = asked.before is not None and asked.after is None
    found = cut[-asked.limit :] if is_backwards else cut[: asked.limit]
    return found, len(cut) > asked.limit


def check_include(fields: Fields) -> None:
    """Refuse words that `include` does not have. All that is kept is given in any case."""
    for name in ("include", "include[]"):
        for value in fields.get(name, ()):
            if value not in form.INCLUDES:
                raise faults.wrong_value("include", value, form.INCLUDES)


def _missing(id: str) -> ObjectNotFound:
    return ObjectNotFound(stored.no_response(id), param=None, code=None)
