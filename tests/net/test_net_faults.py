"""The one place that maps foreign errors: nothing is missed, and every sentence helps."""

from __future__ import annotations

import asyncio
import builtins
import socket
import ssl
from typing import TYPE_CHECKING

import httptools.parser.errors
import pytest

from entente.domain.errors import UpstreamError
from entente.net import Client, ClientOptions, Timeouts, TlsOptions
from entente.net.faults import FOREIGN, connect_fault, exchange_fault, tls_files_fault
from tests.support.loops import HANG_S, LOOPS, run

if TYPE_CHECKING:
    from types import ModuleType

PEER = "api.example.com:443"

OURS = {
    "InvalidStateError": "a future used wrongly, a defect of this code",
    "BrokenBarrierError": "no barrier is used",
    "LimitOverrunError": "no stream reader is used",
    "QueueEmpty": "no queue is used",
    "QueueFull": "no queue is used",
    "QueueShutDown": "no queue is used",
    "SendfileNotAvailableError": "no file is sent",
}
"""Exceptions of asyncio that no connection raises, each with the reason.

By name: the later ones are not in every Python.
"""


def exceptions_of(module: ModuleType) -> set[type[Exception]]:
    """All exception classes that a module shows."""
    return {
        value
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, type) and issubclass(value, Exception)
    }


def foreign() -> list[type[Exception]]:
    """Everything that sockets, TLS, asyncio and the parser may raise."""
    found: set[type[Exception]] = set()
    found |= {error for error in exceptions_of(builtins) if issubclass(error, OSError)}
    for module in (socket, ssl, asyncio, httptools.parser.errors):
        found |= exceptions_of(module)
    ours = {value for name, value in vars(asyncio).items() if name in OURS}
    return sorted(found - ours, key=lambda error: error.__qualname__)


def an(error: type[Exception]) -> Exception:
    """Make one, with a credential in its text that must not come out."""
    if issubclass(error, asyncio.IncompleteReadError):
        return error(b"canary", 1)
    if issubclass(error, UnicodeDecodeError | UnicodeEncodeError):
        return UnicodeError("canary")
    if issubclass(error, httptools.HttpParserError):
        return error("Invalid header token")
    return error("canary")


@pytest.mark.parametrize("error", foreign(), ids=lambda error: error.__qualname__)
def test_no_foreign_error_is_missed(error: type[Exception]) -> None:
    """Each is caught by `FOREIGN`, and each becomes one of ours with a sentence."""
    assert issubclass(error, FOREIGN)
    for fault in (
        connect_fault(an(error), PEER),
        exchange_fault(an(error), PEER),
        tls_files_fault(an(error), PEER),
    ):
        assert isinstance(fault, UpstreamError)
        assert PEER in fault.message
        assert fault.message.endswith(".")
        assert "canary" not in fault.message


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("http://127.0.0.1:9", r"127\.0\.0\.1:9 refused the connection\. Check .* not sent\."),
        ("http://nothing.invalid:81", r"name of nothing\.invalid:81 could not be resolved"),
        ("https://[::1]:9", r"\[::1\]:9"),
    ],
)
def test_a_failed_dial_says_what_to_do(loop: str, base_url: str, words: str) -> None:
    """The real errors of the kernel and the resolver, on both loops."""

    async def main() -> None:
        """Fail to connect; nothing stays."""
        patient = Timeouts(connect_s=HANG_S)  # a resolver may take its time to say no
        client = Client(ClientOptions(base_url, tls=TlsOptions(), timeouts=patient))
        with pytest.raises(UpstreamError, match=words):
            await client.request(b"GET", b"/", b"")
        assert client.stats().open == 0
        await client.aclose()

    run(main(), loop)
