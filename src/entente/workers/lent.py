"""The parent's local runtime, as a worker sees it."""

from __future__ import annotations

import asyncio

from entente.domain.errors import UpstreamConnectError
from entente.domain.secret import Secret
from entente.engine import Endpoint, Phase, Runtime
from entente.workers.frames import Lent

_NOTHING = Secret("")


def told_of(runtime: Runtime) -> Lent:
    """Say where a runtime serves now, or why it does not."""
    endpoint, state = runtime.endpoint, runtime.state
    if endpoint is None:
        return Lent(None, _NOTHING, state.phase, state.last_error)
    return Lent(endpoint.base_url, endpoint.api_key, state.phase, state.last_error)


class LentRuntime:
    """A runtime of another process; it is told of changes."""

    def __init__(self, lent: Lent) -> None:
        """Begin with what was told first."""
        self._lent = lent
        self._changed = asyncio.Event()

    def take(self, lent: Lent) -> None:
        """Take note of a change."""
        self._lent = lent
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it serves now, or None while it does not."""
        base_url = self._lent.base_url
        return None if base_url is None else Endpoint(base_url, self._lent.api_key)

    @property
    def trouble(self) -> str | None:
        """Why it does not serve, None where it does."""
        if self.endpoint is not None:
            return None
        return f"The local runtime is {self._lent.phase}. {self._lent.trouble or ''}".strip()

    async def ready(self, timeout_s: float) -> Endpoint:
        """Wait for it to serve. Raises UpstreamConnectError when it does not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.endpoint is None and self._lent.phase != Phase.FAILED:
                    await self._changed.wait()
        except TimeoutError:
            pass
        endpoint = self.endpoint
        if endpoint is None:
            raise UpstreamConnectError(self.trouble or "The local runtime is gone.")
        return endpoint
