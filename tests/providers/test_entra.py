"""Tokens from Entra: asked for once, renewed ahead, shared, and kept while they are valid."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import pytest

from entente.domain.errors import UpstreamConnectError, UpstreamError, UpstreamRefused
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions
from entente.providers.entra import AHEAD_S, RETRY_S, ClientCredentials, EntraTokens
from tests.support.loops import run, until
from tests.support.rawserver import Peer, RawServer

CLIENT_SECRET = "canary-9f8e+7&d=6"
CREDENTIALS = ClientCredentials(
    tenant="contoso.example", client_id="app-1", client_secret=Secret(CLIENT_SECRET)
)
LIFETIME_S = 3600
DENIED = json.dumps(
    {
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret " + CLIENT_SECRET,
        "error_codes": [7000215],
        "correlation_id": "c",
    }
).encode()


class Authority:
    """A token endpoint that numbers its tokens, and the clock of who asks it."""

    def __init__(self) -> None:
        """Start at zero, in order."""
        self.now_s = 0.0
        self.asked: list[tuple[bytes, bytes]] = []
        self.lifetime: object = LIFETIME_S
        self.failing: tuple[int, bytes] | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def answer(self, peer: Peer) -> None:
        """Answer request after request, each when `open` says so."""
        while True:
            self.asked.append(await peer.request())
            await self.open.wait()
            status, body = self.failing or (200, self.token())
            head = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
            await peer.send(head + body)

    def token(self) -> bytes:
        """Write an answer such as Entra's."""
        return json.dumps(
            {
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "ext_expires_in": self.lifetime,
                "access_token": f"token-{len(self.asked)}",
            }
        ).encode()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Authority, EntraTokens]]:
    """Serve an authority and give a source of its tokens."""
    authority = Authority()
    async with RawServer(authority.answer) as server:
        tokens = EntraTokens(
            "cloud",
            Client(ClientOptions(server.base_url)),
            CREDENTIALS,
            now_s=lambda: authority.now_s,
        )
        try:
            yield authority, tokens
        finally:
            await tokens.aclose()


def test_it_asks_as_the_platform_wants_it() -> None:
    """Path, type and the four members of the form; then the token is kept."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            assert (await tokens.token()).reveal() == "token-1"
            assert (await tokens.token()).reveal() == "token-1"
            ((head, body),) = authority.asked
            assert head.startswith(b"POST /contoso.example/oauth2/v2.0/token HTTP/1.1\r\n")
            assert b"content-type: application/x-www-form-urlencoded\r\n" in head
            assert parse_qs(body.decode()) == {
                "grant_type": ["client_credentials"],
                "client_id": ["app-1"],
                "client_secret": [CLIENT_SECRET],
                "scope": ["https://cognitiveservices.azure.com/.default"],
            }

    run(main())


def test_waiters_share_one_request() -> None:
    """A hundred callers without a token are one question; one who leaves does not end it."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            authority.open.clear()
            callers = [asyncio.create_task(tokens.token()) for _ in range(100)]
            await until(lambda: bool(authority.asked))
            callers[0].cancel()
            authority.open.set()
            given = await asyncio.gather(*callers[1:])
            assert {token.reveal() for token in given} == {"token-1"}
            assert len(authority.asked) == 1

    run(main())


def test_renewed_ahead_without_making_anyone_wait() -> None:
    """From the moment on, the old token goes out until the new one is there."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            await tokens.token()
            authority.now_s = LIFETIME_S - AHEAD_S - 1
            await tokens.token()
            assert len(authority.asked) == 1
            authority.now_s = LIFETIME_S - AHEAD_S
            authority.open.clear()
            assert (await tokens.token()).reveal() == "token-1"
            await until(lambda: len(authority.asked) == 2)
            assert (await tokens.token()).reveal() == "token-1"
            authority.open.set()
            while (await tokens.token()).reveal() == "token-1":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert (await tokens.token()).reveal() == "token-2"
            assert len(authority.asked) == 2

    run(main())


def test_a_short_life_is_renewed_for_its_last_quarter() -> None:
    """So that a token of a minute is not asked for on every request."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            authority.lifetime = "60"  # some versions write a string
            await tokens.token()
            authority.now_s = 44.9
            await tokens.token()
            assert len(authority.asked) == 1
            authority.now_s = 45.0
            await tokens.token()
            await until(lambda: len(authority.asked) == 2)

    run(main())


def test_a_failed_refresh_keeps_the_old_token_while_it_is_valid() -> None:
    """It is tried again after a pause; past the token's life the reason is raised."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            await tokens.token()
            authority.failing = (503, b"")
            authority.now_s = LIFETIME_S - AHEAD_S
            for _ in range(3):
                assert (await tokens.token()).reveal() == "token-1"
                await until(lambda: len(authority.asked) == 2 and tokens._refresh is None)
            authority.now_s += RETRY_S
            assert (await tokens.token()).reveal() == "token-1"
            await until(lambda: len(authority.asked) == 3 and tokens._refresh is None)
            authority.now_s = LIFETIME_S
            with pytest.raises(UpstreamConnectError, match="answered 503"):
                await tokens.token()
            assert len(authority.asked) == 4
            with pytest.raises(UpstreamConnectError, match="answered 503"):
                await tokens.token()
            assert len(authority.asked) == 4  # not on each request
            authority.now_s += RETRY_S
            authority.failing = None
            assert (await tokens.token()).reveal() == "token-5"

    run(main())


def test_a_token_that_was_not_accepted_is_forgotten() -> None:
    """The next call asks for another one; a newer one is left alone."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            first = await tokens.token()
            tokens.forget(first)
            assert await tokens.token() is first  # too young to be the reason
            authority.now_s = RETRY_S
            tokens.forget(first)
            second = await tokens.token()
            assert second.reveal() == "token-2"
            tokens.forget(first)
            assert await tokens.token() is second

    run(main())


async def failure(status: int, body: bytes) -> UpstreamError:
    """Give the error of a token endpoint that answers so."""
    async with serving() as (authority, tokens):
        authority.failing = (status, body)
        with pytest.raises(UpstreamError) as caught:
            await tokens.token()
    return caught.value


def test_a_refusal_names_the_reason_and_no_secret() -> None:
    """The error and its number, though the answer repeats the secret."""
    error = run(failure(401, DENIED))
    assert isinstance(error, UpstreamRefused)
    assert "`cloud`" in error.message
    assert "(invalid_client, AADSTS7000215)" in error.message
    assert "canary" not in str(error)
    assert "canary" not in repr(error.__context__)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 10_000, b'{"error":"No such WORD"}'])
def test_a_refusal_without_a_reason(body: bytes) -> None:
    """Whatever stands in it, it is a refusal."""
    error = run(failure(400, body))
    assert isinstance(error, UpstreamRefused)
    assert "answered 400 to the credentials" in error.message


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (429, b"", "answered 429"),
        (500, DENIED, "answered 500"),
        (200, b"{}", "has no token"),
        (200, b'{"access_token":"a b","expires_in":60}', "cannot be used"),
        (200, b'{"access_token":"a","expires_in":0}', "cannot be used"),
        (200, b'{"access_token":"a","expires_in":9,"token_type":"pop"}', "cannot be used"),
        (200, b"x" * 70_000, "longer than 65536 bytes"),
    ],
)
def test_an_authority_that_cannot_answer(status: int, body: bytes, reason: str) -> None:
    """Is no refusal: another target may be tried, and nothing was spent."""
    error = run(failure(status, body))
    assert isinstance(error, UpstreamConnectError)
    assert reason in error.message
    assert error.message.endswith("The request was not sent.")


def test_closed_while_it_asks() -> None:
    """Who waits is told; nothing hangs."""

    async def main() -> None:
        async with serving() as (authority, tokens):
            authority.open.clear()
            caller = asyncio.create_task(tokens.token())
            await until(lambda: bool(authority.asked))
            await tokens.aclose()
            with pytest.raises(UpstreamConnectError, match="being closed"):
                await caller

    run(main())
