"""Deciding: silence, exemptions of exemptions, what the document fills in, sentences, memory."""

from __future__ import annotations

from typing import Any

import pytest

from entente.agreement.conditions import parse
from entente.agreement.decide import Rules, decide
from entente.agreement.decide import decision as deciding
from entente.agreement.decide.sentences import described
from entente.agreement.load import Version
from entente.agreement.occasions import NOTHING, Facts
from tests.agreement.rights.documents import BASE, attested, book, decided, ns

SURFACE = "attributes:\n- {id: surface, groups: {api: [api_stateless, api_stateful]}}\n"


def with_what(what: str, more: str = "") -> str:
    """Give a document whose one exclusivity is about something."""
    return BASE.replace("{surface: api}", what) + more


def test_an_exclusivity_bars_in_its_scope_only() -> None:
    """Inside, only where `only` holds; outside, whatever the host."""
    assert decided(BASE, surface="api", host="one").clauses == ("X1",)
    assert not decided(BASE, surface="api", host="two").allowed
    assert not decided(BASE, surface="api").allowed
    outside = decided(BASE, surface="chat", host="two")
    assert (outside.allowed, outside.clauses) == (True, ())


def test_before_the_agreement_nothing_is_barred() -> None:
    """And there is no version to name."""
    before = decided(BASE, at="2025-12-31", surface="api", host="two")
    assert (before.allowed, before.version) == (True, "")


SILENT = [
    ("{surface: api}", False, "a plain test does not hold"),
    ("{surface: {not: chat}}", True, "a negation holds"),
    ("{surface: {given: false}}", True, "silence itself holds"),
    ("{surface: {given: true}}", False, "silence is known to be there"),
    ("{not: {surface: {given: true}}}", True, "and so is its negation"),
    ("{not: {all: [{surface: chat}, {host: two}]}}", True, "a negation reaches every part"),
    ("{tag.users: {more_than: 5}}", False, "no number is above a bound"),
    ("{not: {tag.users: {at_most: 5}}}", True, "nor known to be below it"),
]


@pytest.mark.parametrize(("what", "barred", "why"), SILENT, ids=[why for *_, why in SILENT])
def test_silence_in_a_clause_that_bars(what: str, why: str, *, barred: bool) -> None:
    """Nobody gets out of a clause by not saying that it is outside of it."""
    text = with_what(what)
    assert decided(text, host="two").allowed is not barred, why


@pytest.mark.parametrize("what", [what for what, *_ in SILENT if "given" not in what])
def test_silence_in_a_clause_that_permits(what: str) -> None:
    """No exemption holds for who does not say what it asks for."""
    text = (
        BASE.replace("{surface: api}", "{}")
        + f"exceptions:\n- {{id: E1, overrides: X1, when: {what}}}\n"
    )
    assert not decided(text).allowed


def test_an_attribute_that_has_to_be_said() -> None:
    """Who does not say it is inside."""
    text = BASE + "attributes:\n- {id: surface, required: true}\n"
    assert not decided(text, host="two").allowed
    assert decided(text, host="two", surface="chat").allowed


def test_a_text_where_a_number_is_asked_for_says_nothing() -> None:
    """It is as good as silence."""
    text = with_what("{size: {at_most: 5}}", "attributes:\n- {id: size, kind: number}\n")
    assert decided(text, size="many", host="two").allowed
    assert not decided(text, size=5, host="two").allowed


def test_groups_patterns_and_parts() -> None:
    """A value stands for more than itself where the document says so."""
    text = with_what("{surface: api, model: {like: [gpt-*, o*-mini]}}", SURFACE)
    assert not decided(text, surface="api_stateless", model="gpt-5", host="two").allowed
    assert not decided(text, surface="api", model="o4-mini", host="two").allowed
    assert decided(text, surface="first_party", model="gpt-5", host="two").allowed
    assert decided(text, surface="api_stateful", model="my-gpt-5", host="two").allowed
    parts = with_what("{asset: model}").replace(
        "owner: lab}", "owner: lab}\n- {id: weights, kind: weights, owner: lab, part_of: model}"
    )
    assert not decided(parts, asset="weights", host="two").allowed


def test_exemptions_of_exemptions() -> None:
    """As deep as one likes; each takes the one that it names out of action."""
    text = BASE + (
        "exceptions:\n"
        "- {id: E1, overrides: X1, when: {segment: public}}\n"
        "- {id: E2, overrides: E1, when: {region: us}}\n"
        "- {id: E3, overrides: E2, when: {tag.vip: true}}\n"
    )
    asked: dict[str, Any] = {"surface": "api", "host": "two", "segment": "public"}
    assert decided(text, **asked).clauses == ("E1",)
    assert not decided(text, **asked, region="us").allowed
    assert decided(text, **asked, region="us", tag__vip=True).allowed


def test_an_exemption_of_an_exemption_bars_and_so_reads_silence() -> None:
    """What takes an exemption away holds on a negation of what is not said."""
    text = BASE + (
        "exceptions:\n"
        "- {id: E1, overrides: X1, when: {segment: public}}\n"
        "- {id: E2, overrides: E1, when: {region: {not: eu}}}\n"
    )
    asked: dict[str, Any] = {"surface": "api", "host": "two", "segment": "public"}
    assert not decided(text, **asked).allowed
    assert decided(text, **asked, region="eu").allowed


THINGS = (
    BASE.replace(
        "owner: lab}",
        'owner: lab, models: ["big-*"], traits: {open_weight: false}}\n'
        '- {id: open, kind: weights, owner: lab, models: ["*", "big-open-*"], '
        "traits: {open_weight: true}}",
    ).replace("{surface: api}", "{surface: api, asset.open_weight: false}")
    + "products:\n- {id: writer, surface: chat, asset: model}\n"
    + "channels:\n- {id: shop, seller: cloud, host: one, region: eu}\n"
)


def test_the_document_fills_in_what_is_not_said() -> None:
    """Of products, channels and models; what a request says of these stands."""
    assert decided(THINGS, model="big-1", surface="api", channel="shop").allowed
    assert not decided(THINGS, model="big-1", surface="api", channel="shop", host="two").allowed
    assert decided(THINGS, product="writer", host="two").allowed
    assert not decided(THINGS, product="writer", surface="api", host="two").allowed


def test_traits_are_the_documents() -> None:
    """A request cannot call a model open that the document calls closed."""
    asked: dict[str, Any] = {"surface": "api", "host": "two"}
    assert not decided(THINGS, model="big-1", **asked, asset__open_weight=True).allowed
    assert decided(THINGS, model="big-open-1", **asked).allowed
    assert decided(THINGS, model="anything", **asked, asset__open_weight=False).allowed


RESERVED = BASE.replace("owner: lab}", "owner: lab, reserved: true}") + (
    "entity_graph:\n- {id: R, party: cloud, kind: controls, of: arm}\n"
    "grants:\n- {id: G, to: cloud, affiliates: true, asset: model, exclusive: false,"
    " what: {use: research}, provided: {users: {at_most: 5}},"
    " until: {date: 2026-12-31, inclusive: true}}\n"
    "attributes:\n- {id: users, kind: number}\n"
)
RESERVED = RESERVED.replace(
    "- {id: cloud, kind: cloud}", "- {id: cloud, kind: cloud}\n- {id: arm, kind: company}"
)


@pytest.mark.parametrize(
    ("request_", "at", "by"),
    [
        ({"party": "cloud", "use": "research", "users": 5}, "2026-12-31", "G"),
        ({"party": "arm", "use": "research", "users": 5}, "2026-06-01", "G"),
        ({"party": "lab"}, "2026-06-01", ""),
        ({"party": "cloud", "use": "research", "users": 6}, "2026-06-01", None),
        ({"party": "cloud", "use": "research"}, "2026-06-01", None),
        ({"party": "cloud", "use": "sale", "users": 5}, "2026-06-01", None),
        ({"party": "cloud", "use": "research", "users": 5}, "2027-01-01", None),
        ({"party": "other", "use": "research", "users": 5}, "2026-06-01", None),
        ({"use": "research", "users": 5}, "2026-06-01", None),
    ],
    ids=str,
)
def test_reserved_assets_and_grants(request_: dict[str, Any], at: str, by: str | None) -> None:
    """The owner may; others by a grant that holds, for its use, under its conditions."""
    decision = decided(RESERVED, at=at, asset="model", **request_)
    assert decision.allowed is (by is not None)
    if by is not None:
        assert decision.clauses == ((by,) if by else ())
    else:
        assert decision.clauses == ("model",)


def test_a_reserved_asset_bars_nothing_else() -> None:
    """Whoever asks for another asset, or for none, is outside."""
    assert decided(RESERVED, party="other", asset="else").allowed
    assert decided(RESERVED, party="other").allowed


WINDOWED = with_what(
    "{surface: api, window: spring}",
    "windows:\n- {id: spring, effective: 2026-03-01, until: {date: 2026-05-31, inclusive: true}}\n",
)


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("2026-02-28", True),
        ("2026-02-28T23:59:59.999999999Z", True),
        ("2026-03-01", False),
        ("2026-05-31T23:59:59.999999999Z", False),
        ("2026-06-01", True),
    ],
)
def test_windows_to_the_nanosecond(at: str, *, allowed: bool) -> None:
    """From its first instant through its last day."""
    assert decided(WINDOWED, at=at, surface="api", host="two").allowed is allowed


def test_a_window_is_of_the_documents_zone() -> None:
    """Midnight is somewhere."""
    text = WINDOWED.replace("zone: UTC", "zone: America/New_York")
    assert decided(text, at="2026-03-01T04:59:59Z", surface="api", host="two").allowed
    assert not decided(text, at="2026-03-01T05:00:00Z", surface="api", host="two").allowed


def test_a_counter_attestation_opens_a_clause_again() -> None:
    """It ended by an event that is taken back."""
    text = BASE.replace("only: {host: one}", "only: {host: one}, until: {event: out.declared}") + (
        "events:\n- {id: out, declared_by: lab}\n"
    )
    facts = Facts(
        attestations=(
            attested("out", "declared", "lab", "2026-03-01"),
            attested("out", "countered", "lab", "2026-04-01"),
        )
    )
    answers = [
        decided(text, at=f"2026-{month:02}-15", facts=facts, surface="api", host="two").allowed
        for month in (2, 3, 4)
    ]
    assert answers == [False, True, False]


SENTENCES = [
    (
        {"surface": "api", "host": "two"},
        "X1 keeps surface api to host one; this request has host two.",
    ),
    ({"surface": "api"}, "X1 keeps surface api to host one; this request has no host."),
]


@pytest.mark.parametrize(("request_", "sentence"), SENTENCES)
def test_a_denial_says_why(request_: dict[str, Any], sentence: str) -> None:
    """In one sentence, with the clause and what the request has."""
    assert decided(BASE, **request_).sentence == f"Not allowed: {sentence}"


def test_all_clauses_that_bar_are_named() -> None:
    """In the order of the document."""
    text = BASE + "prohibitions:\n- {id: P1, what: {surface: api, use: weapons}}\n"
    decision = decided(text, surface="api", host="two", use="weapons")
    assert decision.clauses == ("X1", "P1")
    assert decision.sentence.endswith("this request has host two (P1 too).")
    alone = decided(text, surface="api", host="one", use="weapons")
    assert alone.sentence == "Not allowed: P1 prohibits surface api and use weapons."


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({}, "anything"),
        ({"a": [1, True, "x"]}, "a 1, true or x"),
        ({"a": {"not": "x"}}, "a other than x"),
        ({"a": {"at_most": "1/4"}}, "a at most 0.25"),
        ({"a": {"given": False}}, "a not said"),
        ({"not": {"event": "agi.verified"}}, "not (agi.verified)"),
        ({"any": [{"a": {"like": "g*"}}, {"b": 2}]}, "a g* or b 2"),
        ({"a": list("uvwxyz")}, "a u, v, w or 3 more"),
        ({"a": 1, "any": [{"b": 2}, {"c": 3}]}, "a 1 and (b 2 or c 3)"),
    ],
)
def test_conditions_in_words(condition: dict[str, Any], words: str) -> None:
    """Short, and as people say it."""
    assert described(parse(condition).node) == words


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and by the length of what is remembered."""
    monkeypatch.setattr(deciding, "REMEMBERED_MAX", 3)
    versions: tuple[Version, ...] = book(BASE).versions()
    standing = Rules(versions).given(NOTHING)
    for number in range(10):
        asked = {"surface": "api", "host": f"h{number}"}
        assert not standing.decide(asked, ns("2026-06-01")).allowed
    (stretch,) = standing._stretches.values()
    assert 1 <= len(stretch._remembered) <= 3
    before = len(stretch._remembered)
    assert not standing.decide({"surface": "api", "host": "x" * 2_000}, ns("2026-06-01")).allowed
    assert len(stretch._remembered) == before


def test_memory_is_only_of_what_rules_ask_for() -> None:
    """What no rule asks for makes no difference, and takes no room."""
    standing = Rules(book(BASE).versions()).given(NOTHING)
    for number in range(10):
        asked = {"surface": "api", "host": "one", "request_id": f"r{number}"}
        assert standing.decide(asked, ns("2026-06-01")).allowed
    (stretch,) = standing._stretches.values()
    assert len(stretch._remembered) == 1


def test_other_facts_are_other_rules() -> None:
    """The same rules answer under each facts as under no others."""
    text = BASE.replace("only: {host: one}", "only: {host: one}, until: {event: out.declared}") + (
        "events:\n- {id: out, declared_by: lab}\n"
    )
    rules = Rules(book(text).versions())
    happened = Facts(attestations=(attested("out", "declared", "lab", "2026-02-01"),))
    asked = {"surface": "api", "host": "two"}
    answers = [
        decide(rules, facts, asked, ns("2026-03-01")).allowed for facts in (NOTHING, happened) * 2
    ]
    assert answers == [False, True, False, True]


MISFORMED: list[tuple[object, str]] = [
    (5, "a condition is a mapping"),
    (None, "not nothing"),
    ({"Surface": "x"}, "is no name of an attribute"),
    ({"all": {}}, "`all` takes a list of conditions, not a mapping"),
    ({"any": []}, "`any` takes a list"),
    ({"event": 5}, "`event` takes a name"),
    ({"a": {}}, "`a` is tested for nothing"),
    ({"a": []}, "1 to 1000 values"),
    ({"a": {"is": 5}}, "is not a test"),
    ({"a": {"given": "yes"}}, "is not a test"),
    ({"a": {"at_most": 0.5}}, "quote it"),
    ({"a": {"like": "*a*b*c*d*"}}, "more than 4 stars"),
    ({"a": 0.5}, "is compared with text"),
    ({"a": ""}, "1 to 256 characters"),
]


@pytest.mark.parametrize(("raw", "what"), MISFORMED, ids=str)
def test_conditions_that_are_refused(raw: object, what: str) -> None:
    """With what would do instead."""
    with pytest.raises(ValueError, match=what):
        parse(raw)


def test_conditions_are_bounded() -> None:
    """In depth and in parts."""
    deep: dict[str, Any] = {"a": 1}
    for _ in range(20):
        deep = {"not": deep}
    with pytest.raises(ValueError, match="16 deep"):
        parse(deep)
    with pytest.raises(ValueError, match="1000 parts"):
        parse({"any": [{"a": 1}] * 1_001})
