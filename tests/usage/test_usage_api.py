"""Usage and costs over HTTP: by the official SDK, and held against OpenAI's specification."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from openai import OpenAI

from entente.control.usage import REPORTS
from entente.ledger.model import Settlement
from tests.support.noon import now_s
from tests.support.server import ADMIN_KEY

if TYPE_CHECKING:
    from tests.support.server import Got, Key
    from tests.usage.conftest import Stand

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
SOON_S: Final = 4 * DAY_S
"""Far enough ahead that no test ends after the time that it asks for."""


@pytest.fixture(scope="module")
def client(stand: Stand) -> OpenAI:
    """Make the official client of the organisation's API, after some requests."""
    server, alpha, beta = stand
    for key, model, count in ((alpha, "small", 3), (beta, "small", 2), (alpha, "large", 1)):
        for _ in range(count):
            assert server.chat(key.secret, model=model, text="one two").status == 200
    assert server.chat(beta.secret, model="free", text="one").status == 200
    tagged = {"entente-tags": "search,eval"}
    body = {"model": "small", "max_tokens": 9, "metadata": {"user_id": "bob"}}
    body["messages"] = [{"role": "user", "content": "hi"}]
    sent = json.dumps(body).encode()
    got = server.ask("POST", "/v1/messages", key=beta.secret, body=sent, headers=tagged)
    assert got.status == 200
    vectors = json.dumps({"model": "small", "input": ["a", "b"], "user": "eve"}).encode()
    assert server.ask("POST", "/v1/embeddings", key=alpha.secret, body=vectors).status == 200
    return OpenAI(base_url=server.base_url, api_key="none", admin_api_key=ADMIN_KEY)


def ask(stand: Stand, path: str, key: str = ADMIN_KEY) -> Got:
    """Ask for a report; the answer is held against the specification on its way."""
    return stand.server.get(f"/v1/organization/{path}", key=key)


def window(buckets: int = 7) -> dict[str, Any]:
    """Give a time that ends with the day after today."""
    start_s = now_s() // DAY_S * DAY_S - (buckets - 2) * DAY_S
    return {"start_time": start_s, "end_time": start_s + buckets * DAY_S}


def settled(stand: Stand, key: Key | None = None) -> list[Settlement]:
    """Give what the journal has of conversations."""
    return [
        entry
        for entry in stand.server.settlements(key)
        if entry.origin.api in ("chat.completions", "messages")
    ]


def results(page: Any) -> list[Any]:
    """Give the results of all buckets."""
    return [result for bucket in page.data for result in bucket.results]


def test_the_sdk_reads_completions(stand: Stand, client: OpenAI) -> None:
    """All of them in a sum, and each of the groups, in the words of the journal."""
    usage = client.admin.organization.usage
    (whole,) = results(usage.completions(**window()))
    entries = settled(stand)
    assert whole.num_model_requests == len(entries)
    assert whole.input_tokens == sum(entry.usage.input_total for entry in entries)
    assert whole.output_tokens == sum(entry.usage.output_total for entry in entries)
    assert (whole.project_id, whole.model, whole.batch, whole.user_id) == (None,) * 4
    by_project = usage.completions(**window(), group_by=["project_id", "model", "user_id"])
    found = {
        (each.project_id, each.model, each.user_id): each.num_model_requests
        for each in results(by_project)
    }
    assert found == Counter(
        (entry.origin.project, entry.model, entry.origin.user or None) for entry in entries
    )
    assert found["alpha", "small", "ann"] == 3


def test_the_sdk_filters(stand: Stand, client: OpenAI) -> None:
    """By key, by project, by model, by user, and whether it was in a batch."""
    completions = client.admin.organization.usage.completions
    alpha = stand.alpha.id
    (mine,) = results(completions(**window(), api_key_ids=[alpha], group_by=["api_key_id"]))
    assert (mine.api_key_id, mine.num_model_requests) == (alpha, 4)
    (small,) = results(completions(**window(), models=["small"], project_ids=["beta", "other"]))
    assert small.num_model_requests == 3
    (anns,) = results(completions(**window(), user_ids=["ann"]))
    assert anns.num_model_requests == 4
    assert results(completions(**window(), batch=True)) == []
    (others,) = results(completions(**window(), batch=False, group_by=["batch"]))
    assert (others.batch, others.num_model_requests) == (False, len(settled(stand)))
    assert results(completions(**window(), models=["nothing"])) == []


def test_the_sdk_reads_the_other_kinds(client: OpenAI) -> None:
    """Each kind of request is in its own report, and only there."""
    usage = client.admin.organization.usage
    (vectors,) = results(usage.embeddings(**window(), group_by=["model"]))
    assert (vectors.model, vectors.num_model_requests) == ("small", 1)
    for empty in (
        usage.moderations(**window()),
        usage.images(**window(), sizes=["256x256"], sources=["image.edit"]),
        usage.audio_speeches(**window()),
        usage.audio_transcriptions(**window()),
        usage.vector_stores(**window()),
        usage.code_interpreter_sessions(**window()),
        usage.file_search_calls(**window(), vector_store_ids=["vs_1"]),
        usage.web_search_calls(**window(), context_levels=["low"]),
    ):
        assert len(empty.data) == 7
        assert results(empty) == []


def test_the_sdk_reads_costs(stand: Stand, client: OpenAI) -> None:
    """In the currency of each, with what it is of."""
    read = client.admin.organization.usage.costs
    entries = stand.server.settlements()
    by_currency = {
        currency: sum(e.cost_nano or 0 for e in entries if e.asset == currency.upper())
        for currency in ("usd", "eur")
    }
    found = {each.amount.currency: each.amount.value for each in results(read(**window()))}
    assert found == {name: nano / 10**9 for name, nano in by_currency.items()}
    lines = results(read(**window(), group_by=["line_item", "project_id", "api_key_id"]))
    told = {(each.line_item, each.project_id, each.api_key_id) for each in lines}
    assert told == {(entry.model, entry.origin.project, entry.key) for entry in entries}
    assert all(each.quantity_unit == "tokens" for each in lines)


def test_amounts_are_exact(stand: Stand, client: OpenAI) -> None:
    """A number of as many digits as it takes; and what has no price is counted, not nothing."""
    got = ask(stand, f"costs?start_time={window()['start_time']}&group_by=line_item")
    entries = stand.server.settlements()
    exact = sum(entry.cost_nano or 0 for entry in entries if entry.model == "large")
    text = got.body.decode()
    value = Decimal(exact) / 10**9
    assert f'{{"value":{value.normalize():f},"currency":"eur"}}' in text
    assert got.headers["entente-unpriced-requests"] == "1"
    (unpriced,) = {entry.model for entry in entries if entry.cost_nano is None}
    lines = results(client.admin.organization.usage.costs(**window(), group_by=["line_item"]))
    assert {each.line_item for each in lines if each.amount is None} == {unpriced}


def test_an_answered_request_is_counted(stand: Stand, client: OpenAI) -> None:
    """Whoever has the answer finds it in the next report, without waiting for the fold."""
    path = f"usage/completions?start_time={window()['start_time']}&models=late"
    for _ in range(5):
        before = _requests(ask(stand, path))
        assert stand.server.chat(stand.beta.secret, model="late", text="more").status == 200
        assert _requests(ask(stand, path)) == before + 1


def _requests(got: Got) -> int:
    """Count the requests of an answer."""
    found = [result for bucket in got.json["data"] for result in bucket["results"]]
    return sum(result["num_model_requests"] for result in found)


@pytest.mark.usefixtures("client")
def test_buckets_and_pages(stand: Stand) -> None:
    """Whole hours, empty ones too; pages follow one another without a gap or an overlap."""
    start_s = now_s() // HOUR_S * HOUR_S - 5 * HOUR_S
    path = f"usage/completions?start_time={start_s + 7}&end_time={start_s + 8 * HOUR_S}"
    path += "&bucket_width=1h&limit=3"
    starts, total, page = [], 0, ask(stand, path).json
    while True:
        for bucket in page["data"]:
            assert bucket["end_time"] == bucket["start_time"] + HOUR_S
            starts.append(bucket["start_time"])
            total += sum(each["num_model_requests"] for each in bucket["results"])
        assert page["has_more"] is (page["next_page"] is not None)
        if not page["has_more"]:
            break
        page = ask(stand, f"{path}&page={page['next_page']}").json
    assert starts == [start_s + hour * HOUR_S for hour in range(8)]
    assert total == len(settled(stand))


@pytest.mark.usefixtures("client")
def test_minutes_add_up_to_hours(stand: Stand) -> None:
    """The same requests, in sixty buckets."""
    end_s = now_s() // HOUR_S * HOUR_S + HOUR_S
    counts = []
    for width in ("1m", "1h"):
        path = f"usage/completions?start_time={end_s - 6 * HOUR_S}&end_time={end_s}"
        got = ask(stand, f"{path}&bucket_width={width}&limit={'1440' if width == '1m' else '168'}")
        assert len(got.json["data"]) == (360 if width == "1m" else 6)
        counts.append(_requests(got))
    assert counts == [len(settled(stand))] * 2


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("report", REPORTS)
def test_every_group_of_every_report(stand: Stand, report: str) -> None:
    """In brackets, by repetition and with commas; the answer is as specified each time."""
    path = "costs" if report == "costs" else f"usage/{report}"
    names = tuple(REPORTS[report].columns)
    start = f"{path}?start_time={window()['start_time']}"
    bodies = [
        ask(stand, start + "".join(f"&group_by[]={name}" for name in names)).json,
        ask(stand, start + "".join(f"&group_by={name}" for name in names)).json,
        ask(stand, f"{start}&group_by={','.join(names)}").json,
    ]
    assert bodies[0] == bodies[1] == bodies[2]
    for name in names:
        assert ask(stand, f"{start}&group_by={name}").status == 200


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "start_time"),
        ("start_time=x", "start_time"),
        ("start_time=-1", "start_time"),
        ("start_time=9999999999999", "start_time"),
        ("start_time=100&end_time=100", "end_time"),
        ("start_time=1&bucket_width=1w", "bucket_width"),
        ("start_time=1&limit=0", "limit"),
        ("start_time=1&limit=32", "limit"),
        ("start_time=1&bucket_width=1h&limit=169", "limit"),
        ("start_time=1&bucket_width=1m", "start_time"),
        ("start_time=1&group_by=size", "group_by"),
        ("start_time=1&group_by[]=model&group_by[]=cost", "group_by"),
        ("start_time=1&page=5", "page"),
        ("start_time=1&page=page_5", "page"),
        ("start_time=86400&page=page_0", "page"),
        ("start_time=1&page=page_" + "9" * 300, "page"),
        ("start_time=1&batch=perhaps", "batch"),
        ("start_time=1&project_id=alpha", "project_id"),
        ("start_time=1&sizes=256x256", "sizes"),
    ],
)
def test_wrong_queries_are_refused(stand: Stand, query: str, param: str) -> None:
    """With the parameter that is wrong; a misspelt filter is not left out in silence."""
    got = ask(stand, f"usage/completions?{query}")
    assert (got.status, got.error["param"]) == (400, param)


@pytest.mark.parametrize("value", ["%00", "%ff%fe", "'%22;--", "%F0%9F%98%80", "a" * 500, "*"])
def test_odd_filters_match_nothing(stand: Stand, value: str) -> None:
    """They are values like others."""
    for name in ("models", "project_ids[]", "api_key_ids", "user_ids"):
        got = ask(stand, f"usage/completions?start_time={window()['start_time']}&{name}={value}")
        assert got.status == 200
        assert _requests(got) == 0


def test_only_admins_may_see_it(stand: Stand) -> None:
    """Others' usage is none of a member's business."""
    for report in REPORTS:
        path = "costs" if report == "costs" else f"usage/{report}"
        assert ask(stand, f"{path}?start_time=1", stand.alpha.secret).status == 403
        assert stand.server.get(f"/v1/organization/{path}?start_time=1").status == 401


@pytest.mark.usefixtures("client")
def test_entries_say_who_was_served(stand: Stand) -> None:
    """The user of the body in each dialect, tags of the header and of the key."""
    (message,) = (e for e in stand.server.settlements() if e.origin.api == "messages")
    assert message.origin.end_user == "bob"
    assert message.origin.tags == ("eval", "nightly", "search")
    assert message.origin.project == "beta"
    (vectors,) = (e for e in stand.server.settlements() if e.origin.api == "embeddings")
    assert (vectors.origin.end_user, vectors.origin.user) == ("eve", "ann")


def test_wrong_tags_are_refused(stand: Stand) -> None:
    """In the words of the dialect that was spoken, before anything is held."""
    before = len(stand.server.entries())
    wrong = {"entente-tags": "a b"}
    body = b'{"model":"small","max_tokens":1,"messages":[{"role":"user","content":"a"}]}'
    for path in ("/v1/chat/completions", "/v1/messages"):
        key = stand.alpha.secret
        got = stand.server.ask("POST", path, key=key, body=body, headers=wrong)
        assert got.status == 400
        assert "Entente-Tags" in got.error["message"]
    assert len(stand.server.entries()) == before
