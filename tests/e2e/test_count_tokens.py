"""Counting tokens with Anthropic's own client: exact where the provider counts, else marked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anthropic
import pytest

from entente.gateway.counting import ATTACHMENT_TOKENS, estimate, of_text
from entente.wire.anthropic import decode_count_tokens
from tests.support.server import EntenteServer, Key, wait_until
from tests.support.upstream import UpstreamThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.rawserver import Peer

SAID: Final[Any] = [{"role": "user", "content": "Hello, how are you today?"}]
PATH: Final = "/v1/messages/count_tokens"


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EntenteServer, UpstreamThread]]:
    """Run a server in front of a provider that counts, and of one that does not."""
    with UpstreamThread() as thread:
        config = (
            f'[providers.a]\nkind = "anthropic"\nbase_url = "{thread.upstream.base_url}"\n'
            'api_key = "env:A_KEY"\n[providers.s]\nkind = "scripted"\n'
            '[models."exact"]\ntargets = [{ provider = "a", model = "claude-x" }]\n'
            '[models."guess"]\ntargets = [{ provider = "s", model = "s" }]\n'
        )
        folder = tmp_path_factory.mktemp("counts")
        with EntenteServer(folder, config, environ={"A_KEY": "sk-a"}) as server:
            yield server, thread
            assert server.stop() == 0
            assert server.entries() == []
            assert server.err_log.read_text() == ""


def _client(server: EntenteServer, key: Key, prefix: str = "") -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=server.base_url.removesuffix("/v1") + prefix,
        api_key=key.secret,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    )


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_a_provider_that_counts_is_asked(
    bench: tuple[EntenteServer, UpstreamThread], prefix: str
) -> None:
    """On its own path, with its own name of the model; its number is the answer, unmarked."""
    server, thread = bench

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(b'{"input_tokens":14}', b"Content-Type: application/json\r\n")

    thread.upstream.play = play
    with _client(server, server.make_key(), prefix) as client:
        raw = client.messages.with_raw_response.count_tokens(
            model="exact", messages=SAID, system="Be brief."
        )
        assert raw.parse().input_tokens == 14
        assert "x-entente-estimated" not in raw.headers
        assert client.beta.messages.count_tokens(model="exact", messages=SAID).input_tokens == 14
    assert thread.upstream.heads[-2].startswith(b"POST /v1/messages/count_tokens HTTP/1.1\r\n")
    sent = json.loads(thread.upstream.bodies[-2])
    assert sent == {"model": "claude-x", "messages": SAID, "system": "Be brief."}


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (401, "api_error")])
def test_what_the_provider_refuses(
    bench: tuple[EntenteServer, UpstreamThread], status: int, kind: str
) -> None:
    """Its own words about the request pass; what is wrong with our credentials is ours to say."""
    server, thread = bench
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    body = json.dumps(error).encode()

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        await peer.send(head % (status, len(body)) + body)

    thread.upstream.play = play
    asked = json.dumps({"model": "exact", "messages": SAID}).encode()
    got = server.ask("POST", PATH, key=server.make_key().secret, body=asked)
    assert (got.status, got.error["type"]) == (400 if status == 400 else 502, kind)


def test_other_providers_get_an_estimate(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """It says that it is one, is near the truth, and costs nothing."""
    server, _ = bench
    with _client(server, server.make_key()) as client:
        raw = client.messages.with_raw_response.count_tokens(model="guess", messages=SAID)
        assert raw.headers["x-entente-estimated"] == "input_tokens"
        assert 8 <= raw.parse().input_tokens <= 16


def test_what_cannot_be_counted(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """Unknown models, missing messages, and more requests than the key has a minute."""
    server, _ = bench
    key = server.make_key(requests_per_minute=1, models=("guess",))
    with _client(server, key) as client:
        with pytest.raises(anthropic.NotFoundError, match="exact"):
            client.messages.count_tokens(model="exact", messages=SAID)
        with pytest.raises(anthropic.BadRequestError, match="messages"):
            client.messages.count_tokens(model="guess", messages=None)  # type: ignore[arg-type]

        def refused() -> bool:
            try:
                client.messages.count_tokens(model="guess", messages=SAID)
            except anthropic.RateLimitError:
                return True
            return False

        wait_until(refused, "the limit")  # the minute may change once


def test_estimates_count_what_a_model_reads() -> None:
    """Text by its letters, pictures by a number of their own, and nothing else."""

    def tokens(content: object, **fields: object) -> int:
        asked = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
        return estimate(decode_count_tokens(json.dumps(asked).encode()))

    source = {"type": "base64", "media_type": "image/png", "data": "A" * 40_000}
    picture = {"type": "image", "source": source}
    assert tokens("abcd") == 5
    assert tokens("你好") == 6
    assert tokens([{"type": "text", "text": "abcd"}, picture]) == 5 + ATTACHMENT_TOKENS
    assert tokens("abcd", system="abcdefgh", metadata={"user_id": "x" * 99}) == 7
    assert tokens("abcd", tools=[{"name": "f", "input_schema": {"type": "object"}}]) == 6
    assert [of_text(text) for text in ("", "a", "abcde", "é")] == [0, 1, 2, 1]
