"""Servers that speak OpenAI's dialect, and where each one's differs. A pure table.

A preset only fills in what a configuration leaves out. It says nothing about models: those
differ within one server.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.chat import Surface
from entente.wire.quirks import Quirks


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """One server, as it is reached when nothing else is said."""

    title: str
    """Its name for people."""
    base_url: str
    api_key_env: str | None
    """The environment variable in which its own documentation keeps the key; None for no key."""
    quirks: Quirks | None = None
    """None where a request for OpenAI's own API does."""
    lists_to_anyone: bool = False
    """Its models can be listed without a key, so that listing them proves none."""
    responses: bool = False
    """It serves responses as OpenAI does; others are asked to chat, whatever the client's was."""
    also: frozenset[Surface] = frozenset()
    """What else it serves beside chat completions, as far as its documentation says."""


TEXT: Final = frozenset({Surface.COMPLETIONS, Surface.EMBEDDINGS})
HEARING: Final = frozenset({Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS})
EVERY: Final = (
    TEXT
    | HEARING
    | {
        Surface.MODERATIONS,
        Surface.SPEECH,
        Surface.IMAGE_GENERATIONS,
        Surface.IMAGE_EDITS,
        Surface.IMAGE_VARIATIONS,
    }
)
"""Also what a server of one's own is taken to serve: it answers for itself."""

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        # on one's own machines
        "vllm": Preset(
            title="vLLM",
            base_url="http://127.0.0.1:8000/v1",
            api_key_env="VLLM_API_KEY",
            also=TEXT | HEARING,
        ),
        "sglang": Preset(
            title="SGLang",
            base_url="http://127.0.0.1:30000/v1",
            api_key_env=None,
            also=TEXT,
        ),
        "ollama": Preset(
            title="Ollama",
            base_url="http://127.0.0.1:11434/v1",
            api_key_env=None,
            quirks=Quirks(output_bound="max_tokens", choices_max=1),
            also=TEXT,
        ),
        "llamacpp": Preset(
            title="llama.cpp",
            base_url="http://127.0.0.1:8080/v1",
            api_key_env="LLAMA_API_KEY",
            quirks=Quirks(output_bound="max_tokens"),
            lists_to_anyone=True,
            also=TEXT,
        ),
        "lmstudio": Preset(
            title="LM Studio",
            base_url="http://127.0.0.1:1234/v1",
            api_key_env=None,
            quirks=Quirks(output_bound="max_tokens", choices_max=1),
            also=TEXT,
        ),
        # as a service
        "openai": Preset(
            title="OpenAI",
            base_url="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            responses=True,
            also=EVERY,
        ),
        "mistral": Preset(
            title="Mistral",
            base_url="https://api.mistral.ai/v1",
            api_key_env="MISTRAL_API_KEY",
            quirks=Quirks(
                output_bound="max_tokens",
                takes_stream_options=False,
                renames=MappingProxyType({"seed": "random_seed"}),
                refuses=frozenset(
                    {
                        "logit_bias",
                        "logprobs",
                        "service_tier",
                        "store",
                        "top_logprobs",
                        "user",
                        "verbosity",
                    }
                ),
            ),
            also=frozenset({Surface.EMBEDDINGS, Surface.MODERATIONS, Surface.TRANSCRIPTIONS}),
        ),
        "groq": Preset(
            title="Groq",
            base_url="https://api.groq.com/openai/v1",
            api_key_env="GROQ_API_KEY",
            quirks=Quirks(
                refuses=frozenset({"logit_bias", "logprobs", "top_logprobs"}),
                choices_max=1,
            ),
            also=HEARING | {Surface.SPEECH},
        ),
        "deepseek": Preset(
            title="DeepSeek",
            base_url="https://api.deepseek.com/v1",
            api_key_env="DEEPSEEK_API_KEY",
            quirks=Quirks(output_bound="max_tokens", choices_max=1),
        ),
        "together": Preset(
            title="Together AI",
            base_url="https://api.together.xyz/v1",
            api_key_env="TOGETHER_API_KEY",
            quirks=Quirks(output_bound="max_tokens"),
            also=TEXT | HEARING | {Surface.SPEECH, Surface.IMAGE_GENERATIONS},
        ),
        "openrouter": Preset(
            title="OpenRouter",
            base_url="https://openrouter.ai/api/v1",
            api_key_env="OPENROUTER_API_KEY",
            quirks=Quirks(output_bound="max_tokens", choices_max=1),
            lists_to_anyone=True,
            also=TEXT,
        ),
        "xai": Preset(
            title="xAI",
            base_url="https://api.x.ai/v1",
            api_key_env="XAI_API_KEY",
            also=frozenset({Surface.COMPLETIONS, Surface.IMAGE_GENERATIONS}),
        ),
        "fireworks": Preset(
            title="Fireworks AI",
            base_url="https://api.fireworks.ai/inference/v1",
            api_key_env="FIREWORKS_API_KEY",
            quirks=Quirks(output_bound="max_tokens"),
            also=TEXT,
        ),
        "cerebras": Preset(
            title="Cerebras",
            base_url="https://api.cerebras.ai/v1",
            api_key_env="CEREBRAS_API_KEY",
            quirks=Quirks(choices_max=1),
            also=frozenset({Surface.COMPLETIONS}),
        ),
        "deepinfra": Preset(
            title="DeepInfra",
            base_url="https://api.deepinfra.com/v1/openai",
            api_key_env="DEEPINFRA_API_KEY",
            quirks=Quirks(output_bound="max_tokens"),
            lists_to_anyone=True,
            also=TEXT | HEARING | {Surface.SPEECH, Surface.IMAGE_GENERATIONS},
        ),
    }
)
"""By the word that a configuration uses. Each is as its server's own documentation has it."""
