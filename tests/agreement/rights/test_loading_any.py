"""Loading whatever somebody may have written: a book, or problems with places; nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente.agreement.example import EXAMPLE
from entente.agreement.load import AgreementProblems, Problem, Texts, load
from entente.agreement.load.facts import load_facts
from entente.agreement.load.text import parse
from entente.agreement.load.tree import plain
from tests.agreement.rights.documents import BASE, book, ns
from tests.agreement.rights.worked import LIBRARY

QUICK = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SLOW = settings(QUICK, max_examples=60)
SEEDS = st.integers(0, 2**63)
PIECES = (
    "",
    "null",
    "[]",
    "{}",
    "-1",
    "1e400",
    "'1/0'",
    "'9999-12-31'",
    "0001-01-01",
    "{parameter: board_reading}",
    "{not: {not: {}}}",
    "[[[]]]",
    "'\\u0000'",
    "anyone",
    "agi.verified",
    "lab",
    "2026-13-01",
    "99999d",
    "true",
    "'*****'",
)

GRAFTS: tuple[Any, ...] = (
    None,
    [],
    {},
    -1,
    10**39,
    "",
    "1/0",
    "9999-12-31",
    "x" * 300,
    "lab",
    "agi",
    "X1",
    "99999d",
    True,
    {"parameter": "board_reading"},
    {"parameter": "absent"},
    {"not": {"not": {}}},
    [[[]]],
    {"date": "9999-12-31", "inclusive": True},
    {"earliest_of": [{"event": "profitable"}]},
    {"earliest_of": []},
    {"asset": {"not": "frontier"}},
    {"tag.a": {"at_most": "x"}},
    {"lab": "1/2", "cloud": "1/2"},
)


def mutated(text: str, seed: int) -> str:
    """Change some words of a document, or move, repeat and drop lines."""
    made = random.Random(seed)  # noqa: S311  (repeatable is the point)
    lines = text.splitlines()
    for _ in range(made.randint(1, 4)):
        number = made.randrange(len(lines))
        kind = made.random()
        if kind < 0.6:
            words = lines[number].split(" ")
            words[made.randrange(len(words))] = made.choice(PIECES)
            lines[number] = " ".join(words)
        elif kind < 0.75:
            lines.insert(number, made.choice(lines))
        elif kind < 0.9:
            del lines[number]
        else:
            lines[number] = lines[number][: made.randrange(len(lines[number]) + 1)]
    return "\n".join(lines)


def grafted(text: str, seed: int) -> str:
    """Put another value in the place of one, or leave one out; the form stays whole."""
    made = random.Random(seed)  # noqa: S311  (repeatable is the point)
    document: Any = plain(parse(text.encode(), "example"))
    places: list[tuple[Any, Any]] = []

    def collect(part: Any) -> None:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        for key in keys:
            places.append((part, key))
            if isinstance(part[key], dict | list):
                collect(part[key])

    collect(document)
    inside, key = made.choice(places)
    if made.random() < 0.15:
        del inside[key]
    else:
        inside[key] = made.choice(GRAFTS)
    return msgspec.json.encode(document).decode()


def problems_of(read: Callable[[], object]) -> tuple[Problem, ...]:
    """Give the problems that come up; none where what was read is whole."""
    try:
        assert read() is not None
    except AgreementProblems as error:
        return error.problems
    return ()


def fit_to_read(problems: tuple[Problem, ...]) -> bool:
    """Say whether each problem has a text, a file, and is one line."""
    return all(each.text and each.file and "\n" not in str(each) for each in problems)


@QUICK
@given(SEEDS)
def test_mutated_documents(seed: int) -> None:
    """Are versions or problems."""
    for change in (mutated, grafted):
        text = change(EXAMPLE, seed)
        assert fit_to_read(problems_of(partial(load, Texts({"a.yaml": text}), "a.yaml")))


@SLOW
@given(SEEDS)
def test_mutated_library(seed: int) -> None:
    """The same of the largest document, whose amendments build on one another."""
    folder = LIBRARY / "microsoft-openai"
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    name = sorted(files)[seed % len(files)]
    files[name] = mutated(files[name], seed)
    found = problems_of(lambda: load(Texts(files), "agreement.yaml", scenario="cap_after_recoup"))
    assert fit_to_read(found)
    assert {each.file for each in found} <= {*files, ""}


@QUICK
@given(st.text(max_size=60) | st.text("[]{}:,-&*!?|>'\"%@` \n#ab01.~", max_size=60))
def test_any_text(text: str) -> None:
    """As a document, as the value of a parameter, as facts."""
    asking = BASE.replace("{host: one}", "{host: {parameter: p}}") + (
        "parameters:\n- {id: p, kind: form, meaning: m}\n"
    )
    content = text.encode("utf-8", "surrogatepass")
    assert problems_of(lambda: load(Texts({"a.yaml": text}), "a.yaml"))
    for found in (
        problems_of(lambda: load(Texts({"a.yaml": asking}), "a.yaml", values={"p": text})),
        problems_of(lambda: load_facts(content, "facts", ZoneInfo("UTC"))),
    ):
        assert fit_to_read(found)


AMENDMENTS = [
    f"- {{id: A{month}, effective: 2026-{month:02}-01, "
    f"replace: {{X1: {{only: {{host: h{month}}}}}}}}}"
    for month in range(2, 9)
]


@SLOW
@given(st.permutations(AMENDMENTS), st.integers(1, 9))
def test_amendments_apply_in_the_order_of_their_days(lines: list[str], month: int) -> None:
    """Whatever their order in the file."""
    made = book(BASE + "amendments:\n" + "\n".join(lines) + "\n")
    assert [version.amendments[-1:] for version in made.versions()] == [
        (),
        *((f"A{number}",) for number in range(2, 9)),
    ]
    found = made.at(ns(f"2026-{month:02}-15"))
    assert found is not None
    host = found.agreement.exclusivities[0].only.written["host"]
    assert host == ("one" if month == 1 else f"h{min(month, 8)}")
