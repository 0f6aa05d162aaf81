"""The sockets of one port: who gets connections while workers start."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from entente.config import load
from entente.domain.errors import StartError
from entente.http.server import BACKLOG
from entente.workers.ports import port_of

if TYPE_CHECKING:
    from pathlib import Path

    from entente.config import Config

CONNECTIONS = 64


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Give settings with any port that is free."""
    written = tmp_path / "entente.toml"
    written.write_text(f'[server]\nport = 0\ndata_dir = "{tmp_path}"\n')
    return load(written, {})


def _listens(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def test_no_connection_waits_for_a_worker_that_does_not_serve(config: Config) -> None:
    """All wait for the first worker until the second listens."""
    with port_of(config, 2) as ports, ExitStack() as stack:
        first, second = (port.open() for port in ports)
        address = first.getsockname()
        assert second.getsockname() == address
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(address))
            accepted, _from = first.accept()
            accepted.close()
        second.listen(BACKLOG)
        assert _listens(second)


def test_a_socket_that_is_opened_again_waits_for_its_worker(config: Config) -> None:
    """One that died often gets connections again when it serves; the port stays the others'."""
    with port_of(config, 2) as ports:
        address = ports[0].open().getsockname()
        for port in ports[1:]:
            port.open().listen(BACKLOG)
            port.close()
            assert port.open().getsockname() == address
            assert not _listens(port.open())


def test_nobody_else_has_the_port_while_workers_start(config: Config) -> None:
    """Also not another parent, which could share it."""
    with port_of(config, 2) as ports:
        number = ports[0].open().getsockname()[1]
        text = f"[server]\nport = {number}\n"
        written = config.server.data_dir / "other.toml"
        written.write_text(text)
        with pytest.raises(StartError, match="in use"), port_of(load(written, {}), 2):
            pass
