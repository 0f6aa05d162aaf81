"""What a correct file means, and where it is found."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from entente.config import (
    Config,
    MetricsAccess,
    PricePer,
    ProviderKind,
    find,
    load,
)
from entente.engine import RuntimeOptions
from entente.ledger.store import Durability

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "canary-7f3a9c-never-printed"

FULL = """
[server]
host = "0.0.0.0"
port = 9000
workers = 1
data_dir = "state"
body_bytes_max = 1048576
inflight_max = 10
shutdown_s = 1
drain_s = 0.5
metrics = "public"

[ledger]
durability = "settle"

[limits]
budget_wait_s = 0

[providers.main]
kind = "openai"
base_url = "https://api.example.com/v1"
api_key = "env:UPSTREAM_KEY"
ca_file = "ca.pem"
cert_file = "client.pem"
key_file = "client.key"
proxy = "http://proxy:3128"
connect_s = 1
first_byte_s = 2
idle_s = 3
total_s = 4.5
connections_max = 7

[providers.filed]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "file:key.txt"
proxy = "none"

[providers.played]
kind = "scripted"
script = "replies.toml"

[providers.own]
kind = "local"

[models."gpt-4o-mini"]
targets = [
  { provider = "main", model = "gpt-4o-mini-2024" },
  { provider = "played", model = "x" },
]
price = { currency = "EUR", per = "1K tokens", input = "0.15", cached_input = "1/3", output = "2" }
output_tokens_max = 100
context_tokens = 2000
attachment_tokens_max = 3
owned_by = "us"

[models.bare]
targets = [{ provider = "own", model = "m" }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the files that FULL names."""
    for name in ("ca.pem", "client.pem", "client.key", "replies.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "key.txt").write_text(f"{CANARY}-filed\n")
    (tmp_path / "entente.toml").write_text(FULL)
    return tmp_path


@pytest.fixture
def full(folder: Path) -> Config:
    """Load FULL."""
    return load(folder / "entente.toml", {"UPSTREAM_KEY": CANARY})


def test_every_setting_is_read(folder: Path, full: Config) -> None:
    """Each value arrives under its name, in its type."""
    server = full.server
    assert (server.host, server.port, server.workers) == ("0.0.0.0", 9000, 1)  # noqa: S104
    assert server.data_dir == folder / "state"
    assert (server.body_bytes_max, server.inflight_max) == (1048576, 10)
    assert (server.shutdown_s, server.drain_s) == (1.0, 0.5)
    assert server.metrics is MetricsAccess.PUBLIC
    assert full.ledger.durability is Durability.SETTLE
    assert full.limits.budget_wait_s == 0
    main = full.providers["main"]
    assert main.kind is ProviderKind.OPENAI
    assert main.base_url == "https://api.example.com/v1"
    assert main.api_key is not None
    assert main.api_key.reveal() == CANARY
    assert (main.ca_file, main.key_file) == (folder / "ca.pem", folder / "client.key")
    assert main.proxy == "http://proxy:3128"
    assert (main.connect_s, main.first_byte_s, main.idle_s, main.total_s) == (1, 2, 3, 4.5)
    assert main.connections_max == 7
    filed = full.providers["filed"].api_key
    assert filed is not None
    assert filed.reveal() == f"{CANARY}-filed"
    assert full.providers["played"].script == folder / "replies.toml"


def test_models_and_prices_are_exact(full: Config) -> None:
    """Prices are rationals by token class; what is not set is not there."""
    model = full.models["gpt-4o-mini"]
    assert [(target.provider, target.model) for target in model.targets] == [
        ("main", "gpt-4o-mini-2024"),
        ("played", "x"),
    ]
    assert model.price is not None
    assert (model.price.currency, model.price.per, model.price.per.units) == (
        "EUR",
        PricePer.THOUSAND,
        1000,
    )
    assert model.price.rates() == {
        "input": Fraction(3, 20),
        "cache_read": Fraction(1, 3),
        "output": Fraction(2),
    }
    assert (model.output_tokens_max, model.context_tokens) == (100, 2000)
    assert (model.attachment_tokens_max, model.owned_by) == (3, "us")
    bare = full.models["bare"]
    assert (bare.price, bare.context_tokens, bare.output_tokens_max) == (None, None, 16384)


def test_without_a_file_the_built_in_model_is_served_free_and_priced() -> None:
    """Free is a price of zero, said for every class, not a missing price."""
    config = load(None, {})
    assert config.providers["local"].kind is ProviderKind.LOCAL
    model = config.models["entente-tiny"]
    assert model.price is not None
    assert set(model.price.rates().values()) == {Fraction(0)}
    assert len(model.price.rates()) == 10
    (context,) = (field for field in fields(RuntimeOptions) if field.name == "context_tokens")
    assert model.context_tokens == context.default
    assert config.server.data_dir == Path(".entente")


def test_a_file_without_models_keeps_the_built_in_one(tmp_path: Path) -> None:
    """So a file may set a port and nothing else; its data folder is beside it."""
    path = tmp_path / "entente.toml"
    path.write_text("[server]\nport = 1\n")
    config = load(path, {})
    assert list(config.models) == ["entente-tiny"]
    assert config.server.data_dir == tmp_path / ".entente"


def test_windows_line_ends_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    """An editor on Windows may add both."""
    path = tmp_path / "entente.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 1\r\n")
    assert load(path, {}).server.port == 1


def test_the_usual_file_is_found_only_where_it_is(tmp_path: Path) -> None:
    """An explicit path wins, then ./entente.toml, then nothing."""
    assert find(None, tmp_path) is None
    usual = tmp_path / "entente.toml"
    usual.write_text("")
    assert find(None, tmp_path) == usual
    assert find(Path("other.toml"), tmp_path) == Path("other.toml")


def test_the_configuration_cannot_be_changed(full: Config) -> None:
    """Read once and frozen, the tables included."""
    with pytest.raises(AttributeError):
        full.server.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        full.models["x"] = full.models["bare"]  # type: ignore[index]


def _forms(config: Config) -> Iterator[str]:
    yield repr(config)
    yield str(config)
    yield f"{config}"
    yield repr(msgspec.structs.asdict(config.providers["main"]))


def test_secrets_have_no_text_form(full: Config) -> None:
    """Neither printing nor encoding a configuration shows a key."""
    for text in _forms(full):
        assert CANARY not in text
        assert "api" in text or "server" in text
    with pytest.raises(TypeError):
        msgspec.json.encode(full.providers["main"])
