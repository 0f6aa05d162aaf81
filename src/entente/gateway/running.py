"""What is being served, by the key that it is served for; and its end when that key ends.

A key that is revoked is refused from then on; what began before is cut here: requests of
clients, responses in the background, lines of batches. Each says itself what that means. To
the provider it is what a client that has left is: drained within a bound for its usage, and
settled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from entente.domain.errors import EntenteError, InvalidKey

REVOKED: Final = "The key of this request was revoked while it was being served."

T = TypeVar("T")


class Running:
    """Everything that runs for some key, of one process."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        """Start with nothing."""
        self._by_key: dict[str, dict[Any, Callable[[Any, EntenteError], None]]] = {}

    def begin(self, key: str, what: T, cut: Callable[[T, EntenteError], None]) -> None:
        """Note that something runs for a key; `cut` ends it, and must not wait for anything."""
        self._by_key.setdefault(key, {})[what] = cut

    def end(self, key: str, what: object) -> None:
        """Note that something has ended."""
        running = self._by_key.get(key)
        if running is not None:
            running.pop(what, None)
            if not running:
                del self._by_key[key]

    def keep(self, is_valid: Callable[[str], bool]) -> None:
        """Cut what runs for keys that are not valid any more."""
        ended = [key for key in self._by_key if not is_valid(key)]
        for key in ended:
            for what, cut in self._by_key.pop(key).items():
                cut(what, InvalidKey(REVOKED))
