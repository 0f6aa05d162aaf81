"""Scenario files: what is wrong is said with file, line, column and remedy."""

from __future__ import annotations

import pytest

from entente.agreement.load import AgreementProblems
from entente.agreement.paths.plan import Grown
from entente.agreement.paths.read import read, swept
from tests.agreement.paths.worlds import scenario

FINE = """\
scenario: {id: s, title: S, begins: 2026-Q1, steps: 4, paths: 10, seed: 1, watch: cloud}
streams:
- id: revenue
  kind: grown
  first: "1e9"
  growth: {each: step, normal: {mean: "0.05", deviation: "0.1"}}
  attributes: {what: revenue}
- id: spend
  kind: part
  of: revenue
  ratio: {each: step, triangular: {low: "0.1", mode: "0.2", high: "0.4"}}
events:
- {state: agi.verified, probability: "0.01"}
"""

MISTAKES = [
    ("fiirst", 'first: "1e9"', 'fiirst: "1e9"', "5:3: streams[0]: `fiirst` is no field here"),
    (
        "float",
        '"0.05"',
        "0.05",
        '6:39: 0.05 is a floating number, which is inexact: quote it, "0.05"',
    ),
    ("two forms", "{each: step, normal", "{fixed: 1, each: step, normal", "takes exactly one of"),
    ("each", "{each: step, normal", "{normal", "`each` (step or path) belongs to what is drawn"),
    ("triangle", '"0.2", high', '"0.9", high', "a triangle needs low <= mode <= high"),
    ("probability", '"0.01"', '"1.01"', "13:3: events[0]: a probability is from 0 to 1"),
    ("unknown", "of: revenue", "of: revenu", "there is no stream `revenu`: add it. Did you mean"),
    ("circle", "of: revenue", "of: spend", "8:3: spend: this stream is made of itself"),
    ("unmeasured", "  attributes: {what: revenue}\n", "", "no stream has `attributes`"),
    ("steps", "steps: 4", "steps: 481", "must be a whole number from 1 to 480, not 481"),
    ("cells", "steps: 4, paths: 10", "steps: 480, paths: 200000", "take fewer paths or steps"),
    ("twice", "- id: spend", "- id: revenue", "`revenue` stands in this list twice: rename one"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), [case[1:] for case in MISTAKES],
                         ids=[case[0] for case in MISTAKES])  # fmt: skip
def test_mistakes_are_found_where_they_are(right: str, wrong: str, said: str) -> None:
    """Each in an otherwise correct file."""
    assert right in FINE
    with pytest.raises(AgreementProblems) as caught:
        read(FINE.replace(right, wrong, 1).encode(), "s.yaml")
    assert any(f"s.yaml:{said}" in line or said in line for line in str(caught.value).splitlines())
    assert all(problem.line for problem in caught.value.problems)


CORRELATED = [
    ("{between: [revenue, nothing], by: 1}", "revenue and nothing cannot be correlated"),
    ("{between: [revenue, revenue], by: 1}", "between two streams"),
    ("{between: [revenue, spend], by: 2}", "from -1 to 1"),
    ("{between: [revenue, spend], by: 1}", "contradict one another (or are all 1)"),
]


@pytest.mark.parametrize(("pair", "said"), CORRELATED)
def test_correlations_have_to_be_possible(pair: str, said: str) -> None:
    """Between streams that are drawn, and not all one."""
    with pytest.raises(AgreementProblems, match=r"s\.yaml") as caught:
        read(f"{FINE}correlations: [{pair}]\n".encode(), "s.yaml")
    assert said in str(caught.value)


def test_sweeps_need_somebody_to_watch_and_a_field_that_is_written() -> None:
    """A sweep of a field that nobody wrote would vary nothing."""
    sweep = "sweeps: [{id: g, field: streams.revenue.growth.normal.mean, values: ['0', '0.1']}]\n"
    with pytest.raises(AgreementProblems, match="`watch` is missing"):
        read((FINE.replace(", watch: cloud", "") + sweep).encode(), "s.yaml")
    plan, tree = read((FINE + sweep).encode(), "s.yaml")
    varied = swept(tree, plan.sweeps[0], "0.1").streams[0]
    assert isinstance(varied, Grown)
    assert varied.growth.normal is not None
    assert str(varied.growth.normal.mean) == "1/10"
    wrong = (FINE + sweep).replace("normal.mean", "normal.median", 1)
    plan, tree = read(wrong.encode(), "s.yaml")
    with pytest.raises(AgreementProblems, match=r"no streams\.revenue\.growth\.normal\.median"):
        swept(tree, plan.sweeps[0], "0.1")


def test_seed_and_paths_can_be_given_apart() -> None:
    """They are held to the same bounds."""
    plan, _ = read(FINE.encode(), "s.yaml", seed=99, paths=7)
    assert (plan.scenario.seed, plan.scenario.paths) == (99, 7)
    with pytest.raises(AgreementProblems, match="from 1 to 200000, not 0"):
        read(FINE.encode(), "s.yaml", paths=0)


def test_streams_come_behind_what_they_are_made_of() -> None:
    """In whatever order they are written."""
    plan = scenario(
        FINE.replace("- id: revenue", "- {id: late, kind: combined, of: {spend: 1}}\n- id: revenue")
    )
    order = [stream.id for stream in plan.ordered()]
    assert order == ["revenue", "spend", "late"]
