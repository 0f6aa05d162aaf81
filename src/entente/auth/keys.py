"""Making keys and finding who presents one.

A key is 256 random bits, so one SHA-256 is all the hashing it needs: there is nothing
to guess from its digest. Only the digest is kept, and it is no use as a key, because
what is presented is always hashed first.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection

    from entente.domain.ids import NowNs
    from entente.domain.principal import Principal

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many unpredictable bytes, as `secrets.token_bytes` does."""

KEY_PREFIX: Final = "sk-ent-"
KEY_ENTROPY_BYTES: Final = 32
HINT_HEAD_CHARS: Final = 3
HINT_TAIL_CHARS: Final = 4
HINT_SHOWN_FRACTION: Final = 4
"""A hint shows at most one character in this many of a key made elsewhere."""
NO_ENDS: Final[Mapping[bytes, int]] = MappingProxyType({})


def new_secret(token_bytes: Entropy) -> Secret:
    """Make a key: `sk-ent-` and 43 URL-safe characters, 256 bits."""
    random = urlsafe_b64encode(token_bytes(KEY_ENTROPY_BYTES)).rstrip(b"=").decode()
    return Secret(KEY_PREFIX + random)


def digest_of(presented: bytes) -> bytes:
    """Give the 32 bytes that a key is kept and found by."""
    return sha256(presented).digest()


def hint_of(secret: Secret) -> str:
    """Give the ends of a key to recognise it by: `sk-ent-abc***wxyz`.

    Of a key in another form at most a quarter is shown.
    """
    value = secret.reveal()
    if value.startswith(KEY_PREFIX) and len(value) > len(KEY_PREFIX) + KEY_ENTROPY_BYTES:
        head = len(KEY_PREFIX) + HINT_HEAD_CHARS
        return f"{value[:head]}***{value[-HINT_TAIL_CHARS:]}"
    shown = min(len(value) // HINT_SHOWN_FRACTION // 2, HINT_TAIL_CHARS)
    return f"{value[:shown]}***{value[len(value) - shown :]}"


class KeyRing:
    """All valid keys at one moment; never changed, only replaced by a newer one.

    Two rings of the same `generation` hold the same keys, unless some were left out.
    """

    __slots__ = ("_ends", "_named", "_now_ns", "_principals", "generation")

    def __init__(
        self,
        principals: Mapping[bytes, Principal],
        generation: int,
        ends: Mapping[bytes, int] = NO_ENDS,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        """Take principals by digest, and when those digests end that do so by themselves."""
        self._principals = dict(principals)
        self._named = _by_name(self._principals.values())
        self._ends = dict(ends)
        self._now_ns = now_ns
        self.generation = generation

    def __len__(self) -> int:
        """Count the keys that are not revoked."""
        return len(self._principals)

    def find(self, presented: bytes) -> Principal | None:
        """Give who presents this key, None if no valid key reads so. O(1)."""
        digest = sha256(presented).digest()
        if self._ends and self._has_passed(self._ends.get(digest)):
            return None
        return self._principals.get(digest)

    def named(self, handle: str) -> Principal | None:
        """Give the holder of the key with this id or name; None for a name of several. O(1)."""
        who = self._named.get(handle)
        return None if who is None or self._has_passed(who.expires_ns) else who

    def without(self, keys: Collection[str]) -> KeyRing:
        """Leave out the keys of these ids."""
        if not keys:
            return self
        kept = {d: who for d, who in self._principals.items() if who.key_id not in keys}
        return KeyRing(kept, self.generation, self._ends, self._now_ns)

    def _has_passed(self, end_ns: int | None) -> bool:
        """Say whether an end has come."""
        return end_ns is not None and end_ns <= self._now_ns()


def _by_name(principals: Collection[Principal]) -> dict[str, Principal]:
    """Index principals by what they can be called without doubt: an id goes before a name."""
    keys = {who.key_id: who for who in principals}  # a rotated key has two digests
    times = Counter(who.name for who in keys.values())
    return {who.name: who for who in keys.values() if times[who.name] == 1} | keys
