"""The servers that are measured, each on a loopback port of its own.

nginx plays the provider, with a fixed answer, and, beside it, the limit: a plain
reverse proxy in front of that provider.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

KEY: Final = "sk-bench-0123456789abcdef"
READY_TRIES: Final = 400
READY_PAUSE_S: Final = 0.025

ANSWER: Final = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1795289284,"model":"m","choices":'
    '[{"index":0,"message":{"role":"assistant","content":"Hello to you. How can I help you today?",'
    '"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":'
    '{"prompt_tokens":32,"completion_tokens":12,"total_tokens":44,"prompt_tokens_details":'
    '{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    '"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_1"}'
)

_NGINX: Final = """\
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream provider {{
    server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{upstream};
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
  server {{
    listen 127.0.0.1:{proxy};
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""

_ENTENTE: Final = """\
[server]
port = {port}
data_dir = "{folder}/data"
[ledger]
durability = "{durability}"
[providers.up]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
[models.m]
targets = [{{ provider = "up", model = "m" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0.15", output = "0.60" }}
"""


class Provider(NamedTuple):
    """The ports of nginx."""

    upstream: int
    proxy: int


def free_port() -> int:
    """Find a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needed(*programs: str) -> dict[str, str]:
    """Find programs. Exits with what to install where one is missing."""
    found = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin") for name in programs}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        sys.exit(f"The benchmark needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    return {name: path for name, path in found.items() if path is not None}


@contextlib.contextmanager
def nginx(program: str, folder: Path) -> Iterator[Provider]:
    """Run nginx as provider and as reverse proxy."""
    ports = Provider(free_port(), free_port())
    config = folder / "nginx.conf"
    config.write_text(
        _NGINX.format(folder=folder, upstream=ports.upstream, proxy=ports.proxy, answer=ANSWER)
    )
    with _running([program, "-p", str(folder), "-c", str(config)], folder / "nginx.out"):
        _wait_for(f"http://127.0.0.1:{ports.proxy}/")
        yield ports


@contextlib.contextmanager
def entente(folder: Path, upstream: int, durability: str) -> Iterator[int]:
    """Run the product in front of a provider; give its port."""
    port = free_port()
    folder.mkdir()
    config = folder / "entente.toml"
    config.write_text(
        _ENTENTE.format(folder=folder, port=port, upstream=upstream, durability=durability)
    )
    program = Path(sys.executable).with_name("entente")
    command = [str(program), "serve", "--config", str(config)]
    with _running(command, folder / "entente.out", ENTENTE_ADMIN_KEY=KEY):
        _wait_for(f"http://127.0.0.1:{port}/readyz")
        yield port


def verify(folder: Path) -> str:
    """Verify the ledger of a product that has stopped; give the command's words."""
    program = Path(sys.executable).with_name("entente")
    command = [str(program), "ledger", "verify", "--config", str(folder / "entente.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The ledger does not verify:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextlib.contextmanager
def _running(command: list[str], log: Path, **extra: str) -> Iterator[None]:
    """Run a program until the context ends."""
    with log.open("wb") as out:
        environment = ["env", *(f"{name}={value}" for name, value in extra.items())]
        process = subprocess.Popen([*environment, *command], stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(READY_TRIES):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(READY_PAUSE_S)
    sys.exit(f"{url} does not answer.")
