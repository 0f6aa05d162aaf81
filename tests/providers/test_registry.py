"""Every kind of provider, made from its parts: what it is, where it asks, what it hears."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import pytest

from entente.domain.chat import Surface
from entente.domain.errors import ConfigError, UpstreamRefused
from entente.domain.secret import Secret
from entente.gateway.sides import PROVIDERS
from entente.net import ClientOptions
from entente.providers.azure import IN_DEPLOYMENTS
from entente.providers.base import Provider
from entente.providers.checks import Checkable, Checked
from entente.providers.entra import ClientCredentials
from entente.providers.presets import EVERY, PRESETS
from entente.providers.registry import KINDS, EntraParts, Parts, make_provider
from entente.providers.sigv4 import AwsCredentials
from tests.support.loops import run
from tests.support.vendors import Vendor

CANARY: Final = "canary-51c7"
KEY: Final = Secret(CANARY)
AWS: Final = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=KEY)
ENTRA: Final = EntraParts(
    ClientCredentials(tenant="t", client_id="c", client_secret=KEY, scope="s"),
    ClientOptions("http://127.0.0.1:9"),
)
NO_RIGHT: Final = b'{"message":"User: x is not authorized to perform: bedrock:ListAsyncInvokes"}'
NO_KEY: Final = b'{"Message":"Authentication failed: Please make sure your API Key is valid."}'
GEMINI_WRONG: Final = b'{"error":{"code":400,"details":[{"reason":"API_KEY_INVALID"}]}}'


async def _nowhere() -> tuple[str, Secret]:
    message = "nothing is asked here"
    raise AssertionError(message)


def make(kind: str, url: str = "http://127.0.0.1:9", **parts: Any) -> Provider:
    """Make a provider that goes to an address."""
    return make_provider(
        kind,
        Parts(
            name="p",
            client=lambda: ClientOptions(url),
            address=_nowhere,
            now_ns=lambda: 1_700_000_000_000_000_000,
            now_s=lambda: 0.0,
            **parts,
        ),
    )


class Kind(NamedTuple):
    """What a kind is, and where it asks for nothing but an answer."""

    parts: dict[str, Any]
    dialect: str
    surfaces: Collection[Surface]
    target: str = ""
    headers: tuple[tuple[str, str], ...] = ()


ALL: Final[dict[str, Kind]] = {
    "openai": Kind(
        {"api_key": KEY},
        "openai",
        EVERY | {Surface.CHAT},
        "/models",
        (("authorization", f"Bearer {CANARY}"),),
    ),
    "azure": Kind(
        {"api_key": KEY, "api_version": "2024-10-21"},
        "azure",
        IN_DEPLOYMENTS,
        "/openai/models?api-version=2024-10-21",
        (("api-key", CANARY),),
    ),
    "anthropic": Kind(
        {"api_key": KEY, "betas": ("one",)},
        "anthropic",
        {Surface.MESSAGES},
        "/v1/models?limit=1",
        (
            ("x-api-key", CANARY),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "one"),
        ),
    ),
    "gemini": Kind(
        {"api_key": KEY},
        "gemini",
        {Surface.EMBEDDINGS},
        "/models?pageSize=1",
        (("x-goog-api-key", CANARY),),
    ),
    "bedrock": Kind(
        {"api_key": KEY, "region": "us-east-1"},
        "bedrock",
        {Surface.EMBEDDINGS},
        "/async-invoke?maxResults=1",
        (("authorization", f"Bearer {CANARY}"),),
    ),
    "local": Kind({}, "openai", {Surface.CHAT, Surface.COMPLETIONS}),
    "scripted": Kind({}, "openai", {Surface.CHAT, Surface.EMBEDDINGS}),
}


CHATS_IN_ITS_OWN_WORDS: Final = ("gemini", "bedrock")


def test_every_kind_is_here() -> None:
    """A new one has to say what it is."""
    assert set(ALL) == set(KINDS)


@pytest.mark.parametrize("kind", ALL)
def test_what_a_kind_is(kind: str) -> None:
    """Its dialect, what it takes from clients as it comes, and that it is asked to chat on it."""
    expected = ALL[kind]
    provider = make(kind, **expected.parts)
    assert (provider.name, provider.dialect) == ("p", expected.dialect)
    assert provider.surfaces == set(expected.surfaces)
    asked_on = PROVIDERS[provider.dialect].surface
    assert asked_on in provider.surfaces or kind in CHATS_IN_ITS_OWN_WORDS
    assert provider.quirks is None
    assert isinstance(provider, Checkable) == bool(expected.target)


OPENAIS: Final = "https://api.openai.com/v1"
ELSEWHERE: Final = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("kind", "url", "parts", "served"),
    [
        ("openai", OPENAIS, {}, True),
        ("openai", "https://eu.api.openai.com/v1", {}, True),
        ("openai", "https://api.openai.com.example.org/v1", {}, False),
        ("openai", ELSEWHERE, {}, False),
        ("openai", ELSEWHERE, {"preset": "openai"}, True),
        ("openai", OPENAIS, {"preset": "ollama"}, False),
        ("openai", ELSEWHERE, {"preset": "ollama", "responses": True}, True),
        ("openai", OPENAIS, {"responses": False}, False),
        ("azure", ELSEWHERE, {}, True),
        ("azure", ELSEWHERE, {"api_version": "preview"}, True),
        ("azure", ELSEWHERE, {"api_version": "2024-10-21"}, False),
        ("azure", ELSEWHERE, {"api_version": "2024-10-21", "responses": True}, True),
        ("azure", ELSEWHERE, {"responses": False}, False),
    ],
)
def test_who_serves_responses(kind: str, url: str, parts: dict[str, Any], served: bool) -> None:
    """OpenAI, the presets that are known to, Azure's v1 surface; else who says so."""
    provider = make(kind, url, api_key=KEY, **parts)
    assert (Surface.RESPONSES in provider.surfaces) is served
    assert Surface.CHAT in provider.surfaces


@pytest.mark.parametrize(
    ("kind", "parts", "settings"),
    [
        ("openai", {"api_key": KEY}, ("api_key",)),
        ("azure", {"api_key": KEY}, ("api_key",)),
        ("azure", {"entra": ENTRA}, ("tenant_id", "client_id", "client_secret")),
        ("bedrock", {"api_key": KEY, "region": "us-east-1"}, ("api_key",)),
        (
            "bedrock",
            {"aws": AWS, "region": "us-east-1"},
            ("access_key_id", "secret_access_key"),
        ),
    ],
)
def test_which_settings_are_to_be_corrected(
    kind: str, parts: dict[str, Any], settings: tuple[str, ...]
) -> None:
    """Those that say who we are at the provider."""
    assert make(kind, **parts).credentials == settings


async def _checked(
    make_at: Callable[[str], Provider], status: int, body: bytes = b"{}", error: str = ""
) -> tuple[Checked, Vendor]:
    """Let a vendor answer a check."""
    async with Vendor() as vendor:
        vendor.status, vendor.body = status, body
        if error:
            vendor.content_type += f"\r\nx-amzn-errortype: {error}".encode()
        provider = make_at(vendor.base_url)
        assert isinstance(provider, Checkable)
        checked = await provider.check()
        await provider.aclose()
        return checked, vendor


@pytest.mark.parametrize("kind", [kind for kind, expected in ALL.items() if expected.target])
def test_where_a_check_goes(kind: str) -> None:
    """A GET that costs nothing, with the credentials of every call."""
    expected = ALL[kind]

    async def main() -> None:
        checked, vendor = await _checked(lambda url: make(kind, url, **expected.parts), 200)
        assert checked == Checked(
            asked=expected.target.partition("?")[0], status=200, accepted=True
        )
        assert vendor.requests[0][0].startswith(f"GET {expected.target} ".encode())
        assert dict(expected.headers).items() <= vendor.headers.items()
        assert vendor.sent == b""

    run(main())


JUDGED: Final[dict[str, tuple[str, dict[str, Any], int, bytes, str, bool | None]]] = {
    "openai wrong": ("openai", {"api_key": KEY}, 401, b"{}", "", False),
    "openai none": ("openai", {}, 200, b"{}", "", True),
    "openai down": ("openai", {"api_key": KEY}, 503, b"{}", "", None),
    "open list": ("openai", {"api_key": KEY, "preset": "openrouter"}, 200, b"{}", "", None),
    "open list, no key": ("openai", {"preset": "llamacpp"}, 200, b"{}", "", True),
    "open list, refused": ("openai", {"api_key": KEY, "preset": "openrouter"}, 401, b"", "", False),
    "azure wrong": ("azure", {"api_key": KEY}, 401, b"{}", "", False),
    "azure firewall": ("azure", {"api_key": KEY}, 403, b"{}", "", None),
    "anthropic wrong": ("anthropic", {"api_key": KEY}, 401, b"{}", "", False),
    "gemini wrong": ("gemini", {"api_key": KEY}, 400, GEMINI_WRONG, "", False),
    "gemini odd": ("gemini", {"api_key": KEY}, 400, b"{}", "", None),
    "aws wrong": ("bedrock", {"aws": AWS}, 403, b"{}", "UnrecognizedClientException", False),
    "aws late": ("bedrock", {"aws": AWS}, 403, b"{}", "InvalidSignatureException:http://x", False),
    "aws no right": ("bedrock", {"aws": AWS}, 403, NO_RIGHT, "AccessDeniedException", True),
    "aws denied": ("bedrock", {"aws": AWS}, 403, b"{}", "AccessDeniedException", None),
    "aws key": ("bedrock", {"api_key": KEY}, 403, NO_KEY, "AccessDeniedException", False),
    "aws odd": ("bedrock", {"api_key": KEY}, 404, b"{}", "UnknownOperationException", None),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_an_answer_says_of_credentials(name: str) -> None:
    """Good, bad, or neither: what is not known is not guessed."""
    kind, parts, status, body, error, accepted = JUDGED[name]
    if kind == "bedrock":
        parts = {**parts, "region": "us-east-1"}

    async def main() -> None:
        checked, _ = await _checked(lambda url: make(kind, url, **parts), status, body, error)
        assert (checked.status, checked.accepted) == (status, accepted)

    run(main())


def test_a_check_of_bedrock_is_signed() -> None:
    """Query included: the signature is a GET's."""

    async def main() -> None:
        _, vendor = await _checked(
            lambda url: make("bedrock", url, aws=AWS, region="eu-west-1"), 200
        )
        signed = vendor.headers["authorization"]
        assert "Credential=AKIDEXAMPLE/20231114/eu-west-1/bedrock/aws4_request" in signed
        assert CANARY not in signed

    run(main())


def test_azure_gets_its_tokens_by_a_client_of_their_own() -> None:
    """The secret goes to the authority, the token to the resource, and neither elsewhere."""

    async def main() -> None:
        async with Vendor() as entra:
            entra.body = b'{"expires_in":3600,"access_token":"tok-1"}'
            credentials = ClientCredentials(tenant="t", client_id="c", client_secret=KEY)
            parts = EntraParts(credentials, ClientOptions(entra.base_url))
            _, vendor = await _checked(lambda url: make("azure", url, entra=parts), 200)
            assert vendor.headers["authorization"] == "Bearer tok-1"
            assert entra.target == "/t/oauth2/v2.0/token"
            assert CANARY.encode() in entra.sent
            assert CANARY.encode() not in b"".join(vendor.requests[0])
            entra.status, entra.body = 401, b'{"error":"invalid_client"}'
            with pytest.raises(UpstreamRefused, match="invalid_client"):
                await _checked(lambda url: make("azure", url, entra=parts), 200)

    run(main())


@pytest.mark.parametrize("word", PRESETS)
def test_a_preset_brings_its_quirks(word: str) -> None:
    """As values, for whoever writes the bodies."""
    provider = make("openai", api_key=KEY, preset=word)
    assert provider.quirks == PRESETS[word].quirks
    assert provider.dialect == "openai"


@pytest.mark.parametrize("kind", ["azure", "bedrock"])
def test_who_cannot_do_without_credentials(kind: str) -> None:
    """Is not made without."""
    with pytest.raises(ConfigError, match="no credentials"):
        make(kind)
