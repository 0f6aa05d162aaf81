"""Options and request heads: wrong ones are refused before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import ConfigError
from entente.net import Client, ClientOptions, Timeouts, TlsOptions
from entente.net.encode import Encoder
from entente.net.options import split_base_url


@pytest.mark.parametrize(
    ("base_url", "authority", "host_header", "prefix"),
    [
        ("https://api.example.com/v1", "api.example.com:443", "api.example.com", b"/v1"),
        ("http://API.example.com:8080/", "api.example.com:8080", "api.example.com:8080", b""),
        ("http://[::1]:80", "[::1]:80", "[::1]", b""),
        (
            "https://bücher.example/a%20b//",
            "xn--bcher-kva.example:443",
            "xn--bcher-kva.example",
            b"/a%20b",
        ),
    ],
)
def test_base_urls(base_url: str, authority: str, host_header: str, prefix: bytes) -> None:
    """Scheme's port, brackets, IDNA and prefix."""
    origin, got = split_base_url(base_url)
    assert (origin.authority, origin.host_header, got) == (authority, host_header, prefix)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com",
        "ftp://h",
        "http://",
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "http://h/?q=canary",
        "http://h/#f",
        "http://h/a b",
        "http://h/ä",
        "http://user:canary@h/",
        "http://user:canary@h:x/",
        "http://a_b c/",
        "http://" + "a" * 70 + "/",
    ],
)
def test_unusable_base_urls(base_url: str) -> None:
    """A configuration error, without the credential that may stand in it."""
    with pytest.raises(ConfigError) as caught:
        Client(ClientOptions(base_url))
    assert "user:canary" not in caught.value.message


@pytest.mark.parametrize("name", ["connect_s", "first_byte_s", "idle_s", "total_s"])
def test_timeouts_are_positive(name: str) -> None:
    """Zero would fire at once."""
    with pytest.raises(ConfigError, match=name):
        Timeouts(**{name: 0.0})


def test_other_options_make_sense() -> None:
    """Bounds of at least one, times of at least zero, no key without its certificate."""
    with pytest.raises(ConfigError, match="connections_max"):
        ClientOptions("http://h", connections_max=0)
    with pytest.raises(ConfigError, match="pool_wait_s"):
        ClientOptions("http://h", pool_wait_s=-1)
    with pytest.raises(ConfigError, match="cert_file"):
        TlsOptions(key_file="key.pem")


def test_a_head_is_exactly_this() -> None:
    """Pairs and blocks give the same bytes; lengths are announced where a body is expected."""
    encoder = Encoder(b"/v1", "h:1")
    start = b"POST /v1/a HTTP/1.1\r\nHost: h:1\r\nx-a: b\r\n"
    pairs = encoder.whole(b"POST", b"/a", [(b"x-a", b"b")], b"hi")
    assert pairs == start + b"Content-Length: 2\r\n\r\nhi"
    assert encoder.whole(b"POST", b"/a", b"x-a: b\r\n", b"hi") == pairs
    assert encoder.whole(b"POST", b"/a", b"x-a: b\r\n", b"") == start + b"Content-Length: 0\r\n\r\n"
    assert encoder.head(b"POST", b"/a", b"x-a: b\r\n", None) == (
        start + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert encoder.whole(b"GET", b"", b"", b"") == b"GET /v1 HTTP/1.1\r\nHost: h:1\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"x-a: b",
        b"x-a: b\n",
        b"x-a: b\r\n\r\n",
        b"x-a: b\r\n folded\r\n",
        b"x-a : b\r\n",
        b": b\r\n",
        b"x-a: \0\r\n",
        b"Host: other\r\n",
        b"x-a: b\r\nCONTENT-LENGTH: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        [(b"x-a", b"b\r\nhost: other")],
        [(b"x-a: b\r\nx-b", b"c")],
        [(b"", b"c")],
    ],
)
def test_headers_that_break_the_request_are_refused(
    headers: bytes | list[tuple[bytes, bytes]],
) -> None:
    """A defect of the caller, found before anything is sent."""
    with pytest.raises(ValueError, match="header"):
        Encoder(b"", "h").whole(b"GET", b"/", headers, b"")


@given(target=st.binary(max_size=40), method=st.binary(max_size=8), value=st.binary(max_size=40))
def test_no_argument_makes_a_second_request(target: bytes, method: bytes, value: bytes) -> None:
    """Whatever is let through, the head has its lines and no others."""
    try:
        head = Encoder(b"", "h").whole(method, target, [(b"x", value)], b"")
    except ValueError:
        return
    lines = head.split(b"\r\n")
    assert lines[0] == method + b" " + target + b" HTTP/1.1"
    assert lines[1:3] == [b"Host: h", b"x: " + value]
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"\n") == len(lines) - 1
