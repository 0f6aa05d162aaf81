"""Many paths at once come to the same units as the exact engine does one by one."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente.agreement.load import Texts, load
from entente.agreement.paths.draws import Paths
from entente.agreement.paths.engine import simulate
from entente.agreement.paths.exacts import Ints
from entente.agreement.paths.ladders import Pieces, compile_ladder, payouts, settled
from entente.agreement.paths.outcome import Outcome
from entente.agreement.paths.read import read
from entente.agreement.settle.ladder import START, Ladder, advance, capped
from entente.agreement.settle.ladder import payouts as exact_payouts
from entente.agreement.values import floor_then_first
from entente.domain.errors import ConfigError
from tests.agreement.money.ladders import example, on_profit
from tests.agreement.paths.oracle import compare
from tests.agreement.paths.worlds import GROWING, SCENARIO, document, scenario

F = Fraction
BN = 10**9
CENTS = 100


@pytest.mark.parametrize("more", ["", GROWING], ids=["as it is", "amended on the way"])
@pytest.mark.parametrize("scale", [2, 6, 9])
def test_every_clause_equals_the_exact_engine(more: str, scale: int) -> None:
    """Waterfall, shares, rates, commitments, with events, triggers, shocks and refunds.

    At scale 9 the amounts leave 64 bits, and the integers are Python's own.
    """
    book, plan = document(more, scale=scale, cap="4e9"), scenario(steps=8, paths=40)
    assert compare(book, plan, range(3, 40, 17)) == 33


ENDED = "\namendments: [{id: A1, effective: 2025-01-01, known: 2024-12-01, end: [windowed]}]\n"


def test_what_an_amended_share_has_deferred_is_paid_on() -> None:
    """A share that an amendment ends, with a rest that is paid year by year."""
    book, plan = document(ENDED, cap="4e9"), scenario(steps=8, paths=2)
    assert compare(book, plan, range(1)) == 11


LISTED = """
scenario: {id: listed, title: Listed, begins: 2024-Q2, steps: STEPS, paths: 1, seed: 0}
streams:
- {id: profit, kind: listed, attributes: {what: profit}, amounts: PROFIT}
- {id: revenue, kind: listed, attributes: {what: revenue}, amounts: REVENUE}
- {id: compute, kind: listed, attributes: {what: compute}, amounts: COMPUTE}
events: [{state: agi.verified, on: 2025-05-17}]
"""
_cents = st.integers(-3 * 10**11, 2 * 10**12)
_rows = st.lists(st.tuples(_cents, _cents, st.integers(0, 10**12)), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(rows=_rows, counts_from=st.sampled_from(["second", "inception"]))
def test_any_amounts_equal_the_exact_engine(
    rows: list[tuple[int, int, int]], counts_from: str
) -> None:
    """Losses and refunds too."""
    text = LISTED
    for name, column in zip(("PROFIT", "REVENUE", "COMPUTE"), zip(*rows, strict=True), strict=True):
        text = text.replace(name, str([f"{units}/100" for units in column]))
    plan = scenario(text, steps=len(rows))
    assert compare(document(cap="4e9", counts_from=counts_from), plan, range(1)) == 11


def _in_grains(ladder: Ladder, profit: Fraction) -> list[Fraction]:
    grains = (profit * BN * CENTS).denominator
    pieces = compile_ladder(ladder, BN * CENTS * grains)
    found = payouts(pieces, np.array([int(profit * BN * CENTS * grains)]), grains)
    return [
        (int(part.whole[0]) + F(int(part.part[0]), part.of)) / (BN * CENTS)
        for part in found.values()
    ]


@pytest.mark.parametrize("after_recoup", [True, False])
@pytest.mark.parametrize("profit", [0, 10, F(52, 3), 100, 200, F(30148, 147), 300, 400])
def test_the_public_example_exactly(profit: int | Fraction, *, after_recoup: bool) -> None:
    """The published ladder at its published profits, as fractions, in both readings."""
    ladder = example(after_recoup=after_recoup)
    assert _in_grains(ladder, F(profit)) == list(exact_payouts(ladder, F(profit)).values())


def test_the_golden_tables() -> None:
    """The numbers themselves: both readings at 300 and 400, and the one on profit at 150."""
    assert _in_grains(example(after_recoup=True), F(300)) == [105, F("142.84"), F("52.16")]
    assert _in_grains(example(after_recoup=False), F(300)) == [92, F("142.84"), F("65.16")]
    assert _in_grains(example(after_recoup=True), F(400)) == [105, 150, 145]
    assert _in_grains(example(after_recoup=False), F(400)) == [92, 150, 158]
    assert _in_grains(on_profit(), F(150)) == [F(4871, 50), F(2571, 50), F(29, 25)]
    bends = [piece.profit for piece in _pieces(example(after_recoup=True)).pieces]
    assert bends == [0, F(52, 3), F(30148, 147), F(15416, 49)]


def _pieces(ladder: Ladder) -> Pieces:
    return compile_ladder(ladder, 1)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    profits=st.lists(st.integers(0, 45_000_000_000_000), min_size=50, max_size=50),
    after_recoup=st.booleans(),
)
def test_every_profit_is_paid_out_as_the_exact_engine_rounds_it(
    profits: list[int], *, after_recoup: bool
) -> None:
    """To the cent, with the cents that rounding leaves in the same hands; 10,000 profits."""
    ladder = LADDERS[after_recoup]
    found = settled(COMPILED[after_recoup], np.array(profits))
    for number, cents in enumerate(profits):
        profit = F(cents, BN * CENTS)
        exact, path = exact_payouts(ladder, profit), advance(ladder, START, profit)
        shut = capped(ladder, path)
        closed = frozenset(i for i, party in enumerate(exact) if party in shut)
        want = floor_then_first([part * BN * CENTS for part in exact.values()], closed)
        assert tuple(int(units[number]) for units in found.values()) == want
        assert sum(want) == cents


LADDERS = {which: example(after_recoup=which) for which in (True, False)}
COMPILED = {which: compile_ladder(ladder, BN * CENTS) for which, ladder in LADDERS.items()}

CAPS = """
agreement: {id: caps, currency: USD, scale: 2, rounding: floor_then_first, zone: UTC,
            effective: 2019-07-22}
attributes: [{id: what}]
parties: [{id: lab, kind: lab}, {id: cloud, kind: cloud}, {id: rest, kind: other}]
contributions:
- {id: C2019, party: cloud, to: lab, committed: 1e9q, form: cash, cap_multiple: 20}
- {id: C2021, party: cloud, to: lab, committed: 2e9q, form: cash, cap_multiple: 6}
- {id: C2023, party: cloud, to: lab, committed: 10e9q, form: cash, cap_multiple: 6}
bases: [{id: profit, owner: lab, when: {what: profit}, measure: gross},
        {id: revenue, owner: lab, when: {what: revenue}, measure: gross}]
waterfalls:
- {id: W, payer: lab, base: profit, tiers: [
   {id: t1, split: {cloud: 1}, until: {cloud: {of: {contributions: [C2019, C2021, C2023],
     counted: committed, forms: [cash], times: null}, measured_on: payouts,
     counts_from: inception}}},
   {id: t2, split: {rest: 1}}]}
shares:
- {id: S, payer: lab, payee: cloud, ratio: 20%, base: revenue,
   cap: {total: 38e9q, counts_from: 2026-01-01}}
- {id: D, payer: lab, payee: rest, ratio: 20%, base: revenue, defer: {pay_ratio: "2/3"}}
""".replace("e9q", "_000_000_000")

G5 = """
scenario: {id: g5, title: "The path to 135", begins: "2026", steps: 5, paths: 1, seed: 0}
streams:
- {id: revenue, kind: listed, attributes: {what: revenue},
   amounts: [30e9q, 62e9q, 113e9q, 190e9q, 280e9q]}
- {id: profit, kind: listed, attributes: {what: profit}, amounts: [50e9q, 41e9q, 1e9q, 1e9q, 0]}
""".replace("e9q", "_000_000_000")


def _run(document_text: str, scenario_text: str) -> Outcome:
    book = load(Texts({"a.yaml": document_text}), "a.yaml")
    return simulate(book, read(scenario_text.encode(), "s.yaml")[0])


def _billions(row: Ints) -> list[Fraction]:
    return [F(int(units), BN * CENTS) for units in row]


def test_caps_made_of_multiples() -> None:
    """20 times 1, 6 times 2 and 6 times 10 are 92; what is above goes on."""
    outcome = _run(CAPS, G5)
    assert outcome.falls[0].pieces[1].profit == 92 * BN * CENTS
    cloud, rest = (flow.paid[0] for flow in outcome.flows if flow.clause == "W")
    assert _billions(cloud) == [50, 91, 92, 92, 92]
    assert _billions(rest) == [0, 0, 0, 1, 1]


def test_the_capped_share() -> None:
    """20 % up to 38: exhausted at 190 of revenue, saving 97 of 135; and 6 as 4 and 2."""
    outcome = _run(CAPS, G5)
    (capped_share,) = outcome.capped
    assert _billions(capped_share.accrued[0]) == [6, F("18.4"), 38, 38, 38]
    assert _billions(capped_share.above[0]) == [0, 0, 3, 41, 97]
    deferred = next(flow for flow in outcome.flows if flow.clause == "D")
    assert _billions(deferred.paid[0])[0] == 4


def test_a_seed_gives_the_same_bytes_whatever_the_chunk() -> None:
    """In one piece, in sevens, and as the beginning of more paths; another seed differs."""
    book = document()
    plan = scenario(steps=6, paths=1_100)
    whole = _digest(simulate(book, plan))
    assert _digest(simulate(book, plan)) == whole
    assert _digest(simulate(book, plan, chunk_paths=7)) == whole
    fewer = simulate(book, scenario(steps=6, paths=600))
    more = simulate(book, plan)
    for few, many in zip(fewer.flows, more.flows, strict=True):
        assert np.array_equal(few.paid, many.paid[:600])
    other = scenario(SCENARIO.replace("seed: 7", "seed: 8"), steps=6, paths=1_100)
    assert _digest(simulate(book, other)) != whole


def _digest(outcome: Outcome) -> str:
    tables = [flow.paid for flow in outcome.flows]
    tables += [fall.profit for fall in outcome.falls]
    return hashlib.sha256(b"".join(table.tobytes() for table in tables)).hexdigest()


def test_correlated_draws_move_together() -> None:
    """Growth of revenue and the ratio of compute, told to go against one another."""
    text = SCENARIO.replace('by: "-0.5"', 'by: "-0.9"').replace('"0.1", lasts', "0, lasts")
    outcome = simulate(document(), scenario(text, steps=2, paths=2_000))
    ratio = outcome.streams["compute"] / outcome.streams["revenue"]
    growth = outcome.streams["revenue"][:, 1] / outcome.streams["revenue"][:, 0]
    found = np.corrcoef(np.log(ratio[:, 0]), growth)[0, 1]
    assert -0.92 < found < -0.88


def test_normals_are_normal() -> None:
    """Mean 0 and deviation 1; every name has its own numbers."""
    drawn = Paths(3, 0, 20_000).normals("revenue", 2)
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert not np.array_equal(drawn, Paths(3, 0, 20_000).normals("profit", 2))


def test_what_grows_beyond_everything_is_refused() -> None:
    """With the stream's name and what to do."""
    text = SCENARIO.replace('mean: "0.06"', 'mean: "30"')
    with pytest.raises(ConfigError, match=r"the stream revenue grows beyond .*: lower its growth"):
        simulate(document(), scenario(text, steps=40))


def test_an_event_that_the_agreement_does_not_know_is_refused() -> None:
    """It would change nothing, silently."""
    text = SCENARIO.replace("agi.verified", "ipo.declared")
    with pytest.raises(ConfigError, match=r"no event for ipo.declared"):
        simulate(document(), scenario(text))
