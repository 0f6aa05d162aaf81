"""A client's headers that may go on to a provider of its own dialect. Pure.

An allow-list by name: everything else, credentials first of all, stays here. A value is one
line of visible text within a bound; what is none is not carried.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

VALUE_BYTES_MAX: Final = 1024
"""Of all lines with one name together."""
BETAS: Final = b"anthropic-beta"
VERSION: Final = b"anthropic-version"
CLIENT_ID: Final = b"x-ms-client-request-id"
TAGS: Final = b"entente-tags"
"""For us alone; whoever takes it reads it, whatever it says."""

ANTHROPICS: Final = (VERSION, BETAS)
"""What Messages are sent with."""
OPENAIS: Final = (b"openai-beta",)
"""What chat completions and responses are sent with."""
CARRIED: Final = frozenset({*ANTHROPICS, *OPENAIS, CLIENT_ID, TAGS})
"""All that is taken off a request: for a provider, for us, or to be given back to the client."""

_FORMS: Final[Mapping[bytes, re.Pattern[bytes]]] = {
    VERSION: re.compile(rb"\d{4}-\d{2}-\d{2}"),
    BETAS: re.compile(rb"[\w.-]+(?: *, *[\w.-]+)*", re.ASCII),
    b"openai-beta": re.compile(rb"[\w.=-]+(?: *, *[\w.=-]+)*", re.ASCII),
    CLIENT_ID: re.compile(rb"[\x21-\x7e]+(?: [\x21-\x7e]+)*"),
}

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


def carried(headers: Headers) -> dict[bytes, bytes]:
    """Take what may be carried off a request, by lower-case name; mostly that is nothing."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in CARRIED:
            found[name] = b"%b,%b" % (found[name], value) if name in found else value
    if not found:
        return found
    return {name: value for name, value in found.items() if _is_fit(name, value)}


def chosen(
    carried: Mapping[bytes, bytes], names: Collection[bytes]
) -> tuple[tuple[bytes, bytes], ...]:
    """Give those of the carried headers with these names."""
    return tuple((name, carried[name]) for name in names if name in carried)


def _is_fit(name: bytes, value: bytes) -> bool:
    if name == TAGS:
        return True
    return len(value) <= VALUE_BYTES_MAX and _FORMS[name].fullmatch(value) is not None
