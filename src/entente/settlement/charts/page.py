"""One page with every chart, that needs nothing but itself; and charts as pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Final

import msgspec
import vl_convert

from entente.settlement.charts.looks import FONT, GREY, INK, Chart
from entente.settlement.simulation import Report

PICTURE_SCALE: Final = 2
HASH_CHARS_SHOWN: Final = 12

_EMBED: Final = """
const charts = JSON.parse(document.getElementById("charts").textContent);
for (const [id, spec] of charts) {
  vegaEmbed(document.getElementById(id), spec, {
    actions: {export: true, source: false, compiled: false, editor: false},
    renderer: "svg",
  });
}
"""
_STYLE: Final = f"""
body {{ margin: 0; background: #f6f7f9; color: {INK}; font: 16px/1.5 {FONT}; }}
main {{ max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }}
h1 {{ font-size: 28px; line-height: 1.2; margin: 0 0 8px; text-wrap: balance; }}
p {{ margin: 0 0 8px; max-width: 68ch; }}
.small {{ color: {GREY}; font-size: 13px; overflow-wrap: anywhere; }}
figure {{ margin: 24px 0 0; padding: 8px; background: #fff; border: 1px solid #e3e6eb;
  border-radius: 10px; overflow-x: auto; }}
h2 {{ font-size: 18px; margin: 40px 0 8px; }}
li {{ margin: 2px 0; }}
"""


def picture(chart: Chart) -> bytes:
    """Draw a chart as PNG."""
    return vl_convert.vegalite_to_png(chart.spec, scale=PICTURE_SCALE)


def page(report: Report, charts: Sequence[Chart]) -> str:
    """Write the page."""
    outline, summary = report.scenario, report.summary
    said = (
        f"{summary.paths:,} paths, {summary.steps[0]} to {summary.steps[-1]}, seed {outline.seed}. "
        f"Agreement {report.agreement}, "
        f"{'version' if len(report.versions) == 1 else 'versions'} "
        f"{', '.join(version[:HASH_CHARS_SHOWN] for version in report.versions)}."
    )
    notes = "".join(f"<p>{escape(text)}</p>" for text in (outline.note,) if text)
    figures = "".join(
        f'<figure id="{escape(chart.name)}" role="img" aria-label="{escape(chart.title)}"></figure>'
        for chart in charts
    )
    left = "".join(f"<li>{escape(text)}</li>" for text in summary.left_out)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(outline.title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{escape(outline.title)}</h1>{notes}<p class="small">{escape(said)}</p>{figures}'
        + (f"<h2>Not in these figures</h2><ul>{left}</ul>" if left else "")
        + f'</main><script type="application/json" id="charts">{_specs(charts)}</script>'
        + f"<script>{_library()}</script></body></html>\n"
    )


def _specs(charts: Sequence[Chart]) -> str:
    """Write the charts as JSON in which nothing can end a script."""
    specs = msgspec.json.encode([(chart.name, chart.spec) for chart in charts]).decode()
    return specs.replace("<", "\\u003c")


@cache
def _library() -> str:
    """Give the drawing library, with what draws the charts of a page."""
    bundle = vl_convert.javascript_bundle(_EMBED)
    return re.sub("</(?=script)", r"<\\/", bundle, flags=re.IGNORECASE)
