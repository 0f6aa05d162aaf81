"""The exports that are read: each form, and what is said of a line that is wrong."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random
from typing import Any

import msgspec
import pytest

from entente.domain.errors import InvalidParameter
from entente.settlement.reconciling.formats import FORMATS, read
from entente.settlement.reconciling.meters import meter, unit
from entente.settlement.reconciling.model import Line
from entente.settlement.reconciling.names import Names
from entente.settlement.reconciling.source import DOCUMENT_BYTES_MAX, LINE_BYTES_MAX
from tests.settlement.reconciling.exports import (
    DAY_S,
    NS,
    START_S,
    bucket,
    compared,
    cost,
    lines,
    pages,
    source,
)

DAY = (START_S * NS, (START_S + DAY_S) * NS)
OPENAI_COSTS = "start_time,end_time,amount_value,amount_currency,line_item,project_id"
OPENAI_USAGE = "start_time,end_time,model,num_model_requests,input_tokens,output_tokens"
TIMES = f"{START_S},{START_S + DAY_S}"
CONSOLE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,"
    "usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
    "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens"
)
CONSOLE_COSTS = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type"
)


def said(line: Line) -> tuple[str, Any, Any, str]:
    """Give what a line says of a model."""
    return line.model, line.tokens, None if line.cost is None else line.cost / NS, line.about


def test_openai_usage() -> None:
    """No token is in two classes: cached, written, of sound and of pictures."""
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "input_cached_tokens": 300,
        "input_cache_write_tokens": 100,
        "input_audio_tokens": 50,
        "input_image_tokens": 20,
        "output_tokens": 90,
        "output_audio_tokens": 10,
        "num_model_requests": 4,
        "model": "gpt-4o",
        "project_id": "proj_1",
        "api_key_id": "key_1",
        "something_new": True,
    }
    (line,) = lines(pages(bucket(result)))
    assert line.tokens == {
        "input": 530,
        "cache_read": 300,
        "cache_write": 100,
        "audio_input": 50,
        "image_input": 20,
        "output": 80,
        "audio_output": 10,
    }
    assert (line.since_ns, line.until_ns) == DAY
    assert (line.requests, line.groups) == (4, (("project", "proj_1"), ("key", "key_1")))


def test_openai_usage_from_when_text_was_counted_apart() -> None:
    """Where sound is more than is left of the input, it was not among it."""
    result = {
        "input_tokens": 10,
        "input_audio_tokens": 50,
        "output_tokens": 1,
        "num_model_requests": 1,
    }
    (line,) = lines(pages(bucket(result)))
    assert line.tokens == {"input": 10, "audio_input": 50, "output": 1}


def test_openai_measures() -> None:
    """Pictures one by one, sound by the second, speech by the character."""
    results = [{"images": 3}, {"seconds": 7}, {"characters": 11}]
    text = pages(bucket(*({**each, "num_model_requests": 1} for each in results)))
    assert [line.tokens for line in lines(text)] == [
        {"images": 3},
        {"audio_ms": 7000},
        {"characters": 11},
    ]


def test_openai_costs() -> None:
    """Line items by model and class, with every digit; what is no model has its own name."""
    text = pages(
        bucket(
            cost(0.8958740000000001, item="gpt-4o-2024-08-06, cached input"),
            {**cost(0.06, item="gpt-4o, input"), "quantity": 24, "quantity_unit": "1000_tokens"},
            cost(1, item="web search tool calls"),
        )
    )
    assert [said(line) for line in lines(text)] == [
        ("gpt-4o-2024-08-06", None, Fraction("0.8958740000000001"), "cache_read"),
        ("gpt-4o", {"input": 24_000}, Fraction("0.06"), "input"),
        ("web search tool calls", None, Fraction(1), ""),
    ]


def test_openai_costs_that_nobody_knows() -> None:
    """They say nothing, of no model: the others keep theirs."""
    unknown = {"object": "organization.costs.result", "line_item": "big-1", "quantity": 5}
    first, second = lines(pages(bucket(unknown, cost(1, item="small"))))
    assert (first.cost, first.tokens, first.requests) == (None, None, None)
    assert second.model == "small"


def test_openai_pages_in_each_shape() -> None:
    """One a line, a list of them, or one document over many lines, mark of byte order and all."""
    page = json.loads(pages(bucket(cost(1))))
    shapes = [
        json.dumps(page) + "\n" + json.dumps(page),
        json.dumps([page, page]),
        json.dumps([page, page], indent=2),
        "\ufeff" + json.dumps([page, page], indent=2),
    ]
    for text in shapes:
        assert [line.cost for line in lines(text)] == [NS, NS]


def test_openai_csv() -> None:
    """The dashboard's files: a row without anything is a time in which nothing happened."""
    text = f'{OPENAI_COSTS}\n{TIMES},0.5617712500000000,usd,"gpt-4o, output",proj_1\n{TIMES},,,,\n'
    first, empty = lines(text)
    assert said(first) == ("gpt-4o", None, Fraction("0.56177125"), "output")
    assert (first.asset, first.groups) == ("USD", (("project", "proj_1"),))
    assert (empty.cost, empty.tokens, (empty.since_ns, empty.until_ns)) == (None, None, DAY)
    (line,) = lines(f"{OPENAI_USAGE}\n{TIMES},gpt-4o,3,100,20\n".replace(",", "\t"))
    assert said(line) == ("gpt-4o", {"input": 100, "output": 20}, None, "")


def test_anthropic_reports() -> None:
    """Input without the cached, both kinds of writing; amounts in cents."""
    times = {"starting_at": "2026-07-26T00:00:00Z", "ending_at": "2026-07-27T00:00:00Z"}
    usage = {
        "uncached_input_tokens": 5,
        "cache_read_input_tokens": 6,
        "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 8},
        "output_tokens": 9,
        "model": "claude-opus-4-6",
        "workspace_id": "wrkspc_1",
    }
    charge = {
        "amount": "123.45",
        "currency": "USD",
        "cost_type": "tokens",
        "token_type": "cache_read_input_tokens",
        "model": "claude-opus-4-6",
    }
    search = {
        "amount": "50",
        "currency": "USD",
        "cost_type": "web_search",
        "description": "Web Search",
    }
    text = json.dumps({"data": [{**times, "results": [usage, charge, search]}], "has_more": False})
    found = lines(text)
    assert [said(line) for line in found] == [
        (
            "claude-opus-4-6",
            {"input": 5, "cache_read": 6, "cache_write": 7, "cache_write_1h": 8, "output": 9},
            None,
            "",
        ),
        ("claude-opus-4-6", None, Fraction("1.2345"), "cache_read"),
        ("Web Search", None, Fraction("0.5"), ""),
    ]
    assert all((line.since_ns, line.until_ns) == DAY for line in found)
    assert found[0].requests is None


def test_anthropic_csv() -> None:
    """The console's usage and costs."""
    (line,) = lines(
        f"{CONSOLE}\n2026-07-26,claude-opus-4-6,mine,Default,standard,≤ 200k,5,7,8,6,9\n"
    )
    assert said(line) == (
        "claude-opus-4-6",
        {"input": 5, "cache_read": 6, "cache_write": 7, "cache_write_1h": 8, "output": 9},
        None,
        "",
    )
    assert (line.since_ns, line.until_ns) == DAY
    rows = (
        "2026-07-26,Claude Opus 4.6,Default,mine,message,≤ 200k,input_cache_write_1h,1.50,token\n"
        "2026-07-26,,Default,mine,message,,,0.01,web_search\n"
    )
    assert [said(line) for line in lines(f"{CONSOLE_COSTS}\n{rows}")] == [
        ("Claude Opus 4.6", None, Fraction("1.5"), "cache_write_1h"),
        ("web_search", None, Fraction("0.01"), ""),
    ]


AZURE = {
    "enterprise": (
        (
            "Date,MeterCategory,MeterName,UnitOfMeasure,Quantity,CostInBillingCurrency,"
            "BillingCurrencyCode,ResourceId,SubscriptionId"
        ),
        "07/26/2026,{},{},{},{},{},EUR,/subscriptions/s/providers/p/accounts/mine,sub_1",
    ),
    "customer": (
        (
            "date,meterCategory,meterName,unitOfMeasure,quantity,costInBillingCurrency,"
            "billingCurrency,ResourceId,SubscriptionId"
        ),
        "2026-07-26,{},{},{},{},{},EUR,/subscriptions/s/providers/p/accounts/mine,sub_1",
    ),
    "pay as you go": (
        (
            "UsageDateTime,MeterCategory,MeterName,UnitOfMeasure,UsageQuantity,PreTaxCost,"
            "Currency,InstanceId,SubscriptionGuid"
        ),
        "2026-07-26T00:00:00Z,{},{},{},{},{},EUR,/subscriptions/s/providers/p/accounts/mine,sub_1",
    ),
}


@pytest.mark.parametrize("kind", AZURE)
def test_azure_actual_cost(kind: str) -> None:
    """In the columns of each agreement: meters of models, whatever their unit; no others."""
    head, row = AZURE[kind]
    text = "\n".join(
        [
            head,
            row.format("Azure OpenAI", "gpt 4o 0806 cached Inp glbl Tokens", "1K", "1.5", "0.0019"),
            row.format(
                "Foundry Models", "gpt-4o-0806-Outp-glbl Tokens", "1M Tokens", "0.02", "0.2"
            ),
            row.format("Virtual Machines", "D2s v3", "1 Hour", "24", "99"),
            row.format("Cognitive Services", "Commitment tier", "1", "1", "7"),
        ]
    )
    found = lines(text)
    assert [said(line) for line in found] == [
        ("gpt 4o 0806", {"cache_read": 1500}, Fraction("0.0019"), "cache_read"),
        ("gpt 4o 0806", {"output": 20_000}, Fraction("0.2"), "output"),
        ("Commitment tier", None, Fraction(7), ""),
    ]
    assert {(line.since_ns, line.until_ns, line.asset) for line in found} == {(*DAY, "EUR")}
    assert found[0].groups == (("key", "mine"), ("project", "sub_1"))


def test_focus() -> None:
    """Azure's variant names a meter."""
    head = (
        "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ServiceCategory,"
        "x_SkuMeterName,ConsumedQuantity,ConsumedUnit,ResourceId,SubAccountId"
    )
    times = "2026-07-26T00:00:00Z,2026-07-27T00:00:00Z"
    text = (
        f"{head}\n0.5,USD,{times},AI and Machine Learning,"
        "gpt 4.1 mini Inp DZ Tokens,2,1M Tokens,/a/b,sub\n"
        f"9,USD,{times},Compute,D2s,1,Hours,/a/c,sub\n"
    )
    (line,) = lines(text)
    assert said(line) == ("gpt 4.1 mini", {"input": 2_000_000}, Fraction("0.5"), "input")
    assert (line.since_ns, line.until_ns) == DAY


def test_requests() -> None:
    """One line each: in totals as CSV, in classes as `ledger export` of another Entente writes."""
    text = (
        "request_id,time,model,input_tokens,cached_tokens,output_tokens,cost,currency\n"
        "up_1,2026-07-26T10:00:00Z,big-1,100,40,7,0.000123456789012,usd\n"
    )
    (line,) = lines(text)
    assert said(line) == (
        "big-1",
        {"input": 60, "cache_read": 40, "output": 7},
        Fraction("0.000123456789012"),
        "",
    )
    assert (line.request, line.requests, line.asset) == ("up_1", 1, "USD")
    exported = {
        "id": "req_1",
        "time": "2026-07-26T10:00:00.123456Z",
        "model": "big",
        "target": "west/b",
        "input": 3,
        "cache_read": 4,
        "output": 5,
        "reasoning": 6,
        "cost": "0.5",
        "currency": "USD",
        "estimated": False,
    }
    (line,) = lines(json.dumps(exported) + "\n")
    assert (line.request, line.tokens) == ("req_1", {"input": 3, "cache_read": 4, "output": 11})
    (line,) = lines('{"id":"a","time":1785060000,"cost":0.1000000000000000055511151231}\n')
    assert line.cost == Fraction("0.1000000000000000055511151231") * NS, "never through a float"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{OPENAI_COSTS}\n{TIMES},zwölf,usd,x,\n", "export:2: amount_value: 'zwölf' is no number"),
        (f"{OPENAI_COSTS}\n{TIMES},1e999,usd,x,\n", "export:2: amount_value: '1e999' is no number"),
        (f"{OPENAI_COSTS}\n{TIMES},1,,x,\n", "export:2: amount_currency: the row says nothing"),
        (f"{OPENAI_COSTS}\nnow,{START_S},1,usd,x,\n", "export:2: start_time: 'now' is neither"),
        (f"{OPENAI_USAGE}\n{TIMES},m,1,-5,2\n", "export:2: input_tokens: '-5' is no count"),
        (
            f"{OPENAI_USAGE}\n{TIMES},m,1,2,3,4,5\n",
            "export:2: the row has 8 fields under 6 columns",
        ),
        (f"{CONSOLE}\n26.7.2026,m,k,w,s,c,1,2,3,4,5\n", "export:2: usage_date_utc: '26.7.2026'"),
        ('{"data": [{"start_time": "x"}]}', "export:1: Expected `int`, got `str` - at `$.data"),
        ('{"object": "organization.x"\n', "export: Input data was truncated"),
        ("a,b\n1,2\n", "export: it looks like none of the exports"),
        ("", "export: it looks like none of the exports"),
        ('{"id":"a","time":"noon"}\n', "export:1: time: 'noon' is neither"),
        ("id,time,input_tokens,cached_tokens\na,0,1,2\n", "input_tokens: it is less than what"),
    ],
)
def test_what_is_wrong_has_a_place(text: str, place: str) -> None:
    """File, line, column, and what is wrong."""
    with pytest.raises(InvalidParameter) as caught:
        lines(text)
    assert caught.value.message.startswith(place) or place in caught.value.message


def test_bounds() -> None:
    """A line, and a document over several lines, have an end."""
    with pytest.raises(InvalidParameter, match=f"{LINE_BYTES_MAX} bytes"):
        lines(b'{"start_time"' + b" " * LINE_BYTES_MAX)
    with pytest.raises(InvalidParameter, match=f"{DOCUMENT_BYTES_MAX} bytes"):
        lines(b'{"start_time":\n' + (b" " * (LINE_BYTES_MAX - 1) + b"\n") * 5)


def test_the_form_can_be_named() -> None:
    """Where it cannot be told from the head; then what is missing is said."""
    with pytest.raises(InvalidParameter, match="usage_date_utc: the row says nothing there"):
        lines("a,b\n1,2\n", "anthropic")


@pytest.mark.parametrize(
    ("name", "model", "about"),
    [
        ("gpt-4o-0806-Inp-glbl Tokens", "gpt 4o 0806", "input"),
        ("gpt 4o 0806 cached Inp Data Zone Tokens", "gpt 4o 0806", "cache_read"),
        ("gpt 5 mini cchd inpt glbl Tokens", "gpt 5 mini", "cache_read"),
        ("gpt 4.1 nano opt regnl Tokens", "gpt 4.1 nano", "output"),
        ("gpt 4o rt aud Inp glbl Tokens", "gpt 4o rt", "audio_input"),
        ("gpt 4.1 Batch Outp DZ Tokens", "gpt 4.1", "output"),
        ("text embedding 3 large glbl Tokens", "text embedding 3 large", "input"),
        ("Provisioned Managed Unit", "Provisioned Managed Unit", ""),
    ],
)
def test_meters(name: str, model: str, about: str) -> None:
    """What Azure's abbreviations stand for."""
    found = meter(name)
    assert (found.model, found.about) == (model, about)
    assert found.batch == ("Batch" in name)


def test_units() -> None:
    """How many a unit of measure is."""
    found = [unit(text) for text in ("1K", "1M Tokens", "1000", "1,000 Tokens", "Tokens", "0.5M")]
    assert found == [1000, 1_000_000, 1000, 1000, 1, 500_000]


def test_names() -> None:
    """A dated version, another way to write it, or what people say; nothing that only begins so."""
    names = Names(["gpt-4o", "gpt-4o-mini", "claude-opus-4-6", "chat"], {"GPT 5 Pro": "chat"})
    assert [
        names.of(name)
        for name in (
            "gpt-4o-2024-08-06",
            "gpt 4o 0806",
            "gpt-4o-mini-2024-07-18",
            "Claude Opus 4.6",
            "gpt 5 pro",
            "gpt-4o-audio",
            "gpt-4",
        )
    ] == ["gpt-4o", "gpt-4o", "gpt-4o-mini", "claude-opus-4-6", "chat", "gpt-4o-audio", "gpt-4"]
    assert Names(["claude-opus-4-20250514"], {}).of("claude-opus-4") == "claude-opus-4-20250514"


def test_the_digest_is_that_of_the_file() -> None:
    """Of all of it, once it has been read."""
    opened = source(pages(bucket(cost(1))) * 3)
    before = opened.digest
    assert len([*opened.documents(msgspec.json.Decoder())]) == 3
    assert opened.digest != before


SEEDS = (
    pages(bucket({"input_tokens": 1, "num_model_requests": 1}, cost(1.5))),
    f'{OPENAI_COSTS}\n{TIMES},0.5,usd,"a, input",p\n',
    f"{OPENAI_USAGE}\n{TIMES},m,3,100,20\n",
    f"{CONSOLE}\n2026-07-26,claude,mine,D,s,c,5,7,8,6,9\n",
    f"{CONSOLE_COSTS}\n2026-07-26,Claude,Default,mine,message,x,output,1.50,token\n",
    '{"id":"req_1","time":"2026-07-26T10:00:00Z","model":"big","input":3,"cost":"0.5"}\n',
    f"{AZURE['customer'][0]}\n"
    + AZURE["customer"][1].format("Azure OpenAI", "gpt 4o Inp glbl Tokens", "1K", "1.5", "0.1"),
)
PIECES = (
    *("\0", "9" * 400, "-1", "1e999", "NaN", '"', "\n", "{", "[", "null", "9999-12-31"),
    *("1e-400", "é", "99999999999999999999", "+", ":", ";", "\t", "1/0", "\r", "2026-13-45"),
)


def _spoilt(rng: Random) -> bytes:
    """Take an export and change a few places in it."""
    text = list(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        match rng.randrange(3):
            case 0:
                text[at : at + rng.randint(0, 6)] = rng.choice(PIECES)
            case 1:
                text[at] = chr(rng.randrange(256))
            case _:
                del text[at : at + rng.randint(1, 8)]
    return "".join(text).encode(rng.choice(["utf-8", "latin-1"]), "replace")


def test_spoilt_exports_are_read_or_refused() -> None:
    """Nothing else comes of them, whatever form they are taken for."""
    rng, refused = Random(7), 0  # noqa: S311  (the same on every run)
    for _ in range(3000):
        data, form = _spoilt(rng), rng.choice([None, *FORMATS])
        try:
            compared(read(source(data), form), [])
        except InvalidParameter:
            refused += 1
    assert refused > 1000
