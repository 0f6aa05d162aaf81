"""The keys that an issuer has published, fetched from its address and kept.

They are fetched when they are needed first, again beside the requests once they are
`REFRESH_S` old, and again when a token names a key that is not among them, but never more
than once in `ASKED_AGAIN_S`, whatever tokens come. All who wait share one fetch. While
the issuer cannot be reached the keys that are there go on being used, for `KEPT_S` at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import base64_to_int

from entente.auth.issuers import may_ask
from entente.auth.jwt import KEY_TYPES, KID_CHARS_MAX, SigningKey
from entente.domain.errors import (
    ConfigError,
    IssuerUnavailable,
    UpstreamError,
    UpstreamProtocolError,
)
from entente.net import Client, Timeouts

ASKED_AGAIN_S: Final = 60.0
RETRY_S: Final = 5.0
"""How long after a fetch that failed the next one is tried, while there are no keys at all."""
REFRESH_S: Final = 3600.0
KEPT_S: Final = 24 * 3600.0
ANSWER_BYTES_MAX: Final = 512 * 1024
KEYS_MAX: Final = 100
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
RSA_EXPONENT_BITS_MAX: Final = 64
MEMBER_CHARS_MAX: Final = 2048
TIMEOUTS: Final = Timeouts(connect_s=5.0, first_byte_s=5.0, idle_s=5.0, total_s=10.0)

Connect: TypeAlias = Callable[[str], Client]
"""Makes a client of an origin, such as `https://login.microsoftonline.com`."""
KeySet: TypeAlias = Mapping[str, tuple[SigningKey, ...]]
"""Keys by `kid`; two may have the same."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_HEADERS: Final = (
    b"accept: application/json\r\naccept-encoding: identity\r\nuser-agent: entente\r\n"
)
_CURVES: Final = frozenset({"P-256", "P-384", "P-521"})
_HTTP_OK: Final = 200
_log: Final = logging.getLogger("entente.auth")


class _Discovered(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _Set(msgspec.Struct):
    keys: list[msgspec.Raw]


class _Jwk(msgspec.Struct):
    """A JSON Web Key: what a public key needs, and whom and what it is for."""

    kty: str
    kid: str
    use: str = "sig"
    key_ops: list[str] | None = None
    alg: str | None = None
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""
    issuer: str | None = None


_discovered_decoder = msgspec.json.Decoder(_Discovered)
_set_decoder = msgspec.json.Decoder(_Set)
_jwk_decoder = msgspec.json.Decoder(_Jwk)


def read_keys(body: bytes) -> KeySet:
    """Read a JSON Web Key Set. Keys that cannot check signatures of ours are left out.

    Raises UpstreamProtocolError for what is no set, has too many keys, or none of use.
    """
    try:
        listed = _set_decoder.decode(body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamProtocolError("It is not a set of keys.") from None
    if len(listed) > KEYS_MAX:
        raise UpstreamProtocolError(f"It has more than {KEYS_MAX} keys.")
    found: dict[str, tuple[SigningKey, ...]] = {}
    for raw in listed:
        read = _read_key(raw)
        if read is not None:
            kid, key = read
            found[kid] = (*found.get(kid, ()), key)
    if not found:
        raise UpstreamProtocolError("It has no key that can be used.")
    return found


def _read_key(raw: msgspec.Raw) -> tuple[str, SigningKey] | None:
    """Read one key, only its public parts; None for what is of no use here."""
    try:
        jwk = _jwk_decoder.decode(raw)
        if not _is_of_use(jwk):
            return None
        key: RSAKey | ECKey
        published: tuple[str, ...]
        if jwk.kty == "RSA":
            published = (jwk.kty, jwk.n, jwk.e)
            if not RSA_BITS_MIN <= base64_to_int(jwk.n).bit_length() <= RSA_BITS_MAX:
                return None
            if base64_to_int(jwk.e).bit_length() > RSA_EXPONENT_BITS_MAX:
                return None
            key = RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e})
        else:
            published = (jwk.kty, jwk.crv, jwk.x, jwk.y)
            key = ECKey.import_key({"kty": "EC", "crv": jwk.crv, "x": jwk.x, "y": jwk.y})
    except (msgspec.DecodeError, UnicodeError, RecursionError, JoseError, ValueError):
        return None
    return jwk.kid, SigningKey(key, published, jwk.alg, jwk.issuer)


def _is_of_use(jwk: _Jwk) -> bool:
    """Say whether a key is for checking signatures of a kind that is accepted."""
    if not 0 < len(jwk.kid) <= KID_CHARS_MAX or jwk.use != "sig":
        return False
    if jwk.key_ops is not None and "verify" not in jwk.key_ops:
        return False
    if jwk.alg is not None and KEY_TYPES.get(jwk.alg) != jwk.kty:
        return False
    if any(len(part) > MEMBER_CHARS_MAX for part in (jwk.n, jwk.e, jwk.x, jwk.y)):
        return False
    return jwk.kty == "RSA" or (jwk.kty == "EC" and jwk.crv in _CURVES)


class KeySource:
    """The keys of one issuer. `generation` grows whenever others are published."""

    def __init__(
        self,
        name: str,
        issuer: str,
        jwks_uri: str | None,
        *,
        connect: Connect,
        elapsed_s: Callable[[], float],
    ) -> None:
        """Take the issuer's address; without `jwks_uri` its discovery document names it.

        `elapsed_s` is a clock that only goes forward, in seconds.
        """
        self._name = name
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._connect = connect
        self._elapsed_s = elapsed_s
        self._keys: KeySet | None = None
        self._fetched_at_s = float("-inf")
        self._next_at_s = float("-inf")
        self._failed = False
        self._task: asyncio.Task[None] | None = None
        self.generation = 0

    async def keys(self, kid: str) -> tuple[SigningKey, ...]:
        """Give the keys that are published as `kid`, none if there are none.

        Raises IssuerUnavailable when that cannot be said.
        """
        now_s = self._elapsed_s()
        if self._keys is not None and now_s >= self._fetched_at_s + KEPT_S:
            self._keys = None
        known = self._keys is not None and kid in self._keys
        is_due = not known or now_s >= self._fetched_at_s + REFRESH_S
        if is_due and self._task is None and now_s >= self._next_at_s:
            self._task = asyncio.get_running_loop().create_task(self._refresh())
        task = self._task
        if not known and task is not None:
            await asyncio.wait((task,))
            if not task.cancelled():
                task.result()
        found = None if self._keys is None else self._keys.get(kid)
        if found is None and (self._keys is None or self._failed):
            message = (
                f"The keys of the token issuer `{self._name}` cannot be fetched now. "
                "Try again in a moment."
            )
            raise IssuerUnavailable(message)
        return found or ()

    async def aclose(self) -> None:
        """Stop fetching."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def _refresh(self) -> None:
        """Fetch the keys once, or note that it failed."""
        asked_at_s = self._elapsed_s()
        try:
            keys = read_keys(await self._get(self._jwks_uri or await self._discover()))
        except (UpstreamError, ConfigError) as error:
            _log.warning("the keys of the issuer %s cannot be had: %s", self._name, error.message)
            self._failed = True
        else:
            if _published(keys) != _published(self._keys or {}):
                self.generation += 1
            self._keys, self._fetched_at_s, self._failed = keys, asked_at_s, False
        finally:
            wait_s = RETRY_S if self._keys is None else ASKED_AGAIN_S
            self._next_at_s = asked_at_s + wait_s
            self._task = None

    async def _discover(self) -> str:
        """Give the address of the keys, as the issuer's own document names it."""
        body = await self._get(self._issuer.rstrip("/") + _DISCOVERY)
        try:
            found = _discovered_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamProtocolError("Its discovery document cannot be read.") from None
        if found.issuer != self._issuer:
            raise UpstreamProtocolError("Its discovery document is of another issuer.")
        is_by_tls = found.jwks_uri.startswith("https:") or self._issuer.startswith("http:")
        if not may_ask(found.jwks_uri) or not is_by_tls:
            raise UpstreamProtocolError("The address of its keys cannot be used.")
        return found.jwks_uri

    async def _get(self, uri: str) -> bytes:
        """Fetch a document by a client of its own: it is asked for too seldom to keep one."""
        parts = urlsplit(uri)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        client = self._connect(f"{parts.scheme}://{parts.netloc}")
        try:
            answer = await client.request(b"GET", target.encode(), _HEADERS, timeouts=TIMEOUTS)
            if answer.status != _HTTP_OK:
                raise UpstreamProtocolError(f"{parts.hostname} answered {answer.status}.")
            return await answer.read(ANSWER_BYTES_MAX)
        finally:
            await client.aclose()


def _published(keys: KeySet) -> frozenset[tuple[object, ...]]:
    """Give what a set of keys says, to compare it with another."""
    return frozenset(
        (kid, key.published, key.algorithm, key.issuer) for kid in keys for key in keys[kid]
    )
