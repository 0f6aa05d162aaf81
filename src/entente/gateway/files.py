"""Files as stored objects: the object here, its bytes in a blob of the same name."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.errors import EntenteError, IdTaken
from entente.domain.ids import Ids, NowNs
from entente.domain.principal import Principal
from entente.objects import Blobs, Objects, StoredObject
from entente.wire.openai_files import FileRecord, Wish, no_file

FILE: Final = "file"
NS_PER_S: Final = 1_000_000_000


class FileStore:
    """Keeps and finds files for their projects."""

    def __init__(self, objects: Objects, blobs: Blobs, ids: Ids, now_ns: NowNs) -> None:
        """Take the parts."""
        self.objects = objects
        self.blobs = blobs
        self.ids = ids
        self.now_ns = now_ns

    def new_id(self) -> str:
        """Make the id of a file."""
        return self.ids.new("file").replace("_", "-", 1)

    def made(
        self, who: Principal, id: str, size: int, wish: Wish, filename: str
    ) -> tuple[FileRecord, StoredObject]:
        """Give a new file, and what it is kept as."""
        now_ns = self.now_ns()
        created_s = now_ns // NS_PER_S
        record = FileRecord(
            id=id,
            bytes=size,
            created_s=created_s,
            filename=filename,
            purpose=wish.purpose,
            expires_s=None if wish.expires_s is None else created_s + wish.expires_s,
        )
        made = StoredObject(
            id=record.id,
            kind=FILE,
            project=who.project,
            key=who.key_id,
            created_ns=now_ns,
            state=record.purpose,  # a list is narrowed by it
            expires_ns=None if record.expires_s is None else record.expires_s * NS_PER_S,
            blob_bytes=size,
            body=msgspec.json.encode(record),
        )
        return record, made

    async def keep(
        self, who: Principal, id: str, size: int, wish: Wish, filename: str
    ) -> FileRecord:
        """Make the object of a file whose bytes are on the disk; without it they go again.

        One that is there already, from before a crash, stays.
        """
        record, made = self.made(who, id, size, wish, filename)
        try:
            await self.objects.create(who, made)
        except IdTaken:
            return await self.find(who, id)
        except EntenteError:
            await self.blobs.delete(id)
            raise
        return record

    async def find(self, who: Principal, id: str) -> FileRecord:
        """Find a file of the principal's project. Raises ObjectNotFound."""
        found = await self.objects.get(who, FILE, id)
        if found is None:
            raise no_file(id)
        return read_file(found)


def read_file(kept: StoredObject) -> FileRecord:
    """Read what a file was kept as."""
    return msgspec.json.decode(kept.body, type=FileRecord)
