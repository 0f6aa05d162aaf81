"""Each kind of provider: what it may say, where it is when it says nothing, what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from entente.config import Config, ConfigProblems, ProviderConfig, ProviderKind, load
from entente.config.kinds import KINDS
from entente.domain.features import OnLoss
from entente.domain.secret import Secret
from entente.providers.presets import PRESETS
from entente.providers.registry import KINDS as MADE
from entente.upstreams import has_credentials, provider_of
from tests.support.loops import run

CANARY = "canary-93ab-never-printed"
DOCS = Path(__file__).parents[2] / "docs"
PROVIDERS = (DOCS / "providers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PROVIDERS, flags=re.MULTILINE | re.DOTALL)
MODEL = '[models.m]\ntargets = [{ provider = "p", model = "m" }]\n'


class Everything(dict[str, str]):
    """An environment in which every variable is set."""

    def get(self, key: str, default: str | None = None) -> str:  # type: ignore[override]
        """Give a secret."""
        del key, default
        return CANARY


def provider(folder: Path, *lines: str) -> ProviderConfig:
    """Load a file with one provider of these settings."""
    return loaded(folder, *lines).providers["p"]


def loaded(folder: Path, *lines: str, model: str = MODEL) -> Config:
    """Load a file with a provider of these settings, whose secrets are all there."""
    path = folder / "entente.toml"
    path.write_text("[providers.p]\n" + "\n".join(lines) + "\n" + model)
    return load(path, Everything())


WHERE = {
    "preset": (('kind = "openai"', 'preset = "ollama"'), "http://127.0.0.1:11434/v1"),
    "preset elsewhere": (
        ('kind = "openai"', 'preset = "groq"', 'base_url = "http://proxy/v1"'),
        "http://proxy/v1",
    ),
    "anthropic": (('kind = "anthropic"', 'api_key = "env:K"'), "https://api.anthropic.com"),
    "anthropic elsewhere, without a key": (
        ('kind = "anthropic"', 'base_url = "http://127.0.0.1:1/claude"'),
        "http://127.0.0.1:1/claude",
    ),
    "gemini": (
        ('kind = "gemini"', 'api_key = "env:K"'),
        "https://generativelanguage.googleapis.com/v1beta",
    ),
    "bedrock": (
        ('kind = "bedrock"', 'region = "eu-central-1"', 'api_key = "env:K"'),
        "https://bedrock-runtime.eu-central-1.amazonaws.com",
    ),
    "bedrock elsewhere": (
        (
            'kind = "bedrock"',
            'region = "us-gov-west-1"',
            'api_key = "env:K"',
            'base_url = "http://h"',
        ),
        "http://h",
    ),
    "scripted": (('kind = "scripted"',), None),
    "local": (('kind = "local"',), None),
}


@pytest.mark.parametrize("name", WHERE)
def test_where_a_provider_is(tmp_path: Path, name: str) -> None:
    """What is written wins; else the preset or the kind says it."""
    lines, url = WHERE[name]
    assert provider(tmp_path, *lines).base_url == url


def test_every_kind_has_its_settings_and_is_made() -> None:
    """No setting is there for nobody, and none is taken that is not there."""
    assert set(KINDS) == set(ProviderKind) == {ProviderKind(kind) for kind in MADE}
    taken = frozenset[str]().union(*(kind.takes for kind in KINDS.values()))
    assert taken == set(ProviderConfig.__struct_fields__)
    for kind in KINDS.values():
        named = {name for way in kind.credentials for name in (*way.needed, *way.optional)}
        assert named | kind.needs.keys() <= kind.takes


def test_credentials_of_azure(tmp_path: Path) -> None:
    """By an application, with everything that can be said."""
    found = provider(
        tmp_path,
        'kind = "azure"',
        'base_url = "https://r.openai.azure.com/"',
        'api_version = "2025-03-01-preview"',
        'tenant_id = "contoso.example"',
        'client_id = "0-1"',
        'client_secret = "env:K"',
        'authority = "https://login.microsoftonline.us"',
    )
    assert (found.api_version, found.tenant_id, found.client_id) == (
        "2025-03-01-preview",
        "contoso.example",
        "0-1",
    )
    assert found.client_secret is not None
    assert found.client_secret.reveal() == CANARY
    assert found.authority == "https://login.microsoftonline.us"
    assert CANARY not in repr(found)


def test_credentials_of_aws(tmp_path: Path) -> None:
    """All three of temporary credentials are secrets."""
    found = provider(
        tmp_path,
        'kind = "bedrock"',
        'region = "us-east-1"',
        'access_key_id = "env:K"',
        'secret_access_key = "env:K"',
        'session_token = "env:K"',
    )
    for secret in (found.access_key_id, found.secret_access_key, found.session_token):
        assert secret is not None
        assert secret.reveal() == CANARY
    assert CANARY not in repr(found)


def test_what_anthropic_is_told(tmp_path: Path) -> None:
    """Version and betas."""
    lines = ('kind = "anthropic"', 'api_key = "env:K"')
    found = provider(tmp_path, *lines, 'version = "2023-01-01"', 'betas = ["a-1", "b.2_c"]')
    assert (found.version, found.betas) == ("2023-01-01", ("a-1", "b.2_c"))
    assert provider(tmp_path, *lines).betas == ()


def test_what_becomes_of_what_cannot_be_said(tmp_path: Path) -> None:
    """Each model says it; refusing is the default."""
    more = MODEL + 'unsupported = "drop"\n' + MODEL.replace("models.m", "models.n")
    models = loaded(tmp_path, 'kind = "scripted"', model=more).models
    assert models["m"].unsupported is OnLoss.DROP
    assert models["n"].unsupported is OnLoss.REFUSE


class Mistake(NamedTuple):
    """Settings of a provider, the line of the one problem, its setting, and words in it."""

    lines: tuple[str, ...]
    line: int
    setting: str
    words: tuple[str, ...]


AZURE = ('kind = "azure"', 'base_url = "https://r.openai.azure.com"')
BEDROCK = ('kind = "bedrock"', 'region = "us-east-1"')
CLAUDE = ('kind = "anthropic"', 'api_key = "env:K"')
KEY = 'api_key = "env:K"'
MISTAKES = {
    "preset as kind": Mistake(
        ('kind = "groq"', KEY), 2, "kind", ('write kind = "openai" and preset = "groq"',)
    ),
    "responses in words": Mistake(
        ('kind = "openai"', 'base_url = "https://host/v1"', 'responses = "yes"'),
        4,
        "responses",
        ("must be true or false, without quotes, not text",),
    ),
    "responses of another kind": Mistake(
        (*CLAUDE, "responses = true"), 4, "responses", ('no meaning for kind = "anthropic"',)
    ),
    "preset misspelt": Mistake(
        ('kind = "openai"', 'preset = "grok"'), 3, "preset", ("Did you mean `groq`?", "base_url")
    ),
    "preset unheard of": Mistake(
        ('kind = "openai"', f'preset = "{CANARY}"'), 3, "preset", ("Presets: vllm, ",)
    ),
    "preset of another kind": Mistake(
        (*CLAUDE, 'preset = "groq"'), 4, "preset", ('no meaning for kind = "anthropic"',)
    ),
    "preset without its key": Mistake(
        ('kind = "openai"', 'preset = "groq"'), 1, "", ('api_key = "env:GROQ_API_KEY"',)
    ),
    "anthropic without a key": Mistake(
        ('kind = "anthropic"',), 1, "", ('api_key = "env:ANTHROPIC_API_KEY"',)
    ),
    "gemini without a key": Mistake(
        ('kind = "gemini"',), 1, "", ('api_key = "env:GEMINI_API_KEY"',)
    ),
    "azure nowhere": Mistake(
        ('kind = "azure"', KEY), 1, "", ("`base_url` is missing", "https://NAME.openai.azure.com")
    ),
    "azure without credentials": Mistake(
        AZURE, 1, "", ("credentials are missing", "api_key = ", "or tenant_id = ", "client_secret")
    ),
    "azure twice": Mistake(
        (*AZURE, KEY, 'tenant_id = "t"', 'client_id = "c"', 'client_secret = "env:K"'),
        5,
        "tenant_id",
        ("either `api_key`, or `tenant_id`, `client_id` and `client_secret`",),
    ),
    "azure by half": Mistake(
        (*AZURE, 'tenant_id = "t"', 'client_id = "c"'),
        1,
        "",
        ("go together", 'add client_secret = "env:AZURE_CLIENT_SECRET"'),
    ),
    "azure by a key and half": Mistake(
        (*AZURE, KEY, 'client_secret = "env:K"'), 5, "client_secret", ("two ways",)
    ),
    "authority for nothing": Mistake(
        (*AZURE, KEY, 'authority = "https://h"'), 5, "authority", ("goes with `tenant_id`",)
    ),
    "authority without scheme": Mistake(
        (
            *AZURE,
            'tenant_id = "t"',
            'client_id = "c"',
            'client_secret = "env:K"',
            'authority = "h"',
        ),
        7,
        "authority",
        ("https://host",),
    ),
    "tenant by reference": Mistake(
        (*AZURE, 'tenant_id = "env:T"', 'client_id = "c"', 'client_secret = "env:K"'),
        4,
        "tenant_id",
        ("the id itself", "no secret"),
    ),
    "client with a space": Mistake(
        (*AZURE, 'tenant_id = "t"', 'client_id = "my app"', 'client_secret = "env:K"'),
        5,
        "client_id",
        ("the id itself",),
    ),
    "literal client secret": Mistake(
        (*AZURE, 'tenant_id = "t"', 'client_id = "c"', f'client_secret = "{CANARY}"'),
        6,
        "client_secret",
        ("must be a reference",),
    ),
    "azure of no version": Mistake(
        (*AZURE, KEY, 'api_version = "2024"'), 5, "api_version", ('such as "2024-10-21"',)
    ),
    "azure with the path of calls": Mistake(
        ('kind = "azure"', 'base_url = "https://r.openai.azure.com/openai/v1/"', KEY),
        3,
        "base_url",
        ('leave the end "/openai/v1" out',),
    ),
    "anthropic with the path of calls": Mistake(
        (*CLAUDE, 'base_url = "https://api.anthropic.com/v1"'), 4, "base_url", ('"/v1" out',)
    ),
    "betas in one": Mistake(
        (*CLAUDE, 'betas = ["a", "b,c"]'), 4, "betas[1]", ("the name of one beta",)
    ),
    "betas as text": Mistake((*CLAUDE, 'betas = "a"'), 4, "betas", ("a list of 0 to 64",)),
    "version that is none": Mistake(
        (*CLAUDE, 'version = "latest"'), 4, "version", ('such as "2023-06-01"',)
    ),
    "bedrock nowhere": Mistake(
        ('kind = "bedrock"', KEY), 1, "", ("`region` is missing", 'region = "us-east-1"')
    ),
    "bedrock in no region": Mistake(
        ('kind = "bedrock"', 'region = "x/../y"', KEY), 3, "region", ("a region of AWS",)
    ),
    "bedrock without credentials": Mistake(
        BEDROCK, 1, "", ("AWS_BEARER_TOKEN_BEDROCK", "or access_key_id = ")
    ),
    "bedrock by half": Mistake(
        (*BEDROCK, 'access_key_id = "env:K"'), 1, "", ("go together", "AWS_SECRET_ACCESS_KEY")
    ),
    "bedrock twice": Mistake(
        (*BEDROCK, 'access_key_id = "env:K"', 'secret_access_key = "env:K"', KEY),
        4,
        "access_key_id",
        ("either `api_key`, or `access_key_id` and `secret_access_key`",),
    ),
    "session for a key": Mistake(
        (*BEDROCK, KEY, 'session_token = "env:K"'), 5, "session_token", ("goes with",)
    ),
    "literal access key": Mistake(
        (*BEDROCK, f'access_key_id = "{CANARY}"', 'secret_access_key = "env:K"'),
        4,
        "access_key_id",
        ("must be a reference", '"env:NAME"'),
    ),
    "region of another kind": Mistake(
        (*AZURE, KEY, 'region = "us-east-1"'), 5, "region", ('no meaning for kind = "azure"',)
    ),
    "tenant of another kind": Mistake(
        (*BEDROCK, KEY, 'tenant_id = "t"'), 5, "tenant_id", ('no meaning for kind = "bedrock"',)
    ),
    "key of the local runtime": Mistake(
        ('kind = "local"', KEY), 3, "api_key", ('no meaning for kind = "local"',)
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_problem_with_its_remedy(tmp_path: Path, name: str) -> None:
    """Told where it is, without repeating what may be a secret."""
    mistake = MISTAKES[name]
    with pytest.raises(ConfigProblems) as caught:
        provider(tmp_path, *mistake.lines)
    (problem,) = caught.value.problems
    setting = f"providers.p.{mistake.setting}".removesuffix(".")
    assert (problem.line, problem.setting) == (mistake.line, setting)
    for word in mistake.words:
        assert word in problem.text
    assert CANARY not in str(problem)


def test_a_secret_that_is_not_there_is_the_only_problem(tmp_path: Path) -> None:
    """That the setting is written counts; what it refers to is told once."""
    path = tmp_path / "entente.toml"
    path.write_text("[providers.p]\n" + "\n".join((*AZURE, KEY)) + "\n" + MODEL)
    with pytest.raises(ConfigProblems) as caught:
        load(path, {})
    assert [problem.setting for problem in caught.value.problems] == ["providers.p.api_key"]


async def _no_runtime() -> tuple[str, Secret]:
    message = "no example has a local runtime"
    raise AssertionError(message)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_documented_provider_loads(tmp_path: Path, example: str) -> None:
    """As it stands on the page, and its providers are made of it."""
    path = tmp_path / "entente.toml"
    path.write_text(example)
    config = load(path, Everything())
    assert all(provider.base_url for provider in config.providers.values())
    for name, settings in config.providers.items():
        assert has_credentials(settings) or settings.preset == "vllm"
        made = provider_of(name, settings, environ={}, address=_no_runtime)
        assert made.name == name
        assert CANARY not in repr(made)
        run(made.aclose())


def test_every_kind_and_preset_is_documented() -> None:
    """Kinds with an example, presets with their row."""
    shown = set(re.findall(r'^kind = "(\w+)"$', "".join(EXAMPLES), flags=re.MULTILINE))
    assert shown | {"local", "scripted"} == {str(kind) for kind in ProviderKind}
    rows = re.findall(
        r"^\| `(\w+)` \| ([^`|]+) \| `(http[^`]+)` \| (.+) \|$", PROVIDERS, re.MULTILINE
    )
    assert {word: (title, url, key.strip("`–") or None) for word, title, url, key in rows} == {
        word: (preset.title, preset.base_url, preset.api_key_env)
        for word, preset in PRESETS.items()
    }
    native = " and ".join(f"`{word}`" for word, preset in PRESETS.items() if preset.responses)
    assert f"Of these, {native} serves responses" in PROVIDERS
