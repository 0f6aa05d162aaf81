"""Closed-loop load by wrk: as many requests as a number of connections gets answered."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import msgspec

from bench.traffic import Target

ANSWER_S: Final = 30
"""wrk counts an answer that takes longer as a failure."""
OVERTIME_S: Final = 90

_SCRIPT: Final = """\
wrk.method = "POST"
{headers}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests":%d,"seconds":%.6f,"bytes":%d,"failed":%d,"p50_us":%.1f,'
    .. '"p90_us":%.1f,"p99_us":%.1f,"max_us":%.1f}}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
"""


class Load(msgspec.Struct, frozen=True):
    """What wrk saw."""

    requests: int
    seconds: float
    bytes: int
    failed: int
    """Requests without a successful answer, of whatever kind."""
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float

    @property
    def per_s(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


class Failed(Exception):
    """Requests were not answered as they should, or wrk did not work."""


class Wrk:
    """wrk with one thread, and a folder for what it reads."""

    def __init__(self, program: str, folder: Path) -> None:
        """Take the program's path and a folder that exists."""
        self._program = program
        self._folder = folder

    def load(self, target: Target, body: bytes, connections: int, seconds: int) -> Load:
        """Load a server. Raises Failed if wrk says nothing."""
        body_file, script = self._folder / "wrk.body", self._folder / "wrk.lua"
        body_file.write_bytes(body)
        headers = target.headers | {"Content-Type": "application/json"}
        headers["Authorization"] = target.authorization
        lines = "\n".join(f'wrk.headers["{name}"] = "{text}"' for name, text in headers.items())
        script.write_text(_SCRIPT.format(headers=lines, body=body_file))
        url = f"http://127.0.0.1:{target.port}{target.path}"
        command = [self._program, "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", f"{ANSWER_S}s", "-s", str(script), url]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + OVERTIME_S
        )
        _, found, result = done.stdout.partition("RESULT ")
        if not found:
            raise Failed(done.stdout + done.stderr)
        return msgspec.json.decode(result.strip(), type=Load)
