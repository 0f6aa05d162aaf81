"""Signature V4 against AWS's published vectors, and against the SDK for any request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.secret import Secret
from entente.providers.sigv4 import AwsCredentials, AwsScope, canonical_path, sign
from tests.kit.run import PROPERTY

# From AWS's signing test suite: one key pair, 2015-08-30T12:36:00Z, us-east-1, "service".
KEY_ID: Final = "AKIDEXAMPLE"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN: Final = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
AT_S: Final = 1_440_938_160
SCOPE: Final = AwsScope("us-east-1", "service")
HOST: Final = ("Host", "example.amazonaws.com")
DOT_PATHS: Final = ("/", "/example/..", "/example1/example2/../..", "/./", "//")
VANILLA: Final = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
CREDENTIALS: Final = AwsCredentials(access_key_id=KEY_ID, secret_access_key=Secret(SECRET))


def signature(authorization: str) -> str:
    """Give the last part of the header."""
    return authorization.rpartition("Signature=")[2]


def signed(
    method: str = "GET",
    path: str = "/",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    *,
    credentials: AwsCredentials = CREDENTIALS,
) -> dict[str, str]:
    """Sign a request as the suite has it."""
    return dict(
        sign(
            credentials,
            SCOPE,
            method=method,
            path=path,
            query=query,
            headers=[HOST, *headers],
            body=body,
            at_s=AT_S,
        )
    )


def test_the_plain_vector_in_full() -> None:
    """Date and authorization, word for word."""
    assert signed() == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={VANILLA}"
        ),
    }


@pytest.mark.parametrize("path", DOT_PATHS)
def test_paths_that_mean_the_root(path: str) -> None:
    """`get-relative`, `get-relative-relative`, `get-slash-dot-slash`, `get-slash`."""
    assert signature(signed(path=path)["authorization"]) == VANILLA


FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
VECTORS: Final = {
    "post-vanilla": (
        signed("POST"),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        signed("POST", headers=(FORM,), body=b"Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "get-utf8": (
        signed(path="/ሴ"),
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-space": (
        signed(path="/example space/"),
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-unreserved": (
        signed(path="/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-vanilla-query-order-key-case": (
        signed(query="Param2=value2&Param1=value1"),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-encoded": (
        signed(query="Param-3=Value3&Param=Value2&%E1%88%B4=Value1"),
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "get-header-key-duplicate": (
        signed(
            headers=(("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1"))
        ),
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-trim": (
        signed(headers=(("My-Header1", " value1"), ("My-Header2", ' "a   b   c"'))),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-header-key-sort": (
        signed("POST", headers=(("My-Header1", "value1"),)),
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(name: str) -> None:
    """The signature of each is AWS's own."""
    headers, expected = VECTORS[name]
    assert signature(headers["authorization"]) == expected


def test_temporary_credentials_send_and_sign_their_token() -> None:
    """`get-vanilla-with-session-token`."""
    credentials = AwsCredentials(
        access_key_id=KEY_ID, secret_access_key=Secret(SECRET), session_token=Secret(TOKEN)
    )
    headers = signed(credentials=credentials)
    assert headers["x-amz-security-token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in headers["authorization"]
    assert signature(headers["authorization"]) == (
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    )
    assert SECRET not in repr(credentials)
    assert TOKEN not in repr(credentials)


def test_a_path_is_encoded_once_more() -> None:
    """The model's name stands encoded in the request line, and twice so in what is signed."""
    assert canonical_path("/model/a.b-v1%3A0/converse") == "/model/a.b-v1%253A0/converse"
    assert canonical_path("") == "/"
    assert canonical_path("/a/./b/../c/") == "/a/c/"


segments = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
query_names = st.text("a-=~%1", min_size=1, max_size=3) | segments
names = st.from_regex(r"x-[a-z][a-z0-9-]{0,10}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
moments = st.integers(min_value=0, max_value=4_000_000_000)


class _At(SigV4Auth):  # type: ignore[misc]
    """The SDK's signer at a moment of ours; it reads the clock itself otherwise."""

    def at(self, request: AWSRequest, moment: str) -> str:
        """Give the authorization that the SDK makes of a request."""
        request.context["timestamp"] = moment
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))
        return str(request.headers["Authorization"])


@PROPERTY
@given(
    st.lists(segments, max_size=4),
    st.dictionaries(query_names, segments, max_size=3),
    st.dictionaries(names, values, max_size=3),
    st.binary(max_size=100),
    moments,
    st.booleans(),
)
def test_any_request_is_signed_as_the_sdk_signs_it(
    path_parts: list[str],
    pairs: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    at_s: int,
    temporary: bool,
) -> None:
    """Path, query, headers, body, time and token all count, and count in the same way."""
    path = "/" + "/".join(quote(part, safe="") for part in path_parts if part not in {".", ".."})
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs.items())
    scope = AwsScope("eu-central-1", "bedrock")
    credentials = AwsCredentials(
        access_key_id=KEY_ID,
        secret_access_key=Secret(SECRET),
        session_token=Secret(TOKEN) if temporary else None,
    )
    ours = sign(
        credentials,
        scope,
        method="POST",
        path=path,
        query=query,
        headers=[("host", "example.test"), *headers.items()],
        body=body,
        at_s=at_s,
    )
    request = AWSRequest(
        method="POST",
        url=f"https://example.test{path}" + (f"?{query}" if query else ""),
        headers=headers,
        data=body,
    )
    moment = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    theirs = Credentials(KEY_ID, SECRET, TOKEN if temporary else None)
    assert ours[-1][1] == _At(theirs, "bedrock", "eu-central-1").at(request, moment)
