"""The official Node SDK, major 6, against the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.node import play

if TYPE_CHECKING:
    from tests.support.media import Desk
    from tests.support.server import EntenteServer, Key


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
    missing = {"name": "NotFoundError", "status": 404, "code": None}
    assert [seen[name] for name in ("url", "file", "response")] == [missing] * 3
    assert seen["before"] == {
        "name": "BadRequestError",
        "status": 400,
        "code": "previous_response_not_found",
    }
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


def test_embeddings(server: EntenteServer, key: Key) -> None:
    """Vectors, which the SDK asks for in base64 where its user does not say how."""
    seen = play("embeddings", server, key)
    assert len(set(seen["lengths"])) == 1
    assert seen["same"] == [True, True]


def test_responses(server: EntenteServer, key: Key) -> None:
    """Made, gone on from as a stream, read back, and deleted."""
    seen = play("responses", server, key)
    assert seen == {
        "texts": ["one two", "three", "three"],
        "told": ["one two", "one two", "three"],
        "deleted": {"name": "NotFoundError", "status": 404, "code": None},
    }


def test_responses_of_a_form(server: EntenteServer, key: Key) -> None:
    """A response by a schema, parsed by the SDK; and one that calls tools."""
    seen = play("parsed", server, key)
    assert seen == {"parsed": {"city": "Paris", "days": 3}, "cities": ["Paris", "Rome"]}


def test_responses_in_the_background(server: EntenteServer, key: Key) -> None:
    """Polled, left and resumed without a gap, and cancelled."""
    seen = play("background", server, key)
    assert seen == {
        "queued": "queued",
        "done": ["completed", "a b"],
        "gapless": True,
        "end": "response.completed",
        "cancelled": "cancelled",
    }
    assert [str(e.status) for e in server.settled(key, 3)].count("cancelled") == 1


def test_conversations(server: EntenteServer, key: Key) -> None:
    """What was said in a conversation, by both sides and beside them."""
    seen = play("conversations", server, key)
    assert seen == {
        "metadata": {"a": "b"},
        "said": [["user", "one"], ["assistant", "one"], ["user", "two"]],
        "deleted": True,
    }


def test_stored_completions(server: EntenteServer) -> None:
    """Kept, changed, listed by metadata, and deleted."""
    seen = play("stored", server, server.make_key(project="node-stored"))
    assert seen == {
        "changed": {"k": "w"},
        "messages": ["keep"],
        "listed": [True],
        "deleted": True,
    }


def test_batches(server: EntenteServer) -> None:
    """From the file to the results, polled."""
    seen = play("batches", server, server.make_key(project="node-batches"))
    assert seen == {
        "status": "completed",
        "results": [["a", "a words"], ["b", "b words"]],
        "names": ["batch", "batch_output"],
        "deleted": True,
    }


def test_uploads(server: EntenteServer, key: Key) -> None:
    """A file in one part."""
    assert play("uploads", server, key) == {"status": "completed", "text": "some bytes"}


def test_sound_and_pictures(desk: Desk) -> None:
    """Forms, bytes and pictures; and a model that cannot draw."""
    seen = play("media", desk.server, desk.key())
    assert seen["heard"]
    assert seen["spoken"] > 0
    assert (seen["drawn"], seen["judged"]) == (1, 1)
    assert (seen["wrong"]["status"], seen["wrong"]["code"]) == (400, "unsupported_model")


def test_azures_client(server: EntenteServer, key: Key) -> None:
    """The classic surface, with Azure's first chunk and Azure's errors."""
    seen = play("azure", server, key)
    assert seen == {
        "texts": ["one", "a b"],
        "filtered": True,
        "key": {"name": "AuthenticationError", "status": 401, "code": "401"},
    }
