"""Traffic that was recorded at the vendors' own APIs, exchange by exchange.

Where the recordings lie beside the repository they are read from there, each of them, in whatever
form its suite keeps it; else from `recordings.jsonl`, the same cut short, which
`python -m tests.support.recordings` writes anew.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import yaml

from tests.kit.house import ROOT, TESTS

RECORDED: Final = ROOT.parent / "shared" / "api" / "captures"
SLIM: Final = TESTS / "wire" / "captures" / "recordings.jsonl"
EVENTS_KEPT: Final = 4
"""Of a long stream, at its beginning and at its end."""
STREAM_BYTES_MAX: Final = 4000
VECTOR_CHARS_MAX: Final = 64
STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
_GZIP: Final = b"\x1f\x8b"
_PATHS: Final = {
    "anthropic": "/v1/messages",
    "openai-direct-chat": "/v1/chat/completions",
    "openai-direct-responses": "/v1/responses",
}
"""What streams that were kept without their requests answered, by how their files begin."""


class Exchange(NamedTuple):
    """A request as it was recorded, or one that may have been it, and the answer."""

    name: str
    path: str
    asked: dict[str, Any]
    status: int
    kind: str
    """Content type."""
    answer: bytes

    @property
    def vendor(self) -> str:
        """Who answered."""
        if self.path.startswith("/openai/"):
            return "azure-v1" if self.path.startswith("/openai/v1/") else "azure"
        return "anthropic" if "/messages" in self.path else "openai"

    @property
    def model(self) -> str:
        """What the vendor calls the model: in the path, if it is there."""
        named = re.search(r"/deployments/([^/]+)/", self.path)
        return named[1] if named else str(self.asked["model"])

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream."""
        return self.kind == STREAM


def exchanges() -> list[Exchange]:
    """Give all that was recorded."""
    if RECORDED.exists():
        return [each for path in files() for each in _read(path)]
    lines = SLIM.read_text(encoding="utf-8").splitlines()
    return [_from_line(json.loads(line)) for line in lines]


def files() -> list[Path]:
    """Name the files that lie beside the repository."""
    return [path for path in sorted(RECORDED.iterdir()) if path.name != "README.md"]


def _read(path: Path) -> Iterator[Exchange]:
    if path.suffix == ".yaml":
        interactions = yaml.safe_load(path.read_bytes())["interactions"]
        for number, each in enumerate(interactions):
            yield _exchange(f"{path.stem} {number}", each["request"], each["response"])
        return
    answer = path.read_bytes().lstrip(b"\n").rstrip(b"\n") + b"\n\n"
    (route,) = (route for start, route in _PATHS.items() if path.name.startswith(start))
    said = [{"role": "user", "content": "Hi"}]
    asked: dict[str, Any] = {"model": "recorded", "stream": True}
    if route.endswith("responses"):
        asked |= {"input": "Hi", "store": False}
    else:
        asked |= {"messages": said}
    if route.endswith("messages"):
        asked |= {"max_tokens": 100}
    if route.endswith("completions") and b'"usage"' in answer:
        asked |= {"stream_options": {"include_usage": True}}
    yield Exchange(path.name.partition(".sse")[0], route, asked, 200, STREAM, answer)


def _exchange(name: str, request: Any, response: Any) -> Exchange:
    url = urlsplit(request["uri"])
    asked = request.get("parsed_body") or json.loads(request["body"])
    headers = {name.lower(): value for name, value in response["headers"].items()}
    if "parsed_body" in response:
        answer = json.dumps(response["parsed_body"]).encode()
    else:
        found = response["body"]["string"]
        answer = found if isinstance(found, bytes) else found.encode()
    if answer.startswith(_GZIP):
        answer = gzip.decompress(answer)
    kind = STREAM if STREAM in str(headers.get("content-type")) else JSON
    if kind == STREAM:
        answer = answer.strip(b"\n") + b"\n\n"
    path = f"{url.path}?{url.query}" if url.query else url.path
    return Exchange(name, path, asked, response["status"]["code"], kind, answer)


# ---- the committed cut ----


def slim() -> str:
    """Write what is committed: of each file the first answer and the last, one a line."""
    kept: dict[tuple[str, int, bool], Exchange] = {}
    for each in exchanges():
        file, _, number = each.name.rpartition(" ")
        kept[file or each.name, each.status, number == "0"] = each
    return "".join(f"{_line(each)}\n" for each in kept.values())


def _line(each: Exchange) -> str:
    values = {**each._asdict(), "answer": _cut(each).decode()}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _from_line(values: Any) -> Exchange:
    return Exchange(**{**values, "answer": values["answer"].encode()})


def _cut(each: Exchange) -> bytes:
    if each.streamed and len(each.answer) > STREAM_BYTES_MAX:
        events = each.answer.split(b"\n\n")
        return b"\n\n".join(events[:EVENTS_KEPT] + events[-EVENTS_KEPT - 1 :])
    vector = re.compile(rb'("embedding": ?"[^"]{%d})[^"]+' % VECTOR_CHARS_MAX)
    return vector.sub(rb"\1", each.answer)


if __name__ == "__main__":
    SLIM.write_text(slim(), encoding="utf-8")
