"""Checks: each mistake that a document can have, from a small document, with the remedy."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from entente.agreement.check.regions import TooMany, conjunctions
from entente.agreement.conditions import parse
from entente.agreement.decide.formulas import Side, formula
from entente.agreement.decide.rules import Instant
from entente.agreement.decide.words import Words
from entente.agreement.example import EXAMPLE
from entente.agreement.occasions import NOTHING, courses
from tests.agreement.rights.documents import BASE, HEAD, PARTIES, book, problems, said

BASES = "bases:\n- {id: b, owner: lab, when: {seller: lab}, measure: gross}\n"
LADDER = (
    HEAD
    + PARTIES
    + BASES
    + """\
waterfalls:
- id: W1
  payer: lab
  base: b
  tiers:
"""
)
LIMIT = "measured_on: payouts, counts_from: inception"


class Mistake(NamedTuple):
    """A document, the clause that is wrong, the place in it, and a part of what is said."""

    text: str
    clause: str
    path: str
    what: str


def rate(tiers: str) -> str:
    """Give a document with a rate of some tiers."""
    return (
        HEAD
        + PARTIES
        + "meters:\n- {id: m, when: {seller: lab}, counts: tokens}\nrates:\n- {id: r, meter: m, "
        f"payer: cloud, payee: lab, per: 1, mode: graduated, resets: month, tiers: {tiers}}}\n"
    )


def stake(cloud: int) -> str:
    """Give a table of percentages."""
    return (
        HEAD
        + PARTIES
        + "stakes:\n- {id: o, company: lab, basis: outstanding, whole: 100, securities: {percent: "
        "{converts: 1, counts_in: [outstanding]}}, holdings: [{holder: lab, security: percent, "
        f"units: 71}}, {{holder: cloud, security: percent, units: {cloud}}}]}}\n"
    )


def commitment(schedule: str) -> str:
    """Give a promise of 10 with some steps."""
    return (
        HEAD
        + PARTIES
        + BASES
        + "commitments:\n- {id: k, buyer: lab, seller: cloud, total: 10, eligible: b, "
        f"shortfall: none, excess: lapses, schedule: {schedule}}}\n"
    )


def share(terms: str) -> str:
    """Give a share with further terms."""
    return (
        HEAD
        + PARTIES
        + BASES
        + f"shares:\n- {{id: s, payer: lab, payee: cloud, ratio: '1/5', base: b, {terms}}}\n"
    )


def lag(days: str) -> str:
    """Give a statement whose books close some days behind its period."""
    return (
        HEAD
        + PARTIES
        + "statements:\n- {id: m, parties: [lab, cloud], period: month, close_lag_days: "
        f"{days}}}\n"
    )


NO_DAY = "2026-02-30 is in no calendar"
EARLIER_LATER = (
    "later: [{effective: '2026-02-01T00:00:00-02:00', ratio: 0}, "
    "{effective: '2026-02-01T01:00:00Z', ratio: 1}]"
)
AMOUNTS = [
    Mistake(share("later: [{effective: 2026-02-30, ratio: 1}]"), "s", "later[0].effective", NO_DAY),
    Mistake(share(EARLIER_LATER), "s", "later", "must be in the order of time"),
    Mistake(share("cap: {total: 1, counts_from: 2026-02-30}"), "s", "cap.counts_from", NO_DAY),
    Mistake(share("cap: {total: -1, counts_from: inception}"), "s", "cap.total", "at least 0"),
    Mistake(
        share("defer: {pay_max: 1, each: month, released: 2026-02-30}"),
        "s",
        "defer.released",
        NO_DAY,
    ),
    Mistake(share("defer: {pay_max: -1, each: month}"), "s", "defer.pay_max", "at least 0"),
    Mistake(share("defer: {pay_ratio: '3/2'}"), "s", "defer.pay_ratio", "from 0 to 1, not 1.5"),
    Mistake(
        commitment("[{begins: 2026-01-01, before: 2026-02-30, amount: 10}]"),
        "k",
        "schedule[0].before",
        NO_DAY,
    ),
    Mistake(lag("-1"), "m", "close_lag_days", "must be 0 to 3650 days, not -1"),
    Mistake(lag("1000000000"), "m", "close_lag_days", "must be 0 to 3650 days"),
    Mistake(
        LADDER + "  - {id: t, split: {lab: '3/2', cloud: '-1/2'}}\n",
        "W1",
        "tiers[0].split.cloud",
        "must be at least 0, not -0.5",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {lab: '1/2', cloud: '1/2'}, "
        f"until: {{cloud: {{amount: 1, {LIMIT}}}}}"
        ", on_cap: {revert_to: cloud}}\n  - {id: u, split: {lab: 1}}\n",
        "W1",
        "tiers[0].on_cap.revert_to",
        "cloud has a limit in this tier",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {cloud: 1}, until: {cloud: {amount: 1, measured_on: payouts, "
        "counts_from: u, growth: {rate: 1, starts: 2025-01-01}}}}\n"
        "  - {id: u, split: {lab: 1}}\n",
        "W1",
        "tiers[0].until.cloud.counts_from",
        "tier u comes after this one",
    ),
    Mistake(
        LADDER
        + f"  - {{id: t, split: {{cloud: 1}}, until: {{cloud: {{of: {{contributions: [c, d], "
        f"counted: funded, forms: [cash], times: null}}, {LIMIT}}}}}}}\n"
        "  - {id: u, split: {lab: 1}}\ncontributions:\n- {id: c, party: cloud, to: lab, committed: "
        "1, form: cash}\n- {id: d, party: cloud, to: lab, committed: 1, form: cash, "
        "cap_multiple: 6}\n",
        "W1",
        "tiers[0].until.cloud.of.times",
        "c has no `cap_multiple`: give it one, or write the multiple here",
    ),
    Mistake(
        LADDER + f"  - {{id: t, split: {{cloud: 1}}, until: {{cloud: {{amount: 1, {LIMIT}, "
        "growth: {rate: 1, starts: 2025-02-29}}}}\n  - {id: u, split: {lab: 1}}\n",
        "W1",
        "tiers[0].until.cloud.growth.starts",
        "2025-02-29 is in no calendar",
    ),
    Mistake(
        HEAD
        + PARTIES
        + "bases:\n- {id: b, owner: lab, when: {seller: lab}, measure: gross, bundles: [{when: "
        "{use: suite}, components: {api: 3, rest: -2}, by: stand_alone_price, counts: [api]}]}\n",
        "b",
        "bundles[0].components.rest",
        "must be at least 0, not -2",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {lab: '0.5', cloud: '0.49'}}\n",
        "W1",
        "tiers[0].split",
        "the shares sum to 0.99, not to 1",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {lab: 1}}\n  - {id: u, split: {cloud: 1}}\n",
        "W1",
        "tiers[1]",
        "never reached, as tier t has no limit",
    ),
    Mistake(
        LADDER
        + f"  - {{id: t, split: {{lab: 1}}, until: {{lab: {{amount: 5, {LIMIT}}}}}}}\n"
        + f"  - {{id: u, split: {{lab: 1}}, until: {{lab: {{amount: 5, {LIMIT}}}}}}}\n"
        + "  - {id: v, split: {cloud: 1}}\n",
        "W1",
        "tiers[1].until.lab",
        "has reached 5 in an earlier tier",
    ),
    Mistake(
        LADDER
        + f"  - {{id: t, split: {{lab: 1}}, until: {{cloud: {{amount: 5, {LIMIT}}}}}}}\n"
        + "  - {id: v, split: {cloud: 1}}\n",
        "W1",
        "tiers[0].until.cloud",
        "has no share in this tier",
    ),
    Mistake(
        LADDER + f"  - {{id: t, split: {{lab: 1}}, until: {{lab: {{amount: 5, {LIMIT}}}}}}}\n",
        "W1",
        "tiers[0].until",
        "no tier follows",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {lab: 1}}\n  - {id: t, split: {lab: 1}}\n",
        "W1",
        "tiers[1].id",
        "stands here twice",
    ),
    Mistake(
        LADDER + "  - {id: t, split: {lab: 1}, until: {lab: {amount: 5, measured_on: payouts, "
        "counts_from: u}}}\n  - {id: v, split: {lab: 1}}\n",
        "W1",
        "tiers[0].until.lab.counts_from",
        "there is no tier of this waterfall `u`",
    ),
    Mistake(rate("[{price: 1}, {price: 2}]"), "r", "tiers[0]", "the next tier is never reached"),
    Mistake(
        rate("[{up_to: 5, price: 1}, {up_to: 5, price: 2}, {price: 3}]"),
        "r",
        "tiers[1]",
        "never reached: sort the tiers",
    ),
    Mistake(rate("[{up_to: 5, price: 1}]"), "r", "tiers[0]", "is the last tier, and has an end"),
    Mistake(stake(27), "o", "holdings", "sum to 98, not to 100: add who is missing"),
    Mistake(
        commitment("[{begins: 2026-01-01, before: 2027-01-01, amount: 9}]"),
        "k",
        "schedule",
        "the steps sum to 9, not to 10",
    ),
    Mistake(
        commitment(
            "[{begins: 2026-01-01, before: 2027-01-01, amount: 5}, "
            "{begins: 2026-12-01, before: 2028-01-01, amount: 5}]"
        ),
        "k",
        "schedule[1]",
        "begins before the step before it ends",
    ),
    Mistake(
        HEAD + PARTIES + BASES + "shares:\n- {id: s, payer: lab, payee: cloud, ratio: 120%, "
        "base: b}\n",
        "s",
        "ratio",
        "must be from 0 to 1, not 1.2",
    ),
    Mistake(
        HEAD
        + PARTIES
        + BASES.replace(
            "measure: gross",
            "measure: gross, bundles: [{when: {product: p}, by: declared, "
            "components: {a: '0.5', b: '0.4'}, counts: [a, c]}]",
        )
        + "shares:\n- {id: s, payer: lab, payee: cloud, ratio: '0.5', base: b}\n",
        "b",
        "bundles[0].components",
        "the ratios sum to 0.9, not to 1",
    ),
]

NAMES = [
    Mistake(BASE.replace("holder: cloud", "holder: clud"), "X1", "holder", "did you mean `cloud`?"),
    Mistake(BASE.replace("id: model,", "id: lab,"), "lab", "id", "taken already, under `parties`"),
    Mistake(BASE.replace("{surface: api}", "{surfase: api}"), "X1", "what", "mean `surface`?"),
    Mistake(
        BASE + "attributes:\n- {id: surface, choices: [apis, chat]}\n",
        "X1",
        "what",
        "has no choice `api`: did you mean `apis`?",
    ),
    Mistake(
        BASE + "attributes:\n- {id: surface, choices: [api], groups: {all: [api, chat]}}\n",
        "surface",
        "groups.all",
        "`chat` is not among the choices",
    ),
    Mistake(
        BASE.replace("{surface: api}", "{surface: {at_most: 5}}")
        + "attributes:\n- {id: surface}\n",
        "X1",
        "what",
        "cannot be compared by size",
    ),
    Mistake(
        BASE.replace("only: {host: one}", "only: {host: one}, until: {event: agi.verified}")
        + "events:\n- {id: agi, declared_by: lab}\n",
        "X1",
        "until",
        "`agi` can be declared only, not `verified`",
    ),
    Mistake(
        BASE.replace("{surface: api}", "{event: age.declared}")
        + "events:\n- {id: agi, declared_by: lab}\n",
        "X1",
        "what",
        "`age.declared` is no state of an event",
    ),
    Mistake(BASE.replace("{surface: api}", "{window: spring}"), "X1", "what", "there is no window"),
    Mistake(BASE.replace("{surface: api}", "{trigger: rich}"), "X1", "what", "there is no trigger"),
    Mistake(
        BASE.replace("only: {host: one}", "only: {host: one}, until: {event: out.declared}")
        + "events:\n- {id: out, declared_by: lab, per: product}\n",
        "X1",
        "until",
        "happens to each product apart",
    ),
    Mistake(
        BASE.replace("kind: model,", "kind: model, part_of: model,"),
        "model",
        "part_of",
        "leads back to itself",
    ),
    Mistake(
        BASE + "exceptions:\n- {id: E1, overrides: E2, when: {surface: api}}\n"
        "- {id: E2, overrides: [E1, X1], when: {surface: api}}\n",
        "E1",
        "overrides",
        "leads back to itself, by `overrides` E2",
    ),
    Mistake(
        BASE + "entity_graph:\n- {id: a, party: lab, kind: controls, of: cloud}\n"
        "- {id: b, party: cloud, kind: controls, of: lab}\n",
        "lab",
        "controls",
        "leads back to itself",
    ),
    Mistake(BASE.replace("zone: UTC", "zone: Mars"), "", "zone", "there is no zone 'Mars'"),
    Mistake(BASE.replace("scale: 2", "scale: 12"), "", "scale", "must be 0 to 9 decimal places"),
    Mistake(
        BASE.replace("2026-01-01", "2026-02-30"), "", "effective", "2026-02-30 is in no calendar"
    ),
    Mistake(
        BASE.replace(
            "only: {host: one}",
            "only: {host: one}, effective: 2026-05-01, until: {date: 2026-04-30, inclusive: true}",
        ),
        "X1",
        "until",
        "before it begins",
    ),
    Mistake(
        BASE.replace(
            "only: {host: one}", "only: {host: one}, until: {date: 9999-12-31, inclusive: true}"
        ),
        "X1",
        "until.date",
        "nothing comes after 9999-12-31: write `inclusive: false`, or leave the end out",
    ),
    Mistake(
        BASE + "events:\n- {id: agi, declared_by: lab, verified_by: {panel: lab, quorum: 150%}}\n",
        "agi",
        "verified_by.quorum",
        "must be above 0 and at most 1",
    ),
]

IDLE = [
    Mistake(BASE + "events:\n- {id: agi, declared_by: lab}\n", "agi", "", "no clause uses this"),
    Mistake(
        BASE + "triggers:\n- {id: t, total: profit, at_least: 5, curable: true}\n",
        "t",
        "",
        "no clause uses this",
    ),
    Mistake(BASE + BASES, "b", "", "no clause uses this"),
    Mistake(BASE + "attributes:\n- {id: colour}\n", "colour", "", "no clause uses this"),
    Mistake(
        BASE + "grants:\n- {id: G, to: cloud, asset: model, exclusive: false}\n",
        "G",
        "asset",
        "grants what everybody may",
    ),
    Mistake(
        BASE + "grants:\n- {id: G, to: cloud, asset: model, exclude: model, exclusive: true}\n",
        "G",
        "exclude",
        "excludes everything that it grants",
    ),
    Mistake(
        BASE + "grants:\n- {id: G, to: anyone, asset: model, exclusive: true}\n",
        "G",
        "exclusive",
        "cannot be exclusive to anyone",
    ),
    Mistake(
        BASE + "exceptions:\n- {id: E, overrides: X1, when: {surface: chat}}\n",
        "E",
        "when",
        "never applies, as X1 is never about such a request",
    ),
    Mistake(
        BASE.replace("{surface: api}", "{surface: api, event: agi.verified}")
        + "events:\n- {id: agi, declared_by: lab, verified_by: {panel: lab, quorum: 1}}\n",
        "agi",
        "verified_by.panel",
        "has no members, so that nobody can verify",
    ),
]

SECOND = "- {id: X2, holder: lab, what: {surface: api, segment: public}, only: {host: two}}\n"
CLASHES = [
    Mistake(
        BASE.replace("only: {host: one}}\n", "only: {host: one}}\n" + SECOND),
        "X2",
        "only",
        "overlaps X1, which keeps the same requests to host one, and no place is both",
    ),
    Mistake(
        BASE.replace(
            "only: {host: one}}\n",
            "only: {host: one}}\n" + SECOND.replace("segment: public", "tag.x: {not: y}"),
        ),
        "X2",
        "only",
        "add an exception for one of them, or `overrides: X1`",
    ),
    Mistake(
        BASE.replace("owner: lab}", "owner: lab, reserved: true}")
        + "grants:\n- {id: G, to: cloud, asset: model, exclusive: true}\n"
        "- {id: H, to: other, asset: model, exclusive: false}\n"
        "entity_graph:\n- {id: r, party: lab, kind: owns, of: other}\n",
        "G",
        "exclusive",
        "H grants the same to other",
    ),
]
CLASHES[2] = CLASHES[2]._replace(
    text=CLASHES[2].text.replace(PARTIES, PARTIES + "- {id: other, kind: company}\n")
)


@pytest.mark.parametrize("mistake", [*AMOUNTS, *NAMES, *IDLE, *CLASHES], ids=lambda m: m.what[:50])
def test_mistakes_are_found(mistake: Mistake) -> None:
    """With the clause, the place in it, and what to do; at a line of the file."""
    found = problems(mistake.text)
    fitting = [
        problem
        for problem in found
        if (problem.clause, problem.path) == (mistake.clause, mistake.path)
        and mistake.what in problem.text
    ]
    assert fitting, found
    assert all(problem.line for problem in found)


COMPATIBLE = {
    "another place beside": SECOND.replace("host: two", "region: eu"),
    "other requests": SECOND.replace("surface: api,", "surface: chat,"),
    "an override": SECOND.replace("only: {host: two}", "only: {host: two}, overrides: X1"),
    "another time": SECOND.replace("only:", "effective: 2027-01-01, only:"),
}


@pytest.mark.parametrize("second", COMPATIBLE.values(), ids=COMPATIBLE)
def test_exclusivities_that_do_not_clash(second: str) -> None:
    """One place for both, other requests, an override, or another time."""
    first = "only: {host: one}, until: {date: 2026-12-31, inclusive: true}}\n"
    if "overrides" in second or "region" in second or "chat" in second:
        first = "only: {host: one}}\n"
    assert said(BASE.replace("only: {host: one}}\n", first + second)) == []


def test_an_exception_resolves_a_clash_where_it_covers_it() -> None:
    """An exception for less than the overlap leaves the rest unresolved."""
    both = BASE.replace("only: {host: one}}\n", "only: {host: one}}\n" + SECOND)
    covering = "exceptions:\n- {id: E, overrides: X1, when: {segment: [public, other]}}\n"
    lacking = "exceptions:\n- {id: E, overrides: X1, when: {segment: public, region: eu}}\n"
    assert said(both + covering) == []
    assert "overlaps X1" in str(said(both + lacking))


def test_assets_that_cannot_be_both() -> None:
    """Traits of declared assets count: open weights are none of the closed model."""
    text = BASE.replace("owner: lab}", "owner: lab, traits: {open_weight: false}}")
    pair = text.replace("{surface: api}", "{asset: model}").replace(
        "only: {host: one}}\n",
        "only: {host: one}}\n"
        "- {id: X2, holder: lab, what: {asset.open_weight: true}, only: {host: two}}\n",
    )
    assert said(pair) == []
    assert "overlaps X1" in str(said(pair.replace("open_weight: false", "open_weight: true")))


def test_numbers_that_cannot_be_both() -> None:
    """Ranges that meet, and ranges that do not."""
    text = BASE + "attributes:\n- {id: size, kind: number}\n"
    pair = text.replace("{surface: api}", "{size: {at_most: 5}}").replace(
        "only: {host: one}}\n",
        "only: {host: one}}\n- {id: X2, holder: lab, what: {size: {more_than: 5}}, "
        "only: {host: two}}\n",
    )
    assert said(pair) == []
    assert "overlaps X1" in str(said(pair.replace("more_than", "at_least")))


def test_conditions_too_intricate_to_compare() -> None:
    """The bound is said instead of taking forever."""
    made = book(BASE).first.agreement
    around = Instant(made, Words(made), courses((), (), (), NOTHING), 0)
    wide = {"all": [{"any": [{f"tag.a{n}": 1}, {f"tag.b{n}": 1}]} for n in range(13)]}
    with pytest.raises(TooMany):
        conjunctions(formula(parse(wide), Side.PERMITS, around))


def test_the_example_has_every_list_and_no_mistake() -> None:
    """It is what the reference page shows."""
    versions = book(EXAMPLE).versions()
    assert len(versions) == 2
    sections = {section for section, _, _ in versions[0].agreement.clauses()}
    assert len(sections) == 23
