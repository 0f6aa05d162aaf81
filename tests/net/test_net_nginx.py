"""The client against a real nginx: reuse, framing, large bodies, restarts."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import UpstreamConnectError, UpstreamProtocolError
from entente.net import Client, ClientOptions
from tests.support.loops import LOOPS, run, until
from tests.support.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BYTES_MAX = 200_000_000
BODY_BYTES = 100_000_000
PIECE_BYTES = 100_000
HELD_BYTES_MAX = 8_000_000
both_loops = pytest.mark.parametrize("loop", LOOPS)


@both_loops
def test_requests_share_one_connection(nginx: Nginx, loop: str) -> None:
    """Sequential requests of every framing go over one socket."""

    async def main() -> None:
        """Count by nginx's own counters."""
        client = Client(ClientOptions(nginx.base_url))
        for number in range(1, 4):
            response = await client.request(b"GET", b"/hello", b"")
            assert response.status == 200
            text = (await response.read(BYTES_MAX)).decode()
            assert text.endswith(f":{number}")
        for target, body in ((b"/chunked", b"begin /v1/chunked end"), (b"/none", b"")):
            response = await client.request(b"GET", target, [(b"accept", b"*/*")])
            assert await response.read(BYTES_MAX) == body
        text = (await (await client.request(b"GET", b"/hello", b"")).read(BYTES_MAX)).decode()
        assert text.endswith(":6")
        stats = client.stats()
        assert (stats.open, stats.idle, stats.busy, stats.waiting) == (1, 1, 0, 0)
        await client.aclose()
        assert client.stats().open == 0

    run(main(), loop)


def test_the_target_goes_behind_the_prefix(nginx: Nginx) -> None:
    """Host has the port, and the query is untouched."""

    async def main() -> None:
        """Nginx echoes what it was asked."""
        client = Client(ClientOptions(nginx.base_url + "/"))
        response = await client.request(b"GET", b"/host?a=%20b", b"x-a: 1\r\nx-b: 2\r\n")
        expected = f"127.0.0.1:{nginx.port}|/v1/host?a=%20b|GET"
        assert (await response.read(BYTES_MAX)).decode() == expected
        await client.aclose()

    run(main())


@both_loops
def test_large_bodies_use_little_memory(nginx: Nginx, loop: str) -> None:
    """100 MB go up in chunks and come down again, and few of them are ever held."""

    async def source() -> AsyncIterator[bytes]:
        """Give pieces that differ, so that a lost or doubled one shows."""
        for number in range(BODY_BYTES // PIECE_BYTES):
            yield number.to_bytes(4, "big") * (PIECE_BYTES // 4)

    async def main() -> None:
        """Up, then down, counting Python's own allocations."""
        client = Client(ClientOptions(nginx.base_url))
        tracemalloc.start()
        try:
            response = await client.request(b"PUT", b"/files/large", b"", source())
            assert response.status == 201
            await response.read(BYTES_MAX)
            response = await client.request(b"GET", b"/files/large", b"")
            offset = 0
            while piece := await response.chunk():
                first = (offset // PIECE_BYTES).to_bytes(4, "big")
                assert piece[-offset % 4 :][:4] in {
                    first,
                    (offset // PIECE_BYTES + 1).to_bytes(4, "big"),
                }
                offset += len(piece)
            assert offset == BODY_BYTES
            assert tracemalloc.get_traced_memory()[1] < HELD_BYTES_MAX
        finally:
            tracemalloc.stop()
        assert client.stats().idle == 1
        await client.aclose()

    run(main(), loop)


@both_loops
def test_a_large_bytes_body_is_not_copied(nginx: Nginx, tmp_path: Path, loop: str) -> None:
    """100 MB in one object are announced by length and written in slices."""
    body = bytes(range(250)) * (BODY_BYTES // 250)

    async def main() -> None:
        """Compare what nginx stored."""
        client = Client(ClientOptions(nginx.base_url))
        tracemalloc.start()
        try:
            response = await client.request(b"PUT", b"/files/bytes", b"", body)
            assert tracemalloc.get_traced_memory()[1] < HELD_BYTES_MAX
        finally:
            tracemalloc.stop()
        assert response.status == 201
        await response.read(BYTES_MAX)
        await client.aclose()

    run(main(), loop)
    assert (tmp_path / "files" / "bytes").read_bytes() == body


@both_loops
def test_an_early_close_closes_the_connection(nginx: Nginx, tmp_path: Path, loop: str) -> None:
    """Half an answer is never followed by another one on the same socket."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "data").write_bytes(b"x" * 5_000_000)

    async def main() -> None:
        """Close after a piece, twice; then go on."""
        client = Client(ClientOptions(nginx.base_url))
        response = await client.request(b"GET", b"/files/data", b"")
        assert await response.chunk()
        await response.aclose()
        await response.aclose()
        await until(lambda: client.stats().open == 0)
        response = await client.request(b"GET", b"/files/data", b"")
        with pytest.raises(UpstreamProtocolError, match="longer than 1000 bytes"):
            await response.read(1000)
        await until(lambda: client.stats().open == 0)
        response = await client.request(b"GET", b"/hello", b"")
        assert (await response.read(BYTES_MAX)).endswith(b":1")
        await client.aclose()

    run(main(), loop)


def test_headers_may_be_huge_up_to_the_bound(tmp_path: Path) -> None:
    """60 kB of one header pass, 70 kB are refused; requests may have 100 kB."""
    text = "y" * 1000
    server = Nginx(
        tmp_path,
        locations=f"""
        location = /v1/big {{ set $k "{text}"; add_header X-Big "{"$k" * 60}"; return 200; }}
        location = /v1/bigger {{ set $k "{text}"; add_header X-Big "{"$k" * 70}"; return 200; }}
        location = /v1/echo {{ return 200 $http_x_big; }}""",
    )

    async def main() -> None:
        """One of each."""
        client = Client(ClientOptions(server.base_url))
        response = await client.request(b"GET", b"/big", b"")
        assert response.headers[b"x-big"] == text.encode() * 60
        assert await response.read(BYTES_MAX) == b""
        with pytest.raises(UpstreamProtocolError, match="longer than 65536 bytes"):
            await client.request(b"GET", b"/bigger", b"")
        response = await client.request(b"GET", b"/echo", [(b"x-big", b"z" * 100_000)])
        assert await response.read(BYTES_MAX) == b"z" * 100_000
        await client.aclose()

    try:
        run(main())
    finally:
        server.stop()


@pytest.mark.usefixtures("patient")
@both_loops
def test_the_first_request_after_a_restart_succeeds(nginx: Nginx, loop: str) -> None:
    """Connections of the old process are not used; while it is down the error says so."""

    async def main() -> None:
        """Restart twice, once with a failed request between."""
        client = Client(ClientOptions(nginx.base_url))
        for down in (False, True):
            response = await client.request(b"POST", b"/hello", b"", b"x")
            await response.read(BYTES_MAX)
            nginx.stop()
            if down:
                with pytest.raises(UpstreamConnectError, match="refused the connection"):
                    await client.request(b"POST", b"/hello", b"", b"x")
            nginx.start()
        response = await client.request(b"POST", b"/hello", b"", b"x")
        assert response.status == 200
        await response.read(BYTES_MAX)
        await client.aclose()

    run(main(), loop)
