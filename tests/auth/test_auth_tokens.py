"""Tokens against an issuer on a real socket: fetching, rotation, outage, and what is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from entente.auth import tokens
from entente.auth.jwks import ASKED_AGAIN_S, KEPT_S, KEYS_MAX, REFRESH_S, RETRY_S
from entente.auth.jwt import LEEWAY_S
from entente.auth.keys import KeyRing
from entente.auth.tokens import KNOWN_S_MAX, IssuerSource, TokenVerifier
from entente.domain.errors import IssuerUnavailable
from entente.domain.principal import Principal, Role
from tests.kit.identity import (
    CHAT_APP,
    KEYS,
    NOW_S,
    TEAM,
    Authority,
    b64,
    claims,
    connect,
    ec,
    issuer,
    jwk,
    rsa,
    token,
)
from tests.kit.run import run, turns, until
from tests.support.rawserver import RawServer

DISCOVERY = "/tenant/.well-known/openid-configuration"
PUBLISHED = "/keys?v=2"


class Scene:
    """An issuer that is served, a verifier, and the clocks of both."""

    def __init__(
        self, authority: Authority, verifier: TokenVerifier, keys: dict[str, Principal]
    ) -> None:
        """Start at the usual moment."""
        self.authority = authority
        self.verifier = verifier
        self.keys = keys
        self.passed_s = 0.0

    @property
    def address(self) -> str:
        """Where the issuer is."""
        return f"{self.authority.base_url}/tenant"

    def token(self, *, key: Any = None, kid: str = "k1", **changes: Any) -> bytes:
        """Sign a token of this issuer; it may live for days."""
        usual = {"iss": self.address, "exp": NOW_S + 3 * 24 * 3600}
        return token(claims(**(usual | changes)), key=key, kid=kid)

    async def find(self, presented: bytes) -> Principal | None:
        """Present a token now."""
        return await self.verifier.find(presented, NOW_S + self.passed_s)


@asynccontextmanager
async def scene(*, jwks_uri: str | None = None) -> AsyncIterator[Scene]:
    """Serve an issuer and give a verifier that knows it; `jwks_uri` is a path on it."""
    authority = Authority()
    async with RawServer(authority.serve) as server:
        authority.base_url = server.base_url
        source = IssuerSource(
            issuer(f"{server.base_url}/tenant"),
            connect,
            None if jwks_uri is None else server.base_url + jwks_uri,
        )
        keys = dict(KEYS)
        verifier = TokenVerifier(
            [source],
            named=keys.get,
            elapsed_s=lambda: found.passed_s,
        )
        found = Scene(authority, verifier, keys)
        try:
            yield found
        finally:
            await verifier.aclose()


def test_a_token_stands_for_a_key() -> None:
    """Found by discovery, then by a look-up; nothing is fetched again."""

    async def main() -> None:
        async with scene() as at:
            presented = at.token()
            assert await at.find(presented) is CHAT_APP
            assert at.authority.asked == [DISCOVERY, PUBLISHED]
            assert await at.find(presented) is CHAT_APP
            assert await at.find(at.token(azp="x", groups=["group-1"])) is TEAM
            assert at.authority.asked == [DISCOVERY, PUBLISHED]

    run(main())


def test_an_address_of_keys_that_is_given_needs_no_discovery() -> None:
    """It is asked as it is, query included."""

    async def main() -> None:
        async with scene(jwks_uri=PUBLISHED) as at:
            assert await at.find(at.token()) is CHAT_APP
            assert at.authority.asked == [PUBLISHED]

    run(main())


def test_what_is_not_for_us_is_refused_unasked() -> None:
    """No fetch for tokens of others, of no form, of no issuer, or without a key's name."""

    async def main() -> None:
        async with scene() as at:
            for presented in (
                token(),
                at.token(iss=f"{at.address}/../x"),
                b"eyJ.x.y",
                b"x" * 100_000,
                b64(b'{"alg":"none","kid":"k1"}') + b"." + at.token().split(b".")[1] + b".",
            ):
                assert await at.find(presented) is None
            assert at.authority.asked == []

    run(main())


def test_a_key_that_is_revoked_is_revoked_for_its_tokens() -> None:
    """At once, also for a token that is known; and a subject may have no key at all."""

    async def main() -> None:
        async with scene() as at:
            presented = at.token()
            assert await at.find(presented) is CHAT_APP
            at.keys.clear()
            assert await at.find(presented) is None
            assert await at.find(at.token(azp="x", roles=["Models.Use"])) is None

    run(main())


def test_a_token_that_is_known_ends() -> None:
    """At its own end with the leeway, known or not."""

    async def main() -> None:
        async with scene() as at:
            presented = at.token(exp=NOW_S + 10)
            assert await at.find(presented) is CHAT_APP
            at.passed_s = 10 + LEEWAY_S - 0.5
            assert await at.find(presented) is CHAT_APP
            at.passed_s = 10 + LEEWAY_S
            assert await at.find(presented) is None

    run(main())


def test_keys_rotate() -> None:
    """A token that names a new key has it fetched; the old key's tokens end with it."""

    async def main() -> None:
        async with scene() as at:
            old = at.token()
            assert await at.find(old) is CHAT_APP
            at.authority.keys = [jwk(rsa(1), kid="k2"), jwk(ec(), kid="k3")]
            new = at.token(key=rsa(1), kid="k2")
            assert await at.find(new) is None
            at.passed_s = ASKED_AGAIN_S
            assert await at.find(new) is CHAT_APP
            assert at.authority.asked.count(PUBLISHED) == 2
            assert await at.find(old) is None

    run(main())


def test_a_key_that_changed_under_its_name_ends_its_tokens() -> None:
    """What was believed on the word of the old key is checked again, and is no more valid."""

    async def main() -> None:
        async with scene() as at:
            old = at.token()
            assert await at.find(old) is CHAT_APP
            at.authority.keys = [jwk(rsa(1))]
            at.passed_s = ASKED_AGAIN_S
            assert await at.find(at.token(kid="unknown")) is None
            assert await at.find(old) is None
            assert await at.find(at.token(key=rsa(1))) is CHAT_APP

    run(main())


def test_unknown_keys_are_asked_for_once_a_minute() -> None:
    """A thousand tokens with names of their own are one fetch."""

    async def main() -> None:
        async with scene() as at:
            assert await at.find(at.token()) is CHAT_APP
            at.passed_s = ASKED_AGAIN_S
            _, payload, signature = at.token().split(b".")
            forged = [
                b".".join((b64(b'{"alg":"RS256","kid":"u%d"}' % n), payload, signature))
                for n in range(1000)
            ]
            found = await asyncio.gather(*(at.find(each) for each in forged))
            assert set(found) == {None}
            at.passed_s += ASKED_AGAIN_S - 1
            assert await at.find(forged[0]) is None
            assert at.authority.asked.count(PUBLISHED) == 2

    run(main())


def test_all_who_wait_share_one_fetch() -> None:
    """And one who leaves does not end it for the others."""

    async def main() -> None:
        async with scene() as at:
            callers = [asyncio.create_task(at.find(at.token(oid=str(n)))) for n in range(50)]
            await turns(3)
            callers[0].cancel()
            assert await asyncio.gather(*callers[1:]) == [CHAT_APP] * 49
            assert at.authority.asked == [DISCOVERY, PUBLISHED]

    run(main())


def test_keys_are_fetched_again_beside_the_requests() -> None:
    """Nobody waits for it, and a failure is no matter while the keys are young enough."""

    async def main() -> None:
        async with scene() as at:
            assert await at.find(at.token()) is CHAT_APP
            at.authority.status = 500
            at.passed_s = REFRESH_S
            assert await at.find(at.token(oid="2")) is CHAT_APP
            ((_, fetching),) = at.verifier._issuers.values()
            await until(lambda: len(at.authority.asked) == 3 and fetching._task is None)
            assert await at.find(at.token(oid="3")) is CHAT_APP
            assert len(at.authority.asked) == 3
            at.passed_s = KEPT_S
            at.authority.status = 200
            assert await at.find(at.token(oid="4")) is CHAT_APP

    run(main())


def test_an_outage_is_no_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """Without keys nobody can say that a token is wrong; it is asked again soon."""

    async def main() -> None:
        async with scene() as at:
            at.authority.status = 503
            presented = at.token()
            for _ in range(5):
                with pytest.raises(IssuerUnavailable, match="`contoso` cannot be fetched now"):
                    await at.find(presented)
            assert at.authority.asked == [DISCOVERY]
            at.passed_s = RETRY_S
            at.authority.status = 200
            assert await at.find(presented) is CHAT_APP
            at.authority.status = 503
            at.passed_s += ASKED_AGAIN_S
            with pytest.raises(IssuerUnavailable):
                await at.find(at.token(kid="new"))
            assert await at.find(presented) is CHAT_APP
            at.passed_s += KEPT_S
            with pytest.raises(IssuerUnavailable):
                await at.find(presented)

    with caplog.at_level(logging.DEBUG, "entente.auth"):
        run(main())
    assert "contoso" in caplog.text
    assert "503" in caplog.text


def test_an_issuer_that_is_gone() -> None:
    """Nothing listens there: the same."""

    async def main() -> None:
        async with scene() as at:
            presented = at.token()
            gone = TokenVerifier(
                [IssuerSource(issuer(at.address), lambda _: connect("http://127.0.0.1:9"))],
                named=KEYS.get,
                elapsed_s=lambda: 0.0,
            )
            with pytest.raises(IssuerUnavailable):
                await gone.find(presented, NOW_S)

    run(main())


BAD = {
    "of another issuer": {DISCOVERY: b'{"issuer":"https://x.example","jwks_uri":"URL/keys?v=2"}'},
    "no address": {DISCOVERY: b'{"issuer":"URL/tenant"}'},
    "a file": {DISCOVERY: b'{"issuer":"URL/tenant","jwks_uri":"file:///etc/passwd"}'},
    "elsewhere": {DISCOVERY: b'{"issuer":"URL/tenant","jwks_uri":"http://10.0.0.1/keys"}'},
    "no JSON": {DISCOVERY: b"<html>"},
    "no keys": {PUBLISHED: b'{"keys":[]}'},
    "not a set": {PUBLISHED: b"[]"},
    "too many": {PUBLISHED: b'{"keys":[%b]}' % b",".join([b"{}"] * (KEYS_MAX + 1))},
    "too long": {PUBLISHED: b"[" + b" " * 600_000 + b"]"},
}


@pytest.mark.parametrize("answers", BAD.values(), ids=BAD)
def test_answers_that_cannot_be_used(answers: dict[str, bytes]) -> None:
    """An issuer whose documents are not right is as one that is not there."""

    async def main() -> None:
        async with scene() as at:
            at.authority.answers = {
                path: body.replace(b"URL", at.authority.base_url.encode())
                for path, body in answers.items()
            }
            with pytest.raises(IssuerUnavailable):
                await at.find(at.token())

    run(main())


def test_only_so_many_tokens_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first, and is checked again when it comes."""
    monkeypatch.setattr(tokens, "KNOWN_MAX", 3)

    async def main() -> None:
        async with scene() as at:
            sent = [at.token(oid=str(n)) for n in range(10)]
            for presented in [*sent, *sent]:
                assert await at.find(presented) is CHAT_APP
            assert len(at.verifier._known) == 3
            at.passed_s = KNOWN_S_MAX
            assert await at.find(sent[9]) is CHAT_APP
            assert len(at.verifier._known) == 3

    run(main())


def test_refusals_say_why_and_nothing_of_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """For whoever sets an issuer up; no token, claim or key is printed."""

    async def main() -> None:
        async with scene() as at:
            presented = at.token(azp="secret-app")
            assert await at.find(presented) is None
            words = {*presented.decode().split("."), "secret-app", "object-1"}
            assert not any(word in caplog.text for word in words)

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "stands for none of the issuer's subjects" in caplog.text


def test_closing_ends_a_fetch() -> None:
    """A server that stops does not wait for an issuer."""

    async def main() -> None:
        async def hang(peer: Any) -> None:
            await peer.request()
            await asyncio.Event().wait()

        async with RawServer(hang) as server:
            verifier = TokenVerifier(
                [IssuerSource(issuer(server.base_url), connect)],
                named=KEYS.get,
                elapsed_s=lambda: 0.0,
            )
            caller = asyncio.create_task(verifier.find(token(claims(iss=server.base_url)), NOW_S))
            await until(lambda: server.accepted == 1)
            await verifier.aclose()
            with pytest.raises(IssuerUnavailable):
                await caller

    run(main())


def test_keys_have_names() -> None:
    """By name or id; a name of two is nobody's, and an id goes before a name."""
    twins = [Principal(key_id=f"key_{n}", name="twin", role=Role.MEMBER) for n in (1, 2)]
    rogue = Principal(key_id="key_3", name="key_1", role=Role.ADMIN)
    ring = KeyRing({bytes([n]): who for n, who in enumerate([*twins, rogue])}, 1)
    assert ring.named("key_1") is twins[0]
    assert ring.named("key_3") is rogue
    assert ring.named("twin") is None
    assert ring.named("gone") is None
