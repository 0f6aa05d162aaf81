"""Recorded streams, replayed in pieces: our own small ones, and the vendors' where they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.wire.openai_stream import ChatStream
from tests.kit.house import ROOT

OWN = Path(__file__).parent / "captures"
RECORDED = ROOT.parent / "shared" / "api" / "captures"
STEPS = (1, 7, 64, 10**6)


def _streams_of(path: Path) -> list[bytes]:
    """Read the streams of a file: the file itself, or the block texts of a VCR recording."""
    if path.suffix == ".sse":
        return [path.read_bytes().lstrip(b"\n")]
    found = re.findall(
        r"^      string: \|\+\n((?:        .*\n|\n)+)", path.read_text(), re.MULTILINE
    )
    return [re.sub(r"^ {8}", "", text, flags=re.MULTILINE).encode() for text in found]


def _recorded() -> list[Path]:
    names = ("openai-direct-chat-stream-*.sse", "otel-*streaming.yaml")
    return sorted(path for name in names for path in RECORDED.glob(name))


def _replay(data: bytes, step: int, *, hide: bool) -> tuple[ChatStream, bytes]:
    stream = ChatStream(hide_usage=hide, choices=1)
    sent = b"".join([stream.feed(data[at : at + step]) for at in range(0, len(data), step)])
    return stream, sent + stream.close() + stream.end


@pytest.mark.parametrize(
    ("name", "status", "usage"),
    [
        (
            "tools-with-usage",
            Status.COMPLETE,
            Usage(input=11, cache_read=64, output=31, reasoning=20),
        ),
        ("text-without-usage", Status.COMPLETE, None),
        ("text-crlf-comments", Status.COMPLETE, None),
    ],
)
@pytest.mark.parametrize("step", STEPS)
def test_our_own_streams(name: str, status: Status, usage: Usage | None, step: int) -> None:
    """Bytes, end and usage, however the stream is cut."""
    (data,) = _streams_of(OWN / f"{name}.sse")
    stream, sent = _replay(data, step, hide=False)
    assert sent == data
    assert (stream.status, stream.usage) == (status, usage)


@pytest.mark.parametrize("step", STEPS)
def test_usage_is_taken_out_of_our_own_stream(step: int) -> None:
    """As if it had not been asked for: no usage event, no `"usage":null`, all else as it was."""
    (data,) = _streams_of(OWN / "tools-with-usage.sse")
    stream, sent = _replay(data, step, hide=True)
    expected = re.sub(rb'data: [^\n]*"choices":\[\][^\n]*\n\n', b"", data)
    assert sent == expected.replace(b',"usage":null', b"")
    assert stream.usage is not None


def test_vendor_streams() -> None:
    """OpenAI's own traffic, where the recordings are at hand beside the repository."""
    paths = _recorded()
    if not paths:
        pytest.skip("the recordings are not there")
    for path in paths:
        streams = _streams_of(path)
        assert streams, path.name
        for data in streams:
            for step in STEPS:
                stream, sent = _replay(data, step, hide=False)
                assert sent == data
                assert stream.status is Status.COMPLETE
                assert (stream.usage is not None) == (b'"prompt_tokens"' in data)
                hidden, shorter = _replay(data, step, hide=True)
                assert (hidden.status, hidden.usage) == (stream.status, stream.usage)
                assert b'"usage"' not in shorter
                assert shorter.endswith(b"data: [DONE]\n\n")
