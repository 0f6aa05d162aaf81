"""The child: serves one model with llama.cpp until the parent is gone.

It is run as a file (`python -I -S child.py`), not as a module: importing the package
would load the supervisor and asyncio, and `site` would read every `.pth` file, both
for nothing. So this file imports the standard library only, and xllamacpp from the
folder that the parent names.

Protocol, one JSON object per line. In, on stdin, once: the settings, the key among
them, so that it stands in no argument list and no environment. Out, on what was
stdout: `{"port": N}` when the model serves or `{"error": "..."}` when it cannot.
After that stdin carries nothing; its end means that the parent is gone.

The process always ends by `os._exit`. The destructor of `xllamacpp.Server` waits for
ever when it runs before the server's loop has begun (its stop request is lost then),
and there is nothing here to save.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any, Never

STDIN, STDOUT, STDERR = 0, 1, 2
SETTINGS_BYTES_MAX = 65_536
VERBOSITY_ERRORS = 1
NO_SSE_PINGS = -1
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def read_settings() -> dict[str, Any]:
    """Read the line of settings from the parent; leave when there is none."""
    line = b""
    while not line.endswith(b"\n") and len(line) < SETTINGS_BYTES_MAX:
        part = os.read(STDIN, SETTINGS_BYTES_MAX)
        if not part:
            os._exit(0)
        line += part
    settings: dict[str, Any] = json.loads(line)
    return settings


def leave_with_the_parent(parent_pid: int) -> None:
    """Make the kernel kill this process when the parent dies, where it can (Linux).

    The signal belongs to the *thread* that forked, which is the one that runs the
    parent's event loop. It works while C code holds the interpreter; the watcher of
    stdin, which does not, works on every system. A parent that died before the call
    is noticed by its changed id.
    """
    if sys.platform == "linux":
        ctypes = importlib.import_module("ctypes")
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(0)


def watch_parent() -> None:
    """Wait for the end of stdin, then leave at once."""
    while os.read(STDIN, SETTINGS_BYTES_MAX):
        pass
    os._exit(0)


def parameters(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    """Translate the settings into llama.cpp's."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["model_path"]
    params.model_alias = {settings["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the kernel chooses, so there is no race for it
    params.api_keys = [settings["api_key"]]
    params.n_ctx = settings["context_tokens"] * settings["parallel"]
    params.n_parallel = settings["parallel"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    params.n_threads_http = settings["connections_max"]
    params.cache_ram_mib = settings["prompt_cache_mib"]
    params.sampling.temp = settings["temperature"]
    params.use_jinja = True
    params.prefill_assistant = False  # a last assistant message is history, as at OpenAI
    params.sse_ping_interval = NO_SSE_PINGS  # OpenAI's streams have no comment lines
    params.ui = False
    params.endpoint_slots = False  # would show the prompts of other requests
    params.warmup = False
    params.fit_params = False
    params.verbosity = VERBOSITY_ERRORS
    return params


def report(channel: int, message: dict[str, object]) -> None:
    """Send one message to the parent."""
    os.write(channel, json.dumps(message).encode() + b"\n")


def main() -> Never:
    """Serve until the parent is gone."""
    channel = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)  # C code prints there; the parent has made stderr the log
    settings = read_settings()
    leave_with_the_parent(settings["parent_pid"])
    watcher = threading.Thread(target=watch_parent, daemon=True)
    watcher.start()
    # Threads of OpenMP that spin while they wait lose ten times the speed as soon as
    # something else wants the cores; read by the library when it is loaded.
    os.putenv("OMP_WAIT_POLICY", "passive")
    sys.path.append(settings["package_path"])
    try:
        xllamacpp = importlib.import_module("xllamacpp")
        server = xllamacpp.Server(parameters(xllamacpp, settings))
    except (ImportError, RuntimeError, ValueError) as error:
        report(channel, {"error": str(error)})
        os._exit(1)
    report(channel, {"port": int(server.listening_address.rpartition(":")[2])})
    watcher.join()
    os._exit(0)


if __name__ == "__main__":
    main()
