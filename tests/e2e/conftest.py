"""One server for all end-to-end tests of a worker process, with keys made beforehand."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import pytest

from tests.support import batches, media
from tests.support.matrix.bench import Bench, running
from tests.support.matrix.page import KEYS as MATRIX_KEYS
from tests.support.server import EntenteServer, Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.media import Desk

KEYS: Final = 200
BENCH_KEYS: Final = 2000
"""Beside those of the matrix: for the fuzz most of all."""
DESK_KEYS: Final = 1500
BREAKS: Final = ("close", "eof", "stall", "idle_timeout", "error_event", "garbage", "no_done")
RETRIED: Final = ("python", "node", "anthropic", "aio", "azure", "cloud", "v1 paths", "messenger")

_SCRIPT: Final = """
[[replies]]
when = { contains = "weather", tool = "get_weather", last_role = "user" }
tool_calls = [
  { name = "get_weather", arguments = '{"city": "Paris"}' },
  { name = "get_weather", arguments = '{"city": "Rome"}' },
]

[[replies]]
when = { contains = "weather", last_role = "tool" }
text = "It is sunny in Paris."

[[replies]]
when = { contains = "as json" }
json = '{"city": "Paris", "days": 3}'

[[replies]]
when = { contains = "refuse" }
refusal = "I will not."

[[replies]]
when = { contains = "never retry" }
error = { status = 500, headers = { x-should-retry = "false" } }

[[replies]]
when = { contains = "filtered" }
text = "I must not"
finish_reason = "content_filter"

[[replies]]
when = { contains = "many words" }
pieces = ["w", %s]
piece_delay_ms = 25

[[replies]]
when = { contains = "cached" }
text = "ok"
usage = { prompt_tokens = 40, completion_tokens = 6, cached_tokens = 32, reasoning_tokens = 2 }

[[replies]]
when = { contains = "no usage" }
text = "four words are here"
usage = "none"
"""
_RETRIES: Final = """
[[replies]]
when = {{ contains = "fails twice with 500 for {who}" }}
times = 2
error = {{ status = 500, headers = {{ retry-after-ms = "1" }} }}

[[replies]]
when = {{ contains = "fails twice with 429 for {who}" }}
times = 2
error = {{ status = 429, headers = {{ retry-after-ms = "1" }} }}

[[replies]]
when = {{ contains = "do retry for {who}" }}
times = 1
error = {{ status = 400, headers = {{ x-should-retry = "true", retry-after-ms = "1" }} }}
"""
_BREAK: Final = """
[[replies]]
when = {{ contains = "break with {kind}" }}
pieces = ["Once", " upon", " a", " time"]
break = {{ kind = "{kind}"{after} }}
"""
_ECHO: Final = """
[[replies]]
echo = true
"""
_CONFIG: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1", cached_input = "0.5", output = "2" }
output_tokens_max = 1000

[models."other/model"]
targets = [{ provider = "fake", model = "renamed" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "2" }

[models."unpriced"]
targets = [{ provider = "fake", model = "u" }]
"""


def script() -> str:
    """Write the script of the shared server."""
    return "".join(
        [
            _SCRIPT % ", ".join(['" w"'] * 400),
            *(_RETRIES.format(who=who) for who in RETRIED),
            *(
                _BREAK.format(kind=kind, after="" if kind == "no_done" else ", after = 2")
                for kind in BREAKS
            ),
            _ECHO,
        ]
    )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EntenteServer, list[Key]]]:
    """Run the shared server; what it wrote is checked when all tests are through."""
    folder: Path = tmp_path_factory.mktemp("shared")
    (folder / "script.toml").write_text(script(), encoding="utf-8")
    server = EntenteServer(
        folder, _CONFIG, server="drain_s = 0.5\nbody_bytes_max = 200_000\nshutdown_s = 5"
    )
    keys = server.make_keys(KEYS)
    with server:
        yield server, keys
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


@pytest.fixture
def server(shared: tuple[EntenteServer, list[Key]]) -> EntenteServer:
    """Give the shared server."""
    return shared[0]


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    """Number the tests that take a key."""
    return itertools.count()


@pytest.fixture
def key(shared: tuple[EntenteServer, list[Key]], _numbers: Iterator[int]) -> Key:
    """Give a key of the test's own, so that what it spent can be told apart."""
    server, keys = shared
    number = next(_numbers)
    return keys[number] if number < KEYS - 1 else server.make_key()  # the last one is revoked


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run one server in front of a stand-in for every vendor; its journal is checked at the end."""
    with running(tmp_path_factory.mktemp("bench"), keys=MATRIX_KEYS + BENCH_KEYS) as made:
        yield made


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Run one server in front of stand-ins for what is no conversation."""
    with media.running(tmp_path_factory.mktemp("desk"), keys=DESK_KEYS) as made:
        yield made


@pytest.fixture(scope="module")
def batching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a server for the batches of one file; its journal is checked at the end."""
    folder = tmp_path_factory.mktemp("batches")
    batches.write_config(folder)
    with EntenteServer(folder, batches.CONFIG, server="shutdown_s = 1") as server:
        yield server
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


@pytest.fixture
def owner(batching: EntenteServer, request: pytest.FixtureRequest) -> Key:
    """Give a key of a project of the test's own, on the server for batches."""
    return batching.make_key(project=f"p{abs(hash(request.node.name))}")
