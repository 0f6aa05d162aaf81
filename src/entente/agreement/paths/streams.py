"""Amounts by path and step, in whole units of the document's scale.

What is known is computed exactly; what is drawn is drawn as a binary number and rounded
once, to the nearest unit. From there on every number is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import accumulate
from operator import mul
from typing import Final, TypeAlias

import numpy as np

from entente.agreement.paths.draws import Floats, Paths, Scores, numbers
from entente.agreement.paths.exacts import FITS_MAX, Ints
from entente.agreement.paths.plan import (
    Combined,
    Draw,
    Grown,
    Listed,
    Part,
    Plan,
    Shock,
    Sold,
    Stream,
)
from entente.domain.errors import ConfigError

AMOUNT_MAX: Final = 10**18
"""Whole units of currency in one step; beyond, a scenario is wrong."""

Known: TypeAlias = tuple[Fraction, ...]
Amounts: TypeAlias = Known | Floats
"""By step for all paths at once, or by path and step."""


def draw_of(stream: Stream) -> Draw | None:
    """Give what moves a stream, if something does."""
    match stream:
        case Grown():
            return stream.growth
        case Part():
            return stream.ratio
        case Sold():
            return stream.change
        case _:
            return None


def amounts(plan: Plan, paths: Paths, units: Mapping[str, int]) -> dict[str, Ints]:
    """Give every stream in whole units: a row for each path, or one row for all of them.

    `units` says for each stream how many units are one.

    Raises ConfigError for a stream that grows beyond everything.
    """
    made = _Making(plan, paths).all()
    return {name: _in_units(name, found, units[name]) for name, found in made.items()}


class _Making:
    """The streams of a range of paths, one after another."""

    def __init__(self, plan: Plan, paths: Paths) -> None:
        self._plan = plan
        self._steps = plan.scenario.steps
        widths = {
            stream.id: self._steps if draw.each == "step" else 1
            for stream in plan.streams
            if (draw := draw_of(stream)) is not None and draw.is_random()
        }
        self._scores = Scores(paths, widths, plan.correlations)
        self._shocks = {shock.id: running(shock, paths, self._steps) for shock in plan.shocks}
        self._made: dict[str, Amounts] = {}

    def all(self) -> Mapping[str, Amounts]:
        """Make them."""
        for stream in self._plan.ordered():
            self._made[stream.id] = self._shocked(stream.id, self._stream(stream))
        return self._made

    def _stream(self, stream: Stream) -> Amounts:
        match stream:
            case Listed():
                left = self._steps - len(stream.amounts)
                return (*stream.amounts, *(Fraction(0),) * left)[: self._steps]
            case Grown():
                return _times(self._course(stream.id, stream.growth), stream.first)
            case Part():
                return _product(self._made[stream.of], self._values(stream.id, stream.ratio))
            case Sold():
                price = _times(self._course(stream.id, stream.change), stream.price)
                return _product(self._made[stream.quantity], price)
            case Combined():
                return _combined([(self._made[name], factor) for name, factor in stream.of.items()])

    def _values(self, name: str, draw: Draw) -> Amounts:
        """Give a draw's numbers for each step."""
        if not draw.is_random():
            return tuple(draw.known(step) for step in range(self._steps))
        drawn = numbers(draw, self._scores.of(name))
        return np.broadcast_to(drawn, (drawn.shape[0], self._steps))

    def _course(self, name: str, growth: Draw) -> Amounts:
        """Give what one becomes by growth: 1, 1 + g, (1 + g)(1 + g'), …; never below zero."""
        rates = self._values(name, growth)
        if isinstance(rates, tuple):
            known = (Fraction(1), *(max(Fraction(0), 1 + rate) for rate in rates[:-1]))
            return tuple(accumulate(known, mul))
        factors = np.ones(rates.shape)
        factors[:, 1:] = np.maximum(0.0, 1.0 + rates[:, :-1])
        with np.errstate(over="ignore"):
            return np.asarray(np.cumprod(factors, axis=1), np.float64)

    def _shocked(self, name: str, found: Amounts) -> Amounts:
        for shock in self._plan.shocks:
            factor = shock.factors.get(name)
            if factor is not None:
                runs = self._shocks[shock.id]
                found = _product(found, np.where(runs, float(factor), 1.0))
        return found


def running(shock: Shock, paths: Paths, steps: int) -> Floats:
    """Say by path and step where a shock runs (1) and where not (0)."""
    begins = paths.uniforms(f"shock:{shock.id}", steps) < float(shock.probability)
    runs = np.zeros(begins.shape)
    left = np.zeros(paths.count, np.int64)
    for step in range(steps):
        left = np.where((left == 0) & begins[:, step], shock.lasts, left)
        runs[:, step] = left > 0
        left = np.maximum(0, left - 1)
    return runs


def _floats(found: Amounts) -> Floats:
    if isinstance(found, tuple):
        return np.array([[float(number) for number in found]])
    return found


def _times(found: Amounts, factor: Fraction) -> Amounts:
    if isinstance(found, tuple):
        return tuple(number * factor for number in found)
    return found * float(factor)


def _product(left: Amounts, right: Amounts) -> Amounts:
    if isinstance(left, tuple) and isinstance(right, tuple):
        return tuple(map(mul, left, right))
    with np.errstate(over="ignore", invalid="ignore"):
        return _floats(left) * _floats(right)


def _combined(parts: list[tuple[Amounts, Fraction]]) -> Amounts:
    known = [tuple(n * factor for n in part) for part, factor in parts if isinstance(part, tuple)]
    drawn = [part * float(factor) for part, factor in parts if not isinstance(part, tuple)]
    sums = tuple(sum(column, Fraction(0)) for column in zip(*known, strict=True))
    if not drawn:
        return sums
    total = _floats(sums) if known else np.zeros((1, 1))
    for part in drawn:
        total = total + part
    return total


def _in_units(name: str, found: Amounts, units: int) -> Ints:
    """Round to whole units, ties to even."""
    floats = _floats(found)
    if not np.isfinite(floats).all() or np.abs(floats).max() > AMOUNT_MAX:
        message = f"the stream {name} grows beyond {AMOUNT_MAX:.0e} in a step: lower its growth"
        raise ConfigError(message)
    if isinstance(found, tuple):
        whole = [round(number * units) for number in found]
        kind = np.int64 if max(map(abs, whole)) < FITS_MAX else object
        return np.array([whole], kind)
    scaled = np.rint(found * units)
    if np.abs(scaled).max() < FITS_MAX:
        return scaled.astype(np.int64)
    return np.asarray(_int(scaled), object)


_int: Final = np.frompyfunc(int, 1, 1)
