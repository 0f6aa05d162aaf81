"""The routes of Anthropic's message batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.domain.batches import Batch, State
from entente.domain.principal import Principal
from entente.gateway.batches.executor import Executor
from entente.gateway.batches.forms import MESSAGE_BATCH, MESSAGES
from entente.gateway.batches.run import INPUT, RESULTS
from entente.gateway.files import NS_PER_S, FileStore
from entente.http import queries
from entente.http.exchange import Exchange
from entente.http.files import send_blob
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query
from entente.http.routes import Match
from entente.objects import Order
from entente.wire import anthropic_batches

WINDOW_S: Final = 24 * 3600
LISTED_MAX: Final = 1_000
WRITE_BYTES: Final = 1024 * 1024
JSONL: Final = (b"content-type", b"application/x-jsonl")
PATH: Final = "/v1/messages/batches"


class MessageBatches:
    """Serves message batches; the executor runs them."""

    def __init__(self, files: FileStore, executor: Executor) -> None:
        """Take the parts."""
        self._files = files
        self._executor = executor

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "create_message_batch": self._create,
            "list_message_batches": self._list,
            "get_message_batch": self._get,
            "delete_message_batch": self._delete,
            "cancel_message_batch": self._cancel,
            "get_message_batch_results": self._results,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """POST /v1/messages/batches."""
        who = somebody(who)
        lines = anthropic_batches.read_create(await exchange.body())
        created_s = self._files.now_ns() // NS_PER_S
        batch = Batch(
            id=self._files.ids.new("msgbatch"),
            kind=MESSAGE_BATCH,
            route=MESSAGES,
            state=State.IN_PROGRESS,
            created_s=created_s,
            in_progress_s=created_s,
            expires_s=created_s + WINDOW_S,
        )
        size = sum(map(len, lines))
        await self._files.objects.check_room(who, size)
        await self._keep(batch, lines)
        gone_ns = (created_s + anthropic_batches.KEPT_S) * NS_PER_S
        await self._executor.add(who, batch, gone_ns, input_bytes=size)
        await answer_json(exchange, _written(batch, len(lines)))

    async def _keep(self, batch: Batch, lines: list[bytes]) -> None:
        """Write the requests to the disk, for the executor to read them one by one."""
        async with self._files.blobs.writing(f"{batch.id}.{INPUT}") as file:
            gathered = bytearray()
            for line in lines:
                gathered += line
                if len(gathered) >= WRITE_BYTES:
                    await file.write(bytes(gathered))
                    gathered.clear()
            await file.write(bytes(gathered))
            await file.seal()

    async def _list(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """GET /v1/messages/batches: newest first, `after_id` and `before_id` are limits."""
        fields = read_query(exchange.query)
        named = {"after": fields.get("after_id", ()), "before": fields.get("before_id", ())}
        asked = {"limit": fields.get("limit", ()), **named}
        wanted = queries.wanted(asked, order=Order.DESC, most=LISTED_MAX)
        page = await self._files.objects.page(somebody(who), MESSAGE_BATCH, wanted)
        listed = [_written(self._executor.current(one)) for one in page.found]
        await answer_json(exchange, anthropic_batches.write_list(listed, has_more=page.has_more))

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/messages/batches/{id}."""
        await answer_json(exchange, _written(await self._find(somebody(who), match)))

    async def _delete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/messages/batches/{id}: only of one that has ended."""
        who = somebody(who)
        batch = await self._find(who, match)
        if batch.ended_s is None:
            raise anthropic_batches.not_ended(batch, "Cancel it before you delete it.")
        await self._files.objects.delete(who, MESSAGE_BATCH, batch.id)
        await self._files.blobs.delete(batch.id)
        await answer_json(exchange, {"id": batch.id, "type": "message_batch_deleted"})

    async def _cancel(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/messages/batches/{id}/cancel. One that has ended stays as it is."""
        who = somebody(who)
        batch = await self._find(who, match)
        cancelled = await self._executor.cancel(batch.id)
        await answer_json(exchange, _written(cancelled or await self._find(who, match)))

    async def _results(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/messages/batches/{id}/results: a line for each request."""
        batch = await self._find(somebody(who), match)
        if batch.ended_s is None:
            raise anthropic_batches.not_ended(batch, "It has no results yet.")
        name = f"{batch.id}.{RESULTS}"
        size = await self._files.blobs.size(name)
        await send_blob(exchange, self._files.blobs, name, size, f"{name}.jsonl", JSONL)

    async def _find(self, who: Principal, match: Match) -> Batch:
        id = match.parameters["id"]
        batch = await self._executor.find(who, MESSAGE_BATCH, id)
        if batch is None:
            raise anthropic_batches.no_batch(id)
        return batch


def _written(batch: Batch, total: int | None = None) -> dict[str, object]:
    """Write a batch. The address of its results is relative to the client's base URL."""
    written = anthropic_batches.write_batch(batch, f"{PATH}/{batch.id}/results")
    if total is not None:
        written["request_counts"]["processing"] = total
    return written
