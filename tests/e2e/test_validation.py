"""A strict server refuses what the vendors would; a lenient one lets it pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.server import ADMIN_KEY, EntenteServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT: Final = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES: Final = {**CHAT, "max_tokens": 9}
RESPONSES: Final = {"model": "m", "input": "hi"}
CLASSIC: Final = "/openai/deployments/m/chat/completions?api-version=2024-10-21"
CONFIG: Final = """
[providers.fake]
kind = "scripted"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
unsupported = "drop"
"""
SURFACES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/v1/chat/completions", CHAT),
    (CLASSIC, CHAT),
    ("/openai/v1/responses", RESPONSES),
    ("/v1/responses", RESPONSES),
    ("/v1/messages", MESSAGES),
)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a strict server."""
    folder = tmp_path_factory.mktemp("strict")
    with EntenteServer(folder, CONFIG, server='validation = "strict"') as server:
        yield server
        assert server.stop() == 0
        server.verify_at_rest()


def post(server: EntenteServer, path: str, body: dict[str, Any], **headers: str) -> Any:
    """Ask, and give the answer."""
    data = json.dumps(body).encode()
    return server.ask("POST", path, key=ADMIN_KEY, body=data, headers=headers)


@pytest.mark.parametrize(("path", "body"), SURFACES)
def test_unknown_parameters(
    strict: EntenteServer, server: EntenteServer, path: str, body: dict[str, Any]
) -> None:
    """Refused before anything is held, in the envelope of the surface; else they pass."""
    before = len(strict.settlements())
    got = post(strict, path, {**body, "zzz": 1})
    assert got.status == 400
    if body is MESSAGES:
        assert got.error == {
            "type": "invalid_request_error",
            "message": "zzz: Extra inputs are not permitted",
        }
    else:
        assert got.error == {
            "message": "Unknown parameter: 'zzz'.",
            "type": "invalid_request_error",
            "param": "zzz",
            "code": "unknown_parameter",
        }
    if "messages" in body:
        wrong = {**body, "messages": [{"role": "user", "content": "hi", "zzz": 1}]}
        place = "messages.0.zzz" if body is MESSAGES else "messages[0].zzz"
        refused = post(strict, path, wrong)
        assert (refused.status, place in refused.error["message"]) == (400, True)
        assert post(server, path, wrong).status == 200
    assert len(strict.settlements()) == before
    assert post(strict, path, body).status == 200
    if body is CHAT:
        assert post(server, path, {**body, "zzz": 1}).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "m", "prompt": "x"}),
        ("/v1/embeddings", {"model": "m", "input": "x"}),
        ("/openai/deployments/m/embeddings?api-version=2024-10-21", {"input": "x"}),
    ],
)
def test_what_is_no_conversation(
    strict: EntenteServer, server: EntenteServer, path: str, body: dict[str, Any]
) -> None:
    """The same there."""
    got = post(strict, path, {**body, "zzz": 1})
    assert (got.status, got.error["message"]) == (400, "Unknown parameter: 'zzz'.")
    assert post(strict, path, body).status == 200
    if "input" in body:  # a completion crosses over to chat here, which has no place for it
        assert post(server, path, {**body, "zzz": 1}).status == 200


def test_what_is_beside_them(strict: EntenteServer, server: EntenteServer) -> None:
    """Counts, compactions and conversations: the same, and lenient servers let it pass."""
    made = post(strict, "/v1/conversations", {"metadata": {"a": "b"}}).json["id"]
    item = {"type": "message", "role": "user", "content": "x"}
    for path, body in (
        ("/v1/messages/count_tokens", CHAT),
        ("/v1/responses/input_tokens", RESPONSES),
        ("/openai/v1/responses/input_tokens", RESPONSES),
        ("/v1/responses/compact", RESPONSES),
        ("/v1/conversations", {}),
        (f"/v1/conversations/{made}", {"metadata": {}}),
        (f"/v1/conversations/{made}/items", {"items": [item]}),
    ):
        got = post(strict, path, {**body, "zzz": 1})
        assert (got.status, "zzz" in got.error["message"]) == (400, True), path
        if not path.endswith("compact"):  # which this provider does not have
            assert post(strict, path, body).status == 200, path
    for path, body in (
        ("/v1/messages/count_tokens", CHAT),
        ("/v1/responses/input_tokens", RESPONSES),
        ("/v1/conversations", {}),
    ):
        assert post(server, path, {**body, "zzz": 1}).status == 200, path
    named = {"anthropic-beta": "mcp-client-2025-11-20"}
    served = {**CHAT, "mcp_servers": []}
    assert post(strict, "/v1/messages/count_tokens", served).status == 400
    assert post(strict, "/v1/messages/count_tokens", served, **named).status == 200


def test_azures_own_parameters_and_betas(strict: EntenteServer) -> None:
    """Are known to whom they are meant for."""
    sources = {**CHAT, "data_sources": []}
    assert post(strict, CLASSIC, sources).status == 200
    assert post(strict, "/v1/chat/completions", sources).error["param"] == "data_sources"
    managed = {**MESSAGES, "context_management": {}}
    assert post(strict, "/v1/messages", managed).status == 400
    named = {"anthropic-beta": "context-management-2025-06-27"}
    assert post(strict, "/v1/messages", managed, **named).status == 200


def test_the_order(strict: EntenteServer) -> None:
    """What is missing before what is unknown, and that before what is wrong."""
    path = "/v1/chat/completions"
    wrong = {"zzz": 1, "n": "x", "temperature": -1}
    assert post(strict, path, wrong).error["message"] == "you must provide a model parameter"
    assert post(strict, path, {"model": "m", **wrong}).error["param"] == "messages"
    assert post(strict, path, {**CHAT, **wrong}).error["param"] == "zzz"
    del wrong["zzz"]
    assert post(strict, path, {**CHAT, **wrong}).error["param"] == "n"
    del wrong["n"]
    assert post(strict, path, {**CHAT, **wrong}).error["message"] == (
        "Invalid 'temperature': decimal below minimum value. "
        "Expected a value >= 0, but got -1 instead."
    )
