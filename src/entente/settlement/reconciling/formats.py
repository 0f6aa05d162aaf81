"""The exports that can be read: which one a file is, by what stands at its head."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Final

from entente.domain.errors import InvalidParameter
from entente.settlement.reconciling import anthropic, azure, focus, openai, requests
from entente.settlement.reconciling.model import Line
from entente.settlement.reconciling.source import Source

_READERS: Final[tuple[ModuleType, ...]] = (openai, anthropic, focus, azure, requests)
FORMATS: Final = tuple(str(reader.NAME) for reader in _READERS)


def read(source: Source, form: str | None = None) -> Iterator[Line]:
    """Give the lines of an export in a form, or in the one that it looks like.

    Raises InvalidParameter where that cannot be told, and with the place where a line is wrong.
    """
    for reader in _READERS:
        if form == reader.NAME or (form is None and reader.recognises(source)):
            lines: Iterator[Line] = reader.read(source)
            return lines
    message = (
        f"{source.name}: it looks like none of the exports that can be read. Name its form with "
        f"--format, one of {', '.join(FORMATS)}; docs/reconcile.md has the columns of each."
    )
    raise InvalidParameter(message, param="file", code=None)
