"""TLS for real: own authority, client certificates, wrong names, truncation."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from entente.domain.errors import UpstreamClosed, UpstreamConnectError
from entente.net import Client, ClientOptions, TlsOptions
from tests.support.loops import LOOPS, run
from tests.support.nginx import Nginx
from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.rawserver import Peer

BYTES_MAX = 1_000_000
both_loops = pytest.mark.parametrize("loop", LOOPS)


class Authority:
    """A certificate authority, and the files of a server and a client it vouches for."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        """Write all PEM files into `folder`."""
        self.ca = trustme.CA()
        self.server = self.ca.issue_cert(host)
        self.ca_file = str(folder / "ca.pem")
        self.cert_file = str(folder / "server.pem")
        self.key_file = str(folder / "server.key")
        self.client_file = str(folder / "client.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.server.private_key_pem.write_to_path(self.key_file)
        for number, blob in enumerate(self.server.cert_chain_pems):
            blob.write_to_path(self.cert_file, append=number > 0)
        self.ca.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(
            self.client_file
        )

    def start(self, folder: Path, *, verify: str = "off") -> Nginx:
        """Start an nginx with these files; `verify` is its ssl_verify_client."""
        return Nginx(
            folder,
            listen=" ssl",
            server=f"ssl_certificate {self.cert_file}; ssl_certificate_key {self.key_file};"
            f"ssl_client_certificate {self.ca_file}; ssl_verify_client {verify};",
            locations="location = /v1/sni { return 200 '$ssl_server_name $ssl_client_verify'; }",
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority whose server is called localhost."""
    return Authority(tmp_path)


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[Nginx]:
    """Run an nginx that asks for client certificates, and takes none as well."""
    server = authority.start(tmp_path, verify="optional")
    yield server
    server.stop()


async def fetch(base_url: str, tls: TlsOptions) -> bytes:
    """Ask twice, so that a reused TLS connection is used as well."""
    client = Client(ClientOptions(base_url, tls=tls))
    try:
        for _ in range(2):
            response = await client.request(b"GET", b"/sni", b"")
            body = await response.read(BYTES_MAX)
        assert client.stats().open == 1
        return body
    finally:
        await client.aclose()
        assert client.stats().open == 0


@both_loops
def test_own_authority_and_client_certificate(
    authority: Authority, secure: Nginx, loop: str
) -> None:
    """The name is sent as SNI; the certificate is shown when there is one."""
    url = f"https://localhost:{secure.port}/v1"
    tls = TlsOptions(ca_file=authority.ca_file)
    assert run(fetch(url, tls), loop) == b"localhost NONE"
    tls = TlsOptions(ca_file=authority.ca_file, cert_file=authority.client_file)
    assert run(fetch(url, tls), loop) == b"localhost SUCCESS"


@both_loops
def test_an_unknown_authority_is_refused(secure: Nginx, loop: str) -> None:
    """The system does not know this authority, and the sentence says what to set."""
    with pytest.raises(UpstreamConnectError, match=r"was refused: .*ca_file.*not sent"):
        run(fetch(f"https://localhost:{secure.port}/v1", TlsOptions()), loop)


@both_loops
def test_a_wrong_host_name_is_refused(authority: Authority, secure: Nginx, loop: str) -> None:
    """The certificate is for localhost, not for its address."""
    tls = TlsOptions(ca_file=authority.ca_file)
    with pytest.raises(UpstreamConnectError, match="Check the host name"):
        run(fetch(f"https://127.0.0.1:{secure.port}/v1", tls), loop)


@both_loops
def test_plain_http_on_a_tls_port_is_named(nginx: Nginx, loop: str) -> None:
    """A handshake with something else fails with a sentence."""
    with pytest.raises(UpstreamConnectError, match=r"TLS handshake|closed the connection"):
        run(fetch(f"https://127.0.0.1:{nginx.port}/v1", TlsOptions()), loop)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_unusable_files_are_named(tmp_path: Path, content: str | None) -> None:
    """A missing or broken file is an error with the settings to check."""
    path = tmp_path / "bad.pem"
    if content is not None:
        path.write_text(content)
    for tls in (TlsOptions(ca_file=str(path)), TlsOptions(cert_file=str(path))):
        with pytest.raises(UpstreamConnectError, match="TLS files for localhost:9"):
            run(fetch("https://localhost:9", tls))


@both_loops
@pytest.mark.parametrize("clean", [True, False])
def test_only_an_announced_end_ends_a_body(authority: Authority, loop: str, *, clean: bool) -> None:
    """Without close_notify a body that runs to the end may have been cut by anyone."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.server.configure_cert(context)

    async def handler(peer: Peer) -> None:
        """Answer without a length; end properly or not."""
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        if not clean:
            await read.wait()
            peer.reset()

    read = asyncio.Event()

    async def main() -> None:
        """Read to the end; what was sent is delivered in either case."""
        async with RawServer(handler, tls=context) as server:
            url = f"https://localhost:{server.port}"
            client = Client(ClientOptions(url, tls=TlsOptions(ca_file=authority.ca_file)))
            response = await client.request(b"GET", b"/", b"")
            if clean:
                assert await response.read(BYTES_MAX) == b"all of it"
            else:
                assert await response.chunk() == b"all of it"
                read.set()
                with pytest.raises(UpstreamClosed):
                    await response.chunk()
            await client.aclose()

    run(main(), loop)
