"""Arrays of exact numbers.

A number is `whole + part / of` with one denominator for the whole array, in 64-bit integers
wherever these hold everything that can come up, else in Python's own integers, which are
slower and have no end. Nothing here is rounded but in `rounded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor, lcm
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[Any]
"""Whole numbers of any size: int64, or objects that are Python's int."""
Flags: TypeAlias = npt.NDArray[np.bool_]

FITS_MAX: Final = 2**62
"""Below this two numbers can be added without an overflow of 64 bits."""


class Exacts(NamedTuple):
    """Numbers `whole + part / of`, with `0 <= part < of`."""

    whole: Ints
    part: Ints
    of: int


def denominator(numbers: Iterable[Fraction]) -> int:
    """Give the least denominator in which all numbers are whole."""
    return lcm(*(number.denominator for number in numbers))


def roomy(amounts: Ints, of: int, factor: Fraction = Fraction(1), terms: int = 1) -> Ints:
    """Give amounts in integers that hold sums of `terms` of them, `factor` times, over `of`."""
    if amounts.dtype == object:
        return amounts
    most = max(abs(int(amounts.max(initial=0))), abs(int(amounts.min(initial=0))))
    scale = max(Fraction(1), abs(factor))
    fits = most * terms * scale < FITS_MAX and of * of * scale * 2 < FITS_MAX
    return amounts if fits else amounts.astype(object)


def scaled(amounts: Ints, numerator: int | Ints, of: int) -> Exacts:
    """Multiply whole amounts by `numerator / of` without a product that leaves 64 bits."""
    quotient, rest = _divided(amounts, of)
    carried, part = _divided(rest * numerator, of)
    return Exacts(quotient * numerator + carried, part, of)


def plus(left: Exacts, right: Exacts) -> Exacts:
    """Add numbers of one denominator."""
    return _carried(left.whole + right.whole, left.part + right.part, left.of)


def minus(left: Exacts, right: Exacts) -> Exacts:
    """Subtract numbers of one denominator."""
    return _carried(left.whole - right.whole, left.part - right.part, left.of)


def summed(numbers: Exacts) -> Exacts:
    """Add up along the columns: each column becomes the sum of those up to it."""
    whole, part = np.cumsum(numbers.whole, axis=1), np.cumsum(numbers.part, axis=1)
    return _carried(whole, part, numbers.of)


def zeros(rows: int, of: int, kind: npt.DTypeLike) -> Exacts:
    """Give a column of zeros."""
    return Exacts(np.zeros(rows, kind), np.zeros(rows, kind), of)


def stacked(columns: Sequence[Exacts]) -> Exacts:
    """Put columns side by side."""
    whole = np.stack([column.whole for column in columns], axis=1)
    return Exacts(whole, np.stack([c.part for c in columns], axis=1), columns[0].of)


def portion(numbers: Exacts, ratio: Fraction) -> Exacts:
    """Multiply by a ratio for which the denominator has been chosen fine enough."""
    quotient, rest = _divided(numbers.whole, ratio.denominator)
    part = (rest * numbers.of + numbers.part) * ratio.numerator // ratio.denominator
    return _carried(quotient * ratio.numerator, part, numbers.of)


def constant(number: Fraction, like: Exacts) -> Exacts:
    """Give one number in the form of an array; it stands for every element."""
    whole = floor(number)
    kind = like.whole.dtype
    part = int((number - whole) * like.of)
    return Exacts(np.array(whole, kind), np.array(part, kind), like.of)


def less(left: Exacts, right: Exacts) -> Flags:
    """Say where the left number is less than the right one."""
    tie = (left.whole == right.whole) & (left.part < right.part)
    return np.asarray((left.whole < right.whole) | tie, np.bool_)


def where(flags: Flags, yes: Exacts, no: Exacts) -> Exacts:
    """Choose number by number."""
    whole = np.where(flags, yes.whole, no.whole)
    return Exacts(whole, np.where(flags, yes.part, no.part), yes.of)


def least(left: Exacts, right: Exacts) -> Exacts:
    """Give the lesser of each two numbers."""
    return where(less(right, left), right, left)


def most(left: Exacts, right: Exacts) -> Exacts:
    """Give the greater of each two numbers."""
    return where(less(left, right), right, left)


def rounded(parts: Sequence[Exacts], closed: Sequence[Flags]) -> tuple[Ints, ...]:
    """Round to whole units as `values.floor_then_first` does, number by number.

    `closed` says for each part where its payee has reached a cap.
    """
    down = _rounded_down(parts, closed)
    below = _total(parts).whole < 0
    if not below.any():
        return down
    up = _rounded_down([negated(part) for part in parts], closed)
    return tuple(np.where(below, -up[i], down[i]) for i in range(len(parts)))


def _total(parts: Sequence[Exacts]) -> Exacts:
    total = parts[0]
    for part in parts[1:]:
        total = plus(total, part)
    return total


def _rounded_down(parts: Sequence[Exacts], closed: Sequence[Flags]) -> tuple[Ints, ...]:
    units = [part.whole for part in parts]
    left = _total(parts).whole - sum(part.whole for part in parts)
    for shut in (False, True):
        for number, flags in enumerate(closed):
            given = (left > 0) & (flags == shut)
            units[number] = units[number] + given
            left = left - given
    return tuple(units)


def negated(number: Exacts) -> Exacts:
    """Give the numbers with the other sign."""
    return _carried(-number.whole, -number.part, number.of)


def _carried(whole: Ints, part: Ints, of: int) -> Exacts:
    carried, part = _divided(part, of)
    return Exacts(whole + carried, part, of)


def _divided(numbers: Ints, by: int) -> tuple[Ints, Ints]:
    quotient = numbers // by
    return quotient, numbers - quotient * by
