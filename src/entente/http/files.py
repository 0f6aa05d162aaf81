"""The routes of files: bytes that a project keeps here, for batches and for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entente.domain.errors import BodyTooLarge, InvalidParameter, RequestError
from entente.domain.principal import Principal
from entente.gateway.files import FILE, FileStore, read_file
from entente.http import queries
from entente.http.exchange import Exchange
from entente.http.forms import FIELD_BYTES_MAX, stream_form
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query
from entente.http.routes import Match
from entente.objects import Blobs, Order, StoredObject, Wanted, Writing
from entente.wire import openai_files
from entente.wire.multipart import PartHead
from entente.wire.openai_responses import faults

LISTED_MAX: Final = 10_000
PAGE: Final = 1_000
BYTES: Final = (b"content-type", b"application/octet-stream")


class Received(msgspec.Struct):
    """What a form has brought: one file, written to the disk, and plain fields."""

    filename: str | None = None
    fields: dict[str, str] = {}


async def receive(
    exchange: Exchange, file: Writing, *, name: str, bytes_max: int, setting: str
) -> Received:
    """Write the file of a form to the disk as it comes in, and keep the form's plain fields.

    Raises RequestError for a form that is none, or has two files, and BodyTooLarge.
    """
    got = Received()
    head = PartHead("")
    plain: dict[str, bytes] = {}
    async for event in stream_form(exchange, bytes_max, setting):
        if isinstance(event, PartHead):
            head = event
            if head.filename is None:
                plain.setdefault(head.name, b"")
            elif head.name != name or got.filename is not None:
                raise InvalidParameter(
                    f"The form has to have one file, named '{name}'.", param=name, code=None
                )
            else:
                got.filename = openai_files.clean(head.filename)
        elif head.filename is None:
            plain[head.name] += event
            if len(plain[head.name]) > FIELD_BYTES_MAX:
                raise RequestError(f"The form's field '{head.name}' is too long.")
        else:
            if file.bytes + len(event) > bytes_max:
                raise BodyTooLarge(f"A file has at most {bytes_max} bytes ({setting}).")
            await file.write(event)
    try:
        got.fields = {key: value.decode() for key, value in plain.items()}
    except UnicodeDecodeError:
        raise RequestError("A field of the form is not UTF-8 text.") from None
    if got.filename is None:
        raise faults.missing(name)
    return got


class Files:
    """Serves files out of the object store and the folder of blobs."""

    def __init__(self, files: FileStore, *, bytes_max: int) -> None:
        """Serve what is kept in `files`. A file has at most `bytes_max` bytes."""
        self._files = files
        self._objects = files.objects
        self._blobs = files.blobs
        self._bytes_max = bytes_max

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "create_file": self._create,
            "list_files": self._list,
            "get_file": self._get,
            "delete_file": self._delete,
            "download_file": self._download,
        }

    async def _create(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """POST /v1/files."""
        who = somebody(who)
        await self._objects.check_room(who, 1)
        id = self._files.new_id()
        async with self._blobs.writing(id) as file:
            got = await receive(
                exchange, file, name="file", bytes_max=self._bytes_max, setting="files.bytes_max"
            )
            wish = openai_files.read_wish(got.fields)
            filename = got.filename or ""
            if wish.purpose == "batch" and not filename.endswith(".jsonl"):
                message = "Invalid file format for Batch API. Must be .jsonl"
                raise InvalidParameter(message, param="file", code=None)
            await self._objects.check_room(who, file.bytes)
            await file.seal()
        record = await self._files.keep(who, id, file.bytes, wish, filename)
        await answer_json(exchange, openai_files.write_file(record))

    async def _list(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """GET /v1/files."""
        who = somebody(who)
        fields = read_query(exchange.query)
        purpose = queries.text(fields, "purpose")
        limit = queries.number(fields, "limit", least=1, most=LISTED_MAX, default=LISTED_MAX)
        wanted = msgspec.structs.replace(
            queries.wanted({**fields, "limit": ()}, order=Order.DESC),
            limit=min(limit, PAGE),
            states=() if purpose is None else (purpose,),
        )
        found, has_more = await self._pages(who, wanted, limit)
        listed = [openai_files.write_file(read_file(one)) for one in found]
        await answer_json(exchange, openai_files.write_list(listed, has_more=has_more))

    async def _pages(
        self, who: Principal, wanted: Wanted, limit: int
    ) -> tuple[list[StoredObject], bool]:
        """Gather so many files; a page of the store has fewer than one of this list."""
        found: list[StoredObject] = []
        is_backwards = wanted.before is not None and wanted.after is None
        while True:
            page = await self._objects.page(who, FILE, wanted)
            found = [*page.found, *found] if is_backwards else [*found, *page.found]
            if not page.has_more or len(found) >= limit:
                return found, page.has_more
            mark = {"before": found[0].id} if is_backwards else {"after": found[-1].id}
            left = min(limit - len(found), PAGE)
            wanted = msgspec.structs.replace(wanted, limit=left, **mark)

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/files/{id}."""
        record = await self._files.find(somebody(who), match.parameters["id"])
        await answer_json(exchange, openai_files.write_file(record))

    async def _delete(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/files/{id}: the object first, so that nothing points at missing bytes."""
        id = match.parameters["id"]
        if not await self._objects.delete(somebody(who), FILE, id):
            raise openai_files.no_file(id)
        await self._blobs.delete(id)
        await answer_json(exchange, {"id": id, "object": "file", "deleted": True})

    async def _download(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/files/{id}/content."""
        record = await self._files.find(somebody(who), match.parameters["id"])
        await send_blob(exchange, self._blobs, record.id, record.bytes, record.filename)


async def send_blob(
    exchange: Exchange, blobs: Blobs, name: str, size: int, filename: str,
    kind: tuple[bytes, bytes] = BYTES,
) -> None:  # fmt: skip
    """Send a blob as it is, at the client's pace."""
    shown = "".join(c if (c.isascii() and c.isalnum()) or c in "-_. " else "_" for c in filename)
    disposition = (b"content-disposition", b'attachment; filename="%b"' % shown.encode())
    pieces = blobs.read(name)
    piece = await anext(pieces, b"")  # what cannot be read at all is refused, not cut off
    await exchange.start(200, (kind, disposition), length=size)
    while piece and not exchange.gone:
        if not exchange.send(piece):
            await exchange.caught_up()
        piece = await anext(pieces, b"")
    await pieces.aclose()
    await exchange.finish(b"")
