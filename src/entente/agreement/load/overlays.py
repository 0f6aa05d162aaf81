"""Overlays: what an amendment or a scenario makes of a document, clause by clause."""

from __future__ import annotations

from typing import NamedTuple

from entente.agreement.document import SECTIONS
from entente.agreement.load.problems import Problems, did_you_mean
from entente.agreement.load.tree import (
    Branch,
    Fork,
    Leaf,
    Mark,
    Tree,
    child,
    items_at,
    text_at,
    with_entries,
    without,
)


class Place(NamedTuple):
    """Where a clause stands in a document."""

    section: str
    position: int


def index(tree: Fork) -> dict[str, Place]:
    """Give the place of each clause by its id; of several with one id, the last."""
    return {
        name: Place(section, position)
        for section in SECTIONS
        for position, item in enumerate(items_at(tree, section))
        if (name := text_at(item, "id")) is not None
    }


def apply(tree: Fork, overlay: Fork, problems: Problems) -> Fork:
    """Give the document as the overlay leaves it; what does not fit goes to `problems`."""
    name = text_at(overlay, "id") or ""
    known = index(tree)
    ended: set[str] = set()
    for leaf in items_at(overlay, "end"):
        clause = leaf.value if isinstance(leaf, Leaf) else None
        if not isinstance(clause, str) or clause not in known:
            _no_clause(problems, leaf.mark, str(clause), known, name)
        else:
            ended.add(clause)
    replaced: dict[str, Tree] = {}
    changes = child(overlay, "replace")
    for clause, fields in (changes.entries if isinstance(changes, Fork) else {}).items():
        mark = changes.keys[clause] if isinstance(changes, Fork) else fields.mark
        if clause not in known:
            _no_clause(problems, mark, clause, known, name)
        elif clause in ended:
            problems.add(mark, f"`{clause}` ends here, too: do one of the two", clause=name)
        else:
            place = known[clause]
            written = items_at(tree, place.section)[place.position]
            replaced[clause] = _replaced(written, fields, problems, name)
    return _rebuilt(tree, ended, replaced, _added(overlay, problems, name))


def _no_clause(
    problems: Problems, mark: Mark, clause: str, known: dict[str, Place], name: str
) -> None:
    text = f"there is no clause `{clause}` for this to change.{did_you_mean(clause, known)}"
    problems.add(mark, text, clause=name)


def _replaced(written: Tree, fields: Tree, problems: Problems, name: str) -> Tree:
    """Set the fields of a clause; a field set to nothing is taken away."""
    if not isinstance(written, Fork) or not isinstance(fields, Fork):
        return written
    if "id" in fields.entries:
        text = "a clause keeps its id: end this one and add another"
        problems.add(fields.keys["id"], text, clause=name)
    gone = {
        key for key, item in fields.entries.items() if isinstance(item, Leaf) and item.value is None
    }
    kept = {key: item for key, item in fields.entries.items() if key not in {*gone, "id"}}
    changed = with_entries(without(written, frozenset(gone)), kept)
    keys = {**changed.keys, **{key: fields.keys[key] for key in kept}}
    return Fork(changed.entries, keys, written.mark)


def _added(overlay: Fork, problems: Problems, name: str) -> dict[str, tuple[Tree, ...]]:
    """Give the added clauses by list."""
    lists = child(overlay, "add")
    found: dict[str, tuple[Tree, ...]] = {}
    if isinstance(lists, Fork):
        for section in lists.entries:
            if section in SECTIONS:
                found[section] = items_at(lists, section)
            else:
                text = f"there is no list `{section}` to add to.{did_you_mean(section, SECTIONS)}"
                problems.add(lists.keys[section], text, clause=name)
    return found


def _rebuilt(
    tree: Fork, ended: set[str], replaced: dict[str, Tree], added: dict[str, tuple[Tree, ...]]
) -> Fork:
    sections: dict[str, Tree] = {}
    for section in SECTIONS:
        items = items_at(tree, section)
        kept = [
            replaced.get(text_at(item, "id") or "", item)
            for item in items
            if text_at(item, "id") not in ended
        ]
        if items or section in added:
            there = child(tree, section)
            mark = there.mark if there is not None else added[section][0].mark
            sections[section] = Branch((*kept, *added.get(section, ())), mark)
    return with_entries(tree, sections)
