"""Rows as Parquet; importing this needs pyarrow.

Rows are written in groups, so that a file of any length takes the memory of one group.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO, Final

import pyarrow as pa
from pyarrow import parquet

from entente.settlement.focus.columns import COLUMNS, VERSION, Column, Type
from entente.settlement.focus.rows import PLACES, Row

GROUP_ROWS: Final = 20_000
DIGITS: Final = 38

_TYPES: Final = {
    Type.TEXT: pa.string(),
    Type.PAIRS: pa.string(),
    Type.DECIMAL: pa.decimal128(DIGITS, PLACES),
    Type.INSTANT: pa.timestamp("us", tz="UTC"),
}


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, _TYPES[column.type], nullable=column.nullable)


def write(rows: Iterable[Row], out: BinaryIO) -> int:
    """Write rows to `out`, and give how many there were."""
    schema = pa.schema(map(_field, COLUMNS), metadata={"FOCUS_Version": VERSION})
    stream, count = iter(rows), 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while batch := list(islice(stream, GROUP_ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    return count
