"""The official Node SDK, major 6, against the real server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.support.node import node, sdk_folder
from tests.support.server import EntenteServer, Key

SCRIPT: Final = Path(__file__).with_name("sdk_node.mjs")


def play(scenario: str, server: EntenteServer, key: Key) -> Any:
    """Run one scenario of the script; give what it printed."""
    done = subprocess.run(
        [node(), str(SCRIPT), scenario, server.base_url, key.secret],
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


def test_unary(server: EntenteServer, key: Key) -> None:
    """A whole answer, whose request id is the entry's."""
    seen = play("unary", server, key)
    (entry,) = server.settlements(key)
    assert seen == {"content": "one two", "usage": 4, "id": entry.id}


def test_stream(server: EntenteServer, key: Key) -> None:
    """A stream with its usage."""
    assert play("stream", server, key) == {"text": "a b c", "reason": "stop", "usage": 6}


def test_tools(server: EntenteServer, key: Key) -> None:
    """Tool calls, whole and put together from a stream by the SDK."""
    cities = ["Paris", "Rome"]
    assert play("tools", server, key) == {"unary": cities, "streamed": cities}


def test_json_schema(server: EntenteServer, key: Key) -> None:
    """A response format with a schema."""
    assert play("schema", server, key) == {"city": "Paris", "days": 3}


def test_models(server: EntenteServer, key: Key) -> None:
    """Listing and retrieving, a name with a slash too."""
    seen = play("models", server, key)
    assert seen == {"ids": ["m", "other/model", "unpriced"], "one": "other/model"}


def test_errors(server: EntenteServer, key: Key) -> None:
    """The SDK's own classes, with OpenAI's codes; a broken stream is an error, not an end."""
    seen = play("errors", server, key)
    assert seen["key"] == {"name": "AuthenticationError", "status": 401, "code": "invalid_api_key"}
    assert seen["model"] == {"name": "NotFoundError", "status": 404, "code": "model_not_found"}
    assert seen["empty"] == {"name": "BadRequestError", "status": 400, "code": "empty_array"}
    assert seen["url"] == {"name": "NotFoundError", "status": 404, "code": None}
    assert seen["broken"]["name"] == "APIError"


def test_retries(server: EntenteServer, key: Key) -> None:
    """Retried as often as the provider asks, and not at all where it says so."""
    seen = play("retries", server, key)
    assert seen["fine"] == [True, True, True]
    assert seen["never"]["status"] == 500
    assert len(server.settlements(key)) == 3 + 3 + 2 + 1


def test_cancellation(server: EntenteServer, key: Key) -> None:
    """A client that leaves the loop leaves one entry: cancelled, with tokens."""
    assert play("cancel", server, key) == {"pieces": 2}
    (entry,) = server.settled(key)
    assert (entry.status, entry.usage.output > 0) == ("cancelled", True)
