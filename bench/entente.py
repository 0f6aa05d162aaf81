"""The product as a subject: its configuration, its start, its ledger, its size."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from bench.process import Program, free_port, running
from bench.traffic import (
    KEY,
    MESSAGES_MODEL,
    MODEL,
    STREAM_MODEL,
    Target,
    chat_body,
    until_answered,
)

READY_S: Final = 30.0
VERIFY_S: Final = 600.0
DURABILITIES: Final = ("full", "settle", "async")
SOURCE: Final = Path(__file__).parents[1] / "src" / "entente"
NOT_CORE: Final = (".gguf", ".pyc")
"""Not part of the core: the built-in model's weights, and what Python makes on first use."""

_CONFIG: Final = """\
[server]
port = {port}
data_dir = "{folder}/data"
{about_server}
[ledger]
durability = "{durability}"
{about_ledger}
[providers.unary]
kind = "openai"
base_url = "http://127.0.0.1:{unary}/v1"
{about_unary}
[providers.stream]
kind = "openai"
base_url = "http://127.0.0.1:{stream}/v1"
[providers.messages]
kind = "anthropic"
base_url = "http://127.0.0.1:{unary}"
[models.{model}]
targets = [{{ provider = "unary", model = "{model}" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0.15", output = "0.60" }}
[models.{messages_model}]
targets = [{{ provider = "messages", model = "{messages_model}" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0.15", output = "0.60" }}
[models.{stream_model}]
targets = [{{ provider = "stream", model = "{stream_model}" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0.15", output = "0.60" }}
"""

_COMMANDS: Final = """\
[server]
data_dir = "{folder}/data"
[providers.unary]
kind = "scripted"
[models.{model}]
targets = [{{ provider = "unary", model = "{model}" }}]
"""
"""Enough for commands: where the data is, and which model there is."""


@contextlib.contextmanager
def entente(
    folder: Path,
    unary: int,
    stream: int,
    durability: str,
    *,
    more: str = "",
    about_unary: str = "",
    about_server: str = "",
    about_ledger: str = "",
) -> Iterator[tuple[Program, Target]]:
    """Run the product in front of two providers, given by their ports, until it has answered.

    `more` is added to the configuration, `about_unary` to what it says of the first provider,
    and so on.
    """
    port = free_port()
    folder.mkdir(exist_ok=True)
    config = folder / "entente.toml"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            unary=unary,
            stream=stream,
            durability=durability,
            model=MODEL,
            messages_model=MESSAGES_MODEL,
            stream_model=STREAM_MODEL,
            about_unary=about_unary,
            about_server=about_server,
            about_ledger=about_ledger,
        )
        + more
    )
    command = [_program(), "serve", "--config", str(config)]
    with running(command, folder / "entente.log", {"ENTENTE_ADMIN_KEY": KEY}) as program:
        target = Target(port)
        until_answered(target, chat_body(0), READY_S, program.check)
        yield program, target


def command(folder: Path, *arguments: str) -> None:
    """Run a command on the data of a product that runs in `folder`, or will. Exits if it fails."""
    settings = folder / "commands.toml"
    settings.write_text(_COMMANDS.format(folder=folder, model=MODEL))
    line = [_program(), *arguments, "--config", str(settings)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")


def verify(folder: Path) -> str:
    """Verify the ledger of a product that has stopped; give the command's words.

    Exits if it does not verify: nothing that was measured counts then.
    """
    command = [_program(), "ledger", "verify", "--config", str(folder / "entente.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=VERIFY_S)
    if done.returncode:
        sys.exit(f"The ledger does not verify:\n{done.stdout}{done.stderr}")
    return " ".join(done.stdout.split())


def version() -> str:
    """Give the product's version."""
    return metadata.version("entente")


def install_bytes() -> int:
    """Add up the files of the core: the product and what it needs, without extras."""
    total = sum(
        path.stat().st_size
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix not in NOT_CORE
    )
    for name in _closure("entente") - {"entente"}:
        files = metadata.distribution(name).files or []
        paths = [Path(str(file.locate())) for file in files]
        total += sum(path.stat().st_size for path in paths if path.is_file())
    return total


def _closure(name: str) -> set[str]:
    """Give the names of a distribution and of all that it needs here without extras."""
    found: set[str] = set()
    line = [name]
    while line:
        current = line.pop()
        if current in found:
            continue
        try:
            requires = metadata.requires(current) or []
        except metadata.PackageNotFoundError:  # needed elsewhere: on another system or Python
            continue
        found.add(current)
        line += [
            match[0].lower().replace("_", "-")
            for text in requires
            if "extra ==" not in text and (match := re.match(r"[\w.-]+", text))
        ]
    return found


def _program() -> str:
    """Give the path of the command."""
    return str(Path(sys.executable).with_name("entente"))
