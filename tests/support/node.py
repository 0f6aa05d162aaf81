"""Node's own OpenAI SDK, installed once into the user's cache, outside the repository."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.system import program

SDK: Final = "openai@6"
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
