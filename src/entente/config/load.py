"""Finding the file, reading it, and saying everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from msgspec import inspect, structs

from entente.config.kinds import KINDS
from entente.config.model import DATA_DIR_DEFAULT, Config
from entente.config.problems import Problem, Problems
from entente.config.read import Reader
from entente.config.rules import check as check_rules
from entente.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_NAME: Final = "entente.toml"
CONFIG_BYTES_MAX: Final = 4 * 1024 * 1024

_SYNTAX_LINE: Final = re.compile(r"\s*\(at line (\d+), column \d+\)$")


class ConfigProblems(ConfigError):
    """A file with one problem or more; `problems` has them one by one."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Put one problem on each line of the message."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def find(explicit: Path | None, folder: Path) -> Path | None:
    """Give the file to read: the one named, else `entente.toml` in `folder`, else none."""
    if explicit is not None:
        return explicit
    usual = folder / CONFIG_NAME
    return usual if usual.is_file() else None


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the settings from `path`; None gives the built-in model with all defaults.

    Relative paths in the file start at the file's own folder. Raises ConfigProblems, a
    ConfigError, with every problem that was found.
    """
    if path is None:
        return Config()
    text = _text(path)
    document = _document(path, text)
    problems = Problems(str(path), text)
    described = inspect.type_info(Config)
    # Every section has a default, so the whole is readable even where a part is not.
    config = cast("Config", Reader(problems, environ, path.parent).read(described, document, ()))
    check_rules(config, document, problems)
    found = problems.found()
    if found:
        raise ConfigProblems(found)
    return _located(_beside(path, config))


def _located(config: Config) -> Config:
    """Give each provider that has no `base_url` the one of its kind or preset."""
    providers = {
        name: structs.replace(
            provider, base_url=provider.base_url or KINDS[provider.kind].base_url(provider)
        )
        for name, provider in config.providers.items()
    }
    return structs.replace(config, providers=MappingProxyType(providers))


def _beside(path: Path, config: Config) -> Config:
    """Put the default data folder beside the file, where a written one would be."""
    if config.server.data_dir is not DATA_DIR_DEFAULT:
        return config
    server = structs.replace(config.server, data_dir=path.parent / DATA_DIR_DEFAULT)
    return structs.replace(config, server=server)


def _fail(path: Path, line: int | None, text: str) -> ConfigProblems:
    return ConfigProblems((Problem(file=str(path), line=line, setting="", text=text),))


def _text(path: Path) -> str:
    """Read the file, within its bound. Raises ConfigProblems."""
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        text = f"cannot be read ({error.strerror}): check the path given to --config"
        raise _fail(path, None, text) from error
    if len(content) > CONFIG_BYTES_MAX:
        text = f"is larger than {CONFIG_BYTES_MAX} bytes: is it the right file?"
        raise _fail(path, None, text)
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fail(path, line, "is not UTF-8 text: save it as UTF-8") from error


def _document(path: Path, text: str) -> dict[str, object]:
    """Parse the text. Raises ConfigProblems with the line of the syntax error."""
    try:
        return tomllib.loads(text)
    # Besides its own error, which is a ValueError, the parser lets two of Python's bounds
    # through: digits in a whole number, and depth.
    except (ValueError, RecursionError) as error:
        said = str(error)
        place = _SYNTAX_LINE.search(said)
        line = int(place[1]) if place else text.count("\n") + 1
        reason = _SYNTAX_LINE.sub("", said).removesuffix(" (at end of document)")
        raise _fail(
            path, line, f"this is not valid TOML: {reason}. Correct the line, or quote the value"
        ) from error
