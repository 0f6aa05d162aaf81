"""An undocumented setting, command or option fails here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main
from msgspec import inspect

from entente.cli.root import app
from entente.config import Config, load

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
COMMANDS = (DOCS / "cli.md").read_text(encoding="utf-8")
SECTIONS = {
    "ServerConfig": "## `[server]`",
    "LedgerConfig": "## `[ledger]`",
    "LimitsConfig": "## `[limits]`",
    "StorageConfig": "## `[storage]`",
    "FilesConfig": "## `[files]`",
    "BatchesConfig": "## `[batches]`",
    "AgreementConfig": "## `[agreement]`",
    "AzureConfig": "## `[azure]`",
    "AuthConfig": "## `[auth]`",
    "WebhooksConfig": "## `[webhooks]`",
    "RealtimeConfig": "## `[realtime]`",
    "IssuerConfig": "## `[auth.issuers.NAME]`",
    "ProviderConfig": "## `[providers.NAME]`",
    "ModelConfig": '## `[models."NAME"]`',
    "TargetConfig": '## `[models."NAME"]`',
    "PriceConfig": "### `price`",
}
PREFIXES = {"TargetConfig": "targets[]."}


def structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """Give every struct that a type holds, itself included."""
    match kind:
        case inspect.StructType():
            yield kind
            for field in kind.fields:
                yield from structs(field.type)
        case inspect.UnionType():
            for member in kind.types:
                yield from structs(member)
        case inspect.DictType():
            yield from structs(kind.value_type)
        case inspect.VarTupleType():
            yield from structs(kind.item_type)


def settings() -> list[tuple[str, inspect.Field]]:
    """Give every setting with the struct it is in."""
    return [
        (kind.cls.__name__, field)
        for kind in structs(inspect.type_info(Config))
        if kind.cls is not Config
        for field in kind.fields
    ]


def row_of(struct: str, name: str) -> str:
    """Give the row of a setting in the table of its section."""
    heading = SECTIONS[struct]
    section = CONFIGURATION.split(heading + "\n", 1)[1]
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"{heading} has {len(rows)} rows for {name}"
    return rows[0]


@pytest.mark.parametrize(("struct", "field"), settings(), ids=lambda value: str(value)[:40])
def test_every_setting_is_documented_with_its_default(struct: str, field: inspect.Field) -> None:
    """The row has the default of the code, or says that it is required."""
    row = row_of(struct, PREFIXES.get(struct, "") + field.name)
    assert ("*required*" in row) >= field.required
    if isinstance(field.default, bool):
        assert f"`{str(field.default).lower()}`" in row
    elif isinstance(field.default, int | float):
        assert f"`{field.default:g}`" in row or f"`{field.default}`" in row
    elif isinstance(field.default, str | Path):
        assert f'`"{field.default}"`' in row


def test_no_setting_is_documented_that_is_not_there() -> None:
    """A row without a field is a promise that nobody keeps."""
    known = {PREFIXES.get(struct, "") + field.name for struct, field in settings()}
    assert set(re.findall(r"^\| `([^`]+)` \|", CONFIGURATION, flags=re.MULTILINE)) == known


def test_the_documented_examples_load(tmp_path: Path) -> None:
    """As they stand on the page: a whole file, and sections that a file may have."""
    path = tmp_path / "entente.toml"
    examples = re.findall(r"^```toml\n(.*?)^```", CONFIGURATION, flags=re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        path.write_text(example)
        config = load(path, {"OPENAI_API_KEY": "sk-example"})
        written = tomllib.loads(example)
        assert list(config.models) == list(written.get("models", ["entente-tiny"]))
        assert list(config.auth.issuers) == list(written.get("auth", {}).get("issuers", []))


def commands() -> dict[str, set[str]]:
    """Give every command with its own options, as the program itself describes them."""
    found: dict[str, set[str]] = {}

    def walk(command: object, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children:
            for name, child in children.items():
                walk(child, (*words, name))
            if words == ("entente",) or not getattr(command, "invoke_without_command", False):
                return  # it does nothing by itself
        options = {
            option
            for parameter in getattr(command, "params", [])
            for option in parameter.opts
            if option.startswith("--")
        }
        found[" ".join(words)] = options

    walk(typer.main.get_command(app), ("entente",))
    return found


def words_of(heading: str) -> str:
    """Give the words of a heading that are the command, without its arguments."""
    return " ".join(word for word in heading.split() if word.islower() and word[0].isalpha())


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented_with_its_options(command: str) -> None:
    """Each has a section that names its options; all have the common ones."""
    sections = [
        heading + text
        for heading, text in re.findall(
            r"^## `([^`]*)`\n(.*?)(?=^## |\Z)", COMMANDS, flags=re.MULTILINE | re.DOTALL
        )
        if words_of(heading) == command
    ]
    assert len(sections) == 1
    options = commands()[command]
    assert {"--config", "--json"} <= options
    for option in options - {"--config", "--json", "--help"}:
        assert f"{option}" in sections[0]


def test_no_command_is_documented_that_is_not_there() -> None:
    """A heading is a command."""
    headings = re.findall(r"^## `([^`]+)`$", COMMANDS, flags=re.MULTILINE)
    words = {words_of(heading) for heading in headings}
    assert words == set(commands())
