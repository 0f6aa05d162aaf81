"""Whatever a file says, it is a configuration or a list of problems, never anything else."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from entente.config import Config, ConfigProblems, Problem, load

NAMES = st.sampled_from(
    [
        "server",
        "ledger",
        "limits",
        "providers",
        "models",
        "host",
        "port",
        "workers",
        "data_dir",
        "drain_s",
        "metrics",
        "validation",
        "url",
        "kind",
        "durability",
        "budget_wait_s",
        "auth",
        "issuers",
        "issuer",
        "audiences",
        "subjects",
        "jwks_uri",
        "base_url",
        "preset",
        "responses",
        "region",
        "authority",
        "tenant_id",
        "client_secret",
        "access_key_id",
        "betas",
        "unsupported",
        "api_key",
        "ca_file",
        "cert_file",
        "key_file",
        "proxy",
        "idle_s",
        "script",
        "targets",
        "provider",
        "model",
        "price",
        "currency",
        "per",
        "input",
        "output",
        "cached_input",
        "owned_by",
        "m",
        "p",
        "x",
    ]
)
WORDS = st.sampled_from(
    [
        "openai",
        "anthropic",
        "gemini",
        "bedrock",
        "groq",
        "us-east-1",
        "local",
        "scripted",
        "azure",
        "env",
        "none",
        "full",
        "admin",
        "m",
        "p",
        "USD",
        "1.5",
        "1/3",
        "-1",
        "1/0",
        "http://h/v1",
        "http://[",
        "http://h:99999",
        "env:SET",
        "env:UNSET",
        "file:.",
        "file:gone",
        "2020",
        "☃",
    ]
)
SCALARS = st.one_of(
    WORDS,
    st.sampled_from(["1M tokens", "", "\n", "\x00"]),
    st.integers(),
    st.floats(),
    st.booleans(),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)


def write(value: Any) -> str:
    """Write a value as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case float():
            return str(value) if math.isfinite(value) else repr(value)
        case list():
            return f"[{', '.join(map(write, value))}]"
        case dict():
            pairs = ", ".join(f"{key} = {write(item)}" for key, item in value.items())
            return f"{{{pairs}}}"
        case _:
            return str(value)


def load_or_problems(path: Path) -> Config | tuple[Problem, ...]:
    """Load a file; any other error than the expected one goes through."""
    try:
        return load(path, {"SET": "value"})
    except ConfigProblems as error:
        return error.problems


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_document_is_settings_or_problems(document: dict[str, Any]) -> None:
    """And each problem has a line and says something."""
    text = "\n".join(f"{key} = {write(value)}" for key, value in document.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "entente.toml"
        path.write_text(text)
        outcome = load_or_problems(path)
    if isinstance(outcome, Config):
        return
    assert outcome
    assert all(problem.text for problem in outcome)
    assert all(problem.line or not problem.setting for problem in outcome)
