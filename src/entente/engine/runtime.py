"""The supervisor: keeps one child serving and says how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from entente.domain.errors import StartError, UpstreamConnectError
from entente.engine.options import Endpoint, Phase, RuntimeOptions, RuntimeState
from entente.engine.process import Child, ChildError, spawn

BACKOFF_DOUBLINGS_MAX = 30


def backoff_s(failures: int, options: RuntimeOptions) -> float:
    """Give the pause before the next start: doubled with each failure in a row, capped."""
    doublings = min(max(failures - 1, 0), BACKOFF_DOUBLINGS_MAX)
    return min(options.backoff_ms_max, options.backoff_ms_min << doublings) / 1_000


class Runtime:
    """A supervised child that serves one model over HTTP.

    Use it from one event loop. The kernel ties the child's life to the thread of that
    loop, so run it in a thread that lasts as long as the process: the main one.
    """

    def __init__(self, options: RuntimeOptions) -> None:
        """Keep the options; nothing is started, opened or imported."""
        self._options = options
        self._phase = Phase.STOPPED
        self._restarts = 0
        self._failures = 0
        self._served = False
        self._last_error: str | None = None
        self._child: Child | None = None
        self._endpoint: Endpoint | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def state(self) -> RuntimeState:
        """How the runtime is now."""
        pid = None if self._child is None else self._child.pid
        return RuntimeState(self._phase, self._restarts, self._failures, pid, self._last_error)

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the child serves now, or None while it does not. Ask for each request."""
        return self._endpoint

    @property
    def trouble(self) -> str | None:
        """Why the child does not serve, None where it does."""
        if self._endpoint is not None:
            return None
        return f"The local runtime is {self._phase}. {self._last_error or ''}".strip()

    async def start(self) -> None:
        """Start the child and return at once; `ready` waits for it.

        `StartError` when the runtime is not installed, the model file is missing, the
        log cannot be written or the system refuses a process. Does nothing when the
        runtime is running.
        """
        if self._supervisor is not None:
            return
        options = self._options
        if not options.model_path.is_file():
            message = f"The model file {options.model_path} does not exist."
            raise StartError(message)
        try:
            child = await spawn(options)
        except OSError as error:
            message = f"The local runtime cannot be started, its log is {options.log_path}: {error}"
            raise StartError(message) from error
        self._child = child
        self._enter(Phase.STARTING)
        self._supervisor = asyncio.create_task(self._supervise(child), name="engine")

    async def ready(self, timeout_s: float) -> Endpoint:
        """Wait for the child to serve, through restarts too, and say where it does.

        `UpstreamConnectError` when it does not in time, or never will.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._endpoint is None and self._phase not in (Phase.FAILED, Phase.STOPPED):
                    await self._changed.wait()
        except TimeoutError:
            what = f"is not ready after {timeout_s:g} s"
            raise self._not_ready(what) from None
        if self._endpoint is None:
            what = "cannot serve" if self._phase is Phase.FAILED else "is stopped"
            raise self._not_ready(what)
        return self._endpoint

    async def changed(self) -> RuntimeState:
        """Wait for the next change of phase and give the state after it."""
        await self._changed.wait()
        return self.state

    async def aclose(self) -> None:
        """Stop the child within `stop_timeout_s`, by force if it must be. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
            if self._child is not None:  # cancelled before its first step, or inside a stop
                await self._child.stop()
                self._child = None
            self._enter(Phase.STOPPED)

    def _not_ready(self, what: str) -> UpstreamConnectError:
        """Make the error: what, why, and where to read more."""
        reason = "" if self._last_error is None else f": {self._last_error}"
        model, log = self._options.alias, self._options.log_path
        return UpstreamConnectError(f"The local runtime of {model} {what}{reason}. Its log: {log}")

    def _enter(self, phase: Phase, endpoint: Endpoint | None = None) -> None:
        """Change the phase and wake those who wait for a change."""
        self._phase = phase
        self._endpoint = endpoint
        self._changed.set()
        self._changed = asyncio.Event()

    async def _supervise(self, child: Child | None) -> None:
        """Run children one after the other until cancelled, or until it is pointless."""
        while True:
            try:
                child = child or await self._respawn()
                await self._run(child)
            except ChildError as error:
                self._last_error = error.reason
                if error.refused and not self._served:
                    self._enter(Phase.FAILED)
                    return
            child = None
            self._failures += 1
            self._enter(Phase.BACKING_OFF)
            await asyncio.sleep(backoff_s(self._failures, self._options))
            self._restarts += 1

    async def _respawn(self) -> Child:
        """Start the next child; a system that refuses is one more failure of the child."""
        self._enter(Phase.STARTING)
        try:
            self._child = await spawn(self._options)
        except (OSError, StartError) as error:
            raise ChildError(str(error), refused=False) from error
        return self._child

    async def _run(self, child: Child) -> None:
        """Wait for one child to serve and then to fail. It is gone when this returns."""
        try:
            endpoint = await child.endpoint()
            self._served = True
            self._enter(Phase.READY, endpoint)
            loop = asyncio.get_running_loop()
            since = loop.time()
            reason = await first_result(child.ended(), child.hung())
            if loop.time() - since >= self._options.stable_s:
                self._failures = 0
            raise ChildError(reason, refused=False)
        finally:
            self._endpoint = None
            await child.stop()
            self._child = None


async def first_result(*waits: Coroutine[Any, Any, str]) -> str:
    """Give the result of the wait that is over first and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
