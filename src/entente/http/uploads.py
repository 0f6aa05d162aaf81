"""The routes of uploads: a file that comes in parts, in any order, each of them durable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from entente.domain.errors import EntenteError, InvalidParameter
from entente.domain.principal import Principal
from entente.gateway.files import NS_PER_S, FileStore
from entente.http.exchange import Exchange
from entente.http.files import receive
from entente.http.handler import Handler, answer_json, somebody
from entente.http.routes import Match
from entente.http.turns import Turns
from entente.objects import Item, Order, StoredObject, Wanted, Writing
from entente.wire import openai_files
from entente.wire.openai_files import (
    PARTS_MAX,
    UPLOAD_EXPIRES_S,
    Completion,
    FileRecord,
    UploadRecord,
    Wish,
)
from entente.wire.openai_responses import faults

KIND: Final = "upload"
PART_BYTES_MAX: Final = 64 * 1024 * 1024
SENT_PER_BYTE_MAX: Final = 2
"""Parts may be sent again, so that all of them may have so many times the upload's bytes."""
PAGE: Final = 1_000


class Uploads:
    """Serves uploads; what becomes of them are files."""

    def __init__(self, files: FileStore, *, bytes_max: int) -> None:
        """Make files of `files`. An upload has at most `bytes_max` bytes."""
        self._files = files
        self._objects = files.objects
        self._blobs = files.blobs
        self._ids = files.ids
        self._now_ns = files.now_ns
        self._bytes_max = bytes_max
        self._turns = Turns()

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "create_upload": self._create,
            "add_upload_part": self._add_part,
            "complete_upload": self._complete,
            "cancel_upload": self._cancel,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """POST /v1/uploads."""
        who = somebody(who)
        now_ns = self._now_ns()
        record = openai_files.read_upload(
            await exchange.body(),
            id=self._ids.new("upload"),
            created_s=now_ns // NS_PER_S,
            bytes_max=self._bytes_max,
        )
        await self._objects.check_room(who, record.bytes)
        await self._objects.create(
            who,
            StoredObject(
                id=record.id,
                kind=KIND,
                project=who.project,
                key=who.key_id,
                created_ns=now_ns,
                state=record.status,
                expires_ns=(record.created_s + UPLOAD_EXPIRES_S) * NS_PER_S,
                blob_bytes=record.bytes,
                body=msgspec.json.encode(record),
            ),
        )
        await answer_json(exchange, openai_files.write_upload(record))

    async def _add_part(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/uploads/{id}/parts."""
        who = somebody(who)
        kept, record = await self._pending(who, match)
        part = self._ids.new("part")
        async with self._blobs.writing(f"{record.id}.{part}") as file:
            await receive(
                exchange, file, name="data", bytes_max=PART_BYTES_MAX, setting="64 MB a part"
            )
            async with self._turns.of(record.id):
                await self._keep_part(who, match, file, part)
        made_s = self._now_ns() // NS_PER_S
        await answer_json(exchange, openai_files.write_part(part, kept.id, made_s))

    async def _keep_part(self, who: Principal, match: Match, file: Writing, part: str) -> None:
        """Add a part that was received, if the upload still takes it."""
        _, record = await self._pending(who, match)
        sizes = await self._sizes(who, record)
        if len(sizes) >= PARTS_MAX:
            message = f"The upload has {PARTS_MAX} parts already, and may not have more."
            raise InvalidParameter(message, param="data", code=None)
        sent = sum(sizes.values())
        if sent + file.bytes > SENT_PER_BYTE_MAX * record.bytes:
            message = f"The parts have more bytes than the upload's {record.bytes}."
            raise InvalidParameter(message, param="data", code=None)
        await file.seal()
        item = Item(part, b"%d" % file.bytes)
        if not await self._objects.append(who, KIND, record.id, [item], items_max=PARTS_MAX):
            await self._blobs.delete(f"{record.id}.{part}")
            raise openai_files.no_upload(record.id)

    async def _complete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/uploads/{id}/complete: the parts, in the client's order, become a file."""
        who = somebody(who)
        _, record = await self._pending(who, match)
        asked = openai_files.read_completion(await exchange.body())
        async with self._turns.of(record.id):
            done = await self._completed(who, match, asked)
        await answer_json(exchange, openai_files.write_upload(done))

    async def _completed(self, who: Principal, match: Match, asked: Completion) -> UploadRecord:
        """Make the file, and give what the upload is then."""
        kept, record = await self._pending(who, match)
        sizes = await self._sizes(who, record)
        for part in asked.part_ids:
            if part not in sizes:
                message = f"The upload has no part '{part[: faults.NAME_CHARS_MAX]}'."
                raise InvalidParameter(message, param="part_ids", code=None)
        total = sum(sizes[part] for part in asked.part_ids)
        if total != record.bytes:
            message = f"The parts have {total} bytes, but the upload says {record.bytes}."
            raise InvalidParameter(message, param="part_ids", code=None)
        file, made = await self._join(who, record, asked.part_ids, asked.md5)
        done = msgspec.structs.replace(record, status="completed", file=file)
        try:
            if not await self._objects.replace(who, _changed(kept, done), making=made):
                raise openai_files.not_pending(record)
        except EntenteError:
            await self._blobs.delete(file.id)
            raise
        await self._blobs.delete(record.id)
        return done

    async def _join(
        self, who: Principal, record: UploadRecord, parts: Sequence[str], md5: str | None
    ) -> tuple[FileRecord, StoredObject]:
        """Write the parts as one file, and give what it will be kept as."""
        id = self._files.new_id()
        digest = hashlib.md5(usedforsecurity=False)
        async with self._blobs.writing(id) as file:
            for part in parts:
                async for piece in self._blobs.read(f"{record.id}.{part}"):
                    digest.update(piece)
                    await file.write(piece)
            if md5 is not None and digest.hexdigest() != md5:
                message = f"The bytes have the MD5 checksum {digest.hexdigest()}, not {md5}."
                raise InvalidParameter(message, param="md5", code=None)
            await file.seal()
        wish = Wish(record.purpose, record.kept_s)
        return self._files.made(who, id, record.bytes, wish, record.filename)

    async def _cancel(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/uploads/{id}/cancel."""
        who = somebody(who)
        _, record = await self._pending(who, match)
        async with self._turns.of(record.id):
            kept, record = await self._pending(who, match)
            done = msgspec.structs.replace(record, status="cancelled")
            if not await self._objects.replace(who, _changed(kept, done)):
                raise openai_files.not_pending(record)
            await self._blobs.delete(record.id)
        await answer_json(exchange, openai_files.write_upload(done))

    async def _pending(self, who: Principal, match: Match) -> tuple[StoredObject, UploadRecord]:
        """Find an upload that takes parts. Raises ObjectNotFound or InvalidParameter."""
        id = match.parameters["id"]
        kept = await self._objects.get(who, KIND, id)
        if kept is None:
            raise openai_files.no_upload(id)
        record = msgspec.json.decode(kept.body, type=UploadRecord)
        if record.status != "pending":
            raise openai_files.not_pending(record)
        return kept, record

    async def _sizes(self, who: Principal, record: UploadRecord) -> dict[str, int]:
        """Give the bytes of each part."""
        sizes: dict[str, int] = {}
        wanted = Wanted(limit=PAGE, order=Order.ASC)
        while True:
            page = await self._objects.items(who, KIND, record.id, wanted)
            sizes |= {item.id: int(item.body) for item in page.found}
            if not page.has_more:
                return sizes
            wanted = msgspec.structs.replace(wanted, after=page.found[-1].id)


def _changed(kept: StoredObject, record: UploadRecord) -> StoredObject:
    """Give an upload that has ended. Its parts go, or have become a file, which counts itself."""
    body = msgspec.json.encode(record)
    return msgspec.structs.replace(kept, state=record.status, body=body, blob_bytes=0)
