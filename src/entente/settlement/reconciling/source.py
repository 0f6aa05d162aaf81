"""Reading an export: rows of CSV, or JSON, piece by piece, each with its place in the file.

A CSV file is read row by row, and so is JSON with one value a line; any other JSON is one
document and has a bound. Whatever is wrong is said with file, line and column.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Final, NoReturn, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.values import instant_ns, next_day_ns
from entente.domain.errors import InvalidParameter
from entente.domain.money import NANO_PER_UNIT
from entente.settlement.reconciling.model import Tokens

DOCUMENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""JSON that is one document over several lines is read whole."""
START_BYTES: Final = 4096
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
FIELD_CHARS_MAX: Final = 64 * 1024
COLUMNS_MAX: Final = 512
DIGITS_MAX: Final = 40
TOKENS_MAX: Final = 10**15
SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""
MARK_BYTES: Final = 16
UTC: Final = ZoneInfo("UTC")
NS_PER_S: Final = 1_000_000_000

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]
Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=SECONDS_MAX)]
"""Since 1970."""

T = TypeVar("T")


class Source:
    """A file that is open, its name for people, and the digest of what was read."""

    def __init__(self, name: str, file: io.BufferedReader) -> None:
        """Read from `file`, which must be at its beginning."""
        self.name = name
        self._file = file
        self.start = file.peek(START_BYTES)[:START_BYTES]
        """How the file begins, to tell what it is."""
        self._digest = hashlib.sha256()
        self._line = 0
        self._first = self._next()

    @property
    def digest(self) -> str:
        """SHA-256 of what was read so far: of the file, when it was read to its end."""
        return self._digest.hexdigest()

    @property
    def head(self) -> bytes:
        """The first line, without the mark of byte order that spreadsheets put there."""
        return self._first.removeprefix(b"\xef\xbb\xbf")

    @property
    def is_json(self) -> bool:
        """Whether it begins as JSON does."""
        return self.head.lstrip()[:1] in (b"{", b"[")

    def wrong(self, what: str, line: int = 0) -> NoReturn:
        """Raise InvalidParameter with the place."""
        place = f"{self.name}:{line}" if line else self.name
        raise InvalidParameter(f"{place}: {what}.", param="file", code=None)

    def amount(self, number: Decimal, place: str) -> Fraction:
        """Give a decimal exactly. Raises InvalidParameter with the place."""
        try:
            return exact(number)
        except ValueError as error:
            self.wrong(f"{place}: {number} cannot be an amount: {error}")

    def _next(self) -> bytes:
        line = self._file.readline(LINE_BYTES_MAX + 1)
        self._digest.update(line)
        self._line += 1
        if len(line) > LINE_BYTES_MAX:
            self.wrong(f"a line takes {LINE_BYTES_MAX} bytes", self._line)
        return line

    def _lines(self) -> Iterator[bytes]:
        yield self.head
        while line := self._next():
            yield line

    def documents(self, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[int, T]]:
        """Give the JSON values in the file, each with its line."""
        if not _is_value(self.head):
            yield 1, self._decode(decoder, b"".join(self._whole()), 0)
            return
        for number, line in enumerate(self._lines(), 1):
            if line.strip():
                yield number, self._decode(decoder, line, number)

    def _whole(self) -> Iterator[bytes]:
        size = 0
        for line in self._lines():
            size += len(line)
            if size > DOCUMENT_BYTES_MAX:
                self.wrong(
                    f"JSON over several lines takes {DOCUMENT_BYTES_MAX} bytes; "
                    "write one page a line"
                )
            yield line

    def _decode(self, decoder: msgspec.json.Decoder[T], data: bytes, line: int) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.wrong(f"{error}", line)

    def rows(self) -> Iterator[Row]:
        """Give the rows of a CSV file: separated by commas, semicolons or tabs, as its head is."""
        head = self.head.decode("utf-8", "replace")
        separator = max(",;\t", key=head.count)
        csv.field_size_limit(FIELD_CHARS_MAX)
        text = (line.decode() for line in self._lines())
        reader = csv.reader(text, delimiter=separator, strict=True)
        try:
            names = [_column(name) for name in next(reader, [])]
            if len(names) > COLUMNS_MAX:
                self.wrong(f"a row takes {COLUMNS_MAX} columns", 1)
            for values in reader:
                if not any(values):
                    continue
                if len(values) > len(names):
                    self.wrong(
                        f"the row has {len(values)} fields under {len(names)} columns",
                        reader.line_num,
                    )
                fields = dict(zip(names, values, strict=False))
                yield Row(self, reader.line_num, fields, mark(*values))
        except (csv.Error, UnicodeDecodeError) as error:
            self.wrong(f"{error}", reader.line_num)

    def columns(self) -> frozenset[str]:
        """Give the names of a CSV file's columns, as rows have them; none where it is no CSV."""
        head = self.head.decode("utf-8", "replace")
        separator = max(",;\t", key=head.count)
        try:
            return frozenset(map(_column, next(csv.reader([head], delimiter=separator), [])))
        except csv.Error:
            return frozenset()


class Row:
    """A row of a CSV file: fields by column, in small letters without spaces."""

    def __init__(self, source: Source, line: int, fields: dict[str, str], mark_: bytes) -> None:
        """Keep what the row says, and where."""
        self.source, self.line, self.fields, self.mark = source, line, fields, mark_

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.source.name}:{self.line}"

    def wrong(self, column: str, what: str) -> NoReturn:
        """Raise InvalidParameter with line and column."""
        self.source.wrong(f"{column}: {what}", self.line)

    def text(self, *columns: str, default: str | None = None) -> str:
        """Give the first of the columns that there is and that says something."""
        found = next((self.fields[name] for name in columns if self.fields.get(name)), default)
        if found is None:
            self.wrong(columns[0], "the row says nothing there")
        return found.strip()

    def decimal(self, *columns: str) -> Fraction:
        """Read an exact number."""
        text = self.text(*columns)
        try:
            return exact(Decimal(text))
        except (InvalidOperation, ValueError):
            self.wrong(self._said(columns), f"{text!r} is no number")

    def count(self, *columns: str) -> int:
        """Read a count; nothing is none."""
        text = self.text(*columns, default="0").replace(",", "")
        if not text.removesuffix(".0").isdecimal() or len(text) > DIGITS_MAX:
            self.wrong(self._said(columns), f"{text!r} is no count")
        return self.bounded(int(text.removesuffix(".0")), self._said(columns))

    def bounded(self, count: int, column: str) -> int:
        """Refuse what no month can hold."""
        if not 0 <= count <= TOKENS_MAX:
            self.wrong(column, f"{count} is not between 0 and {TOKENS_MAX}")
        return count

    def day(self, *columns: str) -> tuple[int, int]:
        """Read a day as its first instant and the first behind it, both in UTC."""
        text = self.text(*columns)[:10]
        parts = text.split("/")
        if len(parts) == len("mdy"):  # as American spreadsheets write it
            text = f"{parts[2]}-{parts[0]:0>2}-{parts[1]:0>2}"
        try:
            return instant_ns(text, UTC), next_day_ns(text, UTC)
        except (ValueError, OverflowError):
            self.wrong(self._said(columns), f"{text!r} is no day such as 2026-11-30")

    def instant(self, *columns: str) -> int:
        """Read an instant, in seconds since 1970 or as text."""
        return self.moment(self.text(*columns), self._said(columns))

    def moment(self, text: str, column: str) -> int:
        """Read what a column says as an instant."""
        try:
            return moment_ns(text)
        except ValueError as error:
            self.wrong(column, f"{error}")

    def _said(self, columns: tuple[str, ...]) -> str:
        return next((name for name in columns if self.fields.get(name)), columns[0])


def _column(name: str) -> str:
    """Write a column's name as rows have it: Azure's exports differ in case and underscores."""
    return name.strip().lower().replace(" ", "_")


def _is_value(line: bytes) -> bool:
    """Say whether a line is a whole JSON value."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def mark(*said: object) -> bytes:
    """Condense what a line says."""
    return hashlib.blake2b(repr(said).encode(), digest_size=MARK_BYTES).digest()


def exact(number: Decimal) -> Fraction:
    """Give a decimal as nano-units. Raises ValueError for one that is out of all bounds."""
    if not number.is_finite() or abs(number.adjusted()) > DIGITS_MAX:
        message = "it is out of all bounds"
        raise ValueError(message)
    return Fraction(number)


def nano(number: Fraction) -> Fraction:
    """Give whole units as nano-units."""
    return number * NANO_PER_UNIT


def moment_ns(text: str) -> int:
    """Read an instant: seconds since 1970, or text with a zone; without one it is in UTC.

    Raises ValueError.
    """
    if text.isdecimal():
        if len(text) > len(f"{SECONDS_MAX}") or int(text) > SECONDS_MAX:
            message = f"{text!r} is no instant that a calendar has"
            raise ValueError(message)
        return int(text) * NS_PER_S
    plain = text.replace(" ", "T", 1)
    if "T" in plain and not plain.endswith("Z") and "+" not in plain and "-" not in plain[10:]:
        plain += "Z"
    return instant_ns(plain, UTC)


def clean(tokens: Tokens) -> Tokens:
    """Leave out classes without a count."""
    return {name: count for name, count in tokens.items() if count}
