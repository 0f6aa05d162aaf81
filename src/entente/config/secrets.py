"""Secrets by reference: `"env:NAME"` or `"file:PATH"`, resolved once, at load.

A literal is refused so that a configuration file can be shown, copied and committed.
No message repeats what stands where a reference should: it may be the secret itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET_BYTES_MAX: Final = 64 * 1024

_ENV: Final = "env:"
_FILE: Final = "file:"
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")


def resolve(reference: object, environ: Mapping[str, str], folder: Path) -> Secret:
    """Fetch what `reference` names; relative paths start at `folder`.

    Raises ValueError with what is wrong and what to do, never with the value.
    """
    if isinstance(reference, str) and reference.startswith(_ENV):
        return _checked(*_from_env(reference.removeprefix(_ENV), environ))
    if isinstance(reference, str) and reference.startswith(_FILE):
        return _checked(*_from_file(folder / reference.removeprefix(_FILE)))
    message = (
        'a secret must be a reference, "env:NAME" or "file:PATH", so that it does not stand '
        "in this file: put the value in an environment variable or a file of its own"
    )
    raise ValueError(message)


def text_or_reference(value: object, environ: Mapping[str, str], folder: Path) -> Secret:
    """Fetch what may stand in the settings as it is, too, though a part of it be secret.

    Raises ValueError, never with the value.
    """
    if not isinstance(value, str) or value.startswith((_ENV, _FILE)):
        return resolve(value, environ, folder)
    return _checked(value, "this text")


def _from_env(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Give the value of a variable and words for where it came from."""
    if not _ENV_NAME.fullmatch(name):
        message = (
            'what follows "env:" is not the name of an environment variable: use letters, '
            'digits and "_", as in "env:OPENAI_API_KEY"'
        )
        raise ValueError(message)
    value = environ.get(name, "")
    if not value.strip():
        state = "empty" if name in environ else "not set"
        message = (
            f"the environment variable {name} is {state}: run `export {name}=…` before "
            "starting entente"
        )
        raise ValueError(message)
    return value, f"the environment variable {name}"


def _from_file(path: Path) -> tuple[str, str]:
    """Give a file's text and words for where it came from."""
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        message = (
            f"the file {path} cannot be read ({error.strerror}): create it with the secret as "
            "its only content, readable by this user"
        )
        raise ValueError(message) from error
    if len(content) > SECRET_BYTES_MAX:
        message = f"the file {path} is larger than {SECRET_BYTES_MAX} bytes: is it the right one?"
        raise ValueError(message)
    try:
        value = content.decode("ascii")
    except UnicodeDecodeError:
        value = "\0"
    if not value.strip():
        message = f"the file {path} is empty: write the secret into it"
        raise ValueError(message)
    return value, f"the file {path}"


def _checked(value: str, source: str) -> Secret:
    """Refuse what could not be sent in a header; spaces at the ends are dropped."""
    bare = value.strip()
    if not _HEADER_SAFE.fullmatch(bare):
        message = (
            f"{source} holds spaces, line breaks or characters that no key has: store the "
            "secret alone, on one line"
        )
        raise ValueError(message)
    return Secret(bare)
