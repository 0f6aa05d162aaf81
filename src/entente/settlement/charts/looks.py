"""How charts look: colours, type, amounts as people say them, names where lines end.

Numbers become binary here, and only to be drawn. Colours are those of Okabe and Ito, which
people tell apart whatever they see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias

import altair as alt
import msgspec

from entente.agreement.paths.summary import Band, Summary
from entente.settlement.simulation import Report

COLOURS: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
INK: Final = "#1b1f24"
GREY: Final = "#6b7280"
GRID: Final = "#e7e9ee"
FONT: Final = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
WIDTH_PX: Final = 760
HEIGHT_PX: Final = 320
LABEL_PX: Final = 150
"""Room behind the last step for names."""
NAMES_APART: Final = 0.055
"""Least distance of two names, as a part of the chart's height."""
HUNDRED: Final = 100
SCALES: Final = ((10**12, "tn"), (10**9, "bn"), (10**6, "m"), (10**3, "k"))

Row: TypeAlias = dict[str, Any]


class Chart(msgspec.Struct, frozen=True):
    """A chart with its name, ready to be shown or saved."""

    name: str
    title: str
    spec: dict[str, Any]


class Money:
    """Amounts of one report in the unit that suits the largest of them."""

    def __init__(self, summary: Summary, most: int) -> None:
        units = 10**summary.scale
        fits = (pair for pair in SCALES if most >= pair[0] * units)
        self._step, self.suffix = next(fits, (1, ""))
        self._units = units * self._step
        self.sign = "$" if summary.currency == "USD" else f"{summary.currency} "
        self.axis = f"{self.sign}{self.suffix}".strip()

    def drawn(self, units: Fraction | int) -> float:
        """Give an amount as it is drawn."""
        return float(Fraction(units) / self._units)

    def said(self, units: Fraction | int) -> str:
        """Write an amount as people say it: `$38bn`, `$0.46bn`."""
        amount = self.drawn(units)
        if abs(amount) >= HUNDRED:
            text = f"{amount:,.0f}"
        else:
            text = f"{amount:.3g}" if abs(amount) >= 1 or not amount else f"{amount:.2g}"
        return f"{self.sign}{text}{self.suffix}"


def styled(chart: Any, name: str, title: str, subtitle: str) -> Chart:
    """Give a chart its title and the looks that all of them share."""
    said = alt.TitleParams(
        text=title, subtitle=subtitle, anchor="start", frame="bounds", offset=18,
        fontSize=17, fontWeight=600, color=INK, font=FONT,
        subtitleFontSize=12.5, subtitleColor=GREY, subtitleFont=FONT, subtitlePadding=6,
    )  # fmt: skip
    drawn = (
        chart.properties(title=said, background="white", padding=18)
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=GREY, titleColor=GREY, labelFontSize=11.5, titleFontSize=11.5,
            titleFontWeight="normal", gridColor=GRID, domainColor="#c6cad2", tickColor="#c6cad2",
        )
        .configure_legend(labelColor=INK, titleColor=GREY, labelFontSize=12)
        .configure_header(labelColor=INK, labelFontSize=13, labelFontWeight=600)
    )  # fmt: skip
    return Chart(name, title, drawn.to_dict())


def data_of(rows: Iterable[Row]) -> alt.Chart:
    """Begin a chart of rows."""
    return alt.Chart(alt.InlineData(values=list(rows)))


def time_axis() -> Any:
    """Give the axis of time: each step stands at its end."""
    return alt.X("end:T", title=None, axis=alt.Axis(format="%Y", grid=False, tickCount=10))


def band_rows(summary: Summary, band: Band, money: Money, who: str) -> Iterator[Row]:
    """Give a row for each step, with the quantiles as drawn and as said."""
    fields = ("p5", "p25", "p50", "p75", "p95")
    columns = (band.p5, band.p25, band.p50, band.p75, band.p95)
    for number, end in enumerate(summary.ends):
        row: Row = {"who": who, "end": end, "step": summary.steps[number]}
        for name, column in zip(fields, columns, strict=True):
            row[name] = money.drawn(column[number])
            row[f"said_{name}"] = money.said(column[number])
        yield row


def fan(rows: Sequence[Row], colour: Any, axis: str) -> Any:
    """Draw nine tenths and a half of the paths as bands, the middle one as a line."""
    base = data_of(rows)
    tooltip = [alt.Tooltip("who:N", title="Of"), alt.Tooltip("step:N", title="Through")]
    tooltip += [
        alt.Tooltip(f"said_p{per_cent}:N", title=said)
        for per_cent, said in ((95, "95 % below"), (50, "Half below"), (5, "5 % below"))
    ]
    y = alt.Y("p5:Q", title=axis, axis=alt.Axis(tickCount=6, minExtent=44))
    wide = base.mark_area(opacity=0.16).encode(time_axis(), y, y2="p95:Q", color=colour)
    narrow = base.mark_area(opacity=0.3).encode(
        time_axis(), alt.Y("p25:Q"), y2="p75:Q", color=colour
    )
    line = base.mark_line(strokeWidth=2.4).encode(
        time_axis(), alt.Y("p50:Q"), color=colour, tooltip=tooltip
    )
    return wide, narrow, line


def colours(names: Sequence[str]) -> Any:
    """Give each name its colour."""
    range_ = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    return alt.Color("who:N", scale=alt.Scale(domain=list(names), range=range_), legend=None)


def end_labels(ends: Sequence[tuple[str, float, str]], colour: Any, *, x: tuple[str, Any]) -> Any:
    """Write names behind the ends of lines, moved apart where they would cover each other."""
    field, at = x
    most = max((y for _, y, _ in ends), default=1.0) or 1.0
    placed: list[Row] = []
    floor = float("-inf")
    for who, y, text in sorted(ends, key=lambda end: end[1]):
        floor = max(y, floor + most * NAMES_APART)
        placed.append({"who": who, "y": floor, "text": text, field.partition(":")[0]: at})
    return (
        data_of(placed)
        .mark_text(align="left", dx=8, fontSize=12.5, fontWeight=600)
        .encode(alt.X(field), alt.Y("y:Q"), text="text:N", color=colour)
    )


def said_of(report: Report, said: str) -> str:
    """Say below a title what is drawn, and how."""
    paths = report.summary.paths
    line = "Line: the middle path; bands: half, and nine tenths, of"
    return f"{said} {line} {paths:,} paths."
