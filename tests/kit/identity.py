"""An issuer of bearer tokens on a socket of its own: keys, discovery, and tokens of all kinds."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from entente.auth.issuers import Issuer, Subject
from entente.domain.principal import Principal, Role
from entente.net import Client, ClientOptions

if TYPE_CHECKING:
    from tests.support.rawserver import Peer

TENANT: Final = "11111111-2222-3333-4444-555555555555"
OTHER_TENANT: Final = "99999999-2222-3333-4444-555555555555"
ISSUER: Final = f"https://login.microsoftonline.com/{TENANT}/v2.0"
AUDIENCE: Final = "https://cognitiveservices.azure.com"
NOW_S: Final = 1_790_000_000.0

CHAT_APP: Final = Principal(key_id="key_1", name="chat-app", role=Role.MEMBER)
TEAM: Final = Principal(key_id="key_2", name="team", role=Role.MEMBER)
KEYS: Final = {who.key_id: who for who in (CHAT_APP, TEAM)} | {
    who.name: who for who in (CHAT_APP, TEAM)
}
SUBJECTS: Final = (
    Subject("appid", "app-1", "chat-app"),
    Subject("azp", "app-1", "key_1"),
    Subject("groups", "group-1", "team"),
    Subject("roles", "Models.Use", "gone"),
)


@cache
def rsa(number: int = 0, bits: int = 2048) -> RSAKey:
    """Make an RSA key; the same number gives the same one."""
    assert number >= 0
    return RSAKey.generate_key(bits)


@cache
def ec(curve: str = "P-256") -> ECKey:
    """Make an EC key; one for each curve."""
    return ECKey.generate_key(curve)


def jwk(key: RSAKey | ECKey, kid: str = "k1", **more: Any) -> dict[str, Any]:
    """Write the public half as an issuer publishes it."""
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **more}


def claims(**changes: Any) -> dict[str, Any]:
    """Give the claims of an access token of an application; a change to None leaves one out."""
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": int(NOW_S) + 3600,
        "nbf": int(NOW_S) - 300,
        "iat": int(NOW_S) - 300,
        "tid": TENANT,
        "azp": "app-1",
        "sub": "subject-1",
        "oid": "object-1",
        "ver": "2.0",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def token(
    said: dict[str, Any] | bytes | None = None,
    *,
    key: RSAKey | ECKey | None = None,
    alg: str = "RS256",
    **header: Any,
) -> bytes:
    """Sign a token; `said` are its claims, or its payload byte for byte."""
    payload = said if isinstance(said, bytes) else json.dumps(said or claims()).encode()
    named = {"typ": "JWT", "alg": alg, "kid": "k1", **header}
    head = {name: value for name, value in named.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jws.serialize_compact(head, payload, key or rsa(), registry=registry).encode()


def b64(data: bytes) -> bytes:
    """Encode as tokens are."""
    return urlsafe_b64encode(data).rstrip(b"=")


def issuer(address: str = ISSUER) -> Issuer:
    """Give the issuer as it is configured."""
    return Issuer(
        name="contoso", issuer=address, audiences=frozenset({AUDIENCE}), subjects=SUBJECTS
    )


def connect(origin: str) -> Client:
    """Make a client as the composition root would."""
    return Client(ClientOptions(origin))


class Authority:
    """Answers for discovery and keys. `status` and `answers` override; `asked` are paths."""

    def __init__(self) -> None:
        """Publish one key."""
        self.keys: list[dict[str, Any]] = [jwk(rsa())]
        self.asked: list[str] = []
        self.status = 200
        self.answers: dict[str, bytes] = {}
        self.base_url = ""

    async def serve(self, peer: Peer) -> None:
        """Answer one request and close."""
        head, _ = await peer.request()
        path = head.split(b" ")[1].decode()
        self.asked.append(path)
        usual = {
            "/tenant/.well-known/openid-configuration": json.dumps(
                {"issuer": f"{self.base_url}/tenant", "jwks_uri": f"{self.base_url}/keys?v=2"}
            ).encode(),
            "/keys?v=2": json.dumps({"keys": self.keys}).encode(),
        }
        body = self.answers.get(path, usual.get(path, b""))
        await peer.send(
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (self.status, len(body), body)
        )
