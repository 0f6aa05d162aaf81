"""The input of a batch on the disk, and where each of its lines is."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable

from entente.domain.errors import BodyTooLarge
from entente.objects import Blobs

Look = Callable[[bytes, int], bool]
"""Is given each line and its number, from one; says whether to go on."""


class Lines:
    """The lines of a blob: read one at a time, by their number from zero. Blank ones are none."""

    def __init__(self, blobs: Blobs, name: str) -> None:
        """Take the blob; nothing is read yet."""
        self._blobs = blobs
        self._name = name
        self._offsets = array("Q")
        self._lengths = array("Q")

    def __len__(self) -> int:
        """Count the lines."""
        return len(self._offsets)

    def drop(self) -> None:
        """Have none of them."""
        del self._offsets[:], self._lengths[:]

    async def find(self, look: Look, line_bytes_max: int | None) -> None:
        """Go through the file once, and note where the lines are.

        Raises BodyTooLarge for a line beyond the bound, which is named. None is for lines that
        have been accepted: a bound that was lowered since leaves none of them out.
        """
        number = 0
        async for offset, line in self._split(line_bytes_max):
            number += 1
            if line.strip():
                self._offsets.append(offset)
                self._lengths.append(len(line))
                if not look(line, number):
                    return

    async def _split(self, line_bytes_max: int | None) -> AsyncIterator[tuple[int, bytes]]:
        """Give each line with its offset."""
        begun: list[bytes] = []
        size = offset = 0
        async for piece in self._blobs.read(self._name):
            first, *others = piece.split(b"\n")
            begun.append(first)
            size += len(first)
            for next_one in others:
                yield offset, b"".join(begun)
                offset += size + 1
                begun, size = [next_one], len(next_one)
            if line_bytes_max is not None and size > line_bytes_max:
                raise BodyTooLarge(f"A line is longer than {line_bytes_max} bytes.")
        if size:
            yield offset, b"".join(begun)

    async def read(self, number: int) -> bytes:
        """Read one line."""
        return await self._blobs.read_part(self._name, self._offsets[number], self._lengths[number])
