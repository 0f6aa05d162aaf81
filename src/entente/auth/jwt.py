"""What a bearer token says, and whether it may be believed. Keys and time are given. Pure.

A JSON Web Token is read strictly: one algorithm of a list, names said once, a bounded
size, nothing that we would have to understand and do not. Keys come from the issuer's own
address alone; what a token says about keys (`jku`, `jwk`, `x5u`, `x5c`) is not looked at,
and its `kid` is only compared. Signatures are checked by joserfc.

Source: RFC 7515, 7519 and 8725, and the access tokens of the Microsoft identity platform.
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from typing import Any, Final, Never, TypeAlias

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from entente.auth.issuers import Issuer

TOKEN_BYTES_MAX: Final = 16 * 1024
HEADER_BYTES_MAX: Final = 8 * 1024
SIGNATURE_BYTES_MAX: Final = 2 * 1024
KID_CHARS_MAX: Final = 256
LEEWAY_S: Final = 60.0
"""How far the issuer's clock and ours may be apart."""

KEY_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
}
"""The algorithms that are accepted, each with the kind of key it takes. None of them is
symmetric: what is published can be used to check a signature, never to make one."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_FORM: Final = re.compile(rb"(e[wy][A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_TENANT: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_Object: TypeAlias = dict[str, Any]


class SigningKey(msgspec.Struct, frozen=True):
    """A key that an issuer has published. `published` are its parts as they were given."""

    key: RSAKey | ECKey
    published: tuple[str, ...]
    algorithm: str | None = None
    """The one algorithm that it is for; None for all that fit its kind."""
    issuer: str | None = None
    """Whose tokens it may sign, where one address has the keys of many issuers."""


class Unproven(msgspec.Struct, frozen=True):
    """A token that has been read and not been checked. Only where to look is taken from it."""

    token: bytes
    algorithm: str
    kid: str
    issuer: str


class Refused(ValueError):
    """A token is not valid. Says why in words of ours, and nothing of the token."""


def looks_like_jwt(presented: bytes) -> bool:
    """Say whether a bearer value has the form of a JSON Web Token; our keys do not."""
    return presented.count(b".") == 2 and _FORM.fullmatch(presented) is not None  # noqa: PLR2004


def read(token: bytes) -> Unproven:
    """Read a token as far as finding its issuer's key needs. Raises Refused."""
    if len(token) > TOKEN_BYTES_MAX:
        _refuse("is too long")
    parts = _FORM.fullmatch(token)
    if parts is None:
        _refuse("is not in compact form")
    header = _object(_decoded(parts[1]))
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        _refuse("is signed in a way that is not accepted")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARS_MAX:
        _refuse("does not name its key")
    if header.keys() & {"crit", "b64", "zip"}:
        _refuse("needs what is not supported")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        _refuse("is of another type")
    issuer = _object(_decoded(parts[2])).get("iss")
    if not isinstance(issuer, str):
        _refuse("has no issuer")
    return Unproven(token, algorithm, kid, issuer)


def verify(
    unproven: Unproven, keys: Sequence[SigningKey], issuer: Issuer, now_s: float
) -> tuple[str, float]:
    """Check a token; give the name or id of our key, and when the token ends.

    `keys` are those that the issuer has published under the token's `kid`; times are
    seconds since 1970, and the end has the leeway in it. Raises Refused.
    """
    claims = _object(_signed(unproven, keys, issuer))
    if claims.get("iss") != issuer.issuer:
        _refuse("is of another issuer")
    _check_tenant(claims, issuer.issuer)
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in issuer.audiences for one in named):
        _refuse("is for another audience")
    expires_s = _moment(claims, "exp")
    if expires_s is None or now_s >= expires_s + LEEWAY_S:
        _refuse("has expired, or never does")
    not_before_s = _moment(claims, "nbf")
    if not_before_s is not None and now_s < not_before_s - LEEWAY_S:
        _refuse("is not valid yet")
    for subject in issuer.subjects:
        said = claims.get(subject.claim)
        if said == subject.value or (isinstance(said, list) and subject.value in said):
            return subject.key, expires_s + LEEWAY_S
    return _refuse("stands for none of the issuer's subjects")


class _Registry(jws.JWSRegistry):
    """What joserfc may accept: one algorithm, any names in the header, and these sizes."""

    max_header_length = HEADER_BYTES_MAX
    max_signature_length = SIGNATURE_BYTES_MAX


_REGISTRIES: Final = {
    name: _Registry(algorithms=[name], strict_check_header=False) for name in KEY_TYPES
}


def _signed(unproven: Unproven, keys: Sequence[SigningKey], issuer: Issuer) -> bytes:
    """Give what one of the keys has signed."""
    for key in keys:
        if key.key.key_type != KEY_TYPES[unproven.algorithm]:
            continue
        if key.algorithm not in {None, unproven.algorithm} or not _may_sign(key, issuer.issuer):
            continue
        try:
            found = jws.deserialize_compact(
                unproven.token, key.key, registry=_REGISTRIES[unproven.algorithm]
            )
        except (JoseError, ValueError):
            continue
        return found.payload
    return _refuse("is signed by no key of its issuer")


def _may_sign(key: SigningKey, issuer: str) -> bool:
    """Say whether a key may sign for an issuer.

    Entra publishes the keys of all its tenants together, each with whom it is for: one
    tenant, or `{tenantid}` for any. A key of another tenant must not sign for this one.
    """
    if key.issuer is None or key.issuer == issuer:
        return True
    own = _TENANT.search(key.issuer)
    if own is None:
        return "{tenantid}" in key.issuer
    tenant = _TENANT.search(issuer)
    return tenant is not None and tenant[0].lower() == own[0].lower()


def _check_tenant(claims: _Object, issuer: str) -> None:
    """Refuse a token whose tenant is not the one in its issuer's address."""
    tenant = _TENANT.search(issuer)
    said = claims.get("tid")
    if tenant is None or said is None:
        return
    if not isinstance(said, str) or said.lower() != tenant[0].lower():
        _refuse("is of another tenant")


def _moment(claims: _Object, name: str) -> float | None:
    """Give a time in seconds since 1970, None where there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("has a time that is no number")
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        _refuse("has a time that is no moment")
    return moment


def _decoded(part: bytes) -> bytes:
    """Decode base64url without padding."""
    try:
        return urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except NotBase64:
        return _refuse("is not in compact form")


def _object(data: bytes) -> _Object:
    """Read a JSON object. The one place that needs to see a name that is said twice."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_constant)
    except Refused:
        raise
    except (ValueError, RecursionError):
        _refuse("does not hold JSON")
    if not isinstance(value, dict):
        _refuse("does not hold an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> _Object:
    """Make an object of pairs whose names differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("says something twice")
    return found


def _constant(_: str) -> Never:
    """Refuse `NaN` and `Infinity`, which Python would read."""
    _refuse("does not hold JSON")


def _refuse(reason: str) -> Never:
    """Refuse a token: it `reason`."""
    raise Refused(reason)
