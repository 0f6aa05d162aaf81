"""The routes of OpenAI's batches: files of requests that are run when there is room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.domain.batches import Batch
from entente.domain.chat import Front
from entente.domain.errors import InvalidParameter, ObjectNotFound, StorageUnavailable
from entente.domain.principal import Principal
from entente.gateway.batches.executor import Executor
from entente.gateway.batches.forms import BATCH, OPENAI_ROUTES
from entente.gateway.batches.run import INPUT
from entente.gateway.files import NS_PER_S, FileStore
from entente.http import queries
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query
from entente.http.routes import Match
from entente.objects import Order
from entente.wire import openai_batches
from entente.wire.openai_files import write_list


class Batches:
    """Serves batches; the executor runs them."""

    def __init__(self, files: FileStore, executor: Executor) -> None:
        """Take the parts."""
        self._files = files
        self._executor = executor

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "create_batch": self._create,
            "list_batches": self._list,
            "get_batch": self._get,
            "cancel_batch": self._cancel,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/batches. The input stays ours to read, even if its file is deleted."""
        who = somebody(who)
        is_azures = match.front is Front.AZURE
        wish = openai_batches.read_create(
            await exchange.body(), routes=OPENAI_ROUTES, is_azures=is_azures
        )
        file = await self._input(who, wish.input_file_id)
        created_s = self._files.now_ns() // NS_PER_S
        batch = Batch(
            id=self._files.ids.new("batch"),
            kind=BATCH,
            route=wish.route,
            endpoint=wish.endpoint,
            is_azures=is_azures,
            input_file_id=file,
            output_kept_s=wish.output_kept_s,
            metadata=wish.metadata,
            created_s=created_s,
            expires_s=created_s + openai_batches.WINDOW_S,
        )
        try:
            await self._files.blobs.share(file, f"{batch.id}.{INPUT}")
        except StorageUnavailable:
            await self._input(who, file)  # says so where it was deleted meanwhile
            raise
        await self._executor.add(who, batch)
        await answer_json(exchange, openai_batches.write_batch(batch))

    async def _input(self, who: Principal, id: str) -> str:
        """Find the file of the requests. Raises InvalidParameter."""
        try:
            file = await self._files.find(who, id)
        except ObjectNotFound as error:
            raise InvalidParameter(
                error.message, param="input_file_id", code="invalid_input_file"
            ) from error
        if file.purpose != BATCH:
            message = f"The file '{file.id}' has the purpose '{file.purpose}', not 'batch'."
            raise InvalidParameter(message, param="input_file_id", code="invalid_input_file")
        if file.bytes > INPUT_BYTES_MAX:
            message = f"The file '{file.id}' has more than {INPUT_BYTES_MAX} bytes."
            raise InvalidParameter(message, param="input_file_id", code="invalid_input_file")
        return file.id

    async def _list(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """GET /v1/batches."""
        wanted = queries.wanted(read_query(exchange.query), order=Order.DESC)
        page = await self._files.objects.page(somebody(who), BATCH, wanted)
        listed = [openai_batches.write_batch(self._executor.current(one)) for one in page.found]
        await answer_json(exchange, write_list(listed, has_more=page.has_more))

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/batches/{id}."""
        batch = await self._find(somebody(who), match)
        await answer_json(exchange, openai_batches.write_batch(batch))

    async def _cancel(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/batches/{id}/cancel."""
        batch = await self._find(somebody(who), match)
        cancelled = await self._executor.cancel(batch.id)
        if cancelled is None:
            raise openai_batches.not_cancellable(await self._find(somebody(who), match))
        await answer_json(exchange, openai_batches.write_batch(cancelled))

    async def _find(self, who: Principal, match: Match) -> Batch:
        id = match.parameters["id"]
        batch = await self._executor.find(who, BATCH, id)
        if batch is None:
            raise openai_batches.no_batch(id)
        return batch


INPUT_BYTES_MAX: Final = 200 * 1024 * 1024
