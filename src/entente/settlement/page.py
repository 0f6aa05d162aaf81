"""A statement as one HTML page that needs nothing beside itself, on paper as on a screen."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from entente.agreement.settle.statement import Statement
from entente.settlement.tables import Table, summary, tables

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  margin: 2.5rem auto; max-width: 72rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
.state { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .85rem; }
.final { background: #e3f3e6; color: #12501f; }
.provisional { background: #fdf0d5; color: #6a4300; }
dl { display: grid; grid-template-columns: 14rem 1fr; gap: .2rem 1rem; margin: 1.2rem 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #ddd;
  vertical-align: top; overflow-wrap: anywhere; }
th { border-bottom: 2px solid #333; font-weight: 600; white-space: nowrap; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
blockquote { margin: .3rem 0 .8rem; padding-left: .9rem; border-left: 3px solid #bbb;
  color: #444; }
.note { color: #555; margin: .3rem 0; }
.code { font: 12px/1.4 ui-monospace, monospace; }
footer { margin-top: 3rem; color: #555; border-top: 1px solid #ddd; padding-top: .8rem; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; }
  .wide { overflow: visible; } tr, h2 { break-inside: avoid; } h2 { break-after: avoid; } }
"""
_CODES: Final = frozenset({"Id", "Seal", "Version"})
"""Columns of hashes."""


def html(statement: Statement) -> str:
    """Write the page."""
    title = f"Statement {statement.period}: {statement.title or statement.agreement}"
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            *_head(statement, title),
            *(line for table in tables(statement) for line in _table(table)),
            f"</main>\n<footer>{escape(_closing(statement))}</footer>\n</body>\n</html>\n",
        )
    )


def _head(statement: Statement, title: str) -> Iterator[str]:
    state = "final" if statement.final else "provisional"
    yield f'<header>\n<h1>{escape(title)}</h1>\n<span class="state {state}">{state}</span>\n<dl>'
    for name, value in summary(statement):
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl>\n</header>\n<main>"


def _table(table: Table) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(table.title)}</h2>"
    if table.quote:
        yield f"<blockquote>{escape(table.quote)}</blockquote>"
    yield from (f'<p class="note">{escape(note)}</p>' for note in table.notes)
    if table.rows:
        yield '<div class="wide"><table>\n<thead><tr>'
        yield from (
            f'<th scope="col"{_class(column.align, "")}>{escape(column.name)}</th>'
            for column in table.columns
        )
        yield "</tr></thead>\n<tbody>"
        for row in table.rows:
            cells = (
                f"<td{_class(column.align, column.name)}>{escape(text)}</td>"
                for column, text in zip(table.columns, row, strict=True)
            )
            yield f"<tr>{''.join(cells)}</tr>"
        yield "</tbody>\n</table></div>"
    yield "</section>"


def _class(align: str, name: str) -> str:
    if align == "right":
        return ' class="right"'
    return ' class="code"' if name in _CODES else ""


def _closing(statement: Statement) -> str:
    return (
        f"Settled from the log as known at {statement.known_at}. The same log, versions and "
        f"instant give this statement again, byte for byte: {statement.id}"
    )
