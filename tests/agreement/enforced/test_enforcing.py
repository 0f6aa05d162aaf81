"""Plans under an agreement: what stays, in which order, until when, and by whose attributes."""

from __future__ import annotations

import logging
from collections import Counter

import msgspec
import pytest

from entente.agreement.decide import Rules
from entente.agreement.decide.described import Traits, described
from entente.agreement.load import Book, Texts, load
from entente.agreement.log import Log, Measured, attributes
from entente.agreement.occasions import NOTHING, Facts
from entente.agreement.values import NANO, instant_ns
from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import AgreementForbids, ConfigError
from entente.domain.principal import Principal, Role
from entente.domain.usage import NOTHING as NO_USAGE
from entente.gateway import enforcing
from entente.gateway.agreed import marked, stateful
from entente.gateway.enforcing import Enforcer
from entente.ledger.model import Settlement
from entente.routing.catalog import Model, Target
from entente.settlement.review import review
from entente.settlement.totals import met

DOCUMENT = """
agreement: {id: fronts, currency: USD, scale: 2, rounding: floor_then_first, zone: UTC,
            effective: 2026-01-01}
parties: [{id: lab, kind: lab}, {id: cloud, kind: cloud}]
triggers:
- {id: enough, total: sold, at_least: 100, curable: false}
exclusivities:
- {id: hosts, holder: cloud, what: {surface: api_stateless}, only: {host: azure},
   until: {earliest_of: [{date: 2026-06-30, inclusive: true}, {event: enough}]}}
- {id: health, holder: cloud, what: {segment: health}, only: {region: eu}}
bases:
- {id: sold, owner: lab, when: {kind: request}, measure: gross}
shares:
- {id: part, payer: lab, payee: cloud, ratio: "1/2", base: sold}
statements:
- {id: monthly, parties: [lab, cloud], period: month, close_lag_days: 1}
"""
TRAITS: Traits = {
    "model": {"open": {"surface": "first_party"}},
    "provider": {
        "east": {"host": "azure", "region": "us"},
        "west": {"host": "other", "region": "eu"},
    },
    "project": {"clinic": {"segment": "health"}},
    "key": {"key_1": {"segment": "retail"}, "app": {"surface": "embedded"}},
}
EAST, WEST = Target("east", "m-1"), Target("west", "m-2")
MODEL = Model(name="m", targets=(WEST, EAST), output_tokens_max=10)


def _book() -> Book:
    return load(Texts({"a.yaml": DOCUMENT}), "a.yaml")


BOOK = _book()
AT_NS = instant_ns("2026-02-01", BOOK.zone)
END_NS = instant_ns("2026-07-01", BOOK.zone)


def _who(key_id: str = "key_9", name: str = "n", project: str = "default") -> Principal:
    return Principal(key_id=key_id, name=name, role=Role.MEMBER, project=project)


def _enforcer(counted: Counter[str] | None = None, *, enforces: bool = True) -> Enforcer:
    said = Counter[str]() if counted is None else counted
    return Enforcer(
        Rules(BOOK.versions()), NOTHING, TRAITS, enforces=enforces,
        count=lambda model: said.update([model]),
    )  # fmt: skip


def _kept(enforcer: Enforcer, who: Principal, model: Model = MODEL, at_ns: int = AT_NS,
          *, keeps: bool = False) -> tuple[Target, ...]:  # fmt: skip
    return enforcer.allow(who, model, Surface.CHAT, stateful=keeps, at_ns=at_ns).targets


def test_what_is_barred_leaves_the_plan_and_the_rest_keeps_its_order() -> None:
    """A stateless call goes to the one host; one that is kept may go to both."""
    assert _kept(_enforcer(), _who()) == (EAST,)
    assert _kept(_enforcer(), _who(), keeps=True) == (WEST, EAST)


def test_attributes_of_model_project_and_key_count_in_this_order() -> None:
    """The project is a clinic; one key of it says otherwise; a key by its name; a model."""
    enforcer = _enforcer()
    with pytest.raises(AgreementForbids) as caught:
        _kept(enforcer, _who(project="clinic"))
    assert caught.value.clauses == ("hosts", "health")
    assert "model `m`" in caught.value.message
    assert _kept(enforcer, _who("key_1", project="clinic")) == (EAST,)
    assert _kept(enforcer, _who(name="app")) == (WEST, EAST)
    open_model = Model(name="open", targets=(WEST, EAST), output_tokens_max=10)
    assert _kept(enforcer, _who(), open_model) == (WEST, EAST)
    said = described({"model": "open", "provider": "west", "key": "key_1"}, TRAITS)
    assert (said["surface"], said["host"], said["segment"]) == ("first_party", "other", "retail")


def test_answers_change_at_the_nanosecond_and_never_by_memory() -> None:
    """The exclusivity holds through 30 June; what was remembered is forgotten with it."""
    enforcer = _enforcer()
    for at_ns, kept in ((AT_NS, (EAST,)), (END_NS - 1, (EAST,)), (END_NS, (WEST, EAST))):
        assert _kept(enforcer, _who(), at_ns=at_ns) == kept
    assert _kept(_enforcer(), _who(), at_ns=instant_ns("2025-12-31", BOOK.zone)) == (WEST, EAST)


def test_every_barred_request_counts_and_one_line_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flood of refusals is a number, not a log."""
    counted: Counter[str] = Counter()
    enforcer = _enforcer(counted)
    with caplog.at_level(logging.WARNING, logger="entente.agreement"):
        for _ in range(5):
            with pytest.raises(AgreementForbids):
                _kept(enforcer, _who(project="clinic"))
    assert counted == {"m": 5}
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(MODEL.targets)
    assert all("barred model=m" in line and "project=clinic" in line for line in lines)


def test_reporting_keeps_the_plan_and_counts() -> None:
    """What would be barred is served, and its entry names the clauses that bar it."""
    counted: Counter[str] = Counter()
    enforcer = _enforcer(counted, enforces=False)
    allowed = enforcer.allow(
        _who(project="clinic"), MODEL, Surface.CHAT, stateful=False, at_ns=AT_NS
    )
    assert allowed.targets == (WEST, EAST)
    assert allowed.decided[WEST].clauses == ("hosts",)
    assert allowed.decided[EAST].clauses == ("health",)
    assert counted == {"m": 1}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than are remembered get the same answers."""
    monkeypatch.setattr(enforcing, "REMEMBERED_MAX", 3)
    enforcer = _enforcer()
    for number in range(10):
        assert _kept(enforcer, _who(f"key_x{number}")) == (EAST,)
        assert len(enforcer._remembered) <= 3


def _entry(**more: object) -> Settlement:
    fields = {
        "id": "r", "at_ns": AT_NS, "key": "key_9", "asset": "USD", "model": "m",
        "status": Status.COMPLETE, "usage": NO_USAGE, "cost_nano": 7, "target": "west/m-2",
    }  # fmt: skip
    return Settlement(**{**fields, **more})  # type: ignore[arg-type]


def test_what_decided_stands_in_the_entry() -> None:
    """Of the target that answered; without an agreement nothing does."""
    allowed = _enforcer().allow(_who(), MODEL, Surface.CHAT, stateful=False, at_ns=AT_NS)
    entry = marked(_entry(target="east/m-1"), allowed, EAST)
    version = BOOK.versions()[0].hash
    assert (entry.agreement, entry.clauses) == (version, ("hosts",))
    assert (entry.surface, entry.project) == ("api_stateless", "default")
    assert marked(entry, None, EAST) is entry


@pytest.mark.parametrize(
    ("members", "stored", "keeps"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"previous_response_id": b'"resp_1"'}, False, True),
        ({"previous_response_id": b"null"}, False, False),
        ({"conversation": b'"conv_1"'}, False, True),
    ],
)
def test_a_call_that_keeps_or_continues_is_stateful(
    members: dict[str, bytes], *, stored: bool, keeps: bool
) -> None:
    """By what it asks, not by what it is called."""
    call = Call(
        surface=Surface.RESPONSES,
        model="m",
        body=b"{}",
        members={name: msgspec.Raw(value) for name, value in members.items()},
        stored=stored,
    )
    assert stateful(call) is keeps


def test_past_traffic_is_reviewed_by_what_the_ledger_says() -> None:
    """Entries that reached nobody are not looked at; the rest by key, target and clauses."""
    entries = [
        _entry(id="a"),
        _entry(id="b", at_ns=AT_NS + 5, cost_nano=None),
        _entry(id="c", target="east/m-1"),
        _entry(id="d", target=""),
        _entry(id="e", surface="embedded"),
        _entry(id="f", at_ns=END_NS),
        _entry(id="g", project="clinic", target="east/m-1"),
    ]
    found = review(entries, Rules(BOOK.versions()), NOTHING, TRAITS)
    assert (found.requests, found.allowed) == (6, 3)
    first, second = found.barred
    assert (first.target, first.clauses, first.requests) == ("west/m-2", ("hosts",), 2)
    assert (first.cost_nano, first.first_ns, first.last_ns) == ({"USD": 7}, AT_NS, AT_NS + 5)
    assert (second.target, second.clauses) == ("east/m-1", ("health",))


def test_totals_of_the_ledger_meet_triggers_at_the_end_of_a_period() -> None:
    """100 sold in February let the exclusivity go on 1 March, and not before."""

    def sold(day: str, units: int) -> Measured:
        at_ns = instant_ns(day, BOOK.zone)
        return Measured(
            id=day, at_ns=at_ns, known_ns=at_ns, attributes=attributes(kind="request"),
            nano=units * NANO, asset="USD",
        )  # fmt: skip

    log = Log.of([sold("2026-01-10", 60), sold("2026-02-10", 40)])
    march_ns = instant_ns("2026-03-01", BOOK.zone)
    assert met(BOOK, log, AT_NS)[0] == ()
    readings, again_ns = met(BOOK, log, march_ns + 2 * 86_400 * NANO)
    assert [(each.total, each.at_ns) for each in readings] == [("sold", march_ns)]
    assert again_ns == instant_ns("2026-04-01", BOOK.zone)
    enforcer = Enforcer(
        Rules(BOOK.versions()), Facts(readings=readings), TRAITS, enforces=True,
        count=lambda _: None,
    )  # fmt: skip
    assert _kept(enforcer, _who(), at_ns=march_ns - 1) == (EAST,)
    assert _kept(enforcer, _who(), at_ns=march_ns) == (WEST, EAST)


def test_triggers_need_a_statement_to_be_read_by() -> None:
    """Without one nobody knows what a period is."""
    text = DOCUMENT[: DOCUMENT.index("statements:")]
    book = load(Texts({"a.yaml": text}), "a.yaml")
    with pytest.raises(ConfigError, match="one `statement` clause"):
        met(book, Log.of([]), AT_NS)
