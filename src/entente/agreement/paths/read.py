"""Reading a scenario file: everything that is wrong with it, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from entente.agreement.load.problems import Problems, did_you_mean
from entente.agreement.load.read import Reader
from entente.agreement.load.text import parse
from entente.agreement.load.tree import Branch, Fork, Mark, Tree, child, planted, text_at
from entente.agreement.paths.draws import correlation_root
from entente.agreement.paths.plan import CELLS_MAX, SWEPT_MAX, Plan, Sweep
from entente.agreement.paths.streams import draw_of

_LISTS: Final = ("streams", "shocks", "events", "sweeps", "contributed")


def read(
    content: bytes, file: str, *, seed: int | None = None, paths: int | None = None
) -> tuple[Plan, Tree]:
    """Read a scenario file, with another seed or number of paths where these are given.

    Raises AgreementProblems with everything that is wrong in it.
    """
    tree = parse(content, file)
    for name, value in (("seed", seed), ("paths", paths)):
        if value is not None:
            tree = _set(tree, ["scenario", name], value) or tree
    return plan_of(tree), tree


def plan_of(tree: Tree) -> Plan:
    """Read a scenario from its tree. Raises AgreementProblems."""
    problems = Problems()
    plan = Reader(problems).read(Plan, tree)
    problems.stop()
    assert isinstance(plan, Plan)  # noqa: S101  (without problems it is one)
    for path, text in _findings(plan):
        problems.add(_mark(tree, path), text, clause=path[-1] if path else "")
    problems.stop()
    return plan


def swept(tree: Tree, sweep: Sweep, value: str | int | bool) -> Plan:
    """Give the plan with one field set to a value. Raises AgreementProblems."""
    problems = Problems()
    parts = (sweep.field or "").split(".")
    changed = _set(tree, parts, value)
    if changed is None:
        text = f"there is no {sweep.field} in this file to vary: name a field that is written"
        problems.add(_mark(tree, ("sweeps", sweep.id)), text, clause=sweep.id)
        problems.stop()
    assert changed is not None  # noqa: S101  (stopped above)
    return plan_of(changed)


def _set(tree: Tree, parts: list[str], value: str | int | bool) -> Tree | None:
    """Give a tree with the value at a path; items of lists are named by their ids."""
    if not parts:
        return planted(value, tree.mark)
    key, rest = parts[0], parts[1:]
    match tree:
        case Fork(entries, keys, mark) if key in entries:
            inner = _set(entries[key], rest, value)
            return None if inner is None else Fork({**entries, key: inner}, keys, mark)
        case Branch(items, mark):
            made = [_set(i, rest, value) if text_at(i, "id") == key else i for i in items]
            found = any(text_at(item, "id") == key for item in items)
            whole = tuple(item for item in made if item is not None)
            return Branch(whole, mark) if found and len(whole) == len(items) else None
    return None


def _mark(tree: Tree, path: tuple[str, ...]) -> Mark:
    """Give the place of a list's item by its id (or state), or the nearest that is written."""
    found = child(tree, path[0]) if path else None
    if found is None:
        return tree.mark
    if isinstance(found, Branch) and len(path) > 1:
        for item in found.items:
            if path[1] in (text_at(item, "id"), text_at(item, "state")):
                return item.mark
    return found.mark


def _findings(plan: Plan) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give what no single field shows: names that lead nowhere, circles, sizes."""
    outline = plan.scenario
    if outline.paths * outline.steps > CELLS_MAX:
        text = f"{outline.paths} paths of {outline.steps} steps are more than {CELLS_MAX} cells"
        yield ("scenario",), f"{text}: take fewer paths or steps"
    if sum(len(sweep.values) for sweep in plan.sweeps) > SWEPT_MAX:
        yield ("sweeps",), f"sweeps have {SWEPT_MAX} values in all at most: leave some out"
    if plan.sweeps and outline.watch is None:
        yield ("scenario",), "`watch` is missing: name the party whose payout sweeps compare"
    if not any(stream.attributes for stream in plan.streams):
        text = "no stream has `attributes`, so nothing is measured: give them to one"
        yield ("streams",), text
    for name in _LISTS:
        ids = [getattr(each, "id", "") for each in getattr(plan, name)]
        for twice in sorted({each for each in ids if each and ids.count(each) > 1}):
            yield (name, twice), f"`{twice}` stands in this list twice: rename one"
    yield from _names(plan)
    yield from _correlated(plan)


def _names(plan: Plan) -> Iterator[tuple[tuple[str, ...], str]]:
    ids = [stream.id for stream in plan.streams]
    known = True
    for stream in plan.streams:
        for need in stream.needs():
            if need not in ids:
                known = False
                near = did_you_mean(need, ids)
                yield ("streams", stream.id), f"there is no stream `{need}`: add it.{near}"
    for shock in plan.shocks:
        for name in shock.factors:
            if name not in ids:
                near = did_you_mean(name, ids)
                yield ("shocks", shock.id), f"there is no stream `{name}` to change.{near}"
    if known:
        for stream in plan.streams:
            if _circular(plan, stream.id):
                text = "this stream is made of itself: break the circle"
                yield ("streams", stream.id), text


def _circular(plan: Plan, name: str) -> bool:
    needs = {stream.id: stream.needs() for stream in plan.streams}
    seen: set[str] = set()
    waiting = list(needs[name])
    while waiting:
        each = waiting.pop()
        if each == name:
            return True
        if each not in seen:
            seen.add(each)
            waiting += needs[each]
    return False


def _correlated(plan: Plan) -> Iterator[tuple[tuple[str, ...], str]]:
    draws = {stream.id: draw_of(stream) for stream in plan.streams}
    fine = True
    for pair in plan.correlations:
        found = [draws.get(name) for name in pair.between]
        each = [draw.each for draw in found if draw is not None and draw.is_random()]
        if len(each) != len(found) or len(set(each)) != 1:
            fine = False
            names = " and ".join(pair.between)
            text = (
                f"{names} cannot be correlated: both have to be streams that are drawn, and "
                "both for each step or both for each path"
            )
            yield ("correlations",), text
    if fine and plan.correlations:
        linked = tuple({name: None for pair in plan.correlations for name in pair.between})
        try:
            correlation_root(linked, plan.correlations)
        except ValueError as error:
            yield ("correlations",), str(error)
