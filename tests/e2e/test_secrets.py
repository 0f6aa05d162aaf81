"""Planted secrets never come out: not in logs, files, metrics, answers or the journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.loops import run
from tests.support.rawclient import exchange, post
from tests.support.server import EntenteServer, Key, chat_body
from tests.support.upstream import UpstreamThread, completion, config, usage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.rawserver import Peer

PROVIDER_KEY: Final = "sk-canary-of-the-provider-5b1c9e7f3a2d"
FILE_KEY: Final = "sk-canary-in-a-file-90c1d2e3f4a5b6c7d8"
ADMIN: Final = "sk-canary-of-the-admin-77aa55cc33ee11ff"
PROXY: Final = "canary-of-the-proxy-password"
SHOWN_CHARS_MAX: Final = 16
"""What may be seen of a key: its ends."""
_HANDSHAKE: Final = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
_SECOND: Final = """
[providers.second]
kind = "openai"
base_url = "{base_url}/second"
api_key = "file:provider.key"
[models."second"]
targets = [{{ provider = "second", model = "s" }}]
"""


async def _play(peer: Peer, request: dict[str, Any]) -> None:
    """Do well or badly, as the user's message says."""
    text = request["messages"][0]["content"]
    if text == "refuse our key":
        body = b'{"error":{"message":"wrong key"}}'
        await peer.send(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    elif text == "break":
        await peer.send(b"nonsense\r\n\r\n")
        raise ConnectionAbortedError
    else:
        await peer.answer(completion(json.dumps(usage(1, 1)), prompt_tokens=1, completion_tokens=1))


def test_planted_secrets_are_nowhere(tmp_path: Path) -> None:
    """Everything that the product writes or sends is searched for what it was trusted with."""
    (tmp_path / "provider.key").write_text(FILE_KEY + "\n")
    with UpstreamThread() as thread:
        thread.upstream.play = _play
        base_url = thread.upstream.base_url
        text = config(base_url, provider='api_key = "env:CANARY"')
        server = EntenteServer(
            tmp_path,
            text + _SECOND.format(base_url=base_url),
            environ={
                "CANARY": PROVIDER_KEY,
                "ENTENTE_ADMIN_KEY": ADMIN,
                "HTTPS_PROXY": f"http://user:{PROXY}@127.0.0.1:9",
            },
        )
        key = server.make_key(budget_nano=10**12)
        with server:
            seen = _provoke(server, key)
            seen += _commands(server, key)
            assert server.stop() == 0
        sent = b"".join(thread.upstream.heads)
    assert PROVIDER_KEY.encode() in sent  # the canaries were alive: they did their work
    assert FILE_KEY.encode() in sent
    written = [place for place in server.data_dir.rglob("*") if place.is_file()]
    for place in [server.out_log, server.err_log, *written]:
        seen += place.read_bytes()
    for canary in (PROVIDER_KEY, FILE_KEY, ADMIN, PROXY, key.secret):
        assert canary.encode() not in seen
        assert canary[:-1].encode() not in seen
        assert canary[SHOWN_CHARS_MAX:].encode() not in seen


def _provoke(server: EntenteServer, key: Key) -> bytes:
    """Make it answer and fail in every way that can carry a secret; give all that it says."""
    almost = key.secret[:-1] + ("x" if key.secret[-1] != "x" else "y")
    answers = [
        server.chat(who, model=model, text=text)
        for who in (key.secret, ADMIN, almost, ADMIN + "x", PROVIDER_KEY, None)
        for model in ("m", "second", "nope")
        for text in ("hi", "refuse our key", "break")
    ]
    paths = ("/metrics", "/readyz", "/healthz", "/v1/models", "/v1/models/x", f"/{key.secret[:9]}")
    answers += [server.get(path, key=ADMIN) for path in paths]
    said = b"".join(a.body + json.dumps(dict(a.headers)).encode() for a in answers)
    raw = run(exchange(server.port, post(chat_body(stream=True, text="break"), key.secret)))
    assert {a.status for a in answers} >= {200, 401, 403, 404, 502}
    for who in (key.secret, almost, ADMIN):
        offered = f"realtime, openai-insecure-api-key.{who}"
        opening = server.ask(
            "GET", "/v1/realtime?model=m", headers={**_HANDSHAKE, "sec-websocket-protocol": offered}
        )
        assert opening.status in (401, 502)
        said += opening.body + json.dumps(dict(opening.headers)).encode()
    return said + raw.body


def _commands(server: EntenteServer, key: Key) -> bytes:
    """Run the commands that look at settings, keys and the ledger."""
    said = ""
    for command in (
        ("config", "check"),
        ("doctor",),
        ("keys", "list", "--all"),
        ("keys", "list", "--json"),
        ("models", "list"),
        ("budgets", "show", key.id),
        ("usage", "--json"),
        ("ledger", "export"),
        ("ledger", "verify"),
    ):
        done = server.cli(*command)
        said += done.stdout + done.stderr
    return said.encode()
