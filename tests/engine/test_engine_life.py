"""The child's life: start, death, restart, hang, stop, and the death of the parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import openai
import pytest

import entente.engine
from entente.domain.errors import StartError, UpstreamConnectError
from entente.engine import Phase, Runtime, RuntimeOptions
from entente.engine.runtime import backoff_s

READY_S = 60
GONE_MS = 20_000
SOURCE = Path(entente.engine.__file__).parents[2]
Run = Callable[[Coroutine[object, object, None]], None]

PARENT = """
import asyncio, sys
from pathlib import Path
from entente.engine import Runtime, RuntimeOptions

async def main():
    runtime = Runtime(RuntimeOptions(model_path=Path(sys.argv[1]), log_path=Path(sys.argv[2])))
    await runtime.start()
    await runtime.ready(60)
    if sys.argv[3] == "stay":
        print(runtime.state.pid, flush=True)
        await asyncio.Event().wait()
    await runtime.aclose()

asyncio.run(main())
"""


def parent(options: RuntimeOptions, what: str) -> subprocess.Popen[str]:
    """Run a parent of its own that starts a child and then stays or closes it."""
    arguments = [str(options.model_path), str(options.log_path), what]
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )


async def ask(runtime: Runtime) -> str:
    """Ask the running child something small and give the finish reason."""
    endpoint = await runtime.ready(READY_S)
    async with openai.AsyncOpenAI(
        base_url=f"{endpoint.base_url}/v1", api_key=endpoint.api_key.reveal(), max_retries=0
    ) as client:
        answer = await client.chat.completions.create(
            model="entente-tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=4
        )
    return answer.choices[0].finish_reason


def assert_gone(pid: int) -> None:
    """Show that the child has ended and has been reaped."""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_killed_child_is_replaced(options: RuntimeOptions, run: Run) -> None:
    """The next child serves at once, and the state tells what happened to the first."""

    async def scenario() -> None:
        runtime = Runtime(options)
        await runtime.start()
        first = await runtime.ready(READY_S)
        pid = runtime.state.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        after = await runtime.changed()
        assert (after.phase, after.failures) == (Phase.BACKING_OFF, 1)
        assert "signal 9" in (after.last_error or "")
        between = runtime.endpoint
        assert between is None
        assert await ask(runtime) in {"stop", "length"}
        state, second = runtime.state, runtime.endpoint
        assert (state.phase, state.restarts) == (Phase.READY, 1)
        assert state.pid != pid
        assert second is not None
        assert second.api_key.reveal() != first.api_key.reveal()
        await runtime.aclose()

    run(scenario())


def test_a_request_in_flight_fails_when_the_child_dies(options: RuntimeOptions, run: Run) -> None:
    """The client of the child sees a broken connection, not an end that looks complete."""

    async def scenario() -> None:
        runtime = Runtime(options)
        await runtime.start()
        endpoint = await runtime.ready(READY_S)
        client = openai.AsyncOpenAI(
            base_url=f"{endpoint.base_url}/v1", api_key=endpoint.api_key.reveal(), max_retries=0
        )
        pid = runtime.state.pid
        assert pid is not None
        stream = await client.chat.completions.create(
            model="entente-tiny",
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
            extra_body={"ignore_eos": True},
        )
        await anext(aiter(stream))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIConnectionError):
            await anext(chunk async for chunk in stream if chunk.choices[0].finish_reason)
        await client.close()
        await runtime.aclose()

    run(scenario())


def test_a_hung_child_is_replaced(options: RuntimeOptions, run: Run) -> None:
    """A process that is alive but silent serves nobody, and SIGTERM does not end it."""
    impatient = replace(options, health_interval_s=1.0, health_timeout_s=1.0, stop_timeout_s=0.1)

    async def scenario() -> None:
        runtime = Runtime(impatient)
        await runtime.start()
        await runtime.ready(READY_S)
        pid = runtime.state.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        after = await runtime.changed()
        assert after.phase is Phase.BACKING_OFF
        assert "did not answer" in (after.last_error or "")
        assert_gone(pid)
        await runtime.ready(READY_S)
        await runtime.aclose()

    run(scenario())


def test_a_crash_loop_is_visible(options: RuntimeOptions, run: Run) -> None:
    """Starts that fail again and again count up, and `ready` says why."""
    hopeless = replace(options, start_timeout_s=0.0)

    async def scenario() -> None:
        runtime = Runtime(hopeless)
        await runtime.start()
        while (await runtime.changed()).failures < 3:
            pass
        assert runtime.state.restarts >= 2
        with pytest.raises(UpstreamConnectError, match="not ready within 0 s"):
            await runtime.ready(0.0)
        await runtime.aclose()

    run(scenario())


def test_closing_leaves_no_process(options: RuntimeOptions, run: Run) -> None:
    """The child is gone when `aclose` returns; closing twice and asking later is safe."""

    async def scenario() -> None:
        runtime = Runtime(options)
        await runtime.start()
        await runtime.ready(READY_S)
        pid = runtime.state.pid
        assert pid is not None
        await runtime.aclose()
        assert_gone(pid)
        await runtime.aclose()
        assert runtime.state.phase is Phase.STOPPED
        with pytest.raises(UpstreamConnectError, match="is stopped"):
            await runtime.ready(READY_S)

    run(scenario())


def test_closing_right_after_the_start_leaves_no_process(options: RuntimeOptions, run: Run) -> None:
    """The supervisor has not had its first step yet; the child must go all the same."""

    async def scenario() -> None:
        runtime = Runtime(options)
        await runtime.start()
        pid = runtime.state.pid
        assert pid is not None
        await runtime.aclose()
        assert_gone(pid)

    run(scenario())


def test_a_stopped_child_is_closed_by_force(options: RuntimeOptions, run: Run) -> None:
    """A child that does not react to SIGTERM is killed after the bound."""

    async def scenario() -> None:
        runtime = Runtime(replace(options, stop_timeout_s=0.05))
        await runtime.start()
        await runtime.ready(READY_S)
        pid = runtime.state.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await runtime.aclose()
        assert_gone(pid)

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's pidfd to wait")
def test_the_child_goes_with_a_killed_parent(options: RuntimeOptions) -> None:
    """`kill -9` of the parent runs no code of ours in it, and leaves no orphan."""
    with parent(options, "stay") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        child = os.pidfd_open(pid)
        try:
            assert os.getsid(pid) != os.getsid(process.pid), "Ctrl-C would reach the child"
            process.kill()
            poll = select.poll()
            poll.register(child, select.POLLIN)
            assert poll.poll(GONE_MS), "the child outlived its parent"
        finally:
            os.close(child)


def test_nothing_is_printed(options: RuntimeOptions) -> None:
    """Neither the supervisor nor llama.cpp writes to the console of the parent."""
    with parent(options, "close") as process:
        printed, complained = process.communicate()
    assert (process.returncode, printed, complained) == (0, "", "")


def test_a_runtime_that_is_not_installed(
    options: RuntimeOptions, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is optional, so its absence is said in one sentence with the remedy."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    async def scenario() -> None:
        with pytest.raises(StartError) as refused:
            await Runtime(options).start()
        assert refused.value.message == (
            "The local runtime is not installed. Run: pip install 'entente[local]'."
        )

    run(scenario())


def test_a_model_file_that_is_missing(options: RuntimeOptions, run: Run) -> None:
    """Said at the start, before a process is made."""
    missing = options.log_path.parent / "none.gguf"

    async def scenario() -> None:
        with pytest.raises(StartError, match=r"none\.gguf does not exist"):
            await Runtime(replace(options, model_path=missing)).start()

    run(scenario())


def test_a_model_file_that_is_corrupt(options: RuntimeOptions, run: Run) -> None:
    """llama.cpp's own reason reaches the operator, with the log; it is not tried again."""
    corrupt = options.log_path.parent.parent / "corrupt.gguf"
    corrupt.write_bytes(b"this is not a model")

    async def scenario() -> None:
        runtime = Runtime(replace(options, model_path=corrupt))
        await runtime.start()
        with pytest.raises(UpstreamConnectError, match="invalid magic") as refused:
            await runtime.ready(READY_S)
        assert str(options.log_path) in refused.value.message
        assert (runtime.state.phase, runtime.state.restarts) == (Phase.FAILED, 0)
        await runtime.aclose()

    run(scenario())


def test_a_log_past_its_bound_is_moved_away(options: RuntimeOptions, run: Run) -> None:
    """One old log is kept, so the two together are bounded."""
    options.log_path.parent.mkdir()
    options.log_path.write_text("old\n" * 10)

    async def scenario() -> None:
        runtime = Runtime(replace(options, log_bytes_max=8))
        await runtime.start()
        await runtime.ready(READY_S)
        await runtime.aclose()

    run(scenario())
    assert options.log_path.with_name("engine.log.1").read_text() == "old\n" * 10
    assert "old" not in options.log_path.read_text()


def test_the_pause_doubles_up_to_its_cap(options: RuntimeOptions) -> None:
    """However long a crash loop lasts, the pause stays within the two bounds."""
    paced = replace(options, backoff_ms_min=100, backoff_ms_max=1_000)
    pauses = [backoff_s(failures, paced) for failures in (1, 2, 3, 4, 5, 10_000)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
