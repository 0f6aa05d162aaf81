"""What a request was, and whom it is put down to: what usage is grouped by."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.chat import Surface
from entente.domain.principal import DEFAULT_PROJECT

END_USER_CHARS_MAX: Final = 256
"""A longer name of an end user is cut off there."""
TAGS_MAX: Final = 16
TAG_CHARS_MAX: Final = 64
UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a request came from. What is usual is not written down."""

    api: str = Surface.CHAT.value
    """The surface that was called, as `Surface` names it."""
    project: str = DEFAULT_PROJECT
    """Of the key."""
    user: str = ""
    """Whom the key was given to."""
    end_user: str = ""
    """Whom the client served, in its own words."""
    tags: tuple[str, ...] = ()
    """Of the key and of the request, in alphabetical order, each once."""
    service_tier: str = ""
    """What the client asked for, where it did."""
    is_batch: bool = False
    size: str = ""
    """Of the pictures that were asked for, where that was said."""


USUAL: Final = Origin()
"""A conversation in the default project of which nothing else is known."""


def plain(text: str) -> str:
    """Write a text as any database can hold it: without the zeros that a client may send."""
    return text.replace("\0", UNKNOWN)
