"""Bearer tokens of configured issuers, as Entra ID issues them, and whom they stand for.

A token stands for one of our keys, whose budget, limits and models it uses; which one, the
configuration says by the token's claims. A token that was valid is known by its digest
until it ends, so that a request costs a look-up; the key is looked up each time, so that a
key that is revoked is revoked for its tokens as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from entente.auth.issuers import Issuer
from entente.auth.jwks import Connect, KeySource
from entente.auth.jwt import Refused, looks_like_jwt, read, verify
from entente.domain.principal import Principal

__all__ = ["KNOWN_MAX", "KNOWN_S_MAX", "IssuerSource", "TokenVerifier", "looks_like_jwt"]

KNOWN_MAX: Final = 16_384
"""Tokens known at once, some 300 bytes each; beyond it the oldest is checked again."""
KNOWN_S_MAX: Final = 3600.0
"""How long a token is believed before it is checked again, however long it lives."""

_log: Final = logging.getLogger("entente.auth")


class IssuerSource(msgspec.Struct, frozen=True):
    """An issuer, and where its keys come from."""

    issuer: Issuer
    connect: Connect
    jwks_uri: str | None = None
    """None leaves it to the issuer's discovery document."""


class _Known(msgspec.Struct, frozen=True):
    """A token that was valid: for whom, until when, and by which keys."""

    key: str
    until_s: float
    source: KeySource
    generation: int


class TokenVerifier:
    """Finds whom a bearer token stands for."""

    def __init__(
        self,
        sources: Iterable[IssuerSource],
        *,
        named: Callable[[str], Principal | None],
        elapsed_s: Callable[[], float],
    ) -> None:
        """Take the issuers, each with another address.

        `named` gives the holder of one of our keys by its name or id, None if there is no
        such key now. `elapsed_s` is a clock that only goes forward, in seconds.
        """
        self._named = named
        self._known: dict[bytes, _Known] = {}
        self._issuers = {
            each.issuer.issuer: (
                each.issuer,
                KeySource(
                    each.issuer.name,
                    each.issuer.issuer,
                    each.jwks_uri,
                    connect=each.connect,
                    elapsed_s=elapsed_s,
                ),
            )
            for each in sources
        }

    async def find(self, token: bytes, now_s: float) -> Principal | None:
        """Give who presents a token at `now_s`, seconds since 1970; None if it is not valid.

        Raises IssuerUnavailable when the issuer's keys cannot be had.
        """
        digest = sha256(token).digest()
        known = self._known.get(digest)
        if known is not None:
            if now_s < known.until_s and known.generation == known.source.generation:
                return self._named(known.key)
            del self._known[digest]
        try:
            key = await self._verify(token, digest, now_s)
        except Refused as refused:
            # For whoever looks into a refusal; no word of it comes from the token.
            _log.debug("a bearer token is refused: it %s", refused)
            return None
        return self._named(key)

    async def aclose(self) -> None:
        """Stop fetching keys."""
        for _, source in self._issuers.values():
            await source.aclose()

    async def _verify(self, token: bytes, digest: bytes, now_s: float) -> str:
        """Check a token that is not known, and know it from now on. Raises Refused."""
        unproven = read(token)
        found = self._issuers.get(unproven.issuer)
        if found is None:
            raise Refused("is of an issuer that is not configured")
        issuer, source = found
        keys = await source.keys(unproven.kid)
        key, ends_s = verify(unproven, keys, issuer, now_s)
        while len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        until_s = min(ends_s, now_s + KNOWN_S_MAX)
        self._known[digest] = _Known(key, until_s, source, source.generation)
        return key
