"""Short-lived keys for one kind of session, made for a browser that must not have a real one.

They are ours, not the provider's: one stands for the key that made it, may open sessions of
one model with one configuration, and ends with that key at the latest. Only its digest is
kept, as of every key; the object that it names is bound to the project like any other.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Final

import msgspec

from entente.auth.keys import KEY_ENTROPY_BYTES, Entropy, digest_of
from entente.domain.ids import Ids, NowNs
from entente.domain.principal import Principal
from entente.domain.secret import Secret
from entente.objects import Objects, StoredObject, Wanted

PREFIX: Final = "ek_"
KIND: Final = "realtime.client_secret"
NS_PER_S: Final = 1_000_000_000


class SessionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is bound to. `session` is its configuration, as JSON."""

    model: str
    session: msgspec.Raw
    transcribes: bool = False
    beta: bool = False
    """The configuration has the form of the interface's beta."""


class SessionKey(msgspec.Struct, frozen=True):
    """A key that was presented: whose it is, and what it is good for."""

    key: str
    """Id of the key that made it."""
    terms: SessionTerms


class NewSessionKey(msgspec.Struct, frozen=True):
    """A key just made. `secret` is to be shown once and kept nowhere."""

    secret: Secret
    expires_s: int
    """Seconds since 1970."""


class SessionKeys:
    """Makes and finds them; clock, ids and randomness are given."""

    def __init__(self, objects: Objects, *, now_ns: NowNs, ids: Ids, token_bytes: Entropy) -> None:
        """Keep them among `objects`."""
        self._objects = objects
        self._now_ns = now_ns
        self._ids = ids
        self._token_bytes = token_bytes

    async def create(self, who: Principal, terms: SessionTerms, lives_s: int) -> NewSessionKey:
        """Make a key that is good for so many seconds. Raises StorageUnavailable."""
        random = urlsafe_b64encode(self._token_bytes(KEY_ENTROPY_BYTES)).rstrip(b"=").decode()
        secret = Secret(PREFIX + random)
        now_ns = self._now_ns()
        expires_s = now_ns // NS_PER_S + lives_s
        made = StoredObject(
            id=self._ids.new("rtkey"),
            kind=KIND,
            project=who.project,
            key=who.key_id,
            created_ns=now_ns,
            body=msgspec.json.encode(terms),
            model=terms.model,
            state=_state(secret.reveal().encode()),
            expires_ns=expires_s * NS_PER_S,
        )
        await self._objects.create(who, made)
        return NewSessionKey(secret, expires_s)

    async def find(self, presented: bytes) -> SessionKey | None:
        """Give what a presented key is good for, None if it is none or its time is up.

        Raises StorageUnavailable.
        """
        if not presented.startswith(PREFIX.encode()):
            return None
        page = await self._objects.of_all(KIND, Wanted(limit=1, states=(_state(presented),)))
        if not page.found:
            return None
        found = page.found[0]
        return SessionKey(found.key, msgspec.json.decode(found.body, type=SessionTerms))


def _state(presented: bytes) -> str:
    """Give what a key is found by: states have an index."""
    return digest_of(presented).hex()
