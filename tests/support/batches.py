"""A server for batches, whose provider is scripted, and the files that they are given as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

CHAT: Final = "/v1/chat/completions"
SCRIPT: Final = """
[[replies]]
when = { contains = "broken" }
error = { status = 400, message = "The request is broken." }

[[replies]]
when = { contains = "busy once" }
times = 1
error = { status = 429, headers = { retry-after-ms = "1" } }

[[replies]]
when = { contains = "busy oddly" }
times = 1
error = { status = 429, headers = { retry-after = "ZEROS" } }

[[replies]]
when = { contains = "never ends" }
first_delay_ms = 600000
text = "late"

[[replies]]
echo = true
""".replace("ZEROS", "0" * 5_000)
CONFIG: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "3" }
output_tokens_max = 1000

[models."other"]
targets = [{ provider = "fake", model = "o" }]

[files]
free_bytes_min = 0

[batches]
price_factor = "1/2"
requests_max = 4
"""


def write_config(folder: Path) -> None:
    """Write the script beside the configuration."""
    (folder / "script.toml").write_text(SCRIPT, encoding="utf-8")


def line(custom_id: str, text: str = "a b", *, url: str = CHAT, **fields: Any) -> dict[str, Any]:
    """Write a request of a batch."""
    body: dict[str, Any] = {"model": "m"}
    if url.endswith("responses"):
        body["input"] = text
    else:
        body["messages"] = [{"role": "user", "content": text}]
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body | fields}


def jsonl(*lines: dict[str, Any]) -> bytes:
    """Write the input file."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)
