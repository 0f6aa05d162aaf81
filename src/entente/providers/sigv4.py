"""AWS Signature Version 4, for a request whose body is at hand. Pure.

    canonical request ─ SHA-256 ─▶ string to sign ─ HMAC with a key of the day ─▶ Authorization

What is signed is what goes over the wire: path and query come percent-encoded, as they stand
in the request line. AWS encodes such a path once more before it signs it (S3 alone does not),
so that a colon in a model's name counts as `%253A`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from entente.domain.secret import Secret

ALGORITHM: Final = "AWS4-HMAC-SHA256"

_TERMINATOR: Final = "aws4_request"
_DATE_CHARS: Final = 8
_PATH_SAFE: Final = "/~"


class AwsCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Whom AWS knows us as; `session_token` comes with temporary credentials only."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class AwsScope(msgspec.Struct, frozen=True):
    """Where a signature is good, such as `us-east-1` and `bedrock`."""

    region: str
    service: str


def sign(
    credentials: AwsCredentials,
    scope: AwsScope,
    *,
    method: str,
    path: str,
    query: str = "",
    headers: Sequence[tuple[str, str]],
    body: bytes,
    at_s: int,
) -> list[tuple[str, str]]:
    """Give the headers to add to a request, the last of them `Authorization`.

    `path` and `query` are percent-encoded, the query without its `?`. `headers` are those to
    be signed, as they will be sent; `host` has to be among them, and none may be changed on
    the way. `at_s` is the wall clock in seconds since 1970; AWS takes a signature for about
    five minutes around it.
    """
    moment = f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%SZ}"
    added = [("x-amz-date", moment)]
    if credentials.session_token is not None:
        added.append(("x-amz-security-token", credentials.session_token.reveal()))
    names, lines = _canonical_headers([*headers, *added])
    request = "\n".join(
        (
            method,
            canonical_path(path),
            _canonical_query(query),
            *lines,
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    day = moment[:_DATE_CHARS]
    where = f"{day}/{scope.region}/{scope.service}/{_TERMINATOR}"
    text = "\n".join((ALGORITHM, moment, where, hashlib.sha256(request.encode()).hexdigest()))
    signature = _hmac(_key(credentials.secret_access_key, day, scope), text).hex()
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{where}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return [*added, ("authorization", authorization)]


def canonical_path(path: str) -> str:
    """Take dot segments and doubled slashes out of a path, and percent-encode it once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in {"", "."}:
            kept.append(segment)
    if not kept:
        return "/"
    end = "/" if path.endswith(("/", "/.", "/..")) else ""
    return quote(f"/{'/'.join(kept)}{end}", safe=_PATH_SAFE)


def _canonical_query(query: str) -> str:
    """Sort a query by name, then value; a name without a value gets its `=`."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))


def _canonical_headers(headers: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """Give the names, joined by semicolons, and the lines: sorted, repeated ones as one."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(values)
    return ";".join(names), [f"{name}:{','.join(values[name])}" for name in names]


def _key(secret: Secret, day: str, scope: AwsScope) -> bytes:
    """Derive the key that signs on one day, in one region, for one service."""
    key = b"AWS4" + secret.reveal().encode()
    for part in (day, scope.region, scope.service, _TERMINATOR):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
