"""A server and a provider of realtime sessions for each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.realtime import ENVIRON, Vendor, config
from tests.support.server import EntenteServer

Stage: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[EntenteServer, Vendor]]]
"""Runs both; what the server wrote is checked in the end, its errors too."""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give what runs a server in front of a provider."""

    @contextlib.asynccontextmanager
    async def run_both(
        *, extra: str = "", more: dict[str, str] | None = None, **options: Any
    ) -> AsyncIterator[tuple[EntenteServer, Vendor]]:
        async with Vendor() as vendor:
            written = config(vendor.base_url, extra=extra.format(base=vendor.base_url))
            environ = {**ENVIRON, **(more or {})}
            with EntenteServer(tmp_path, written, environ=environ, **options) as server:
                yield server, vendor
                assert server.err_log.read_text() == ""

    return run_both
