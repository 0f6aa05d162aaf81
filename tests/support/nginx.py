"""A real nginx on its own port and folder, as an upstream."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final

from tests.support.system import free_port, program

if TYPE_CHECKING:
    from pathlib import Path

START_S_MAX: Final = 20.0

_CONFIG: Final = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 0; default_type text/plain;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5; large_client_header_buffers 4 128k;
  server {{
    listen 127.0.0.1:{port}{listen};
    {server}
    location / {{ root {folder}; }}
    location = /v1/hello {{ return 200 'hello from $connection:$connection_requests'; }}
    location = /v1/host {{ return 200 '$http_host|$request_uri|$request_method'; }}
    location = /v1/chunked {{ ssi on; ssi_types *; alias {folder}/page.txt; }}
    location = /v1/none {{ return 204; }}
    location /v1/files/ {{ alias {folder}/files/; dav_methods PUT; create_full_put_path on; }}
    {locations}
  }}
}}
"""


class Nginx:
    """One nginx process; `stop` and `start` again on the same port."""

    def __init__(
        self, folder: Path, *, listen: str = "", server: str = "", locations: str = ""
    ) -> None:
        """Write the configuration and start. `listen`, `server`, `locations`: nginx's words."""
        self.folder = folder
        self.port = free_port()
        self._program = program("nginx", "nginx")
        (folder / "page.txt").write_text('begin <!--# echo var="uri" --> end')
        self._config = folder / "nginx.conf"
        self._config.write_text(
            _CONFIG.format(
                folder=folder, port=self.port, listen=listen, server=server, locations=locations
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def base_url(self) -> str:
        """Plain base URL with the path prefix of the locations above."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start and wait until it accepts."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config), "-p", str(self.folder)],
            stderr=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + START_S_MAX
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        log = (self.folder / "error.log").read_text(errors="replace")
        message = f"nginx did not start: {log}"
        raise RuntimeError(message)

    def stop(self) -> None:
        """End it by its id."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
