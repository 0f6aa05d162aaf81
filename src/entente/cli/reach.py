"""The doctor's checks of the network: the port to listen on, and every provider."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entente.cli.checks import CLOCK_SKEW_S_MAX, Finding, State
from entente.domain.errors import ConfigError, UpstreamError
from entente.net import Client, ClientOptions, Timeouts, TlsOptions, proxy_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from entente.config import Config, ProviderConfig
    from entente.net import Response

REACH_S: Final = 10.0
"""How long one provider may take; all are asked at once."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
UNAUTHORIZED: Final = frozenset({401, 403})
NOT_FOUND: Final = 404
OK: Final = 200
SERVER_ERROR: Final = 500

_WAIT: Final = Timeouts(connect_s=REACH_S, first_byte_s=REACH_S, idle_s=REACH_S, total_s=REACH_S)


async def check_network(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Check the port and every provider that is reached over the network."""
    remote = [
        provider(name, settings, environ)
        for name, settings in config.providers.items()
        if settings.base_url is not None
    ]
    return await asyncio.gather(port(config.server.host, config.server.port), *remote)


async def port(host: str, number: int) -> Finding:
    """Check that the port is free, or say whether an entente has it."""
    place = f"{host}:{number}"
    try:
        _bind(host, number)
    except PermissionError:
        text = f"{place} may not be opened by this user"
        return _finding("port", State.FAIL, text, "use a port above 1023")
    except OSError as error:
        if not await _answers(host, number):
            remedy = "check server.host, stop the other program, or set another server.port"
            return _finding("port", State.FAIL, f"{place}: {error.strerror}", remedy)
        return _finding("port", State.OK, f"{place}: an entente is running there")
    return _finding("port", State.OK, f"{place} is free")


def _bind(host: str, number: int) -> None:
    """Take the port for a moment, as the server would."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


async def _answers(host: str, number: int) -> bool:
    """Ask whoever listens whether it is an entente: /healthz says ok, with our request id."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    authority = f"[{shown}]" if ":" in shown else shown
    client = Client(ClientOptions(base_url=f"http://{authority}:{number}", timeouts=_WAIT))
    try:
        response = await client.request(b"GET", b"/healthz", ())
        body = await response.read(ANSWER_BYTES_MAX)
    except UpstreamError:
        return False
    finally:
        await client.aclose()
    return response.headers.get(b"x-request-id", b"").startswith(b"req_") and b'"ok"' in body


async def provider(name: str, settings: ProviderConfig, environ: Mapping[str, str]) -> Finding:
    """Ask a provider for its models: name, TLS and key are then known to be right."""
    check = f"provider {name}"
    headers = [(b"accept", b"application/json")]
    if settings.api_key is not None:
        headers.append((b"authorization", b"Bearer " + settings.api_key.reveal().encode()))
    try:
        client = Client(_options(settings, environ))
    except ConfigError as error:
        return _finding(check, State.FAIL, error.message, "correct the setting")
    try:
        response = await client.request(b"GET", b"/models", headers)
        await response.read(ANSWER_BYTES_MAX)
    except UpstreamError as error:
        remedy = f"check providers.{name}.base_url, the network and the proxy"
        return _finding(check, State.FAIL, error.message, remedy)
    finally:
        await client.aclose()
    return _judged(check, name, settings, response)


def _judged(check: str, name: str, settings: ProviderConfig, response: Response) -> Finding:
    """Say what an answer to GET /models means."""
    status, url = response.status, settings.base_url
    has_key = settings.api_key is not None
    if status in UNAUTHORIZED:
        text = f"{url} answers {status}: the key is " + ("not accepted" if has_key else "missing")
        return _finding(check, State.FAIL, text, f"set providers.{name}.api_key to a valid one")
    if status == NOT_FOUND:
        text = f"{url} is reached but has no /models, so the key is not known to be right"
        remedy = "check that base_url ends as the provider says, most often in /v1"
        return _finding(check, State.WARN, text, remedy)
    if status >= SERVER_ERROR or status != OK:
        text = f"{url} is reached and answers {status}"
        return _finding(check, State.WARN, text, "look at the provider's status page")
    skew_s = _skew_s(response.headers.get(b"date", b"").decode("latin-1"), time.time())
    if abs(skew_s) > CLOCK_SKEW_S_MAX:
        text = f"{url} has a clock that differs from ours by {skew_s:.0f} s"
        return _finding(check, State.WARN, text, "set this machine's clock, and keep it with NTP")
    parts = urlsplit(url or "")
    if has_key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        text = f"{url} is reached, but the key travels unencrypted"
        return _finding(check, State.WARN, text, "use https://")
    accepted = "the key is accepted" if has_key else "no key is set and none is asked for"
    return _finding(check, State.OK, f"{url} is reached, {accepted}")


def _skew_s(date: str, now_s: float) -> float:
    """Give how far our clock is ahead of an HTTP date, 0 where there is none."""
    try:
        return now_s - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0


def _options(settings: ProviderConfig, environ: Mapping[str, str]) -> ClientOptions:
    """Give the client's options, as serving has them but for the patience."""
    url = settings.base_url or ""
    match settings.proxy:
        case "env":
            proxy_url = proxy_for(url, environ)
        case "none":
            proxy_url = None
        case chosen:
            proxy_url = chosen
    return ClientOptions(
        base_url=url,
        timeouts=_WAIT,
        tls=TlsOptions(
            ca_file=_text(settings.ca_file),
            cert_file=_text(settings.cert_file),
            key_file=_text(settings.key_file),
        ),
        proxy_url=proxy_url,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _finding(check: str, state: State, text: str, remedy: str = "") -> Finding:
    return Finding(check=check, state=state, text=text, remedy=remedy)
