"""Azure, Anthropic, Gemini and Bedrock: where a call goes, with which credentials, unchanged."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from entente.domain.chat import Surface
from entente.domain.errors import ConfigError, UpstreamConnectError, UpstreamRefused
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions
from entente.providers import bedrock as bedrock_module
from entente.providers.anthropic import AnthropicProvider
from entente.providers.azure import AzureProvider
from entente.providers.base import Answer, Ask, Provider
from entente.providers.bedrock import BedrockProvider
from entente.providers.entra import RETRY_S, ClientCredentials, EntraTokens
from entente.providers.gemini import GeminiProvider
from entente.providers.sigv4 import AwsCredentials
from entente.providers.vendors import bedrock_url
from entente.wire import bedrock
from tests.kit.aws import event
from tests.support.loops import run
from tests.support.vendors import OK, Vendor

CANARY: Final = "canary-5e1f"
KEY: Final = Secret(CANARY)
BODY: Final = '{"model":"m","text":"grüß","new":[1.10]}'.encode()
BYTES_MAX: Final = 1_000_000
NOW_NS: Final = 1_700_000_000_123_456_789
KEY_ID: Final = "AKIDEXAMPLE"
MODEL: Final = "us.anthropic.claude-opus-4-7-v1:0"

Make: TypeAlias = Callable[[str], Provider]
AWS: Final = AwsCredentials(access_key_id=KEY_ID, secret_access_key=KEY)


def ask(model: str = "m", *, stream: bool = False, body: bytes = BODY) -> Ask:
    """Make a call."""
    return Ask(surface=Surface.CHAT, model=model, body=body, stream=stream, request_id="req_1")


def azure(version: str) -> Make:
    """Make an Azure provider with a key."""
    return lambda url: AzureProvider("a", Client(ClientOptions(url)), KEY, api_version=version)


def anthropic(url: str) -> Provider:
    """Make an Anthropic provider."""
    return AnthropicProvider("c", Client(ClientOptions(url)), KEY, betas=("one", "two"))


def gemini(url: str) -> Provider:
    """Make a Gemini provider."""
    return GeminiProvider("g", Client(ClientOptions(f"{url}/v1beta")), KEY)


def aws(url: str, credentials: AwsCredentials | Secret = AWS) -> BedrockProvider:
    """Make a Bedrock provider."""
    options = ClientOptions(url)
    return BedrockProvider("b", options, credentials, region="us-east-1", now_ns=lambda: NOW_NS)


@asynccontextmanager
async def calling(make: Make) -> AsyncIterator[tuple[Vendor, Provider]]:
    """Serve a vendor and a provider that speaks to it."""
    async with Vendor() as vendor:
        provider = make(vendor.base_url)
        try:
            yield vendor, provider
        finally:
            await provider.aclose()
            await provider.aclose()


CALLS: dict[str, tuple[Make, Ask, str, dict[str, str]]] = {
    "azure classic": (
        azure("2024-10-21"),
        ask("gpt 4o/eu"),
        "/openai/deployments/gpt%204o%2Feu/chat/completions?api-version=2024-10-21",
        {"api-key": CANARY},
    ),
    "azure classic preview": (
        azure("2025-03-01-preview"),
        ask(stream=True),
        "/openai/deployments/m/chat/completions?api-version=2025-03-01-preview",
        {"api-key": CANARY},
    ),
    "azure v1": (azure(""), ask(), "/openai/v1/chat/completions", {"api-key": CANARY}),
    "azure v1 preview": (
        azure("preview"),
        ask(),
        "/openai/v1/chat/completions?api-version=preview",
        {"api-key": CANARY},
    ),
    "anthropic": (
        anthropic,
        ask(),
        "/v1/messages",
        {"x-api-key": CANARY, "anthropic-version": "2023-06-01", "anthropic-beta": "one,two"},
    ),
    "gemini": (
        gemini,
        ask("gemini-3.1-pro"),
        "/v1beta/models/gemini-3.1-pro:generateContent",
        {"x-goog-api-key": CANARY},
    ),
    "gemini stream": (
        gemini,
        ask("tunedModels/my model", stream=True),
        "/v1beta/tunedModels/my%20model:streamGenerateContent?alt=sse",
        {"x-goog-api-key": CANARY},
    ),
    "bedrock": (
        aws,
        ask(MODEL),
        "/model/us.anthropic.claude-opus-4-7-v1%3A0/converse",
        {"accept": "application/json"},
    ),
    "bedrock stream": (
        aws,
        ask("arn:aws:bedrock:us-east-1::foundation-model/a.b", stream=True),
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fa.b/converse-stream",
        {"accept": "application/vnd.amazon.eventstream"},
    ),
    "bedrock by key": (
        lambda url: aws(url, KEY),
        ask(MODEL),
        "/model/us.anthropic.claude-opus-4-7-v1%3A0/converse",
        {"authorization": f"Bearer {CANARY}"},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_where_a_call_goes(name: str) -> None:
    """Path, query, headers; the body byte for byte; one connection for both calls."""
    make, call, target, headers = CALLS[name]

    async def main() -> None:
        async with calling(make) as (vendor, provider):
            for _ in range(2):
                answer: Answer = await provider.open(call)
                assert (answer.status, await answer.read(BYTES_MAX)) == (200, OK)
                assert vendor.target == target
                assert vendor.sent == BODY
                common = {"content-type": "application/json", "accept-encoding": "identity"}
                assert {**common, **headers}.items() <= vendor.headers.items()
            assert vendor.accepted == 1
            assert CANARY not in repr(provider)

    run(main())


def test_dialects() -> None:
    """Each provider names the dialect that its bodies have to be in."""
    dialects = [
        provider.dialect
        for provider in (AzureProvider, AnthropicProvider, GeminiProvider, BedrockProvider)
    ]
    assert dialects == ["azure", "anthropic", "gemini", "bedrock"]


@pytest.mark.parametrize("kind", [AnthropicProvider, GeminiProvider])
def test_without_a_key(kind: type[AnthropicProvider | GeminiProvider]) -> None:
    """A server of one's own may want none, and gets none."""

    def make(url: str) -> Provider:
        return kind("p", Client(ClientOptions(url)), None)

    async def main() -> None:
        async with calling(make) as (vendor, provider):
            await (await provider.open(ask())).read(BYTES_MAX)
            assert not {"x-api-key", "x-goog-api-key", "authorization"} & set(vendor.headers)

    run(main())


@pytest.mark.parametrize("version", ["2024", "v2", "2024-10-21&x=1", "2024-10-21\r\n"])
def test_a_version_that_azure_does_not_have(version: str) -> None:
    """Is found when the provider is made, not at the first call."""
    with pytest.raises(ConfigError, match="api_version"):
        azure(version)("http://127.0.0.1:1")


# ---- Entra ----


@asynccontextmanager
async def with_entra() -> AsyncIterator[tuple[Vendor, Vendor, Provider, list[float]]]:
    """Serve Azure and Entra; give both, a provider, and its clock as a list of one."""
    now = [0.0]
    async with Vendor() as entra:
        entra.body = b'{"token_type":"Bearer","expires_in":3600,"access_token":"tok-1"}'
        credentials = ClientCredentials(tenant="t", client_id="c", client_secret=KEY)
        authority = Client(ClientOptions(entra.base_url))
        tokens = EntraTokens("a", authority, credentials, now_s=lambda: now[0])

        def make(url: str) -> Provider:
            client = Client(ClientOptions(url))
            return AzureProvider("a", client, tokens, api_version="2024-10-21")

        async with calling(make) as (vendor, provider):
            yield vendor, entra, provider, now


def test_azure_by_a_token() -> None:
    """Fetched once; another one after it was not accepted."""

    async def main() -> None:
        async with with_entra() as (vendor, entra, provider, now):
            for _ in range(3):
                await (await provider.open(ask())).read(BYTES_MAX)
                assert vendor.headers["authorization"] == "Bearer tok-1"
                assert "api-key" not in vendor.headers
            assert len(entra.requests) == 1
            entra.body = entra.body.replace(b"tok-1", b"tok-2")
            now[0] = RETRY_S
            vendor.status = 401
            assert (await provider.open(ask())).status == 401
            vendor.status = 200
            await (await provider.open(ask())).read(BYTES_MAX)
            assert vendor.headers["authorization"] == "Bearer tok-2"
            assert len(entra.requests) == 2

    run(main())


def test_azure_without_a_token() -> None:
    """Nothing is sent to the provider, and the error says who refused what."""

    async def main() -> None:
        async with with_entra() as (vendor, entra, provider, now):
            entra.status, entra.body = 401, b'{"error":"invalid_client"}'
            with pytest.raises(UpstreamRefused, match="invalid_client"):
                await provider.open(ask())
            entra.status = 503
            now[0] = RETRY_S
            with pytest.raises(UpstreamConnectError, match="answered 503"):
                await provider.open(ask())
            assert vendor.requests == []

    run(main())


# ---- AWS ----


class _Signer(SigV4Auth):  # type: ignore[misc]
    """The SDK's signer, at the moment that a request says it was signed."""

    def expected(self, vendor: Vendor, names: list[str]) -> str:
        """Sign again what arrived, with the headers that were signed."""
        headers = {name: vendor.headers[name] for name in names if name != "x-amz-date"}
        request = AWSRequest("POST", vendor.base_url + vendor.target, headers, vendor.sent)
        request.context["timestamp"] = vendor.headers["x-amz-date"]
        request.headers["X-Amz-Date"] = vendor.headers["x-amz-date"]
        canonical = self.canonical_request(request)
        return str(self.signature(self.string_to_sign(request, canonical), request))


@pytest.mark.parametrize(
    ("prefix", "body", "token"),
    [("", BODY, None), ("/proxy/aws", BODY, Secret("session")), ("", b"x" * 2_000_000, None)],
)
def test_a_signature_covers_what_arrives(prefix: str, body: bytes, token: Secret | None) -> None:
    """Path, host, type, time, session and body, as the SDK would sign what the server got."""
    credentials = AwsCredentials(access_key_id=KEY_ID, secret_access_key=KEY, session_token=token)

    async def main() -> None:
        async with calling(lambda url: aws(url + prefix, credentials)) as (vendor, provider):
            await (await provider.open(ask(MODEL, body=body))).read(BYTES_MAX)
            assert vendor.headers["x-amz-date"] == "20231114T221320Z"
            found = re.search(
                "Credential=(.*), SignedHeaders=(.*), Signature=(.*)",
                vendor.headers["authorization"],
            )
            assert found is not None
            names = found[2].split(";")
            session = ["x-amz-security-token"] if token else []
            assert names == ["content-type", "host", "x-amz-date", *session]
            assert found[1] == f"{KEY_ID}/20231114/us-east-1/bedrock/aws4_request"
            signer = _Signer(Credentials(KEY_ID, CANARY), "bedrock", "us-east-1")
            assert found[3] == signer.expected(vendor, names)
            assert vendor.sent == body

    run(main())


def test_a_stream_of_bedrock_is_read_as_it_arrives() -> None:
    """Adapter and dialect together: the bytes of the answer are AWS's own framing."""

    async def main() -> None:
        async with calling(aws) as (vendor, provider):
            vendor.content_type = b"application/vnd.amazon.eventstream"
            usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
            vendor.body = (
                event("messageStart", {"role": "assistant"})
                + event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
                + event("messageStop", {"stopReason": "end_turn"})
                + event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})
            )
            answer = await provider.open(ask(MODEL, stream=True))
            reader = bedrock.stream_reader()
            while piece := await answer.chunk():
                reader.feed(piece)
            reader.close()
            assert reader.whole
            assert reader.usage is not None
            assert reader.usage.total == 5

    run(main())


def test_the_address_of_a_region() -> None:
    """As AWS gives it."""
    assert bedrock_url("eu-central-1") == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert bedrock_module.SERVICE == "bedrock"


SILENT: Final[dict[str, Make]] = {
    "azure": azure(""),
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": aws,
}


@pytest.mark.parametrize("name", SILENT)
def test_nobody_there(name: str) -> None:
    """Is an error of the tree, and says that nothing was sent."""

    async def main() -> None:
        provider = SILENT[name]("http://127.0.0.1:9")
        opening: Awaitable[Answer] = provider.open(ask())
        with pytest.raises(UpstreamConnectError, match="was not sent"):
            await opening
        await provider.aclose()

    run(main())
