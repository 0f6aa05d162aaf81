"""Node's own OpenAI SDK, installed once into the user's cache, outside the repository.

Whatever it receives is held against the vendor's specification, as it is for the SDKs of Python.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx2
import pytest

from tests.kit.house import TESTS
from tests.support.contract.watch import the_watch
from tests.support.system import program

if TYPE_CHECKING:
    from tests.support.server import EntenteServer, Key

SDK: Final = "openai@6"
SCRIPT: Final = TESTS / "e2e" / "sdk_node.mjs"
TEE: Final = TESTS / "support" / "tee.mjs"
"""Preloaded: copies what the script's clients receive."""
SOCKETS: Final = "--experimental-websocket"
"""Node's own, which it has from major 22 on without being told."""
Done: TypeAlias = subprocess.CompletedProcess[str]
CACHE: Final = Path.home() / ".cache" / "entente-tests" / "node-openai-6"


def _node() -> str:
    """Give the path of `node`, or skip."""
    return program("node", "nodejs")


def _sdk_folder() -> Path:
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


def play(scenario: str, server: EntenteServer, key: Key, **more: str) -> Any:
    """Run one scenario of the script, with `more` in its environment; give what it printed."""
    done = drive(scenario, server.base_url, key.secret, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def drive(
    scenario: str, base_url: str, secret: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one scenario, and show the watch all that its clients received."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        done = subprocess.run(
            [_node(), SOCKETS, "--import", TEE.as_uri(), str(SCRIPT), scenario, base_url, secret],
            env={
                "PATH": os.environ["PATH"],  # noqa: TID251 - the child needs one
                "OPENAI_FOLDER": str(_sdk_folder()),
                "SEEN": str(seen),
                **more,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert seen.exists(), done.stderr
        _show(json.loads(seen.read_bytes()))
    return done


def _show(seen: dict[str, Any]) -> None:
    """Show the watch what was copied; a script that received nothing was not listened to."""
    assert seen["answers"] or seen["events"]
    watch = the_watch()
    for one in seen["answers"]:
        request = httpx2.Request(one["method"], one["url"], headers=one["asked"])
        answer = httpx2.Response(one["status"], headers=one["headers"])
        watch.answer(request, answer, b64decode(one["body"]), ended=one["ended"])
    for event in seen["events"]:
        watch.event(event["url"], event["data"])
