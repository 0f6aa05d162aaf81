"""The doctor's checks of the network: the port to listen on, and every provider."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entente.cli.checks import CLOCK_SKEW_S_MAX, Finding, State
from entente.domain.errors import (
    ConfigError,
    UpstreamConnectError,
    UpstreamError,
    UpstreamRefused,
)
from entente.net import Client, ClientOptions, Timeouts
from entente.providers.checks import Checkable
from entente.upstreams import has_credentials, provider_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.config import Config, ProviderConfig
    from entente.domain.secret import Secret
    from entente.providers.checks import Checked

REACH_S: Final = 10.0
"""How long one provider may take; all are asked at once."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
NOT_FOUND: Final = 404
OK: Final = 200

_ADDRESS: Final = (
    "check that base_url ends as the provider says, for OpenAI's API most often in /v1"
)
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
    """Ask a provider what costs nothing: name, TLS and credentials are then known to be right."""
    check = f"provider {name}"
    try:
        made = provider_of(name, settings, environ=environ, address=_no_runtime, timeouts=_WAIT)
    except ConfigError as error:
        return _finding(check, State.FAIL, error.message, "correct the setting")
    try:
        checked = await made.check() if isinstance(made, Checkable) else None
    except UpstreamRefused as error:
        return _finding(check, State.FAIL, error.message, f"correct {_settings(name, settings)}")
    except UpstreamError as error:
        places = "base_url and authority" if settings.client_secret else "base_url"
        remedy = f"check {places} of providers.{name}, the network and the proxy"
        return _finding(check, State.FAIL, error.message, remedy)
    finally:
        await made.aclose()
    if checked is None:
        text = "whether it is reached is not known: it has nothing to ask for"
        return _finding(check, State.WARN, text, "send a request to be sure")
    return _judged(check, name, settings, checked)


async def _no_runtime() -> tuple[str, Secret]:
    message = "The doctor starts no runtime."
    raise UpstreamConnectError(message)


def _judged(check: str, name: str, settings: ProviderConfig, checked: Checked) -> Finding:
    """Say what an answer means."""
    status, url = checked.status, settings.base_url
    is_proved = has_credentials(settings)
    proof = "the credentials are" if is_proved and settings.api_key is None else "the key is"
    skew_s = _skew_s(checked.date, time.time())
    if checked.accepted is False:
        text = f"{url} answers {status}: {proof} {'not accepted' if is_proved else 'missing'}"
        remedy = f"correct {_settings(name, settings)}"
        if abs(skew_s) > CLOCK_SKEW_S_MAX:
            text += f"; its clock differs from ours by {skew_s:.0f} s"
            remedy += ", or this machine's clock"
        return _finding(check, State.FAIL, text, remedy)
    if status != OK and not checked.accepted:
        is_absent = status == NOT_FOUND
        said = f"has no {checked.asked}" if is_absent else f"answers {status}"
        text = f"{url} is reached but {said}, so {proof} not known to be right"
        remedy = "look at the provider's status page, and at its rules for networks and rights"
        return _finding(check, State.WARN, text, _ADDRESS if is_absent else remedy)
    if abs(skew_s) > CLOCK_SKEW_S_MAX:
        text = f"{url} has a clock that differs from ours by {skew_s:.0f} s"
        return _finding(check, State.WARN, text, "set this machine's clock, and keep it with NTP")
    if is_proved and any(map(_is_readable, (url, settings.authority))):
        text = f"{url} is reached, but {proof} sent unencrypted"
        return _finding(check, State.WARN, text, "use https://")
    if checked.accepted is None:
        text = f"{url} is reached and lists its models to anyone, so {proof} not known to be right"
        return _finding(check, State.WARN, text, "send a request to be sure")
    accepted = f"{proof} accepted" if is_proved else "no key is set and none is asked for"
    return _finding(check, State.OK, f"{url} is reached, {accepted}")


def _settings(name: str, settings: ProviderConfig) -> str:
    """Name the settings that hold the credentials of a provider."""
    if settings.client_secret is not None:
        return f"tenant_id, client_id and client_secret of providers.{name}"
    if settings.secret_access_key is not None:
        return f"access_key_id, secret_access_key and session_token of providers.{name}"
    return f"providers.{name}.api_key"


def _is_readable(url: str | None) -> bool:
    """Tell whether what is sent there can be read on the way."""
    parts = urlsplit(url or "")
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def _skew_s(date: str, now_s: float) -> float:
    """Give how far our clock is ahead of an HTTP date, 0 where there is none."""
    try:
        return now_s - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0


def _finding(check: str, state: State, text: str, remedy: str = "") -> Finding:
    return Finding(check=check, state=state, text=text, remedy=remedy)
