"""Bearer tokens of an issuer against the real server: they stand for a key, or for nothing."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.kit.identity import AUDIENCE, Authority, claims, rsa, token
from tests.support.loops import run
from tests.support.rawserver import RawServer
from tests.support.server import ADMIN_KEY, EntenteServer

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = """
[providers.p]
kind = "scripted"
[models.m]
targets = [{{ provider = "p", model = "m" }}]
[auth.issuers.contoso]
issuer = "{issuer}"
audiences = ["{audience}"]
[auth.issuers.contoso.subjects]
"azp:app-1" = "chat-app"
"""
ANTHROPICS: Final = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def test_a_token_stands_for_its_key(tmp_path: Path) -> None:
    """On every front, in the ledger, and only as long as the key is valid."""

    async def scenario() -> None:
        authority = Authority()
        async with RawServer(authority.serve) as issuer:
            authority.base_url = issuer.base_url
            address = f"{issuer.base_url}/tenant"
            text = CONFIG.format(issuer=address, audience=AUDIENCE)
            with EntenteServer(tmp_path, text) as server:
                await asyncio.to_thread(_check, server, address)
        assert authority.asked.count("/keys?v=2") == 1

    run(scenario())


def _check(server: EntenteServer, address: str) -> None:
    """Present good tokens and bad ones."""
    key = server.make_key(name="chat-app")
    now_s = int(time.time())
    said = partial(claims, iss=address, nbf=now_s - 60, iat=now_s - 60, exp=now_s + 600)
    good = token(said()).decode()
    assert server.chat(good).status == 200
    assert server.ask("POST", "/v1/messages", key=good, body=ANTHROPICS).status == 200
    azure = "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    body = b'{"messages":[{"role":"user","content":"hi"}]}'
    assert server.ask("POST", azure, key=good, body=body).status == 200
    assert [entry.key for entry in server.settlements(key)] == [key.id] * 3
    assert server.get("/metrics", key=good).status == 403

    bad = {
        "of another application": token(said(azp="app-2")),
        "expired": token(said(exp=now_s - 3600)),
        "for others": token(said(aud="https://elsewhere.example")),
        "of another issuer": token(said(iss="https://elsewhere.example")),
        "signed by another": token(said(), key=rsa(1)),
    }
    for why, presented in bad.items():
        got = server.chat(presented.decode())
        assert (got.status, got.error["code"]) == (401, "invalid_api_key"), why
        assert not any(part in got.body for part in presented.split(b"."))
    got = server.ask("POST", "/v1/messages", key=bad["expired"].decode(), body=ANTHROPICS)
    assert (got.status, got.error["type"]) == (401, "authentication_error")

    assert server.cli("keys", "revoke", key.id).returncode == 0
    while server.chat(good).status == 200:  # until the revocation is seen
        pass
    assert server.chat(good).status == 401
    assert server.chat(ADMIN_KEY).status == 200
