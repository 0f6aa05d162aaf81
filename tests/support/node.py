"""Node's own OpenAI SDK, installed once into the user's cache, outside the repository."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.kit.house import TESTS
from tests.support.system import program

if TYPE_CHECKING:
    from tests.support.server import EntenteServer, Key

SDK: Final = "openai@6"
SCRIPT: Final = TESTS / "e2e" / "sdk_node.mjs"
SOCKETS: Final = "--experimental-websocket"
"""Node's own, which it has from major 22 on without being told."""
CACHE: Final = Path.home() / ".cache" / "entente-tests" / "node-openai-6"


def node() -> str:
    """Give the path of `node`, or skip."""
    return program("node", "nodejs")


def sdk_folder() -> Path:
    """Give a folder whose `node_modules` has the SDK; install it there the first time."""
    npm = program("npm", "npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # parallel workers: one installs, others wait
        if not (CACHE / "node_modules" / "openai" / "package.json").is_file():
            (CACHE / "package.json").write_text('{"private": true}')
            shutil.rmtree(CACHE / "node_modules", ignore_errors=True)
            done = subprocess.run(
                [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", SDK],
                cwd=CACHE,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip(f"npm cannot install {SDK} here: {done.stderr.strip()[-300:]}")
    return CACHE


def play(scenario: str, server: EntenteServer, key: Key) -> Any:
    """Run one scenario of the script; give what it printed."""
    done = subprocess.run(
        [node(), SOCKETS, str(SCRIPT), scenario, server.base_url, key.secret],
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251 - the child needs one
            "OPENAI_FOLDER": str(sdk_folder()),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
