"""Deciding, over documents and requests that nobody thought of.

The compiled rules are compared with the plain ones of `plain.py`; besides, nothing that a
clause does reaches beyond its own scope.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entente.agreement.conditions import Scalar
from entente.agreement.decide import Rules
from entente.agreement.decide.deciding import Version
from entente.agreement.document import Agreement, canonical, dec_hook
from entente.agreement.load import Version as LoadedVersion
from entente.agreement.occasions import Attestation, Facts, Reading, Verdict
from tests.agreement.money.ladders import F
from tests.agreement.rights.documents import ns
from tests.agreement.rights.plain import Plain

DAYS: Final = tuple(f"2026-{month:02}-01" for month in range(1, 13))
REQUESTS_EACH: Final = 25
DOCUMENTS: Final = 400
"""Documents × requests are the examples: 10,000."""

PROFILE: Final = settings(
    max_examples=DOCUMENTS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
VALUES: Final[Mapping[str, tuple[Scalar, ...]]] = {
    "surface": ("api_stateless", "api_stateful", "chat"),
    "host": ("one", "two"),
    "party": ("lab", "cloud", "arm", "other"),
    "segment": ("public", "private"),
    "asset": ("whole", "part", "small", "free"),
    "model": ("big-1", "small-1", "tiny"),
    "product": ("talk", "draw"),
    "users": (1, 5, 9, "many"),
    "asset.open": (True, False),
}
FACTS: Final = ("agi.verified", "agi.declared", "shipped.declared", "cannot.declared", "rich")


class Making:
    """Makes documents, facts and requests from one source of randomness.

    Drawing thousands of small choices one by one is slow; a seed that the search chooses
    is as good here, and a failing one repeats itself.
    """

    def __init__(self, seed: int) -> None:
        """Take the seed."""
        self.r = random.Random(seed)  # noqa: S311  (repeatable is the point)

    def some(self, items: tuple[Any, ...]) -> Any:
        """Give one or more of some."""
        return self.r.sample(items, self.r.randint(1, len(items)))

    def condition(self, depth: int = 0) -> dict[str, Any]:
        """Make a condition."""
        made: dict[str, Any] = {}
        for _ in range(self.r.choice((0, 1, 1, 2))):
            name = self.r.choice(tuple(VALUES))
            made[name] = self.test(name)
        kind = self.r.random()
        if depth < 2 and kind < 0.3:
            join = self.r.choice(("all", "any"))
            made[join] = [self.condition(depth + 1) for _ in range(self.r.randint(1, 2))]
        elif depth < 2 and kind < 0.4:
            made["not"] = self.condition(depth + 1)
        elif kind < 0.5:
            made["event"] = self.r.choice(FACTS[:4])
        elif kind < 0.55:
            made["trigger"] = "rich"
        elif kind < 0.6:
            made["window"] = "spring"
        return made

    def test(self, name: str) -> Any:
        """Make a test of an attribute."""
        kind = self.r.random()
        if kind < 0.15:
            return {"not": self.test(name)}
        if kind < 0.25:
            return {"given": self.r.random() < 0.5}
        if name == "users":
            relation = self.r.choice(("at_most", "at_least", "less_than", "more_than"))
            return {relation: self.r.choice((1, 5, "13/2"))}
        if name == "model" and kind < 0.6:
            return {"like": self.r.choice(("big-*", "*", "*-1"))}
        if name == "surface" and kind < 0.5:
            return "api"
        return self.some(VALUES[name]) if kind < 0.5 else self.r.choice(VALUES[name])

    def times(self) -> dict[str, Any]:
        """Make a beginning and an end, or neither."""
        made: dict[str, Any] = {}
        if self.r.random() < 0.25:
            made["effective"] = self.r.choice(DAYS)
        kind = self.r.random()
        date = {"date": self.r.choice(DAYS), "inclusive": self.r.random() < 0.5}
        event = {"event": self.r.choice(("agi.verified", "agi.declared", "rich"))}
        if kind < 0.1:
            made["until"] = date
        elif kind < 0.2:
            made["until"] = event
        elif kind < 0.3:
            made["until"] = {self.r.choice(("earliest_of", "latest_of")): [date, event]}
        return made

    def overrides(self, ids: list[str]) -> dict[str, Any]:
        """Make what a clause overrides of those before it."""
        return {"overrides": self.some(tuple(ids))} if ids and self.r.random() < 0.3 else {}

    def clauses(self, prefix: str, most: int) -> list[dict[str, Any]]:
        """Make the ids and times of some clauses."""
        count = self.r.randint(0, most)
        return [{"id": f"{prefix}{number}", **self.times()} for number in range(count)]

    def document(self) -> dict[str, Any]:
        """Make a document."""
        r = self.r
        grants = [
            {
                **each,
                "to": r.choice(("cloud", "other", ["cloud", "other"], "anyone")),
                "affiliates": r.random() < 0.5,
                "asset": r.choice(("whole", "part", "small", ["part", "free"])),
                "exclude": r.choice((None, None, "small")),
                "exclusive": r.random() < 0.2,
                "what": self.condition(2),
                "provided": self.condition(1),
            }
            for each in self.clauses("G", 3)
        ]
        ids = [each["id"] for each in grants] + ["whole"]
        exclusivities = []
        for each in self.clauses("X", 3):
            what = {"what": self.condition(), "only": self.condition(1), "holder": "cloud"}
            exclusivities.append({**each, **what, **self.overrides(ids)})
            ids.append(each["id"])
        prohibitions = []
        for each in self.clauses("P", 2):
            on = r.choice(({}, {"binds": "other"}))
            limit = r.choice(({}, {"limit": {"of": "users", "at_most": 5}}))
            made = {**each, "what": self.condition(), **on, **limit, **self.overrides(ids)}
            prohibitions.append(made)
            ids.append(each["id"])
        precedences = [self.precedence(each) for each in self.clauses("F", 2)]
        ids += [each["id"] for each in precedences]
        exceptions = []
        for each in self.clauses("E", 4):
            if ids:
                chosen = self.some(tuple(ids))
                exceptions.append({**each, "overrides": chosen, "when": self.condition()})
                ids.append(each["id"])
        return {
            **self.frame(),
            "grants": grants,
            "exclusivities": exclusivities,
            "prohibitions": prohibitions,
            "precedences": precedences,
            "exceptions": exceptions,
        }

    def precedence(self, each: dict[str, Any]) -> dict[str, Any]:
        """Make a precedence of either kind."""
        made = {**each, "holder": "cloud", "what": self.condition(), "place": {"host": "one"}}
        made["per"] = "product"
        if self.r.random() < 0.5:
            waiver = self.r.choice((None, {"event": "cannot.declared"}, self.condition(1)))
            return {
                **made,
                "kind": "first_ship",
                "shipped": "shipped",
                "lead": "45d",
                "waiver": waiver,
            }
        refusal = {"offered": "offered", "accepted": "accepted", "declined": "declined"}
        return {**made, "kind": "first_refusal", "response": "20d", **refusal}

    def frame(self) -> dict[str, Any]:
        """Give what all documents have: parties, assets, events and words."""
        r = self.r
        return {
            "agreement": {
                "id": "pact",
                "currency": "USD",
                "scale": 2,
                "rounding": "floor_then_first",
                "zone": "UTC",
                "effective": "2026-01-01",
            },
            "attributes": [
                {
                    "id": "surface",
                    "groups": {"api": ["api_stateless", "api_stateful"]},
                    "required": r.random() < 0.5,
                },
                {"id": "party", "required": r.random() < 0.3},
                {"id": "product", "required": r.random() < 0.3},
            ],
            "parties": [{"id": name, "kind": "other"} for name in VALUES["party"]]
            + [{"id": "panel", "kind": "panel", "members": ["a", "b"]}],
            "entity_graph": [{"id": "R", "party": "cloud", "kind": "controls", "of": "arm"}],
            "assets": [
                {
                    "id": "whole",
                    "kind": "other",
                    "owner": "lab",
                    "reserved": r.random() < 0.6,
                    "models": ["*"],
                    "traits": {"open": False},
                    **self.times(),
                },
                {"id": "part", "kind": "model", "owner": "lab", "part_of": "whole"},
                {
                    "id": "small",
                    "kind": "model",
                    "owner": "lab",
                    "part_of": "part",
                    "models": ["small-*"],
                    "traits": {"open": True},
                },
                {"id": "free", "kind": "data", "owner": "other", "reserved": r.random() < 0.3},
            ],
            "products": [{"id": "talk", "surface": "chat", "asset": "part"}],
            "windows": [
                {
                    "id": "spring",
                    "effective": "2026-03-01",
                    "until": {"date": "2026-05-31", "inclusive": True},
                }
            ],
            "events": [
                {
                    "id": "agi",
                    "declared_by": "lab",
                    "verified_by": {"panel": "panel", "quorum": "1/2"},
                },
                *(
                    {"id": name, "declared_by": "cloud", "per": "product"}
                    for name in ("shipped", "cannot", "offered", "accepted", "declined")
                ),
            ],
            "triggers": [
                {"id": "rich", "total": "profit", "at_least": 5, "curable": r.random() < 0.5}
            ],
        }

    def facts(self) -> Facts:
        """Make what has happened."""
        said = []
        for _ in range(self.r.randint(0, 12)):
            event = self.r.choice(("agi", "shipped", "cannot", "offered", "accepted", "declined"))
            said.append(
                Attestation(
                    event=event,
                    by=self.r.choice(("lab", "a", "b") if event == "agi" else ("cloud",)),
                    verdict=self.r.choice(tuple(Verdict)) if event == "agi" else Verdict.DECLARED,
                    at_ns=ns(self.r.choice(DAYS)),
                    subject="" if event == "agi" else self.r.choice(("talk", "draw")),
                )
            )
        totals = [
            Reading(total="profit", at_ns=ns(self.r.choice(DAYS)), value=F(self.r.randint(1, 9)))
            for _ in range(self.r.randint(0, 2))
        ]
        return Facts(attestations=tuple(said), readings=tuple(totals))

    def request(self) -> dict[str, Scalar]:
        """Make a request that says some attributes."""
        names = self.some(tuple(VALUES))
        return {name: self.r.choice(VALUES[name]) for name in names}

    def instant(self) -> int:
        """Give an instant around those at which something changes."""
        return ns(self.r.choice(DAYS)) + self.r.choice((-1, 0, 1, 20 * 86_400 * 10**9))


def version_of(document: dict[str, Any]) -> Version:
    """Make a version of a document, without the checks that would refuse most of them."""
    agreement = msgspec.convert(document, Agreement, dec_hook=dec_hook)
    return LoadedVersion(
        agreement=agreement, hash="h", effective_ns=ns("2026-01-01"), amendments=()
    )


SEEDS: Final = st.integers(0, 2**63)


@PROFILE
@given(SEEDS)
@example(0)
def test_compiled_rules_decide_as_plain_ones(seed: int) -> None:
    """For any document, facts, instant and request, with and without memory."""
    making = Making(seed)
    version = version_of(making.document())
    facts = making.facts()
    standing = Rules((version,)).given(facts)
    for _ in range(REQUESTS_EACH):
        request, at_ns = making.request(), making.instant()
        decision = standing.decide(request, at_ns)
        if at_ns < version.effective_ns:
            assert decision.allowed
            continue
        plain = Plain(version.agreement, facts, at_ns).barring(request)
        assert decision.allowed == (not plain), decision.sentence
        if plain:
            assert set(decision.clauses) == plain
        assert standing.decide(request, at_ns) == decision
        assert decision.sentence.startswith("Allowed" if decision.allowed else "Not allowed: ")


@PROFILE
@given(SEEDS)
def test_exemptions_and_grants_never_widen_beyond_their_scope(seed: int) -> None:
    """Where no exemption and no grant applies, taking them all away changes nothing.

    And a clause that bars changes nothing for requests outside its scope: what the document
    says nothing about is allowed.
    """
    making = Making(seed)
    document = making.document()
    for section in ("exceptions", "grants"):
        for clause in document[section]:
            condition = "when" if section == "exceptions" else "what"
            clause[condition] = {"all": [clause.get(condition) or {}, {"tag.marked": True}]}
            clause.pop("exclusive", None)
            clause["exclusive"] = False
            if section == "exceptions":
                clause.pop("exclusive")
    for section in ("exclusivities", "prohibitions"):
        for clause in document[section]:
            clause.pop("overrides", None)
    bare = {**document, "exceptions": [], "grants": []}
    facts = making.facts()
    whole = Rules((version_of(document),)).given(facts)
    without = Rules((version_of(bare),)).given(facts)
    for _ in range(REQUESTS_EACH):
        request, at_ns = making.request(), making.instant()
        assert whole.decide(request, at_ns).allowed == without.decide(request, at_ns).allowed
        marked = {**request, "tag.marked": True}
        allowed = whole.decide(marked, at_ns).allowed
        assert allowed or not without.decide(marked, at_ns).allowed


@PROFILE
@given(SEEDS)
def test_rules_reach_no_request_outside_their_scope(seed: int) -> None:
    """With every scope inside one mark, a request without it is always allowed."""
    making = Making(seed)
    document = making.document()
    for section in ("exclusivities", "prohibitions", "precedences", "grants"):
        for clause in document[section]:
            clause["what"] = {"all": [clause["what"], {"tag.marked": True}]}
    for asset in document["assets"]:
        asset["reserved"] = False
    standing = Rules((version_of(document),)).given(making.facts())
    for _ in range(REQUESTS_EACH):
        decision = standing.decide(making.request(), making.instant())
        assert decision.allowed
        assert decision.clauses == ()


@PROFILE
@given(SEEDS)
def test_any_version_reads_back_as_it_was_written(seed: int) -> None:
    """Its canonical form is a document again."""
    version = version_of(Making(seed).document())
    written = canonical(version.agreement)
    again = msgspec.json.decode(written, type=Agreement, dec_hook=dec_hook)
    assert again == version.agreement
    assert canonical(again) == written
