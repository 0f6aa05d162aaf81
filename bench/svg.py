"""Plots as plain SVG: bars on a logarithmic scale, and lines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, TypeAlias

WIDTH: Final = 760
HEIGHT: Final = 340
LEFT: Final = 70
RIGHT: Final = 190
TOP: Final = 40
BOTTOM: Final = 50
BAR: Final = 26
BAR_LEFT: Final = 210
BAR_RIGHT: Final = 110
COLOURS: Final = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#bf3989")
TICKS_MIN: Final = 3
TICKS_MAX: Final = 6

Points: TypeAlias = Sequence[tuple[float, float]]


def colours(names: Sequence[str]) -> dict[str, str]:
    """Give each name a colour that it keeps in every plot."""
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def bars(title: str, values: Mapping[str, float], colour_of: Mapping[str, str]) -> str:
    """Draw a bar for each name, longer by the logarithm of its value."""
    height = TOP + BAR * len(values) + 20
    most = math.log10(max(values.values()) * 1.2)
    least = math.floor(math.log10(min(values.values())))
    room = WIDTH - BAR_LEFT - BAR_RIGHT
    parts = [_text(16, 24, title, size=15)]
    for number, (name, value) in enumerate(values.items()):
        y = TOP + BAR * number
        length = room * (math.log10(value) - least) / (most - least)
        colour = colour_of[name]
        parts += [
            _text(BAR_LEFT - 8, y + 16, name, anchor="end"),
            _bar(BAR_LEFT, y + 3, length, BAR - 8, colour),
            _text(BAR_LEFT + length + 6, y + 16, f"{value:,.0f}"),
        ]
    return _document(parts, height)


def lines(
    title: str,
    series: Mapping[str, Points],
    colour_of: Mapping[str, str],
    *,
    x_name: str,
    y_name: str,
    logarithmic: bool = False,
    dots: Sequence[str] = (),
) -> str:
    """Draw a line through the points of each series; of those in `dots` only the points."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    across = _Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, logarithmic=logarithmic)
    low = min(ys) if logarithmic else min(0.0, *ys)
    up = _Scale(low, max(ys), HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    parts = [
        _text(16, 24, title, size=15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, anchor="middle"),
        _text(16, TOP - 2, y_name),
    ]
    foot = HEIGHT - BOTTOM + 18
    parts += [_text(across(x), foot, _short(x), anchor="middle") for x in across.ticks()]
    for value in up.ticks():
        y = up(value)
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#d0d7de"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, _short(value), anchor="end"))
    for number, (name, points) in enumerate(series.items()):
        colour = colour_of[name]
        places = [(across(x), up(y)) for x, y in points]
        if name not in dots:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = TOP + 20 * number
        parts.append(_bar(WIDTH - RIGHT + 14, y, 10, 10, colour))
        parts.append(_text(WIDTH - RIGHT + 30, y + 10, name))
    return _document(parts, HEIGHT)


class _Scale:
    """Maps values to places."""

    def __init__(
        self, low: float, high: float, start: float, end: float, *, logarithmic: bool
    ) -> None:
        self._logarithmic = logarithmic
        self._low, self._high = self._of(low), self._of(high)
        if self._high == self._low:
            self._high += 1
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """Give the place of a value."""
        share = (self._of(value) - self._low) / (self._high - self._low)
        return self._start + (self._end - self._start) * share

    def ticks(self) -> list[float]:
        """Give round values within the scale."""
        if self._logarithmic:
            exponents = range(math.ceil(self._low - 1e-9), math.floor(self._high + 1e-9) + 1)
            return [10.0**exponent for exponent in exponents]
        step = 10.0 ** math.floor(math.log10(self._high - self._low))
        if (self._high - self._low) / step < TICKS_MIN:
            step /= 5
        while (self._high - self._low) / step > TICKS_MAX:
            step *= 2
        first = math.ceil(self._low / step)
        return [n * step for n in range(first, math.floor(self._high / step) + 1)]

    def _of(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value


def _short(value: float) -> str:
    """Write a tick."""
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value:,g}"  # noqa: PLR2004


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    """Write words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(words)}</text>"
    )


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """Fill a rectangle."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def _document(parts: Sequence[str], height: float) -> str:
    """Put a plot together, on white so that it can be read on any page."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" font-family="sans-serif" fill="#1f2328">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
