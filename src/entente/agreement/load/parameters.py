"""Parameters: what a document leaves open, given before anything else is read.

A value comes from whoever uses the document, else from the scenario that is chosen, else
from the parameter itself. There is no default behind these: what has no value and is asked
for is a problem that names the clauses that ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from entente.agreement.document import SECTIONS, Parameter, ParameterKind
from entente.agreement.load.problems import Problems, did_you_mean
from entente.agreement.load.tree import (
    Branch,
    Fork,
    Leaf,
    Mark,
    Tree,
    child,
    items_at,
    plain,
    text_at,
    walk,
)
from entente.agreement.values import parse as parse_exact

REFERENCE: Final = "parameter"
SHOWN_MAX: Final = 8
"""Clauses, and scenarios, that a message names."""


def resolve(
    tree: Fork,
    declared: Mapping[str, tuple[Parameter, Fork]],
    given: Mapping[str, Tree],
    problems: Problems,
) -> tuple[Fork, frozenset[str]]:
    """Put values where parameters stand; `given` wins over a parameter's own value.

    Also gives the ids of what cannot be read, as it asks for a parameter without a value.
    """
    resolving = _Resolving(declared, given, problems)
    resolved = resolving.tree(tree, "")
    lacking = resolving.report(tuple(written_of(tree, "scenarios")))
    return resolved if isinstance(resolved, Fork) else tree, lacking


class _Resolving:
    """The replacing of parameters in one document."""

    def __init__(
        self,
        declared: Mapping[str, tuple[Parameter, Fork]],
        given: Mapping[str, Tree],
        problems: Problems,
    ) -> None:
        self._declared = declared
        self._problems = problems
        self._values = {
            name: value
            for name, (parameter, written) in declared.items()
            if (value := given.get(name) or child(written, "value")) is not None
        }
        self._asked: dict[str, dict[str, Mark]] = {name: {} for name in declared}
        self._beside: set[str] = set()
        for name, value in given.items():
            if name not in declared:
                text = f"there is no parameter `{name}`.{did_you_mean(name, declared)}"
                problems.add(value.mark, text)
        for name, value in self._values.items():
            self._fits(declared[name][0], value)

    def _fits(self, parameter: Parameter, value: Tree) -> None:
        """Note a value that its parameter does not allow."""
        said = plain(value)
        if parameter.choices and said not in parameter.choices:
            choices = ", ".join(map(str, parameter.choices))
            text = f"must be one of {choices}, not {said}"
        elif not _is_of(parameter.kind, said):
            text = f"must be a {parameter.kind.value}, not {said!r}"
        else:
            return
        self._problems.add(value.mark, text, clause=parameter.id)

    def tree(self, tree: Tree, clause: str, under: str = "") -> Tree:
        """Give a tree with values in the place of parameters; `under` is the key above it."""
        match tree:
            case Leaf():
                return tree
            case Branch(items, mark):
                return Branch(tuple(self.tree(item, clause, under) for item in items), mark)
        name = text_at(tree, REFERENCE) if len(tree.entries) == 1 else None
        if name is not None:
            return self._value(name, tree.mark, clause)
        if under in _NAMING:
            clause = text_at(tree, "id") or clause
        entries = {
            key: self._left(item)
            if key in _UNTOUCHED and not clause
            else self.tree(item, key if under == "replace" else clause, key)
            for key, item in tree.entries.items()
        }
        return Fork(entries, tree.keys, tree.mark)

    def _left(self, tree: Tree) -> Tree:
        """Leave a tree as it is, and remember what it would ask for: a scenario may be chosen."""
        names = (text_at(part, REFERENCE) for part in walk(tree))
        self._beside.update(name for name in names if name is not None)
        return tree

    def _value(self, name: str, mark: Mark, clause: str) -> Tree:
        if name not in self._declared:
            near = did_you_mean(name, self._declared)
            text = f"there is no parameter `{name}`: declare it under `parameters`.{near}"
            self._problems.add(mark, text, clause=clause)
            return Leaf(None, mark)
        self._asked[name].setdefault(clause, mark)
        value = self._values.get(name)
        return Leaf(None, mark) if value is None else _moved(value, mark)

    def report(self, scenarios: Sequence[str]) -> frozenset[str]:
        """Note parameters that lack a value, and ones that nothing asks for."""
        by = f"by --scenario ({', '.join(scenarios[:SHOWN_MAX])})" if scenarios else "by a scenario"
        lacking: set[str] = set()
        for name, (parameter, written) in self._declared.items():
            asked = self._asked[name]
            if not asked and name not in self._beside:
                text = "no clause asks for this parameter: remove it"
                self._problems.add(written.mark, text, clause=name)
            elif asked and name not in self._values:
                lacking.update(asked)
                clauses = ", ".join(sorted(asked)[:SHOWN_MAX])
                text = (
                    f"has no value, and {clauses} cannot be read without it ({parameter.meaning}): "
                    f"give it by --parameter {name}=…, {by}, or as `value` here"
                    f"{_of(parameter)}"
                )
                self._problems.add(written.mark, text, clause=name)
        return frozenset(lacking)


_NAMING: Final = frozenset({"agreement", "amendments", *SECTIONS})
"""Keys under which an id is that of a clause."""
_UNTOUCHED: Final = ("parameters", "scenarios")
"""Lists of the document whose values are not replaced."""


def scenario_values(scenario: Tree) -> Mapping[str, Tree]:
    """Give the values that a scenario sets."""
    found = child(scenario, "set")
    return found.entries if isinstance(found, Fork) else {}


def written_of(tree: Tree, section: str) -> dict[str, Fork]:
    """Give the items of a list by their ids."""
    return {
        name: item
        for item in items_at(tree, section)
        if isinstance(item, Fork) and (name := text_at(item, "id")) is not None
    }


def _is_of(kind: ParameterKind, said: object) -> bool:
    match kind:
        case ParameterKind.TRUTH:
            return isinstance(said, bool)
        case ParameterKind.TEXT:
            return isinstance(said, str)
        case ParameterKind.FORM:
            return True
    try:
        parse_exact(said)
    except ValueError:
        return False
    return True


def _of(parameter: Parameter) -> str:
    """Name the choices, where there are any."""
    return f"; one of {', '.join(map(str, parameter.choices))}" if parameter.choices else ""


def _moved(value: Tree, mark: Mark) -> Tree:
    """Give a value as if it stood where its parameter does, so that problems point there."""
    match value:
        case Leaf(said, _):
            return Leaf(said, mark)
        case Branch(items, _):
            return Branch(tuple(_moved(item, mark) for item in items), mark)
    entries = {key: _moved(item, mark) for key, item in value.entries.items()}
    return Fork(entries, dict.fromkeys(entries, mark), mark)
