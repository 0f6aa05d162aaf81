"""Occasions: events with panels and quorum, triggers, windows, and what is known when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente.agreement.occasions import (
    Attestation,
    Course,
    Event,
    Evidence,
    Facts,
    Reading,
    Trigger,
    Verdict,
    Verification,
    courses,
)
from entente.agreement.rights import Party, PartyKind
from tests.agreement.money.ladders import F
from tests.agreement.rights.documents import attested, ns

PANEL = Party(id="panel", kind=PartyKind.PANEL, members=("a", "b", "c", "d"))
AGI = Event(id="agi", declared_by="lab", verified_by=Verification(panel="panel", quorum=F(2, 3)))
EXAMPLES = 10_000


def states(*facts: Attestation, event: Event = AGI, subject: str = "") -> list[str | None]:
    """Give the states that an event comes through."""
    made = courses((event,), (), (PANEL,), Facts(attestations=facts))
    return [
        state for name, course in made.of(event.id) if name == subject for _, state in course.steps
    ]


DECLARED = attested("agi", "declared", "lab", "2026-01-01")


def votes(*members: str, verdict: str = "verified", month: int = 2) -> list[Attestation]:
    """Give a verdict of each of some members, a day after the other."""
    return [
        attested("agi", verdict, member, f"2026-{month:02}-{day:02}")
        for day, member in enumerate(members, 1)
    ]


def test_a_quorum_verifies() -> None:
    """Two thirds of four are three."""
    assert states(DECLARED, *votes("a", "b")) == ["declared"]
    assert states(DECLARED, *votes("a", "b", "c")) == ["declared", "verified"]
    made = courses((AGI,), (), (PANEL,), Facts(attestations=(DECLARED, *votes("a", "b", "c"))))
    assert not made.holds("agi.verified", ns("2026-02-03") - 1)
    assert made.holds("agi.verified", ns("2026-02-03"))
    assert not made.holds("agi.declared", ns("2026-02-03"))
    assert made.occurred_ns(ns("2026-03-01")) == {"agi.verified": ns("2026-02-03")}


@pytest.mark.parametrize(
    "facts",
    [
        [*votes("a", "b", "c")],
        [DECLARED, *votes("a", "b", "b", "a")],
        [DECLARED, *votes("a", "b", "lab")],
        [DECLARED, *votes("a", "b"), attested("other", "verified", "c", "2026-02-03")],
        [attested("agi", "declared", "cloud", "2026-01-01"), *votes("a", "b", "c")],
    ],
    ids=["nothing declared", "one voice each", "no member", "another event", "who may not declare"],
)
def test_what_does_not_verify(facts: list[Attestation]) -> None:
    """A vote counts once, of a member, for this event, after a declaration of who may."""
    assert "verified" not in states(*facts)


def test_rejections_that_leave_no_quorum_reject() -> None:
    """Two of four against, and three can no longer be for; a new declaration begins anew."""
    against = votes("a", "b", verdict="rejected")
    assert states(DECLARED, *against) == ["declared", "rejected"]
    assert states(DECLARED, *against, *votes("c", "d", "a", month=3)) == ["declared", "rejected"]
    again = attested("agi", "declared", "lab", "2026-02-20")
    assert states(DECLARED, *against, again, *votes("b", "c", "d", month=3)) == [
        "declared",
        "rejected",
        "declared",
        "verified",
    ]


def test_a_member_may_change_its_mind_until_the_quorum() -> None:
    """The latest voice of each counts."""
    facts = [DECLARED, *votes("a", verdict="rejected"), *votes("a", "b", "c", month=3)]
    assert states(*facts) == ["declared", "verified"]


def test_a_verified_event_stays_but_for_counter_attestations() -> None:
    """As many as verified it take it back; nothing else does."""
    verified = [DECLARED, *votes("a", "b", "c")]
    late = [*votes("a", "b", "c", "d", verdict="rejected", month=3)]
    again = attested("agi", "declared", "lab", "2026-03-09")
    assert states(*verified, *late, again) == ["declared", "verified"]
    assert states(*verified, *votes("a", "b", verdict="countered", month=3)) == [
        "declared",
        "verified",
    ]
    assert states(*verified, *votes("a", "b", "d", verdict="countered", month=3)) == [
        "declared",
        "verified",
        None,
    ]


def test_evidence_that_is_required() -> None:
    """Without it an attestation counts for nothing, and is named with the reason."""
    bare = Attestation(event="agi", by="lab", verdict=Verdict.DECLARED, at_ns=0)
    strict = Event(id="agi", declared_by="lab", evidence=Evidence.REQUIRED)
    made = courses((strict,), (), (PANEL,), Facts(attestations=(bare,)))
    assert not made.holds("agi.declared", 1)
    assert made.ignored == ((bare, "it names no evidence"),)


def test_subjects() -> None:
    """What happens to each thing apart happens to a thing that is named."""
    shipped = Event(id="shipped", declared_by="lab", per="product")
    named = attested("shipped", "declared", "lab", "2026-01-01", subject="chat")
    made = courses((shipped,), (), (), Facts(attestations=(named,)))
    assert made.subjects("shipped", "declared", ns("2026-02-01")) == ("chat",)
    assert made.subjects("shipped", "declared", ns("2025-12-31")) == ()
    unnamed = attested("shipped", "declared", "lab", "2026-01-01")
    made = courses((shipped, AGI), (), (), Facts(attestations=(unnamed,)))
    assert [reason for _, reason in made.ignored] == [
        "`shipped` happens to a product, and this names none"
    ]


def readings(*values: int) -> Facts:
    """Give a total of each month."""
    return Facts(
        readings=tuple(
            Reading(total="profit", at_ns=ns(f"2026-{month:02}-01"), value=F(value))
            for month, value in enumerate(values, 1)
        )
    )


@pytest.mark.parametrize(
    ("curable", "expected"),
    [(True, [False, True, False, True]), (False, [False, True, True, True])],
)
def test_triggers(expected: list[bool], *, curable: bool) -> None:
    """One that is curable follows its total; another one stays met."""
    trigger = Trigger(id="rich", total="profit", at_least=F(100), curable=curable)
    made = courses((), (trigger,), (), readings(99, 100, 50, 200))
    for reference in ("rich", "rich.met"):
        met = [made.holds(reference, ns(f"2026-{month:02}-15")) for month in range(1, 5)]
        assert met == expected


def test_facts_are_known_later_than_they_count() -> None:
    """What nobody knew then is left out for who looks from then."""
    late = attested("agi", "declared", "lab", "2026-01-01", known="2026-05-01")
    facts = Facts(attestations=(late,))
    assert facts.known(ns("2026-04-30")) == Facts()
    assert facts.known(ns("2026-05-01")) == facts


def test_courses_before_they_begin() -> None:
    """There is no state, and nothing since."""
    course = Course([(5, "declared"), (5, "verified"), (9, None)])
    assert [course.at(instant) for instant in (4, 5, 8, 9)] == [None, "verified", "verified", None]
    assert [course.since(instant) for instant in (4, 5, 8, 9)] == [None, 5, 5, None]


VOICES = st.builds(
    lambda by, verdict, day: attested("agi", verdict, by, f"2026-01-{day:02}"),
    st.sampled_from(["lab", "a", "b", "c", "d", "x"]),
    st.sampled_from([verdict.value for verdict in Verdict]),
    st.integers(1, 9),
)


@settings(max_examples=EXAMPLES // 10, deadline=None, derandomize=True, database=None)
@given(st.lists(VOICES, max_size=14), st.randoms(use_true_random=False))
def test_courses_do_not_depend_on_the_order_of_facts(
    voices: list[Attestation], random: object
) -> None:
    """Nor on facts told twice; and verified ends by counter-attestations only."""
    shuffled = [*voices, *voices]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert states(*voices) == states(*shuffled)
    found = states(*voices)
    for before, after in itertools.pairwise(found):
        if before == "verified":
            assert after is None
            assert sum(each.verdict is Verdict.COUNTERED for each in voices) >= 3
