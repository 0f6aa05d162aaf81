"""What it costs to cross between dialects: throughput beside that of the same dialect.

    make bench-quick ARGS=--translation

One Entente stands in front of providers of two dialects. Clients take turns in one run: first
chat to chat, whose bytes pass, then each way that has to be translated. What counts is the
ratio of each round, and of those the median. Then streams at the pace of a model, of which
each has to come whole.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench import stream_client, subjects
from bench.entente import verify
from bench.machine import alone
from bench.peers import CACHE
from bench.plan import INTERVAL_US, KB
from bench.process import needed
from bench.traffic import MESSAGES_MODEL, MODEL, STREAM_MODEL, Target, chat_body, stream_body
from bench.wrk import Wrk

STREAMS: Final = 512
CHUNKS: Final = 150
RAMP_S: Final = 2.0
GRACE_S: Final = 10.0
PATHS: Final = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "stored": "/v1/responses",
}
_DONE: Final = {
    "chat": "[DONE]",
    "messages": "message_stop",
    "responses": "response.completed",
    "stored": "response.completed",
}
_MS: Final = 1000


class Way(NamedTuple):
    """From a client's dialect to a provider's."""

    client: str
    provider: str

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.client} -> {self.provider}"


SAME: Final = Way("chat", "chat")
CROSSING: Final = (Way("chat", "messages"), Way("messages", "chat"), Way("responses", "chat"))


def whole_body(way: Way) -> bytes:
    """Write a request of a kilobyte in the client's dialect."""
    asked = json.loads(chat_body(KB))
    asked["model"] = MESSAGES_MODEL if way.provider == "messages" else MODEL
    return _compact(_said(way.client, asked))


def paced_body(client: str) -> bytes:
    """Ask for a paced stream in the client's dialect."""
    if client == "chat":
        return stream_body(CHUNKS, INTERVAL_US)
    text = f"Count, every {INTERVAL_US} us."
    asked = {
        "model": STREAM_MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": CHUNKS,
        "stream": True,
    }
    return _compact(_said(client, asked))


def _said(client: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Say a chat request in another dialect."""
    said = dict(asked)
    if client == "messages":
        system = [m["content"] for m in said["messages"] if m["role"] == "system"]
        said["messages"] = [m for m in said["messages"] if m["role"] != "system"]
        return {**said, "system": system[0]} if system else said
    if client in ("responses", "stored"):
        said["store"] = client == "stored"
        said["input"] = said.pop("messages")
        said["max_output_tokens"] = said.pop("max_tokens")
    return said


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def measure(connections: int, rounds: int, seconds: int) -> None:
    """Measure and print both tables."""
    programs = needed("nginx", "wrk")
    with alone(), tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        folder = Path(temporary)
        wrk = Wrk(programs["wrk"], folder)
        with subjects.providers(programs, folder) as ports:
            stand = subjects.prepare(programs, ports, {}, {subjects.FULL})
            with stand.starters[subjects.FULL](folder / "entente") as ours:
                port = ours.unary.port
                rates = _rates(wrk, port, connections, rounds, seconds)
                for way in CROSSING:
                    _print_ratio(way, rates, connections)
                for client in PATHS:
                    _print_streams(client, port)
        print(verify(folder / "entente"))


def _rates(
    wrk: Wrk, port: int, connections: int, rounds: int, seconds: int
) -> dict[Way, list[float]]:
    """Give the requests per second of each way in each round."""
    found: dict[Way, list[float]] = {way: [] for way in (SAME, *CROSSING)}
    for number in range(rounds):
        for way, rates in found.items():
            target = Target(port, path=PATHS[way.client])
            load = wrk.load(target, whole_body(way), connections, seconds)
            if load.failed:
                sys.exit(f"Requests failed on the way {way}: {load}")
            rates.append(load.per_s)
        said = ", ".join(f"{way} {rates[-1]:,.0f}/s" for way, rates in found.items())
        print(f"round {number + 1}: {said}", flush=True)
    return found


def _print_ratio(way: Way, rates: Mapping[Way, list[float]], connections: int) -> None:
    ratios = [own / same for own, same in zip(rates[way], rates[SAME], strict=True)]
    print(
        f"{way}, {connections} connections: median ratio {statistics.median(ratios):.3f} of "
        f"{SAME} (from {min(ratios):.3f} to {max(ratios):.3f})"
    )


def paced(client: str, port: int) -> stream_client.Outcome:
    """Take streams at the pace of a model, from a client's dialect to chat."""
    order = stream_client.Order(
        Target(port, path=PATHS[client]),
        STREAMS,
        CHUNKS,
        INTERVAL_US,
        RAMP_S,
        GRACE_S,
        body=paced_body(client).decode(),
        done=_DONE[client],
    )
    length_s = RAMP_S + GRACE_S + CHUNKS * INTERVAL_US / 1e6
    done = subprocess.run(
        [sys.executable, "-m", "bench.stream_client"],
        input=msgspec.json.encode(order),
        capture_output=True,
        check=True,
        timeout=length_s * 2,
    )
    return msgspec.json.decode(done.stdout, type=stream_client.Outcome)


def _print_streams(client: str, port: int) -> None:
    seen = paced(client, port)
    print(
        f"{client} -> chat, {STREAMS} streams of {CHUNKS} chunks, one every "
        f"{INTERVAL_US / _MS:g} ms: {seen.served} served whole, a chunk's way p50 "
        f"{seen.chunk_p50_us / _MS:.1f} ms, p99 {seen.chunk_p99_us / _MS:.1f} ms",
        flush=True,
    )
