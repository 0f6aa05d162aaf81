"""The table of presets: every row can be used as it stands, and the dear differences are there."""

from __future__ import annotations

import re

import msgspec
import pytest

from entente.net.options import split_base_url
from entente.providers.presets import PRESETS, Preset
from entente.wire.quirks import Quirks

NEEDED = {
    "vllm",
    "ollama",
    "llamacpp",
    "mistral",
    "groq",
    "deepseek",
    "together",
    "openrouter",
    "xai",
}


def test_the_servers_that_people_ask_for() -> None:
    """All are there, under a word that a configuration can have."""
    assert set(PRESETS) >= NEEDED
    assert all(re.fullmatch(r"[a-z][a-z0-9]*", word) for word in PRESETS)
    assert len({preset.base_url for preset in PRESETS.values()}) == len(PRESETS)
    assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("word", PRESETS)
def test_every_row_can_be_used(word: str) -> None:
    """Its address is one, and only what is on this machine goes without TLS."""
    preset = PRESETS[word]
    origin, prefix = split_base_url(preset.base_url)
    assert prefix
    assert not preset.base_url.endswith("/")
    assert (origin.scheme == "http") == (origin.host == "127.0.0.1")
    assert preset.api_key_env is None or re.fullmatch(r"[A-Z][A-Z0-9_]*", preset.api_key_env)
    assert preset.api_key_env is not None or origin.scheme == "http"


@pytest.mark.parametrize("word", PRESETS)
def test_rows_do_not_contradict_themselves(word: str) -> None:
    """What is sent is not refused, and what is refused is not sent under another name."""
    quirks = PRESETS[word].quirks
    if quirks is None:
        return
    assert quirks != Quirks()
    assert not quirks.refuses & {quirks.output_bound, "max_completion_tokens", "stream_options"}
    assert not quirks.refuses & set(quirks.renames)
    assert quirks.choices_max in {None, 1}


def test_the_differences_that_cost_money() -> None:
    """Where a wrong name would leave the output without a bound, or a stream without usage."""
    found = {word: preset.quirks for word, preset in PRESETS.items() if preset.quirks is not None}
    assert found["ollama"].output_bound == "max_tokens"
    assert "openai" not in found
    assert not found["mistral"].takes_stream_options
    assert found["mistral"].renames["seed"] == "random_seed"
    assert found["groq"].choices_max == 1


def test_a_preset_cannot_be_changed() -> None:
    """It is shared by everyone who reads it."""
    with pytest.raises(AttributeError):
        PRESETS["vllm"].base_url = "http://elsewhere"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Quirks().renames["a"] = "b"  # type: ignore[index]
    with pytest.raises(TypeError):
        PRESETS["mine"] = msgspec.structs.replace(PRESETS["vllm"])  # type: ignore[index]
    assert isinstance(PRESETS["vllm"], Preset)
