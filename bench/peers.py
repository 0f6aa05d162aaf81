"""The peers: each installed in a folder of its own, at the version named here.

They are set up as their own documentation does for production, as far as that goes without
a database: LiteLLM with one worker, its log at ERROR and its vendored price map, so that
its start does not wait for the network; Portkey headless. Portkey cannot be told to listen
on loopback only, so a line of ours that Node loads first sees to it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.process import Program, free_port, running, words
from bench.traffic import KEY, MODEL, STREAM_MODEL, Target, chat_body, until_answered

CACHE: Final = Path.home() / ".cache" / "entente-bench"
INSTALL_S: Final = 1200.0
READY_S: Final = 120.0
LITELLM: Final = "1.106.0"
PORTKEY: Final = "1.15.2"
REASON_CHARS: Final = 300
_PORTKEY_OVERRIDES: Final = {"@hono/node-server": "1.13.8"}
"""Newer ones, which its own range allows, answer every stream with a 500 (its issue 1389)."""

_LITELLM_CONFIG: Final = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{unary}/v1
      api_key: sk-none
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
  - model_name: {stream_model}
    litellm_params:
      model: openai/{stream_model}
      api_base: http://127.0.0.1:{stream}/v1
      api_key: sk-none
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
litellm_settings:
  set_verbose: false
  request_timeout: 600
general_settings:
  master_key: {key}
"""

_LOOPBACK: Final = """\
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port, host: "127.0.0.1" }, rest.find((r) => r instanceof Function));
};
"""


class NotInstalled(Exception):
    """A peer cannot be had here; the text says why, without anything of this machine."""


def install_litellm(version: str) -> Path:
    """Install LiteLLM's proxy; give the folder. Raises NotInstalled."""
    folder = CACHE / f"litellm-{version}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, f"litellm[proxy]=={version}"])
        (folder / "done").touch()
    return folder


def install_portkey(version: str) -> Path:
    """Install Portkey's gateway; give the folder. Raises NotInstalled."""
    folder = CACHE / f"portkey-{version}"
    if not (folder / "done").exists():
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            message = "Node.js with npm is not installed."
            raise NotInstalled(message)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        package_json = {"private": True, "overrides": _PORTKEY_OVERRIDES}
        (folder / "package.json").write_text(json.dumps(package_json))
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        package = f"@portkey-ai/gateway@{version}"
        _install([npm, "install", "--prefix", str(folder), *options, package])
        (folder / "done").touch()
    return folder


def installed_bytes(folder: Path) -> int:
    """Add up the files that an installation needs to run; installers and caches not."""
    ours = {"done", "package.json", "package-lock.json"}
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.suffix != ".pyc"
        and path.relative_to(folder).as_posix() not in ours
        and not _is_installer(path)
    )


def node_version() -> str:
    """Give the version of Node.js."""
    node = shutil.which("node")
    return words([node, "--version"]) if node else ""


@contextlib.contextmanager
def litellm(
    installed: Path, folder: Path, unary: int, stream: int
) -> Iterator[tuple[Program, Target]]:
    """Run LiteLLM's proxy in front of two providers, given by their ports."""
    port = free_port()
    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text(
        _LITELLM_CONFIG.format(
            model=MODEL, stream_model=STREAM_MODEL, unary=unary, stream=stream, key=KEY
        )
    )
    command = [str(installed / "bin" / "litellm"), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    with running(command, folder / "litellm.log", environment) as program:
        target = Target(port)
        until_answered(target, chat_body(0), READY_S, program.check)
        yield program, target


@contextlib.contextmanager
def portkey(
    installed: Path, folder: Path, unary: int, stream: int
) -> Iterator[tuple[Program, Target, Target]]:
    """Run Portkey's gateway; give its targets for the two providers, given by their ports."""
    port = free_port()
    folder.mkdir()
    loopback = folder / "loopback.cjs"
    loopback.write_text(_LOOPBACK)
    start = installed / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    node = shutil.which("node") or "node"
    command = [node, "--require", str(loopback), str(start), f"--port={port}", "--headless"]
    with running(command, folder / "portkey.log", {"NODE_ENV": "production"}) as program:
        whole, streamed = (
            Target(
                port,
                {
                    "x-portkey-provider": "openai",
                    "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
                },
            )
            for upstream in (unary, stream)
        )
        until_answered(whole, chat_body(0), READY_S, program.check)
        yield program, whole, streamed


def _is_installer(path: Path) -> bool:
    """Say whether a file belongs to pip, which a virtual environment brings along."""
    return any(part == "pip" or part.startswith(("pip-", "setuptools")) for part in path.parts)


def _install(command: list[str]) -> None:
    """Run an installer. Raises NotInstalled with its last line of complaint."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)[:REASON_CHARS]) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        complaint = next((line for line in lines if "ERR" in line), lines[-1])
        complaint = complaint.partition(" (from versions")[0].replace(str(Path.home()), "~")
        raise NotInstalled(complaint[:REASON_CHARS])
