"""Which addresses are out in the world."""

from __future__ import annotations

import pytest

from entente.control.targets import check_url, chosen
from entente.domain.errors import InvalidParameter
from entente.net.public import is_public

PRIVATE = (
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
    "172.16.0.1", "192.168.1.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:0:7f00:1::", "2001:db8::1",
    "2002:7f00:1::", "2002:0a00:1::", "2002:0808:0808::", "::ffff:8.8.8.8", "192.0.0.9",
    "192.88.99.1", "2001:1::1", "2001:4:112::1", "2001:20::1", "2001:30::1", "3fff::1", "5f00::1",
    "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "", "localhost", "1.2.3", "0x7f.1",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2001:4860:4860::8888")


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_our_own(address: str) -> None:
    """This machine, private and link-local networks, and every way to write them."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_out_there(address: str) -> None:
    """Everybody can reach it."""
    assert is_public(address)


def test_one_private_address_is_enough() -> None:
    """Whoever owns the name decides in which order its addresses come."""
    assert chosen(["8.8.8.8", "1.1.1.1"], allow_private=False) == "8.8.8.8"
    assert chosen(["8.8.8.8", "127.0.0.1"], allow_private=False) is None
    assert chosen(["8.8.8.8", "127.0.0.1"], allow_private=True) == "8.8.8.8"
    assert chosen([], allow_private=True) is None


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "https://", "https:///x", "https://a.b:99999/",
     "https://a.b:0/", "https://a.b/#x", "https://u@a.b/", "https://a.b/ x", "https://a.b/\r\nx",
     "https://ä.de/", "https://a.b/" + "x" * 3000, "javascript:alert(1)", "https://[::1/",
     "https://a..b/", "https://.com/", f"https://{'a' * 64}.de/", "https://a%41.de/",
     'https://a"b.de/', "https://a\\b.de/"],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    """Is refused when it is written, also where one's own network is allowed."""
    for allow_private in (True, False):
        with pytest.raises(InvalidParameter, match="`url`"):
            check_url(url, allow_private=allow_private)


def test_an_address_is_taken_apart() -> None:
    """Path and query go on as they are; the port is the scheme's where none is written."""
    target = check_url("https://Example.com/a%20b?c=d&e", allow_private=False)
    assert target == ("https://example.com:443", "example.com", 443, b"/a%20b?c=d&e")
    assert check_url("http://[::1]:8080", allow_private=True)[:3] == (
        "http://[::1]:8080", "::1", 8080,
    )  # fmt: skip
    for host in ("a_b.internal", "xn--4ca.de.", f"{'a' * 63}.de", "10.0.0.1"):
        assert check_url(f"http://{host}/", allow_private=True).host == host
