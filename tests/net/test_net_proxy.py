"""Proxies: what the environment means, and a real one in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import ConfigError, EntenteError, UpstreamConnectError
from entente.net import Client, ClientOptions, TlsOptions, proxy_for
from tests.net.test_net_tls import Authority
from tests.support.loops import LOOPS, run, until
from tests.support.proxy import HttpProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.nginx import Nginx

BYTES_MAX = 1_000_000
PROXY = "http://proxy:3128"
both_loops = pytest.mark.parametrize("loop", LOOPS)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://a.example", {}, None),
        ("https://a.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"https_proxy": PROXY}, PROXY),
        ("https://a.example", {"HTTP_PROXY": PROXY}, None),
        ("http://a.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://a.example", {"ALL_PROXY": PROXY}, PROXY),
        ("http://a.example", {"all_proxy": PROXY, "http_proxy": "http://b"}, "http://b"),
        ("https://a.example", {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ("ftp://a.example", {"ALL_PROXY": PROXY}, None),
    ],
)
def test_which_variable_counts(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """The scheme's own before ALL_PROXY, lower case before upper case."""
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://a.example", "*", True),
        ("https://a.example", "example", True),
        ("https://a.example", ".example", True),
        ("https://a.example", "*.example", True),
        ("https://a.example", "b.example, A.EXAMPLE", True),
        ("https://a.example.", "a.example", True),
        ("https://a.example", "xample", False),
        ("https://ba.example", "a.example", False),
        ("https://a.example", "a.example:443", True),
        ("https://a.example", "a.example:8443", False),
        ("https://a.example:8443", "a.example:8443", True),
        ("https://a.example", "a.example:port", False),
        ("https://a.example", "", False),
        ("https://a.example", " , .,", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3", "2.3", False),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://[fd00::1]:444", "[fd00::1]:444", True),
        ("https://[fd00::1]:444", "[fd00::1]:445", False),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]", "fd00::1", True),
    ],
)
def test_who_is_exempt(url: str, no_proxy: str, direct: bool) -> None:
    """Domains cover what is under them, blocks cover addresses, ports narrow both."""
    for name in ("NO_PROXY", "no_proxy"):
        environ = {"ALL_PROXY": PROXY, name: no_proxy}
        assert (proxy_for(url, environ) is None) is direct


@pytest.mark.parametrize(
    "proxy_url", ["socks5://u:canary@h:1", "https://u:canary@h", "http://u:canary@h:x", "http://"]
)
def test_an_unusable_proxy_is_refused_without_its_password(proxy_url: str) -> None:
    """The refusal comes with the configuration, and shows no credential."""
    options = ClientOptions("http://h", proxy_url=proxy_url)
    assert "canary" not in repr(options)
    with pytest.raises(ConfigError) as caught:
        Client(options)
    assert "canary" not in caught.value.message


@both_loops
def test_plain_requests_are_forwarded(nginx: Nginx, loop: str) -> None:
    """The proxy gets the absolute form and the credentials, the origin its own path."""

    async def main() -> None:
        """A name that only the proxy knows proves who connected."""
        async with HttpProxy(credentials="us er:p@ss") as proxy:
            client = Client(
                ClientOptions(
                    f"http://origin.invalid:{nginx.port}/v1",
                    proxy_url=f"http://us%20er:p%40ss@127.0.0.1:{proxy.port}",
                )
            )
            response = await client.request(b"GET", b"/host?x=1", b"")
            expected = f"origin.invalid:{nginx.port}|/v1/host?x=1|GET"
            assert (await response.read(BYTES_MAX)).decode() == expected
            assert proxy.seen == [f"GET http://origin.invalid:{nginx.port}/v1/host?x=1 HTTP/1.1"]
            await client.aclose()

    run(main(), loop)


@both_loops
def test_tls_goes_through_a_tunnel(tmp_path: Path, loop: str) -> None:
    """CONNECT once, then TLS end to end: the proxy sees neither path nor key."""
    authority = Authority(tmp_path, "origin.invalid")
    server = authority.start(tmp_path)

    async def main() -> None:
        """Two requests, one tunnel."""
        async with HttpProxy(credentials="user:pass") as proxy:
            client = Client(
                ClientOptions(
                    f"https://origin.invalid:{server.port}/v1",
                    proxy_url=f"http://user:pass@127.0.0.1:{proxy.port}",
                    tls=TlsOptions(ca_file=authority.ca_file),
                )
            )
            for _ in range(2):
                response = await client.request(b"GET", b"/sni", b"")
                assert await response.read(BYTES_MAX) == b"origin.invalid NONE"
            assert proxy.seen == [f"CONNECT origin.invalid:{server.port} HTTP/1.1"]
            await client.aclose()
            assert client.stats().open == 0

    try:
        run(main(), loop)
    finally:
        server.stop()


@both_loops
@pytest.mark.parametrize(
    ("credentials", "refuse_status", "words"),
    [("user:other", None, "407.*Check the user and password"), (None, 403, "403")],
)
def test_a_refusing_proxy_is_named(
    loop: str, credentials: str | None, refuse_status: int | None, words: str
) -> None:
    """The status and the next step, but never the credentials."""

    async def main() -> None:
        """Be refused."""
        async with HttpProxy(credentials=credentials, refuse_status=refuse_status) as proxy:
            client = Client(
                ClientOptions(
                    "https://origin.invalid",
                    proxy_url=f"http://user:canary@127.0.0.1:{proxy.port}",
                )
            )
            with pytest.raises(UpstreamConnectError, match=words) as caught:
                await client.request(b"GET", b"/", b"")
            error: BaseException | None = caught.value
            while error is not None:
                assert "canary" not in str(error)
                error = error.__cause__ or error.__context__
            await until(lambda: client.stats().open == 0)
            await client.aclose()

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_absent_proxy_is_named(loop: str, scheme: str) -> None:
    """The sentence blames the proxy, not the origin."""

    async def main() -> None:
        """Nothing listens on port 9."""
        client = Client(ClientOptions(f"{scheme}://o.invalid", proxy_url="http://127.0.0.1:9"))
        with pytest.raises(EntenteError, match=r"The proxy 127\.0\.0\.1:9 refused"):
            await client.request(b"GET", b"/", b"")
        await client.aclose()

    run(main(), loop)
