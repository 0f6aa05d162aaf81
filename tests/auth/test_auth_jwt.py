"""What a token may say, and every way in which one may lie."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.auth.issuers import Subject, may_ask, read_subjects
from entente.auth.jwks import read_keys
from entente.auth.jwt import (
    KEY_TYPES,
    LEEWAY_S,
    TOKEN_BYTES_MAX,
    Refused,
    SigningKey,
    looks_like_jwt,
    read,
    verify,
)
from entente.auth.keys import new_secret
from entente.domain.errors import UpstreamProtocolError
from tests.kit.identity import (
    AUDIENCE,
    ISSUER,
    NOW_S,
    OTHER_TENANT,
    TENANT,
    b64,
    claims,
    ec,
    issuer,
    jwk,
    rsa,
    token,
)
from tests.kit.run import PROPERTY


def keys_of(*jwks: dict[str, Any]) -> dict[str, tuple[SigningKey, ...]]:
    """Read a key set as it was published."""
    return dict(read_keys(json.dumps({"keys": list(jwks)}).encode()))


def check(
    presented: bytes,
    *jwks: dict[str, Any],
    now_s: float = NOW_S,
    address: str = ISSUER,
) -> str:
    """Verify a token with these keys, or with the usual one; give the key it stands for."""
    unproven = read(presented)
    published = keys_of(*(jwks or (jwk(rsa()),))).get(unproven.kid, ())
    return verify(unproven, published, issuer(address), now_s)[0]


@pytest.mark.parametrize("alg", [name for name in KEY_TYPES if KEY_TYPES[name] == "RSA"])
def test_tokens_signed_by_rsa(alg: str) -> None:
    """Every accepted algorithm works, with and without the key's own word for it."""
    presented = token(alg=alg)
    assert check(presented) == "key_1"
    assert check(presented, jwk(rsa(), alg=alg)) == "key_1"
    assert verify(read(presented), keys_of(jwk(rsa()))["k1"], issuer(), NOW_S)[1] == (
        claims()["exp"] + LEEWAY_S
    )


@pytest.mark.parametrize(
    ("alg", "curve"), [("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")]
)
def test_tokens_signed_on_curves(alg: str, curve: str) -> None:
    """A curve belongs to its algorithm."""
    presented = token(alg=alg, key=ec(curve))
    assert check(presented, jwk(ec(curve))) == "key_1"
    other = "P-384" if curve != "P-384" else "P-256"
    with pytest.raises(Refused, match="no key"):
        check(presented, jwk(ec(other)))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"azp": "app-1"}, "key_1"),
        ({"azp": None, "appid": "app-1"}, "chat-app"),
        ({"azp": "other", "groups": ["x", "group-1"]}, "team"),
        ({"azp": None, "roles": ["Models.Use"]}, "gone"),
        ({"appid": "app-1", "groups": ["group-1"]}, "chat-app"),
    ],
)
def test_the_first_subject_that_fits_counts(said: dict[str, Any], found: str) -> None:
    """In the order of the configuration, as a value or in a list."""
    assert check(token(claims(**said))) == found


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": ISSUER.upper()}, "another issuer"),
        ({"aud": "https://graph.microsoft.com"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": AUDIENCE + "/"}, "audience"),
        ({"aud": {AUDIENCE: 1}}, "audience"),
        ({"aud": [[AUDIENCE], 1, None]}, "audience"),
        ({"exp": None}, "expired"),
        ({"exp": int(NOW_S - LEEWAY_S)}, "expired"),
        ({"exp": -1}, "expired"),
        ({"exp": str(int(NOW_S) + 60)}, "no number"),
        ({"exp": True}, "no number"),
        ({"exp": [NOW_S + 60]}, "no number"),
        ({"exp": 10**400}, "no moment"),
        ({"nbf": NOW_S + LEEWAY_S + 1}, "not valid yet"),
        ({"nbf": "soon"}, "no number"),
        ({"tid": OTHER_TENANT}, "another tenant"),
        ({"tid": 1}, "another tenant"),
        ({"azp": "app-2"}, "none of the issuer's subjects"),
        ({"azp": ["app-10"], "groups": "group-10"}, "none of the issuer's subjects"),
        ({"azp": None, "oid": "app-1"}, "none of the issuer's subjects"),
        ({"azp": {"app-1": 1}}, "none of the issuer's subjects"),
    ],
)
def test_claims_that_are_not_accepted(said: dict[str, Any], word: str) -> None:
    """Signed by the right key, and wrong all the same."""
    with pytest.raises(Refused, match=word) as caught:
        check(token(claims(**said)))
    assert "app-" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        {"aud": [AUDIENCE, "other"]},
        {"exp": NOW_S - LEEWAY_S + 0.5},
        {"nbf": NOW_S + LEEWAY_S},
        {"nbf": None, "iat": None, "tid": None},
        {"tid": TENANT.upper()},
    ],
)
def test_claims_at_the_edge(said: dict[str, Any]) -> None:
    """Within the leeway, one audience of several, what is not demanded left out."""
    assert check(token(claims(**said))) == "key_1"


def test_none_is_not_an_algorithm() -> None:
    """However it is spelt, with a signature and without."""
    for alg in ("none", "None", "NONE", "nOnE", "", "RS256 ", "rs256"):
        header = b64(json.dumps({"alg": alg, "kid": "k1", "typ": "JWT"}).encode())
        payload = b64(json.dumps(claims()).encode())
        for signature in (b"", b64(b"x" * 256), token().split(b".")[2]):
            with pytest.raises(Refused, match="not accepted"):
                check(b".".join((header, payload, signature)))


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(alg: str) -> None:
    """A MAC made with the text of the published key, in each form that it has."""
    public = rsa()
    forms = (
        public.as_pem(private=False),
        json.dumps(jwk(public)).encode(),
        str(public.as_dict(private=False)["n"]).encode(),
    )
    header = b64(json.dumps({"alg": alg, "kid": "k1", "typ": "JWT"}).encode())
    signed = header + b"." + b64(json.dumps(claims()).encode())
    for secret in forms:  # by hand: joserfc refuses to sign with such a secret
        signature = hmac.digest(secret, signed, f"sha{alg[2:]}")
        with pytest.raises(Refused, match="not accepted"):
            check(signed + b"." + b64(signature))


def test_an_algorithm_of_another_kind_of_key() -> None:
    """An EC key does not check RSA, nor a key that is for another algorithm of its kind."""
    with pytest.raises(Refused, match="no key"):
        check(token(), jwk(ec()))
    with pytest.raises(Refused, match="no key"):
        check(token(alg="RS512"), jwk(rsa(), alg="RS256"))
    with pytest.raises(Refused, match="no key"):
        check(token(alg="ES256", key=ec()), jwk(rsa()))


def test_keys_of_the_token_itself_are_not_looked_at() -> None:
    """A token may bring its key, or say where to get it; it is signed by nobody we know."""
    stranger = rsa(1)
    for more in (
        {"jwk": jwk(stranger)},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/chain"},
        {"x5c": ["MIIB"]},
    ):
        with pytest.raises(Refused, match="no key"):
            check(token(key=stranger, **more))
        assert check(token(**more)) == "key_1"


@pytest.mark.parametrize(
    "kid",
    [
        "../../etc/passwd",
        "https://attacker.example/k",
        "k1\x00",
        "K1",
        " k1",
        "k1' OR '1'='1",
        "k2",
    ],
)
def test_a_kid_is_only_compared(kid: str) -> None:
    """It is no path, no address and no query: it is known, or it is not."""
    with pytest.raises(Refused, match="no key"):
        check(token(kid=kid))
    assert check(token(kid=kid), jwk(rsa(), kid=kid)) == "key_1"


@pytest.mark.parametrize("kid", [None, "", "k" * 257, 1, ["k1"], {"k1": 1}])
def test_a_key_must_be_named(kid: object) -> None:
    """A token without one, or with what is none."""
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    head = b64(json.dumps({n: v for n, v in header.items() if v is not None}).encode())
    _, payload, signature = token().split(b".")
    with pytest.raises(Refused, match="name its key"):
        check(b".".join((head, payload, signature)))


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"RS256","kid":"k1","crit":["exp"],"exp":1}',
        b'{"alg":"RS256","kid":"k1","crit":[]}',
        b'{"alg":"RS256","kid":"k1","b64":false}',
        b'{"alg":"RS256","kid":"k1","zip":"DEF"}',
        b'{"alg":"RS256","kid":"k1","typ":"dpop+jwt"}',
        b'{"alg":"RS256","kid":"k1","typ":1}',
        b'{"alg":["RS256"],"kid":"k1"}',
        b'{"alg":"RS256","alg":"RS256","kid":"k1"}',
        b'{"alg":"none","kid":"k1","alg":"RS256"}',
        b'{"alg":"RS256","kid":"k1","\\u0061lg":"RS256"}',
        b'{"kid":"k1"}',
        b'{"alg":"RS256","kid":NaN}',
        b'{"alg":"RS256","kid":"k1"',
        b'{"a":' * 2000,
        '{"alg":"RS256","kid":"k1"}'.encode("utf-16"),
        b'{"alg":"RS256","kid":"\xff"}',
    ],
)
def test_headers_that_are_not_accepted(header: bytes) -> None:
    """What would have to be understood, is said twice, or is no JSON."""
    _, payload, signature = token().split(b".")
    with pytest.raises(Refused):
        check(b".".join((b64(header), payload, signature)))


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(claims()).replace('{"iss"', '{"iss":"x","iss"', 1).encode(),
        json.dumps(claims())[:-1].encode() + b',"exp":9999999999}',
        json.dumps(claims())[:-1].encode() + b',"deep":{"a":1,"a":2}}',
        json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": Infinity').encode(),
        json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e999').encode(),
        json.dumps(claims(exp=1)).replace('"exp": 1', f'"exp": {"9" * 5000}').encode(),
        json.dumps([claims()]).encode(),
        json.dumps(claims(iss=1)).encode(),
        json.dumps(claims()).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
        b"[" * 5000,
        b"null",
    ],
)
def test_payloads_that_are_not_accepted(payload: bytes) -> None:
    """Signed by the right key, but not one plain object that says each thing once."""
    with pytest.raises(Refused):
        check(token(payload))


def test_what_was_signed_cannot_be_changed() -> None:
    """Not one character of header, payload or signature."""
    presented = token()
    for at in range(5, len(presented) - 2, 7):
        other = b"A" if presented[at : at + 1] != b"A" else b"B"
        with pytest.raises(Refused):
            check(presented[:at] + other + presented[at + 1 :])


def test_a_token_is_bounded() -> None:
    """Longer ones are not looked into, and what is not in compact form is none."""
    assert check(token(claims(groups=["g" * 40] * 150))) == "key_1"
    with pytest.raises(Refused, match="too long"):
        read(token(claims(groups=["g" * 40] * 400)))
    with pytest.raises(Refused, match="too long"):
        read(b"eyJ" + b"." * TOKEN_BYTES_MAX)
    for wrong in (b"", b"..", b"eyJ.x", b"eyJ.x.y.z", token() + b"\n", b"eyJ=.x.y", b"eyJh.x.y"):
        with pytest.raises(Refused):
            read(wrong)


@PROPERTY
@given(
    st.binary(max_size=300) | st.from_regex(rb"e[wy][A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
)
def test_any_bytes_are_refused(presented: bytes) -> None:
    """And nothing else happens."""
    with pytest.raises(Refused):
        read(presented)


def test_keys_and_tokens_are_told_apart() -> None:
    """A key of ours never looks like a token; a token does, signed or not."""
    assert looks_like_jwt(token())
    assert looks_like_jwt(b64(b'{"alg":"none"}') + b"." + b64(b"{}") + b".")
    for line in (b"{ ", b"{\n", b"{\r\n", b"{\t"):
        assert looks_like_jwt(b64(line + b'"alg":"RS256"}') + b".e30.x")
    for key in (new_secret(bytes).reveal().encode(), b"", b"a.b.c", b"eyJ.e30", b"eyJ.e30.x.y.z"):
        assert not looks_like_jwt(key)


# ---- published keys ----


def test_keys_of_other_tenants_do_not_sign() -> None:
    """Entra publishes keys together: one of another tenant is not of this one."""
    mine = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    other = f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"
    any_one = "https://login.microsoftonline.com/{tenantid}/v2.0"
    for said in (mine, any_one, None):
        assert check(token(), jwk(rsa(), issuer=said)) == "key_1"
    for said in (other, "https://accounts.example"):
        with pytest.raises(Refused, match="no key"):
            check(token(), jwk(rsa(), issuer=said))
    first = f"https://sts.windows.net/{TENANT}/"
    assert check(token(claims(iss=first)), jwk(rsa(), issuer=mine), address=first) == "key_1"


def test_two_keys_of_one_name_are_both_tried() -> None:
    """As while an issuer changes the kind of its keys."""
    both = (jwk(ec()), jwk(rsa(1)), jwk(rsa()))
    assert check(token(), *both) == "key_1"
    assert check(token(alg="ES256", key=ec()), *both) == "key_1"


USELESS = {
    "for encryption": {"use": "enc"},
    "for signing only": {"key_ops": ["sign"]},
    "symmetric": {"kty": "oct", "k": "AAAA"},
    "of another kind": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    "for another kind": {"alg": "ES256"},
    "for a MAC": {"alg": "HS256"},
    "without a name": {"kid": ""},
    "with a long name": {"kid": "k" * 257},
    "with a number for a name": {"kid": 1},
    "without a modulus": {"n": ""},
    "with a modulus that is none": {"n": "!"},
    "with a large exponent": {"e": "_" * 20},
    "with an even exponent": {"e": "Ag"},
    "with a huge modulus": {"n": "_" * 1400},
    "on no curve": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
    "on an unknown curve": {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
}


@pytest.mark.parametrize("change", USELESS.values(), ids=USELESS)
def test_keys_of_no_use_are_left_out(change: dict[str, Any]) -> None:
    """One of them spoils no other; alone they are no set."""
    assert set(keys_of(jwk(rsa()) | {"kid": "k0"} | change, jwk(ec()))) == {"k1"}
    with pytest.raises(UpstreamProtocolError, match="no key that can be used"):
        keys_of(jwk(rsa()) | change)


def test_weak_keys_are_left_out() -> None:
    """RSA of less than 2048 bits."""
    numbers = rsa().as_dict(private=False)
    short = {**jwk(rsa()), "n": str(numbers["n"])[:170]}
    assert set(keys_of(short, jwk(ec(), kid="k2"))) == {"k2"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1,null,{}]}'])
def test_what_is_no_set_of_keys(body: bytes) -> None:
    """Nor one with more keys than anybody has."""
    with pytest.raises(UpstreamProtocolError):
        read_keys(body)
    with pytest.raises(UpstreamProtocolError, match="more than"):
        keys_of(*[jwk(ec())] * 101)


def test_private_parts_of_published_keys_are_not_taken() -> None:
    """An issuer that publishes too much does not make us hold it."""
    leaked = {**rsa().as_dict(private=True), "kid": "k1"}
    (key,) = keys_of(leaked)["k1"]
    assert not key.key.is_private


@pytest.mark.parametrize(
    ("uri", "may"),
    [
        ("https://login.microsoftonline.com/x/v2.0", True),
        ("https://login.example:8443/keys?p=1", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:1/x", True),
        ("http://login.example/x", False),
        ("http://169.254.169.254/keys", False),
        ("file:///etc/passwd", False),
        ("https://user:word@login.example", False),
        ("https://login.example/x#y", False),
        ("https://login.example/a b", False),
        ("https://login.example/a\r\nb", False),
        ("https://h:99999/x", False),
        ("https://[/x", False),
        ("https:///x", False),
        ("", False),
    ],
)
def test_where_keys_may_come_from(uri: str, *, may: bool) -> None:
    """By TLS, or from this machine, with nothing hidden in the address."""
    assert may_ask(uri) is may


def test_subjects_are_read_from_lines() -> None:
    """A value may have colons of its own; the order stays."""
    lines = {"sub:repo:org/x:ref:main": "ci", "roles:Models.Use": "team"}
    assert read_subjects(lines) == (
        Subject("sub", "repo:org/x:ref:main", "ci"),
        Subject("roles", "Models.Use", "team"),
    )
