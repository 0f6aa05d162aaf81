"""Many clients that change one object at the same instant: each has its turn, or is told why."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.server import EntenteServer, Got, Key

AT_ONCE: Final = 12
FORM: Final = {"content-type": "multipart/form-data; boundary=b"}
PART: Final = (
    b'--b\r\nContent-Disposition: form-data; name="data"; filename="d"\r\n\r\n12345\r\n--b--\r\n'
)


def post(server: EntenteServer, key: Key, path: str, body: Any = None) -> Got:
    """Send JSON."""
    return server.ask("POST", path, key=key.secret, body=json.dumps(body or {}).encode())


def at_once(ask: Callable[[int], Got]) -> Counter[int]:
    """Ask many times at once; count the statuses."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(got.status for got in pool.map(ask, range(AT_ONCE)))


def begin_upload(server: EntenteServer, key: Key) -> str:
    """Begin an upload of ten bytes."""
    wish = {"filename": "f", "purpose": "vision", "bytes": 10, "mime_type": "x/y"}
    return str(post(server, key, "/v1/uploads", wish).json["id"])


def test_parts_are_bounded_together(server: EntenteServer, key: Key) -> None:
    """Twice the upload's ten bytes may come, and no more, however many come at once."""
    upload = begin_upload(server, key)

    def add(_: int) -> Got:
        path = f"/v1/uploads/{upload}/parts"
        return server.ask("POST", path, key=key.secret, body=PART, headers=FORM)

    assert at_once(add) == {200: 4, 400: AT_ONCE - 4}


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_upload_ends_once(server: EntenteServer, cancelled: bool) -> None:
    """It becomes one file, or is cancelled and becomes none; the others are told so."""
    key = server.make_key(project=f"races-{cancelled}")
    upload = begin_upload(server, key)
    path = f"/v1/uploads/{upload}"
    parts = [
        server.ask("POST", f"{path}/parts", key=key.secret, body=PART, headers=FORM).json["id"]
        for _ in range(2)
    ]

    def end(number: int) -> Got:
        how = "cancel" if cancelled and number % 2 else "complete"
        return post(server, key, f"{path}/{how}", {"part_ids": parts})

    assert at_once(end) == {200: 1, 400: AT_ONCE - 1}
    files = server.get("/v1/files", key=key.secret).json["data"]
    assert len(files) <= 1 if cancelled else len(files) == 1
    for file in files:
        content = server.get(f"/v1/files/{file['id']}/content", key=key.secret)
        assert content.body == b"1234512345"


def test_metadata_is_the_last_that_was_sent(server: EntenteServer, key: Key) -> None:
    """Nobody is turned away, and what is there at the end is what somebody sent."""
    made = [
        f"/v1/chat/completions/{server.chat(key.secret, store=True).json['id']}",
        f"/v1/conversations/{post(server, key, '/v1/conversations').json['id']}",
    ]
    for path in made:

        def change(number: int, path: str = path) -> Got:
            return post(server, key, path, {"metadata": {"n": str(number)}})

        assert at_once(change) == {200: AT_ONCE}
        left = server.get(path, key=key.secret).json["metadata"]
        assert left in [{"n": str(n)} for n in range(AT_ONCE)]


def test_a_conversation_gets_all_that_was_said(server: EntenteServer, key: Key) -> None:
    """Each response adds what it was asked and what it answered, side by side."""
    talk = post(server, key, "/v1/conversations").json["id"]

    def say(number: int) -> Got:
        asked = {"model": "m", "input": f"number {number}", "conversation": talk}
        return post(server, key, "/v1/responses", asked)

    assert at_once(say) == {200: AT_ONCE}
    items = server.get(f"/v1/conversations/{talk}/items?limit=100&order=asc", key=key.secret)
    said = [(item["role"], item["content"][0]["text"]) for item in items.json["data"]]
    for asked, answered in zip(said[::2], said[1::2], strict=True):
        assert (asked[0], answered[0]) == ("user", "assistant")
    assert sorted(text for role, text in said if role == "user") == sorted(
        f"number {n}" for n in range(AT_ONCE)
    )


def test_only_one_deletes(server: EntenteServer, key: Key) -> None:
    """To all the others it is gone."""
    made = post(server, key, "/v1/responses", {"model": "m", "input": "hi"}).json["id"]
    deleted = at_once(lambda _: server.ask("DELETE", f"/v1/responses/{made}", key=key.secret))
    assert deleted == {200: 1, 404: AT_ONCE - 1}
