"""What the query of a URL asks of a list: how many, in which order, from where on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from entente.domain.errors import InvalidParameter
from entente.objects import Order, Wanted
from entente.wire.openai_responses import faults

FIELDS_MAX: Final = 64
VALUE_CHARS_MAX: Final = 512
PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 20
NUMBER_MAX: Final = 2**53
TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False, "": False}

Fields = Mapping[str, Sequence[str]]
"""The values of each field, in their order."""


def read_query(query: bytes) -> Fields:
    """Read a query as it was sent. Raises InvalidParameter for one beyond the bounds."""
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError:
        message = f"The query of the URL has more than {FIELDS_MAX} fields."
        raise InvalidParameter(message, param=None, code=None) from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if len(value) > VALUE_CHARS_MAX:
            raise faults.too_long(name[: faults.NAME_CHARS_MAX], len(value), VALUE_CHARS_MAX)
        found.setdefault(name, []).append(value)
    return found


def text(fields: Fields, name: str) -> str | None:
    """Give a field's last value; None for an absent or an empty one."""
    values = fields.get(name)
    return (values[-1] or None) if values else None


def boolean(fields: Fields, name: str) -> bool:
    """Read a switch; an absent one is off. Raises InvalidParameter."""
    value = (text(fields, name) or "").lower()
    if value not in TRUTHS:
        raise faults.wrong_type(name, "a boolean", "a string")
    return TRUTHS[value]


def number(
    fields: Fields, name: str, *, least: int = 0, most: int = NUMBER_MAX, default: int
) -> int:
    """Read a whole number within bounds. Raises InvalidParameter."""
    value = text(fields, name)
    if value is None:
        return default
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise faults.wrong_type(name, "an integer", "a string")
    found = int(value)
    if not least <= found <= most:
        raise faults.out_of_bounds(name, found, least, most)
    return found


def wanted(fields: Fields, *, order: Order, most: int = PAGE_MAX) -> Wanted:
    """Read which page of a list is wanted; `order` is the list's own. Raises InvalidParameter."""
    asked = text(fields, "order") or order.value
    if asked not in (Order.ASC, Order.DESC):
        raise faults.wrong_value("order", asked, ("asc", "desc"))
    return Wanted(
        limit=number(fields, "limit", least=1, most=most, default=PAGE_DEFAULT),
        order=Order(asked),
        after=text(fields, "after"),
        before=text(fields, "before"),
    )
