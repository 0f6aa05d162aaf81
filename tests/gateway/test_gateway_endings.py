"""One request, one end: the same for client, ledger and metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest

from entente.domain.chat import Status
from entente.domain.errors import (
    EntenteError,
    LedgerUnavailable,
    ModelNotFound,
    RateLimited,
    Unpriced,
    UpstreamConnectError,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from entente.ledger.meters import Counter
from entente.ledger.model import Hold, Settlement
from entente.wire.openai_errors import render
from tests.kit.gateways import NANO_PER_TOKEN, Bench, RecordingClient
from tests.kit.journals import TickJournal
from tests.kit.run import run

HELLO = '[[replies]]\npieces = ["Hel", "lo"]\n'
OTHER = '[[replies]]\ntext = "other"\n'


def _script(more: str) -> str:
    return f'[[replies]]\npieces = ["Hel", "lo"]\n{more}\n'


def _serve(bench: Bench, client: RecordingClient, **members: Any) -> EntenteError | None:
    async def scenario() -> EntenteError | None:
        await bench.ready()
        return await bench.chat(client, **members)

    return run(scenario())


def _metric(bench: Bench, status: Status) -> bool:
    line = f'entente_requests_total{{gen_ai_request_model="m",status="{status}"}} 1.0'
    return line in bench.monitor.render().decode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status", "estimated", "ends"),
    [
        (HELLO, Status.COMPLETE, False, True),
        (_script('finish_reason = "length"'), Status.LENGTH, False, True),
        (_script('finish_reason = "content_filter"'), Status.FILTERED, False, True),
        (_script('usage = "none"'), Status.COMPLETE, True, True),
        (_script('break = { kind = "no_done" }'), Status.COMPLETE, False, True),
    ],
)
def test_whole_answers(
    script: str, status: Status, estimated: bool, ends: bool, stream: bool
) -> None:
    """The provider's usage is the truth; where it reports none, the entry says estimated."""
    bench, client = Bench(script), RecordingClient()
    assert _serve(bench, client, stream=stream) is None
    (entry,) = bench.settled()
    assert (entry.status, entry.estimated, entry.attempts) == (status, estimated, 1)
    assert (entry.target, entry.upstream_status) == ("p0/real", 200)
    assert entry.cost_nano == entry.usage.total * NANO_PER_TOKEN
    assert client.finished is ends
    assert client.status == 200
    assert _metric(bench, status)
    if not estimated:
        assert (entry.usage.input, entry.usage.output) == (1, 2)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("close", Status.TRUNCATED),
        ("eof", Status.TRUNCATED),
        ("idle_timeout", Status.TRUNCATED),
        ("garbage", Status.TRUNCATED),
        ("error_event", Status.FAILED),
    ],
)
def test_streams_that_break(kind: str, status: Status) -> None:
    """An error event ends them, never an end marker; what was sent is charged from above."""
    bench = Bench(_script(f'break = {{ kind = "{kind}", after = 1 }}'))
    client = RecordingClient()
    assert _serve(bench, client, stream=True) is None
    (entry,) = bench.settled()
    assert (entry.status, entry.estimated) == (status, True)
    assert entry.usage.output >= len("Hel")
    assert b"[DONE]" not in client.body
    assert b'{"error":' in client.body
    assert client.finished
    assert _metric(bench, status)


@pytest.mark.parametrize("kind", ["close", "eof", "idle_timeout", "garbage"])
def test_whole_answers_that_break(kind: str) -> None:
    """Half a JSON document is no answer: the client gets an error of ours."""
    bench = Bench(_script(f'break = {{ kind = "{kind}", after = 1 }}'))
    client = RecordingClient()
    error = _serve(bench, client)
    assert isinstance(error, UpstreamError)
    assert client.status == 0
    (entry,) = bench.settled()
    assert (entry.status, entry.estimated) == (Status.FAILED, True)


def test_usage_is_asked_for_and_kept_from_the_client() -> None:
    """The provider reports it for us; the client sees the stream that it asked for."""
    bench, client = Bench(HELLO), RecordingClient()
    assert _serve(bench, client, stream=True) is None
    sent = json.loads(bench.providers["p0"].calls[0].body)
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["model"] == "real"
    assert b"usage" not in client.body
    assert client.body.endswith(b"data: [DONE]\n\n")
    bench, client = Bench(HELLO), RecordingClient()
    assert _serve(bench, client, stream=True, stream_options={"include_usage": True}) is None
    assert b'"usage":{' in client.body


FAILING = {
    "connect error": "[[replies]]\nconnect_error = true\n",
    "connect timeout": '[[replies]]\ntimeout = "connect"\n',
    **{
        f"{status}": f"[[replies]]\nerror = {{ status = {status} }}\n"
        for status in (408, 429, 500, 502, 503, 504, 529)
    },
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_target_is_asked(name: str, stream: bool) -> None:
    """Once, in order; the client sees the answer of the one that answered."""
    bench, client = Bench(FAILING[name], FAILING[name], OTHER), RecordingClient()
    assert _serve(bench, client, stream=stream) is None
    (entry,) = bench.settled()
    assert (entry.target, entry.attempts, entry.status) == ("p2/real", 3, Status.COMPLETE)
    assert b"other" in client.body
    metrics = bench.monitor.render().decode()
    assert 'entente_failovers_total{target="p0/real"} 1.0' in metrics


@pytest.mark.parametrize("name", FAILING)
def test_when_all_targets_fail_nothing_is_charged(name: str) -> None:
    """The last answer, or an error of ours, goes to the client."""
    bench, client = Bench(FAILING[name], FAILING[name]), RecordingClient()
    error = _serve(bench, client)
    (entry,) = bench.settled()
    assert (entry.status, entry.attempts, entry.cost_nano) == (Status.FAILED, 2, 0)
    assert not entry.estimated
    if name.startswith("connect"):
        assert isinstance(error, UpstreamConnectError | UpstreamTimeout)
    else:
        assert (error, client.status) == (None, int(name))


@pytest.mark.parametrize(
    "script",
    [
        '[[replies]]\ntimeout = "first_byte"\n',
        "[[replies]]\nerror = { status = 400 }\n",
        "[[replies]]\nerror = { status = 422 }\n",
        _script('break = { kind = "close", after = 0 }'),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_may_have_been_served_is_not_sent_again(script: str, stream: bool) -> None:
    """Nor one that is the client's own mistake."""
    bench = Bench(script, OTHER)
    _serve(bench, RecordingClient(), stream=stream)
    (entry,) = bench.settled()
    assert (entry.target, entry.attempts) == ("p0/real", 1)
    assert bench.providers["p1"].calls_total == 0


def test_a_timeout_after_sending_is_charged_at_the_bound() -> None:
    """Nobody knows what the provider did; it is marked as an estimate."""
    bench = Bench('[[replies]]\ntimeout = "first_byte"\n')
    error = _serve(bench, RecordingClient(), max_tokens=7)
    assert isinstance(error, UpstreamTimeout)
    (entry,) = bench.settled()
    assert entry.estimated
    assert entry.usage.output == 7


@pytest.mark.parametrize("status", [401, 403])
def test_our_credentials_are_not_the_clients_fault(status: int) -> None:
    """502 with a code of its own, not the provider's 401, which would blame the client's key."""
    bench = Bench(f"[[replies]]\nerror = {{ status = {status} }}\n", OTHER)
    client = RecordingClient()
    error = _serve(bench, client)
    assert isinstance(error, UpstreamRefused)
    assert render(error).status == 502
    assert "providers.p0.api_key" in error.message
    (entry,) = bench.settled()
    assert (entry.status, entry.cost_nano, entry.upstream_status) == (Status.FAILED, 0, status)


def test_a_redirect_is_no_answer() -> None:
    """It is passed on and costs nothing."""
    bench, client = Bench("[[replies]]\nerror = { status = 302 }\n"), RecordingClient()
    assert _serve(bench, client) is None
    (entry,) = bench.settled()
    assert (client.status, entry.status, entry.cost_nano) == (302, Status.FAILED, 0)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_client_that_left(after: int) -> None:
    """The stream is read to its end for the usage; the status is cancelled."""
    bench, client = Bench(HELLO), RecordingClient(leaves_after=after)
    assert _serve(bench, client, stream=True) is None
    (entry,) = bench.settled()
    assert (entry.status, entry.estimated) == (Status.CANCELLED, False)
    assert entry.usage.output == 2
    assert _metric(bench, Status.CANCELLED)


def test_a_hold_that_cannot_be_written() -> None:
    """Nothing is sent to a provider, nothing is held, no place in the window is taken."""
    journal = TickJournal(broken=(Hold,))
    bench = Bench(HELLO, journal=journal, budget=10**9, rpm=1)
    assert isinstance(_serve(bench, RecordingClient()), LedgerUnavailable)
    assert bench.providers["p0"].attempts_total == 0
    assert bench.settled() == []
    journal.broken = ()
    assert _serve(Bench(HELLO, journal=TickJournal(), rpm=1), RecordingClient()) is None
    assert all(counter == Counter() for counter in bench.counters())


@pytest.mark.parametrize("stream", [False, True])
def test_a_settlement_that_cannot_be_written(stream: bool) -> None:
    """No complete answer without a durable settlement: an error in place of the end."""
    bench = Bench(HELLO, journal=TickJournal(broken=(Settlement,)))
    client = RecordingClient()
    error = _serve(bench, client, stream=stream)
    if stream:
        assert error is None
        assert b"[DONE]" not in client.body
        assert b"disk is full" in client.body
        assert client.finished
    else:
        assert isinstance(error, LedgerUnavailable)
        assert client.status == 0


def test_a_cap_is_added_only_under_a_hard_budget() -> None:
    """Else the client's bytes are the provider's."""
    for budget, cap in ((10**9, 100), (None, None)):
        bench = Bench(HELLO, budget=budget)
        assert _serve(bench, RecordingClient()) is None
        sent = json.loads(bench.providers["p0"].calls[0].body)
        assert sent.get("max_completion_tokens") == cap


def test_what_is_refused_before_a_hold_leaves_no_entry() -> None:
    """An unknown model, a model without price under a budget, a limit."""
    bench = Bench(HELLO, priced=False, budget=10**9)
    assert isinstance(_serve(bench, RecordingClient()), Unpriced)
    assert isinstance(_serve(bench, RecordingClient(), model="x"), ModelNotFound)
    assert bench.settled() == []
    bench = Bench(HELLO, rpm=0)
    assert isinstance(_serve(bench, RecordingClient()), RateLimited)
    assert bench.settled() == []


def test_without_price_the_cost_is_unknown() -> None:
    """Not zero: promise 3."""
    bench = Bench(HELLO, priced=False)
    assert _serve(bench, RecordingClient()) is None
    (entry,) = bench.settled()
    assert entry.cost_nano is None


AUDIO = _script("usage = { prompt_tokens = 9, completion_tokens = 2, audio_prompt_tokens = 5 }")


@pytest.mark.parametrize("budget", [None, 10**9])
def test_usage_of_a_class_without_a_rate(budget: int | None) -> None:
    """Its cost is unknown; under a hard budget it costs the hold, and is never free."""
    bench = Bench(AUDIO, budget=budget)
    assert _serve(bench, RecordingClient()) is None
    (entry,) = bench.settled()
    if budget is None:
        assert (entry.cost_nano, entry.estimated) == (None, False)
    else:
        hold = sum(p.nano for p in entry.postings if p.source.startswith("held:"))
        assert (entry.cost_nano, entry.estimated) == (hold, True)
        assert hold > 0


def test_the_client_learns_where_it_stands() -> None:
    """OpenAI's rate-limit headers, on the answer."""
    bench, client = Bench(HELLO, rpm=5), RecordingClient()
    assert _serve(bench, client) is None
    assert client.headers["x-ratelimit-limit-requests"] == "5"
    assert client.headers["x-ratelimit-remaining-requests"] == "4"
