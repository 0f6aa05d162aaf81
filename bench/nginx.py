"""nginx in its two parts: the provider, with a fixed answer, and the limit, a plain proxy.

The proxy stands in front of both providers, the one that answers whole and the one that
streams, on a port for each. It keeps connections, buffers bodies in memory and passes
streams on as they come: it is set up to win.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.process import Program, free_port, running
from bench.traffic import Target, chat_body, until_answered

READY_S: Final = 10.0

ANSWER: Final = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1795289284,"model":"m","choices":'
    '[{"index":0,"message":{"role":"assistant","content":"Hello to you. How can I help you today?",'
    '"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":'
    '{"prompt_tokens":32,"completion_tokens":12,"total_tokens":44,"prompt_tokens_details":'
    '{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    '"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_1"}'
)

MESSAGE: Final = (
    '{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text",'
    '"text":"Hello to you. How can I help you today?"}],"stop_reason":"end_turn","stop_sequence":'
    'null,"usage":{"input_tokens":32,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    '"output_tokens":12}}'
)
"""The same in Anthropic's dialect."""

_COMMON: Final = """\
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
  client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{servers}
}}
"""

_PROVIDER: Final = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
    location = /v1/messages {{ default_type application/json; return 200 '{message}'; }}
  }}
"""

_PROXY: Final = """\
  upstream {name} {{
    server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering {buffering};
    }}
  }}
"""


class Proxy(NamedTuple):
    """nginx as reverse proxy: its program and its ports."""

    program: Program
    unary: int
    stream: int


@contextlib.contextmanager
def provider(program: str, folder: Path) -> Iterator[int]:
    """Run nginx as the provider that answers whole; give its port."""
    port = free_port()
    servers = _PROVIDER.format(port=port, answer=ANSWER, message=MESSAGE)
    with _nginx(program, folder, servers) as process:
        until_answered(Target(port), chat_body(0), READY_S, process.check)
        yield port


@contextlib.contextmanager
def proxy(program: str, folder: Path, unary: int, stream: int) -> Iterator[Proxy]:
    """Run nginx as reverse proxy in front of two providers, given by their ports."""
    ports = free_port(), free_port()
    servers = _PROXY.format(name="unary", upstream=unary, port=ports[0], buffering="on")
    servers += _PROXY.format(name="stream", upstream=stream, port=ports[1], buffering="off")
    with _nginx(program, folder, servers) as process:
        until_answered(Target(ports[0]), chat_body(0), READY_S, process.check)
        yield Proxy(process, *ports)


@contextlib.contextmanager
def _nginx(program: str, folder: Path, servers: str) -> Iterator[Program]:
    """Run one nginx with one worker."""
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(_COMMON.format(folder=folder, servers=servers))
    with running([program, "-p", str(folder), "-c", str(config)], folder / "nginx.out") as process:
        yield process
