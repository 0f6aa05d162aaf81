"""What stands on the other side of the edge between two times. Pure.

The ledger counts a request when it is settled, a provider perhaps when it came in, and a
file may have its days in another zone than we believe. So a time may have what the next one
lacks; and where all times together agree, whatever differs between them is only where their
edges are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import msgspec

from entente.settlement.reconciling.model import (
    Finding,
    Kind,
    Ours,
    Part,
    Side,
    Tokens,
    add,
    less,
)

REQUESTS = "requests"
"""Counted with the tokens here."""


def moved_over_edges(
    ours: Mapping[tuple[int, str], Ours], theirs: Mapping[tuple[int, str], Side]
) -> dict[tuple[int, str], Tokens]:
    """Find the tokens, ours less theirs, that are only on the other side of an edge."""
    moved: dict[tuple[int, str], Tokens] = {}
    deltas: dict[str, dict[int, Tokens]] = defaultdict(dict)
    for cell in ours.keys() | theirs.keys():
        number, model = cell
        deltas[model][number] = _delta(ours.get(cell) or Ours(), theirs.get(cell))
    for model, by_time in deltas.items():
        if _sides_count(theirs, model):
            for number, tokens in _moved(by_time).items():
                tokens.pop(REQUESTS, None)
                if tokens:
                    moved[number, model] = tokens
    return moved


def _delta(ours: Ours, theirs: Side | None) -> Tokens:
    """Give what one side has more, requests among it."""
    theirs = theirs or Side(requests=0, tokens={})
    delta = less(ours.tokens, theirs.counted or {})
    requests = ours.requests - (theirs.requests or 0)
    return {**delta, REQUESTS: requests} if requests and theirs.requests is not None else delta


def _sides_count(theirs: Mapping[tuple[int, str], Side], model: str) -> bool:
    """Say whether they count tokens of a model at all."""
    return all(side.counted is not None for (_, name), side in theirs.items() if name == model)


def _moved(by_time: dict[int, Tokens]) -> dict[int, Tokens]:
    total: Tokens = {}
    for tokens in by_time.values():
        add(total, tokens)
    if not any(total.values()):
        return {number: dict(tokens) for number, tokens in by_time.items() if tokens}
    moved: dict[int, Tokens] = defaultdict(dict)
    rest = {number: dict(tokens) for number, tokens in by_time.items()}
    for first, second in pairwise(sorted(rest)):
        one, two = rest[first], rest[second]
        # Whole requests only: one of the two has nothing left when they are put right.
        over = {name: count for name, count in one.items() if two.get(name) == -count}
        if REQUESTS not in over or not (over == one or len(over) == len(two)):
            continue
        add(moved[first], over)
        add(moved[second], {name: -count for name, count in over.items()})
        for name in over:
            del one[name], two[name]
    return moved


def settle_timing(findings: Sequence[Finding], half: Fraction) -> None:
    """Take what is unexplained in one time and missing in the next for timing, in place.

    That is how costs without counts show it: two sums of money that cancel out.
    """
    by_model: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_model[finding.model].append(finding)
    for each in by_model.values():
        for first, second in pairwise(each):
            one, two = _open(first), _open(second)
            if one * two < 0 and abs(one + two) <= 2 * half + 2:
                for finding in (first, second):
                    finding.parts = [_as_timing(part) for part in finding.parts]


def _open(finding: Finding) -> int:
    return sum(part.nano for part in finding.parts if part.kind is Kind.UNEXPLAINED)


def _as_timing(part: Part) -> Part:
    if part.kind is not Kind.UNEXPLAINED:
        return part
    return msgspec.structs.replace(
        part, kind=Kind.TIMING, words="the next time, or the one before, has it the other way"
    )
