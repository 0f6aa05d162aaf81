"""One `entente serve` in front of the stand-ins of `standins.media`, with keys made beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import openai
from openai import AzureOpenAI

from entente.ledger.model import Settlement
from tests.support.server import EntenteServer, Key
from tests.support.standins.media import API_VERSION, Studio
from tests.support.standins.standin import KEY

TOKENS: Final = 'currency = "USD", per = "1M tokens", input = "1", output = "2"'
_PRICES: Final = {
    "embed": ("text-embedding-3-small", 'currency = "USD", per = "1M tokens", input = "1"'),
    "floats": ("only-float", 'currency = "USD", per = "1M tokens", input = "1"'),
    "base64": ("only-base64", 'currency = "USD", per = "1M tokens", input = "1"'),
    "instruct": ("gpt-3.5-turbo-instruct", TOKENS),
    "moderation": ("omni-moderation-latest", TOKENS),
    "whisper": ("whisper-1", 'currency = "USD", per = "1 minute", input = "0.006"'),
    "scribe": ("gpt-4o-transcribe", f'{TOKENS}, audio_input = "6"'),
    "tts": ("tts-1", 'currency = "USD", per = "1M characters", input = "15"'),
    "speaker": ("gpt-4o-mini-tts", f'{TOKENS}, audio_output = "12"'),
    "dalle": ("dall-e-3", 'currency = "USD", per = "1 image", output = "0.04"'),
    "painter": ("gpt-image-1", f'{TOKENS}, image_input = "10", image_output = "40"'),
}
"""Models: their names at the vendor, and their prices."""
_PROVIDERS: Final = """
[providers.openai]
kind = "openai"
base_url = "{url}/v1"
api_key = "env:VENDOR_KEY"

[providers.azure]
kind = "azure"
base_url = "{url}"
api_version = "{version}"
api_key = "env:VENDOR_KEY"

[providers.gemini]
kind = "gemini"
base_url = "{url}/v1beta"
api_key = "env:VENDOR_KEY"

[providers.bedrock]
kind = "bedrock"
base_url = "{url}"
region = "us-east-1"
api_key = "env:VENDOR_KEY"

[providers.inside]
kind = "scripted"
"""
_MODEL: Final = """
[models."{name}"]
targets = [{{ provider = "{provider}", model = "{target}" }}]
price = {{ {price} }}
audio_s_max = 600
output_tokens_max = 1000
{more}
"""
ONLY_INPUT: Final = 'currency = "USD", per = "1M tokens", input = "1"'


def _config(url: str) -> str:
    """Write every model, once at each vendor that has it."""
    parts = [_PROVIDERS.format(url=url, version=API_VERSION)]
    for name, (target, price) in _PRICES.items():
        parts.append(_model(name, "openai", target, price))
        parts.append(_model(f"azure-{name}", "azure", target, price))
    parts += [
        _model("gemini", "gemini", "gemini-embedding-001", ONLY_INPUT),
        _model("titan", "bedrock", "amazon.titan-embed-text-v2:0", ONLY_INPUT),
        _model("cohere", "bedrock", "cohere.embed-v4:0", ONLY_INPUT),
        _model("cohere-old", "bedrock", "cohere.embed-english-v3", ONLY_INPUT),
        _model("chatty", "inside", "m", TOKENS),
        _model("leaving", "inside", "m", TOKENS, 'shutdown_date = "2999-12-31"'),
        _model("retired", "inside", "m", TOKENS, 'shutdown_date = "2026-01-31"'),
        '[models."free"]\ntargets = [{ provider = "openai", model = "whisper-1" }]\n',
    ]
    return "\n".join(parts)


def _model(name: str, provider: str, target: str, price: str, more: str = "") -> str:
    return _MODEL.format(name=name, provider=provider, target=target, price=price, more=more)


class Desk:
    """Everything that runs."""

    def __init__(self, server: EntenteServer, studio: Studio, keys: list[Key]) -> None:
        """Take what runs."""
        self.server = server
        self.studio = studio
        self.http = openai.DefaultHttpxClient(trust_env=False)
        self._keys = iter(keys)

    def key(self) -> Key:
        """Give a key that nobody has used."""
        return next(self._keys)

    def openai(self, key: Key, *, strict: bool = True) -> openai.OpenAI:
        """Give the official client, validating strictly.

        Its types do not have vectors in base64, nor the chunks of a completion that goes on.
        """
        return openai.OpenAI(
            base_url=self.server.base_url,
            api_key=key.secret,
            max_retries=0,
            http_client=self.http,
            _strict_response_validation=strict,
        )

    def azure(self, key: Key, *, strict: bool = True) -> AzureOpenAI:
        """Give the official client of the classic surface."""
        return AzureOpenAI(
            azure_endpoint=f"http://127.0.0.1:{self.server.port}",
            api_key=key.secret,
            api_version=API_VERSION,
            max_retries=0,
            http_client=self.http,
            _strict_response_validation=strict,
        )

    def settlement(self, key: Key) -> Settlement:
        """Give the one settlement of a key, which is there by now."""
        (entry,) = self.server.settlements(key)
        return entry

    @property
    def sent(self) -> Any:
        """The last request that the vendor got, as JSON."""
        return self.studio.requests[-1].read(dict[str, Any])


@contextlib.contextmanager
def running(folder: Path, *, keys: int) -> Iterator[Desk]:
    """Run everything; at its end the journal has to be whole and nothing held."""
    with Studio() as studio:
        server = EntenteServer(folder, _config(studio.base_url), environ={"VENDOR_KEY": KEY})
        made = server.make_keys(keys)
        with server:
            desk = Desk(server, studio, made)
            with desk.http:
                yield desk
            assert server.stop() == 0
            server.verify_at_rest()
            assert server.err_log.read_text() == ""
