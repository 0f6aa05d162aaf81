"""A journal of any length, made up quickly: true entries, truly chained, the same each time.

    python -m bench.journal FOLDER [--entries N]

Entries are written by the product's own functions once for each kind of request; for every
other request of the kind only its id, its time, its tokens and its cost are put in their
places. So ten million entries take a minute or two, and `entente ledger verify` passes.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from entente.db import DATABASE_NAME, connect, migrate
from entente.domain.chat import Status
from entente.domain.origin import Origin
from entente.domain.usage import Usage
from entente.ledger.journal import GENESIS, encode
from entente.ledger.model import hold, settlement

ENTRIES: Final = 10_000_000
BEGIN_S: Final = 1_780_272_000
"""2026-06-01 in UTC."""
DAYS: Final = 90
NS_PER_S: Final = 1_000_000_000
PROJECTS: Final = tuple(f"project-{number}" for number in range(10))
KEYS_EACH: Final = 4
MODELS: Final = (
    ("small", "chat.completions"),
    ("medium", "responses"),
    ("large", "messages"),
    ("vectors", "embeddings"),
)
HOLD_NANO: Final = 20_000_000
ROWS_AT_ONCE: Final = 10_000

_ID: Final = "req_%016x"
_AT, _DONE = 1_111_111_111_111_111_111, 1_222_222_222_222_222_222
_INPUT, _OUTPUT = 33_333_333, 44_444_444
_COST: Final = 11_111_111
_PLACES: Final = tuple(
    (str(number).encode(), b"%d")
    for number in (_AT, _DONE, _INPUT, _OUTPUT, _COST, HOLD_NANO - _COST)
)


class Kind(NamedTuple):
    """The two lines of one kind of request, with places for what differs."""

    hold: bytes
    settlement: bytes


def kinds() -> list[Kind]:
    """Make the kinds of request: each key of each project, with each model, and with a user."""
    found = []
    for project, number, (model, api) in product(PROJECTS, range(KEYS_EACH), MODELS):
        origin = Origin(
            api=api,
            project=project,
            end_user=f"user-{number}" if number % 2 else "",
            tags=("nightly",) if not number else (),
        )
        opened = hold(
            id=_ID,
            at_ns=_AT,
            key=f"key_{project}_{number}",
            asset="USD",
            model=model,
            nano=HOLD_NANO,
            bounded=False,
            input_tokens=4_000,
            output_tokens=1_000,
            prices="bench",
            origin=origin,
        )
        closed = settlement(
            opened,
            at_ns=_DONE,
            status=Status.COMPLETE,
            usage=Usage(input=_INPUT, output=_OUTPUT),
            cost_nano=_COST,
            provider="main",
            target=f"main/{model}",
            attempts=1,
            upstream_status=200,
        )
        found.append(Kind(_with_places(encode(opened)), _with_places(encode(closed))))
    return found


def _with_places(line: bytes) -> bytes:
    for number, place in _PLACES:
        line = line.replace(number, place)
    return line


def lines(entries: int) -> Iterator[tuple[str, bytes]]:
    """Give the names and the lines of holds and settlements, evenly over the days."""
    draw = Random(1).randrange  # noqa: S311  (the same journal each time)
    every, requests = kinds(), entries // 2
    span_ns = DAYS * 86_400 * NS_PER_S
    for number in range(requests):
        at_ns = BEGIN_S * NS_PER_S + span_ns * number // requests
        kind, cost = every[draw(len(every))], draw(1, HOLD_NANO)
        id = _ID % number
        yield f"hold:{id}", kind.hold % (number, at_ns)
        used = (draw(4_000), draw(1_000))
        values = (number, at_ns + NS_PER_S, cost, HOLD_NANO - cost, *used, cost)
        yield f"settle:{id}", kind.settlement % values


def write(folder: Path, entries: int) -> None:
    """Write a data folder with such a journal."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = connect(folder / DATABASE_NAME)
    connection.execute("PRAGMA synchronous=OFF")
    migrate(connection)
    head, batch = GENESIS, list[tuple[int, str, bytes, bytes]]()
    for seq, (name, line) in enumerate(lines(entries), 1):
        head = sha256(head + line).digest()
        batch.append((seq, name, line, head))
        if len(batch) == ROWS_AT_ONCE:
            _flush(connection, batch)
    _flush(connection, batch)
    connection.close()


def _flush(connection: sqlite3.Connection, batch: list[tuple[int, str, bytes, bytes]]) -> None:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", batch)
    connection.execute("COMMIT")
    batch.clear()


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=ENTRIES, metavar="N")
    options = parser.parse_args()
    began_s = time.monotonic()
    write(options.folder, options.entries)
    print(f"{options.entries:,} entries in {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    main()
