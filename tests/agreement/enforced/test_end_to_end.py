"""Two storefronts of one model and a third cloud, over a quarter, through a real server.

The server's clock is a number in a file, so that a quarter passes as fast as the test turns it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from openai import OpenAI, PermissionDeniedError

from entente.agreement.values import NANO
from entente.config.agreements import FACTS_NAME
from entente.domain.money import parse_nano
from tests.support.server import EntenteServer, Key, wait_until
from tests.support.upstream import UpstreamThread

DOCUMENT: Final = """
agreement: {id: two-fronts, currency: USD, scale: 9, rounding: floor_then_first, zone: UTC,
            effective: 2026-01-01}
parties:
- {id: lab, kind: lab}
- {id: cloud, kind: cloud}
- {id: board, kind: panel, members: [ada, bob, eve]}
events:
- {id: agi, declared_by: lab, verified_by: {panel: board, quorum: "2/3"}}
exclusivities:
- {id: two_hosts, holder: cloud, what: {surface: [api_stateless, api_stateful]},
   only: {host: [lab-hosts, azure]}, until: {event: agi.verified}}
exceptions:
- {id: security, overrides: two_hosts, when: {segment: national_security}}
bases:
- {id: by_lab, owner: lab, when: {kind: request, seller: lab}, measure: gross}
- {id: by_cloud, owner: cloud, when: {kind: request, seller: cloud}, measure: gross}
shares:
- {id: to_cloud, payer: lab, payee: cloud, ratio: "1/5", base: by_lab}
- {id: to_lab, payer: cloud, payee: lab, ratio: "1/3", base: by_cloud}
statements:
- {id: quarterly, parties: [lab, cloud], period: quarter, close_lag_days: 10}
"""
ENDED: Final = """
amendments:
- {id: open, effective: 2026-04-01, end: [two_hosts, security, agi, board]}
"""
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAY_NS: Final = 86_400 * NANO
PRELUDE: Final = """
import time
def _now_ns(path={clock!r}):
    with open(path) as file:
        return int(file.read())
time.time_ns = _now_ns
time.time = lambda: _now_ns() / 1e9
"""


class World(NamedTuple):
    """The server, the three clouds, and who asks."""

    server: EntenteServer
    lab: UpstreamThread
    cloud: UpstreamThread
    third: UpstreamThread
    folder: Path
    key: Key
    secure: Key

    def turn(self, day: int, hour: int = 12) -> None:
        """Turn the server's clock."""
        _turn(self.folder, day, hour)

    def write(self, document: str) -> None:
        """Change the document at once, as the server may look at any moment."""
        _replace(self.folder / "agreement.yaml", document)

    def ask(self, model: str, key: Key | None = None, **fields: object) -> int:
        """Ask, and give the status."""
        return self.server.chat(
            (key or self.key).secret, model=model, text="hello", **fields
        ).status


def _turn(folder: Path, day: int, hour: int) -> None:
    now_ns = int(START.timestamp()) * NANO + day * DAY_NS + hour * 3600 * NANO
    _replace(folder / "clock", str(now_ns))


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(text)
    scratch.replace(path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A model with two storefronts; each has the third cloud before its own."""
    (tmp_path / "agreement.yaml").write_text(DOCUMENT)
    _turn(tmp_path, 0, 0)
    with contextlib.ExitStack() as stack:
        lab, cloud, third = (stack.enter_context(UpstreamThread()) for _ in range(3))
        config = "".join(
            f'[providers.{name}]\nkind = "openai"\nbase_url = "{each.upstream.base_url}"\n'
            f'proxy = "none"\nattributes = {attributes}\n'
            for name, each, attributes in (
                ("lab", lab, '{ host = "lab-hosts", seller = "lab" }'),
                ("cloud", cloud, '{ host = "azure", seller = "cloud" }'),
                ("third", third, '{ host = "third-cloud", seller = "lab" }'),
            )
        )
        price = 'price = { currency = "USD", per = "1M tokens", input = "0.7", output = "3.1" }'
        for model, own in (("frontier", "lab"), ("frontier-cloud", "cloud")):
            config += (
                f'[models."{model}"]\n{price}\n'
                f'targets = [{{ provider = "third", model = "frontier" }}, '
                f'{{ provider = "{own}", model = "frontier" }}]\n'
            )
        config += (
            f'[models."elsewhere"]\n{price}\n'
            'targets = [{ provider = "third", model = "frontier" }]\n'
            '[agreement]\nfile = "agreement.yaml"\n'
            '[agreement.keys.agency]\nsegment = "national_security"\n'
        )
        server = EntenteServer(
            tmp_path, config, prelude=PRELUDE.format(clock=str(tmp_path / "clock"))
        )
        key, secure = server.make_key(name="app"), server.make_key(name="agency")
        stack.enter_context(server)
        yield World(server, lab, cloud, third, tmp_path, key, secure)


def test_a_quarter_is_enforced_and_settled_to_the_nano_unit(world: World) -> None:
    """What is forbidden is never called; the statement is the ledger; an amendment opens it."""
    for week in range(13):
        world.turn(week * 7)
        for number in range(4):
            assert world.ask("frontier") == 200
            assert world.ask("frontier-cloud", max_tokens=50 + week + number) == 200
    assert world.third.upstream.calls == 0
    assert (world.lab.upstream.calls, world.cloud.upstream.calls) == (52, 52)

    world.turn(101)
    entries = world.server.settlements()
    sums: dict[str, int] = {"lab": 0, "cloud": 0}
    for entry in entries:
        assert entry.clauses == ("two_hosts",)
        assert (len(entry.agreement), entry.surface) == (64, "api_stateless")
        sums[entry.target.partition("/")[0]] += entry.cost_nano or 0
    assert sums["lab"] > 0 < sums["cloud"]

    done = world.server.cli("agreement", "settle", "agreement.yaml", "--period", "2026-Q1",
                            "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    stated = json.loads(done.stdout)
    assert stated["final"]
    amounts = {each["clause"]: Fraction(each["amount"]) * NANO for each in stated["measured"]}
    assert amounts == {"by_lab": sums["lab"], "by_cloud": sums["cloud"]}
    owed = {each["clause"]: each["nano"] for each in stated["postings"]}
    assert owed == {"to_cloud": sums["lab"] // 5, "to_lab": sums["cloud"] // 3}
    assert sum(each["facts"]["count"] for each in stated["measured"]) == len(entries)
    again = world.server.cli("agreement", "settle", "agreement.yaml", "--period", "2026-Q1",
                             "--json")  # fmt: skip
    assert again.stdout == done.stdout

    world.write(DOCUMENT + ENDED)
    wait_until(lambda: world.ask("elsewhere") == 200, "the amendment to count")
    assert world.third.upstream.calls > 0
    world.server.verify()


def test_what_is_barred_says_why_and_costs_nothing(world: World) -> None:
    """In each dialect; with the clause, and without an entry in the ledger."""
    refused = world.server.chat(world.key.secret, model="elsewhere", text="hello")
    assert refused.status == 403
    assert refused.error["code"] == "agreement_forbids"
    assert "two_hosts" in refused.error["message"]
    assert "third-cloud" in refused.error["message"]
    client = OpenAI(api_key=world.key.secret, base_url=world.server.base_url)
    with client, pytest.raises(PermissionDeniedError, match="two_hosts"):
        client.responses.create(model="elsewhere", input="hello")
    body = json.dumps(
        {"model": "elsewhere", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    spoken = world.server.ask(
        "POST", "/v1/messages", key=world.key.secret, body=body,
        headers={"anthropic-version": "2023-06-01"},
    )  # fmt: skip
    assert (spoken.status, spoken.error["type"]) == (403, "permission_error")
    assert world.third.upstream.calls == 0
    assert all(entry.key != world.key.id for entry in world.server.entries())
    scraped = world.server.get("/metrics", key=_admin(world)).body.decode()
    assert 'entente_agreement_barred_total{gen_ai_request_model="elsewhere"} 3.0' in scraped
    assert "clauses=two_hosts" in world.server.err_log.read_text()


def _admin(world: World) -> str:
    return world.server._environ["ENTENTE_ADMIN_KEY"]


def test_an_exception_of_a_key_and_an_event_change_the_answer(world: World) -> None:
    """The agency may use the third cloud; once the panel has verified, everybody may."""
    assert world.ask("elsewhere", world.secure) == 200
    (entry,) = world.server.settled(world.secure)
    assert entry.clauses == ("security",)
    assert world.ask("elsewhere") == 403

    world.turn(365 * 40)  # behind this machine's clock, by which attestations are known

    def attest(verdict: str, by: str) -> str:
        done = world.server.cli(
            "agreement", "attest", "agreement.yaml", "agi", "--verdict", verdict, "--by", by,
            "--at", "2026-01-01",
        )  # fmt: skip
        return done.stdout + done.stderr

    assert "has no say" in attest("declared", "cloud")
    assert "no event ipo" in world.server.cli(
        "agreement", "attest", "agreement.yaml", "ipo", "--verdict", "declared", "--by", "lab"
    ).stderr  # fmt: skip
    assert "agi is declared" in attest("declared", "lab")
    attest("verified", "ada")
    assert world.ask("elsewhere") == 403
    attest("verified", "eve")
    wait_until(lambda: world.ask("elsewhere") == 200, "the verified event to count")


def test_a_bad_document_leaves_the_one_before_in_force(world: World) -> None:
    """Readiness says so, and serving goes on; a good one clears it."""
    world.write(DOCUMENT.replace('ratio: "1/5"', "ratio: 0.2"))

    def notice() -> str:
        return str(world.server.get("/readyz").json.get("notices", {}).get("agreement", ""))

    wait_until(lambda: "agreement.yaml:" in notice(), "readiness to tell of the problem")
    assert "floating number" in notice()
    assert world.server.get("/readyz").status == 200
    assert (world.ask("frontier"), world.ask("elsewhere")) == (200, 403)
    world.write(DOCUMENT)
    wait_until(lambda: not notice(), "the good document to count")


def test_what_is_dated_ahead_counts_from_its_instant_without_a_restart(world: World) -> None:
    """An amendment and an attestation that the files have long had, as the days go by."""
    _read_anew(world, DOCUMENT + ENDED)
    world.turn(89, hour=23)
    assert world.ask("elsewhere") == 403
    world.turn(90)
    assert world.ask("elsewhere") == 200


def test_what_becomes_known_later_counts_from_then_without_a_restart(world: World) -> None:
    """Attestations whose lines say when they were learnt, as that day comes."""
    said = [("lab", "declared"), ("ada", "verified"), ("eve", "verified")]
    lines = [
        {"id": by, "at": "2026-01-01", "known": "2026-02-01", "event": "agi", "verdict": verdict,
         "by": by}
        for by, verdict in said
    ]  # fmt: skip
    _replace(world.folder / "data" / FACTS_NAME, "".join(json.dumps(line) + "\n" for line in lines))
    _read_anew(world, DOCUMENT + "# read with the facts\n")
    assert world.ask("elsewhere") == 403
    world.turn(31)
    wait_until(lambda: world.ask("elsewhere") == 200, "what is known by now to count")


def _read_anew(world: World, document: str) -> None:
    """Change the document, and wait until the server has read it."""
    log = world.server.err_log
    before = log.read_text().count("was read anew")
    world.write(document)
    wait_until(lambda: log.read_text().count("was read anew") > before, "the document to be read")


def test_reporting_serves_everything_and_says_what_it_would_bar(world: World) -> None:
    """Over past traffic by the command, and over traffic to come by the mode."""
    world.server.stop()
    text = world.server.config_path.read_text()
    world.server.config_path.write_text(
        text.replace('file = "agreement.yaml"', 'file = "agreement.yaml"\nmode = "report"')
    )
    world.server.start()
    assert world.ask("elsewhere") == 200
    assert world.ask("frontier") == 200
    assert {entry.clauses for entry in world.server.settled(world.key, 2)} == {("two_hosts",)}
    done = world.server.cli("agreement", "report", "agreement.yaml", "--json")
    found = json.loads(done.stdout)
    assert (found["requests"], found["allowed"]) == (2, 0)
    assert {each["target"] for each in found["barred"]} == {"third/frontier"}
    assert found["barred"][0]["clauses"] == ["two_hosts"]
    assert sum(sum(each["cost_nano"].values()) for each in found["barred"]) > 0
    shown = world.server.cli("agreement", "report", "agreement.yaml", "--since", "2027-01-01")
    assert shown.stdout == "0 requests: 0 allowed, 0 would have been barred\n"


def test_a_server_does_not_start_with_a_bad_document(tmp_path: Path) -> None:
    """It says file, line and remedy."""
    (tmp_path / "agreement.yaml").write_text(DOCUMENT.replace("host: [", "hast: ["))
    (tmp_path / "entente.toml").write_text('[agreement]\nfile = "agreement.yaml"\n')
    server = EntenteServer(tmp_path, '[agreement]\nfile = "agreement.yaml"\n')
    done = server.cli("serve")
    assert done.returncode == 1
    assert "agreement.yaml:" in done.stderr
    assert parse_nano("1") == NANO
