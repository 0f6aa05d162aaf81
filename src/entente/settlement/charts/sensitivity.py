"""Sensitivity: which of the things that were varied matters, and how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import altair as alt

from entente.agreement.paths.summary import MEDIAN
from entente.settlement.charts.looks import (
    COLOURS,
    INK,
    LABEL_PX,
    WIDTH_PX,
    Chart,
    Money,
    Row,
    data_of,
    styled,
)
from entente.settlement.simulation import Report, Sensitivity

BAR_PX: Final = 16
ROW_PX: Final = 46


def sensitivity(report: Report) -> Iterator[Chart]:
    """Draw what the watched party receives in the middle path as one thing varies."""
    if not report.sensitivity:
        return
    ordered = sorted(report.sensitivity, key=_spread, reverse=True)
    planned = ordered[0].as_planned[MEDIAN]
    ends = [each.received[MEDIAN] for sweep in ordered for each in sweep.varied]
    money = Money(report.summary, max(*ends, planned))
    name = report.names.get(report.scenario.watch or "", "")
    rows = alt.Y(
        "sweep:N",
        sort=[sweep.title for sweep in ordered],
        title=None,
        axis=alt.Axis(
            labelLimit=320, labelFontSize=12.5, labelColor=INK, labelPadding=10,
            domain=False, ticks=False,
        ),
    )  # fmt: skip
    x = alt.X(
        "low:Q",
        title=f"{name} receives by the end of {report.summary.steps[-1]}, {money.axis}",
        scale=alt.Scale(zero=False, nice=True, padding=60),
    )
    bars = data_of(list(_bars(ordered, planned, money)))
    line = data_of([{"at": money.drawn(planned)}])
    chart = alt.layer(
        bars.mark_bar(height=BAR_PX, color=COLOURS[5], opacity=0.55).encode(x, rows, x2="high:Q"),
        line.mark_rule(color=INK, strokeWidth=1.4).encode(x="at:Q"),
        *_spots(ordered, planned, money, rows),
    ).properties(width=WIDTH_PX - LABEL_PX, height=ROW_PX * len(ordered))
    title = f"{ordered[0].title}: nothing that was varied matters more to {name}"
    said = f"The middle path as one thing varies. Line: as planned, {money.said(planned)}."
    yield styled(chart, "sensitivity", title, said)


def _spread(sweep: Sensitivity) -> int:
    ends = [sweep.as_planned[MEDIAN], *(each.received[MEDIAN] for each in sweep.varied)]
    return max(ends) - min(ends)


def _bars(ordered: Sequence[Sensitivity], planned: int, money: Money) -> Iterator[Row]:
    for sweep in ordered:
        ends = [planned, *(each.received[MEDIAN] for each in sweep.varied)]
        yield {
            "sweep": sweep.title,
            "low": money.drawn(min(ends)),
            "high": money.drawn(max(ends)),
        }


def _spots(ordered: Sequence[Sensitivity], planned: int, money: Money, rows: Any) -> Iterator[Any]:
    """Draw a point for each outcome, and beside it the values that lead to it."""
    data = data_of(list(_outcomes(ordered, planned, money)))
    yield data.mark_circle(size=70, color=COLOURS[0], opacity=1).encode(
        alt.X("at:Q"),
        rows,
        tooltip=[alt.Tooltip("value:N", title="With"), alt.Tooltip("said:N", title="Receives")],
    )
    sides: tuple[tuple[str, Literal["left", "right"], int], ...]
    sides = (("true", "right", -9), ("false", "left", 9))
    for flag, align, dx in sides:
        yield (
            data.transform_filter(f"datum.left == {flag}")
            .mark_text(align=align, dx=dx, fontSize=11.5, color=INK)
            .encode(alt.X("at:Q"), rows, text="value:N")
        )


def _outcomes(ordered: Sequence[Sensitivity], planned: int, money: Money) -> Iterator[Row]:
    for sweep in ordered:
        values: dict[int, list[str]] = {}
        for each in sweep.varied:
            values.setdefault(each.received[MEDIAN], []).append(each.value)
        for received, said in values.items():
            yield {
                "sweep": sweep.title,
                "at": money.drawn(received),
                "value": " or ".join(said),
                "said": money.said(received),
                "left": received < planned,
            }
