"""Filing statements: each once, whole or not at all, and never another one in its place.

A closed statement is a file of its canonical bytes, named by agreement, statement and period.
Filing it again changes nothing; a process that dies while it files leaves nothing behind that
counts. What parties owe one another after all periods is the sum of the filed postings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from entente.agreement.settle.statement import Statement, canonical
from entente.agreement.values import dec_hook
from entente.domain.errors import IdempotencyConflict, InvalidParameter, LedgerCorrupt

SUFFIX: Final = ".json"
STATEMENT_BYTES_MAX: Final = 256 * 1024 * 1024

_decoder: Final = msgspec.json.Decoder(Statement, dec_hook=dec_hook)


def place(folder: Path, statement: Statement) -> Path:
    """Name the file of a statement."""
    name = f"{statement.period}{SUFFIX}"
    return folder / statement.agreement / statement.statement / name


def file(folder: Path, statement: Statement) -> Path:
    """Keep a closed statement for good, and give its place.

    Raises InvalidParameter for one whose books are open, and IdempotencyConflict where the
    period was stated otherwise.
    """
    if not statement.final:
        message = f"The books of {statement.period} close at {statement.closes}; file it then."
        raise InvalidParameter(message, param="period", code=None)
    target, content = place(folder, statement), canonical(statement)
    target.parent.mkdir(parents=True, exist_ok=True)
    claim = target.with_name(f".{target.name}.{os.getpid()}")
    with claim.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(claim, target)
    except FileExistsError:
        if target.read_bytes() != content:
            message = (
                f"{target} states {statement.period} otherwise. The log or the agreement was "
                "changed for a time that was settled; add what is new as facts known later."
            )
            raise IdempotencyConflict(message) from None
    finally:
        claim.unlink()
    _sync(target.parent)
    return target


def filed(folder: Path, agreement: str, statement: str) -> Iterator[Statement]:
    """Give what was filed, in the order of periods. Raises LedgerCorrupt for a damaged file."""
    for path in sorted((folder / agreement / statement).glob(f"*{SUFFIX}")):
        if path.name.startswith("."):
            continue
        if path.stat().st_size > STATEMENT_BYTES_MAX:
            message = f"{path} is larger than any statement."
            raise LedgerCorrupt(message)
        content = path.read_bytes()
        try:
            found = _decoder.decode(content)
        except (msgspec.MsgspecError, ValueError) as error:
            message = f"{path} does not read as a statement: {error}."
            raise LedgerCorrupt(message) from error
        if canonical(found) != content:
            message = f"{path} is not as it was filed."
            raise LedgerCorrupt(message)
        yield found


def owed(statements: Iterator[Statement]) -> dict[tuple[str, str], int]:
    """Sum what each account has received, less what it gave: nano-units by account and asset."""
    sums: dict[tuple[str, str], int] = {}
    for statement in statements:
        for posting in statement.postings:
            for account, sign in ((posting.source, -1), (posting.destination, 1)):
                name = (account, posting.asset)
                sums[name] = sums.get(name, 0) + sign * posting.nano
    return sums


def _sync(folder: Path) -> None:
    """Let the folder's new entry reach the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
