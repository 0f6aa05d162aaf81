"""Azure's paths, versions, headers and annotations around answers in OpenAI's form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import EntenteError, InvalidParameter, UnknownRoute
from entente.wire.azure import (
    INFERENCE_PATHS,
    Place,
    answer_headers,
    guid,
    is_azure,
    locate,
    name_model,
    rate_limit_headers,
)
from entente.wire.azure_filters import FIRST_EVENT, NOT_FILTERED, AnnotatedStream, annotate
from entente.wire.openai import decode_chat
from entente.wire.sse import events, payload
from tests.kit.house import ROOT
from tests.kit.run import PROPERTY

CAPTURES = Path(__file__).parent / "captures"
RECORDED = ROOT.parent / "shared" / "api" / "captures"
GA = "api-version=2024-10-21"
TEXTS = re.compile(r"^      string: '(data: (?s:.*?))\n\n\n        '\n", re.MULTILINE)
UNCHECKED = json.loads(bytes(NOT_FILTERED))


@pytest.mark.parametrize("inner", INFERENCE_PATHS)
@pytest.mark.parametrize("name", ["gpt-4o", "meta/llama 3", "chat", "ünïcode"])
def test_a_deployment_in_the_path_names_the_model(inner: str, name: str) -> None:
    """Each of the eight paths becomes OpenAI's, whatever the name."""
    assert locate(f"/openai/deployments/{name}/{inner}", GA) == Place(
        path=f"/v1/{inner}", deployment=name, api_version="2024-10-21", classic=True
    )


@pytest.mark.parametrize(
    ("path", "query", "found", "deployment"),
    [
        ("/openai/models", GA, "/v1/models", None),
        ("/openai/models/gpt-4o", GA, "/v1/models/gpt-4o", None),
        ("/openai/files/file-1/content", GA, "/v1/files/file-1/content", None),
        ("/openai/responses", "api-version=2025-04-01-preview", "/v1/responses", None),
        ("/openai/realtime", GA + "&deployment=rt%2F1", "/v1/realtime", "rt/1"),
        ("/openai/v1/chat/completions", "", "/v1/chat/completions", None),
        ("/openai/v1/responses/resp_1", "api-version=preview", "/v1/responses/resp_1", None),
        ("/openai/v1/models", "api-version=v1&api-version=v1", "/v1/models", None),
    ],
)
def test_other_paths(path: str, query: str, found: str, deployment: str | None) -> None:
    """What stands outside deployments, and the v1 surface."""
    place = locate(path, query)
    assert (place.path, place.deployment) == (found, deployment)
    assert place.classic is not path.startswith("/openai/v1/")
    assert is_azure(path)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/chat/completions", GA),
        ("/openai", GA),
        ("/openai/", GA),
        ("/openai/chat/completions", GA),
        ("/openai/deployments", GA),
        ("/openai/deployments/", GA),
        ("/openai/deployments//embeddings", GA),
        ("/openai/deployments/m/moderations", GA),
        ("/openai/deployments/m/chat/completions/", GA),
        ("/openai/deployments/a\nb/embeddings", GA),
        (f"/openai/deployments/{'m' * 257}/embeddings", GA),
        ("/openai/realtime", GA),
        ("/openai/deployments/m/embeddings", ""),
        ("/openai/deployments/m/embeddings", "api-version="),
        ("/openai/deployments/m/embeddings", "&".join(["a=b"] * 65)),
        ("/openai/unknown", GA),
    ],
)
def test_what_azure_does_not_have(path: str, query: str) -> None:
    """Unknown paths, and the classic surface without a version."""
    with pytest.raises(UnknownRoute, match=r"^Resource not found$"):
        locate(path, query)


@pytest.mark.parametrize(
    "version",
    ["v1", "preview", "2024-10", "2024-13-01", "2022-11-30", "2024-10-21-beta", "٢٠٢٤-10-21"],
)
def test_versions_that_do_not_exist(version: str) -> None:
    """A date that is none, one before the first, a word of the other surface."""
    with pytest.raises(InvalidParameter, match="API version not supported"):
        locate("/openai/models", f"api-version={version}")


@pytest.mark.parametrize("query", [GA, "api-version=", "api-version=v1&api-version=preview"])
def test_v1_takes_its_own_versions_only(query: str) -> None:
    """Clients of the classic surface send dates to v1 and are refused, as by Azure."""
    with pytest.raises(InvalidParameter, match="API version not supported"):
        locate("/openai/v1/models", query)


@PROPERTY
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_path_is_a_place_or_a_refusal(path: str, query: str) -> None:
    """Nothing else comes out, and a deployment is what stood in the path."""
    for asked in (path, f"/openai/{path}", f"/openai/deployments/{path}/chat/completions"):
        try:
            place = locate(asked, query + "&" + GA)
        except EntenteError as error:
            assert isinstance(error, UnknownRoute | InvalidParameter)  # noqa: PT017
        else:
            assert place.path.startswith("/v1/")
            assert place.deployment is None or place.deployment in asked + query


@PROPERTY
@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4),
    st.text(min_size=1, max_size=20).filter(lambda name: not re.search("[\ud800-\udfff]", name)),
)
def test_the_deployment_is_the_model_of_the_body(members: dict[str, Any], name: str) -> None:
    """Whatever the body named; all else is as it was."""
    assert json.loads(name_model(json.dumps(members).encode(), name)) == {**members, "model": name}


def test_a_body_without_a_model_can_be_decoded() -> None:
    """Azure's clients need not name one; a body that is no object is left for the decoder."""
    body = b'{"messages":[{"role":"user","content":"Hi"}],"temperature":1.10}'
    named = name_model(body, "gpt-4o")
    assert decode_chat(named).model == "gpt-4o"
    assert b"1.10" in named
    assert name_model(b"[1]", "m") == b"[1]"
    assert name_model(b'{"model":"a","model":"b"}', "c") == b'{"model":"c"}'


def test_headers_of_an_answer() -> None:
    """The id as a GUID, the client's own id given back, and no filter that did not run."""
    found = dict(
        answer_headers(
            "req_0193f0c7a1b20193f0c7a1b20193f0c7",
            deployment="gpt-4o",
            client_request_id=b"caller-1",
        )
    )
    assert found == {
        b"apim-request-id": b"0193f0c7-a1b2-0193-f0c7-a1b20193f0c7",
        b"x-ms-deployment-name": b"gpt-4o",
        b"x-ms-rai-invoked": b"false",
        b"x-content-type-options": b"nosniff",
        b"x-ms-client-request-id": b"caller-1",
    }
    assert guid("other-id") == "other-id"


def test_headers_of_an_answer_of_azures_own() -> None:
    """Where it was made, and that its filter ran, is Azure's to say."""
    theirs = {
        b"x-ms-region": b"East US 2",
        b"x-ms-rai-invoked": b"true",
        b"x-ms-is-spilled-over": b"false",
        b"apim-request-id": b"theirs",
        b"set-cookie": b"a=b",
    }
    found = dict(answer_headers("req_1", theirs=theirs))
    assert found == {
        b"apim-request-id": b"req_1",
        b"x-ms-rai-invoked": b"true",
        b"x-ms-region": b"East US 2",
        b"x-ms-is-spilled-over": b"false",
        b"x-content-type-options": b"nosniff",
    }


@pytest.mark.parametrize("sent", [b"", b"a\tb", b"a\x7f", b"caf\xe9", b"x" * 257, b"a\r\nset: b"])
def test_a_client_cannot_write_headers(sent: bytes) -> None:
    """An id that is not plain text is not given back."""
    names = {name for name, _ in answer_headers("req_1", deployment="ü", client_request_id=sent)}
    assert names == {b"apim-request-id", b"x-ms-rai-invoked", b"x-content-type-options"}


def test_rate_limits_are_whole_numbers() -> None:
    """As in the recorded answer: milliseconds, and a period of a minute."""
    requests = rate_limit_headers("requests", limit=120, remaining=119, reset_ms=500)
    assert requests == (
        (b"x-ratelimit-limit-requests", b"120"),
        (b"x-ratelimit-remaining-requests", b"119"),
        (b"x-ratelimit-reset-requests", b"500"),
        (b"x-ratelimit-renewalperiod-requests", b"60"),
    )
    tokens = dict(rate_limit_headers("tokens", limit=9, remaining=-3, reset_ms=7))
    assert tokens[b"x-ratelimit-remaining-tokens"] == b"0"


# ---- annotations ----


def _stripped(value: dict[str, Any]) -> dict[str, Any]:
    """Give an answer or chunk of Azure's as OpenAI would have said it."""
    value = {name: item for name, item in value.items() if name != "prompt_filter_results"}
    for choice in value["choices"]:
        choice.pop("content_filter_results", None)
    return value


def _unchecked(value: dict[str, Any]) -> dict[str, Any]:
    """Give an answer or chunk of Azure's as it would be if no filter had run."""
    for holder in [*value["choices"], *value.get("prompt_filter_results", ())]:
        if holder.get("content_filter_results"):
            holder["content_filter_results"] = UNCHECKED
    return value


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_whole_answer_is_annotated_as_the_recorded_one() -> None:
    """Byte for byte, but for what the filter found."""
    recorded = (CAPTURES / "azure-answer.json").read_bytes()
    plain = _dump(_stripped(json.loads(recorded)))
    assert annotate(plain) == _dump(_unchecked(json.loads(recorded)))
    assert annotate(recorded) == recorded


def _chunks(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(payload(e)) for e in events(data) if b"[DONE]" not in e and payload(e)]


def _streams() -> list[bytes]:
    """Our own recorded stream, and the vendor's where they are."""
    found = [(CAPTURES / "azure-text.sse").read_bytes()]
    for path in RECORDED.glob("openllmetry-test_azure-test_chat_streaming.yaml"):
        texts = re.findall(
            r"^      string: '(data: (?s:.*?))\n\n\n        '\n", path.read_text(), re.MULTILINE
        )
        for text in texts:
            joined = re.sub(r"\n(\n?)        ", lambda m: "\n" if m[1] else " ", text)
            lines = [line for line in joined.replace("''", "'").splitlines() if line]
            found.append("".join(f"{line}\n\n" for line in lines).encode())
    return found


@pytest.mark.parametrize("data", _streams(), ids=len)
def test_a_stream_is_annotated_as_the_recorded_one(data: bytes) -> None:
    """The event for the prompt first, `{}` where there is no text, the names in order."""
    chunks = _chunks(data)
    assert chunks[0]["choices"] == []
    plain = b"".join(b"data: %b\n\n" % _dump(_stripped(chunk)) for chunk in chunks[1:])
    stream = AnnotatedStream()
    sent = stream.feed(plain) + stream.feed(b"data: [DONE]\n\n")
    expected = [_unchecked(json.loads(_dump(chunk))) for chunk in _chunks(data)]
    assert _chunks(sent) == expected
    assert sent.startswith(FIRST_EVENT)
    assert sent.endswith(b"data: [DONE]\n\n")
    later = b"".join(b"data: %b\n\n" % _dump(chunk) for chunk in expected[1:])
    assert sent == FIRST_EVENT + later + b"data: [DONE]\n\n"
    assert AnnotatedStream().feed(data) == data


def _event(**choice: Any) -> bytes:
    return b"data: %b\n\n" % _dump({"choices": [{"index": 0, "finish_reason": None, **choice}]})


@pytest.mark.parametrize(
    ("choice", "results"),
    [
        ({"delta": {"content": "Hi"}}, UNCHECKED),
        ({"delta": {"role": "assistant", "content": "Hi"}}, UNCHECKED),
        ({"delta": {"refusal": "No"}}, UNCHECKED),
        ({"text": "Hi"}, UNCHECKED),
        ({"text": ""}, {}),
        ({"delta": {"role": "assistant", "content": "", "refusal": None}}, {}),
        ({"delta": {"tool_calls": [{"index": 0, "id": "a"}]}}, {}),
        ({"delta": {}, "finish_reason": "stop"}, {}),
        ({"delta": {"content": "H"}, "finish_reason": "content_filter"}, {}),
        ({"message": {"content": "Hi"}, "finish_reason": "content_filter"}, {}),
        ({"delta": None}, {}),
        ({"delta": {"content": "Hi"}, "content_filter_results": {"hate": 1}}, {"hate": 1}),
    ],
)
def test_what_is_said_of_a_choice(choice: dict[str, Any], results: object) -> None:
    """That its text was not checked; nothing of what has no text or was filtered."""
    stream = AnnotatedStream()
    sent = stream.feed(_event(**choice)).removeprefix(FIRST_EVENT)
    (chunk,) = _chunks(sent)
    assert chunk["choices"][0]["content_filter_results"] == results


def test_several_choices_and_events_are_annotated_each() -> None:
    """Of two choices in one chunk, and two chunks in one block; the usage event has none."""
    two = {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}
    usage = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
    block = b": ping\n\n" + b"data: %b\n\n" % _dump(two) + _event(delta={}) + usage
    sent = AnnotatedStream().feed(block)
    assert sent.count(bytes(NOT_FILTERED)) == 3
    assert sent.startswith(b": ping\n\n" + FIRST_EVENT)
    assert sent.endswith(usage)


@pytest.mark.parametrize(
    "block",
    [
        b"data: [DONE]\n\n",
        b": comment\n\n",
        b'data: {"error":{"message":"\\"choices\\"","code":null}}\n\n',
        b'data: {"choices":3}\n\n',
        b'data: "choices"\n\n',
        b"data: {choices\n\n",
        b'event: x\ndata: {"type":"x","delta":"\\"response\\""}\n\n',
        b'data: {"response":null}\n\n',
        b"",
    ],
)
def test_what_is_no_chunk_passes(block: bytes) -> None:
    """Byte for byte: comments, markers, errors, and what cannot be read."""
    assert AnnotatedStream().feed(block) == block
    assert annotate(block) == block


def test_responses_list_no_checks() -> None:
    """In the object, whole or inside an event; deltas pass as they are."""
    whole = b'{"id":"resp_1","object":"response","output":[]}'
    assert json.loads(annotate(whole))["content_filters"] == []
    stream = AnnotatedStream()
    created = b'event: response.created\ndata: {"type":"response.created","response":%b}\n\n'
    sent = stream.feed(created % whole)
    assert sent.startswith(b"event: response.created\ndata: {")
    assert json.loads(payload(sent))["response"]["content_filters"] == []
    delta = b'event: response.output_text.delta\ndata: {"delta":"\\"response\\": x"}\n\n'
    assert stream.feed(delta) == delta


def test_a_stream_with_other_line_ends_is_annotated() -> None:
    """Providers may end lines with CR LF, and name their events."""
    sent = AnnotatedStream().feed(b'id: 7\r\ndata: {"choices":[{"text":"a"}]}\r\n\r\n')
    assert sent.startswith(FIRST_EVENT + b'id: 7\ndata: {"choices":[{"content_filter_results"')
