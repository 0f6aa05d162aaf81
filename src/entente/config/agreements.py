"""Where the files of an agreement are read: in one folder, and never outside of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from entente.agreement.load import Book, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.config.model import Config, Traits

FACTS_NAME: Final = "agreement-facts.jsonl"
"""In the data folder: what has been attested, and facts that the ledger does not have."""
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One byte more is read, so that a larger file is refused by who parses it."""


class Folder:
    """The files of a document; `entente.agreement.load.Source`."""

    def __init__(self, folder: Path) -> None:
        """Take the document's folder."""
        self._folder = folder

    def read(self, name: str) -> bytes:
        """Give a file's content. Raises FileNotFoundError with a sentence.

        A link that leads out of the folder is no file of the document.
        """
        path = self._folder / name
        if not path.resolve().is_relative_to(self._folder.resolve()):
            message = f"{path} is outside of the document's folder: move it in"
            raise FileNotFoundError(message)
        try:
            with path.open("rb") as file:
                return file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError as error:
            message = f"there is no file {path}: check the path"
            raise FileNotFoundError(message) from error
        except OSError as error:
            message = f"{path} cannot be read ({error.strerror}): check the path"
            raise FileNotFoundError(message) from error

    def shown(self, name: str) -> str:
        """Write a file's path as people would reach it from where they are."""
        return str(self._folder / name)


def load_agreement(
    path: Path, *, scenario: str | None = None, values: Mapping[str, object] | None = None
) -> Book:
    """Read an agreement from its main file. Raises AgreementProblems, a ConfigError."""
    return load(Folder(path.parent), path.name, scenario=scenario, values=values)


def facts_path(config: Config) -> Path:
    """Give where facts are kept."""
    return config.server.data_dir / FACTS_NAME


def traits_of(config: Config) -> dict[str, Mapping[str, Traits]]:
    """Give what the settings say of models, providers, projects and keys.

    Where several speak of one attribute, the last of these counts.
    """
    stated = config.agreement
    return {
        "model": {name: each.attributes for name, each in config.models.items()},
        "provider": {name: each.attributes for name, each in config.providers.items()},
        "project": {} if stated is None else stated.projects,
        "key": {} if stated is None else stated.keys,
    }
