"""Closed-loop load by wrk."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from bench.stack import KEY

BODY: Final = json.dumps(
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Hello! How are you today? Tell me something nice."},
        ],
        "temperature": 0.7,
        "max_tokens": 128,
    },
    separators=(",", ":"),
)

_SCRIPT: Final = """\
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{body}'
"""


class Failed(Exception):
    """Requests were not answered as they should."""


def requests_per_s(program: str, folder: Path, port: int, connections: int, seconds: int) -> float:
    """Load a server for `seconds`. Raises Failed if any answer is not a success."""
    script = folder / "post.lua"
    script.write_text(_SCRIPT.format(key=KEY, body=BODY))
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise Failed(out)
    match = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if match is None:
        raise Failed(out)
    return float(match.group(1))
