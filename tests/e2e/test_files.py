"""Files and uploads with the official SDKs: bytes come back as they went, to their project only."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import re
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from tests.support.disk import CannotMount, fill, small_disk
from tests.support.server import ADMIN_KEY, EntenteServer, Got, Key, wait_until
from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYTES: Final = bytes(range(256)) * 4096
FILES: Final = "/v1/files"
BOUND: Final = 4 * 1024 * 1024
CONFIG: Final = """
[files]
bytes_max = 4194304
upload_bytes_max = 4194304
free_bytes_min = 0
"""


@pytest.fixture(scope="module")
def files_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a server with small bounds, whose clients come from two projects."""
    with EntenteServer(tmp_path_factory.mktemp("files"), CONFIG, server=SMALL_BODIES) as server:
        yield server
        assert server.stop() == 0
        assert server.err_log.read_text() == ""


SMALL_BODIES: Final = "body_bytes_max = 100_000"


@pytest.fixture
def project(files_server: EntenteServer, request: pytest.FixtureRequest) -> Key:
    """Give a key of a project of the test's own."""
    return files_server.make_key(project=_name(request))


def _name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60]


@pytest.fixture
def client(files_server: EntenteServer, project: Key) -> Iterator[openai.OpenAI]:
    """Give a client as users make it."""
    with openai.OpenAI(
        base_url=files_server.base_url,
        api_key=project.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    ) as made:
        yield made


def _form(fields: dict[str, str], name: str = "f.txt", data: bytes = b"x") -> bytes:
    plain = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    )
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return plain.encode() + head.encode() + data + b"\r\n--b--\r\n"


FORM: Final = {"content-type": "multipart/form-data; boundary=b"}


def _post(server: EntenteServer, key: Key, body: bytes, path: str = FILES) -> Got:
    return server.ask("POST", path, key=key.secret, body=body, headers=FORM)


def test_a_file_goes_in_and_comes_out(client: openai.OpenAI) -> None:
    """Created, found, listed, downloaded byte for byte, and deleted."""
    made = client.files.create(file=("naïve.bin", BYTES), purpose="user_data")
    assert (made.bytes, made.filename, made.purpose) == (len(BYTES), "naïve.bin", "user_data")
    assert (made.status, made.expires_at) == ("processed", None)
    assert re.fullmatch(r"file-[0-9a-f]{32}", made.id)
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == BYTES
    assert [one.id for one in client.files.list()] == [made.id]
    gone = client.files.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as refused:
            call(made.id)
        assert refused.value.body == {
            "message": f"No such File object: {made.id}",
            "type": "invalid_request_error",
            "param": "id",
            "code": None,
        }


@pytest.mark.parametrize("size", [0, 1, BOUND])
def test_files_of_any_size(client: openai.OpenAI, size: int) -> None:
    """None, one byte, and all that the bound allows, which is far above that of bodies."""
    data = (BYTES * 5)[:size]
    made = client.files.create(file=("f", data), purpose="assistants")
    assert made.bytes == size
    answer = client.files.content(made.id)
    assert answer.read() == data
    assert answer.response.headers["content-length"] == str(size)


def test_one_byte_too_many(client: openai.OpenAI, files_server: EntenteServer) -> None:
    """A file above the bound is refused with the name of the setting, and leaves nothing."""
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("f", bytes(BOUND + 1)), purpose="assistants")
    assert refused.value.status_code == 413
    assert "files.bytes_max" in refused.value.message
    assert list(client.files.list()) == []
    assert not list(files_server.data_dir.glob("files/*.new"))


def test_expiry(client: openai.OpenAI) -> None:
    """`expires_after` is kept; files for batches expire after thirty days by themselves."""
    made = client.files.create(
        file=("f", b"x"),
        purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert made.expires_at == made.created_at + 3600
    batch = client.files.create(file=("f.jsonl", b"x"), purpose="batch")
    assert batch.expires_at == batch.created_at + 30 * 24 * 3600


def test_lists_have_pages_purposes_and_orders(client: openai.OpenAI) -> None:
    """The SDK walks through the pages; a purpose narrows the list."""
    ids = [client.files.create(file=(f"{n}", b"x"), purpose="vision").id for n in range(5)]
    other = client.files.create(file=("o", b"x"), purpose="assistants").id
    assert [one.id for one in client.files.list(limit=2)] == [other, *reversed(ids)]
    assert [one.id for one in client.files.list(order="asc", limit=4)] == [*ids, other]
    assert [one.id for one in client.files.list(purpose="vision", limit=2)] == ids[::-1]
    page = client.files.list(after=ids[2], limit=1)
    assert (page.data[0].id, page.has_more) == (ids[1], True)
    back = client.files.list(limit=2, extra_query={"before": ids[0]})
    assert ([one.id for one in back.data], back.has_more) == ([ids[2], ids[1]], True)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "purpose", "missing_required_parameter"),
        ({"purpose": "fun"}, "purpose", "invalid_value"),
        ({"purpose": "batch_output"}, "purpose", "invalid_value"),
        ({"purpose": "batch"}, "file", None),
        ({"purpose": "evals", "expires_after[seconds]": "3600"}, "expires_after.anchor",
         "missing_required_parameter"),
        ({"purpose": "evals", "expires_after[anchor]": "created_at"}, "expires_after.seconds",
         "missing_required_parameter"),
        ({"purpose": "evals", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
         "expires_after.anchor", "invalid_value"),
        ({"purpose": "evals", "expires_after[anchor]": "created_at",
          "expires_after[seconds]": "3599"}, "expires_after.seconds", "integer_below_min_value"),
        ({"purpose": "evals", "expires_after[anchor]": "created_at",
          "expires_after[seconds]": "soon"}, "expires_after.seconds", "invalid_type"),
        ({"purpose": "evals", "expires_after": "{}"}, "expires_after.anchor",
         "missing_required_parameter"),
        ({"purpose": "evals", "expires_after": "[]"}, "expires_after", "invalid_type"),
        ({"purpose": "evals", "expires_after": "{"}, "expires_after", "invalid_type"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(
    files_server: EntenteServer, project: Key, fields: dict[str, str], param: str, code: str | None
) -> None:
    """In OpenAI's words, and nothing is kept."""
    got = _post(files_server, project, _form(fields))
    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code)
    assert files_server.get(FILES, key=project.secret).json["data"] == []


def test_bodies_that_are_no_form(files_server: EntenteServer, project: Key) -> None:
    """JSON, a form cut short, two files, no file: each is refused with what is wrong."""
    other = files_server.ask("POST", FILES, key=project.secret, body=b"{}")
    assert (other.status, "multipart/form-data" in other.error["message"]) == (400, True)
    whole = _form({"purpose": "evals"})
    assert _post(files_server, project, whole[:-9]).status == 400
    two = whole.removesuffix(b"--b--\r\n") + whole
    assert "one file" in _post(files_server, project, two).error["message"]
    none = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    assert _post(files_server, project, none).error["param"] == "file"
    long = _form({"purpose": "e" * (1024 * 1024 + 1)})
    assert _post(files_server, project, long).status in (400, 413)


def test_what_is_answered_is_as_the_specification_says(
    files_server: EntenteServer, project: Key
) -> None:
    """File, list, deletion, upload and part, against the vendor's own schemas."""
    made = _post(files_server, project, _form({"purpose": "vision"})).json
    assert vendor_defects(made, "OpenAIFile") == []
    listed = files_server.get(FILES, key=project.secret).json
    assert vendor_defects(listed, "ListFilesResponse") == []
    gone = files_server.ask("DELETE", f"{FILES}/{made['id']}", key=project.secret).json
    assert vendor_defects(gone, "DeleteFileResponse") == []
    asked = b'{"filename":"f","purpose":"vision","bytes":1,"mime_type":"image/png"}'
    upload = files_server.ask("POST", "/v1/uploads", key=project.secret, body=asked).json
    assert vendor_defects(upload, "Upload") == []
    form = _form({}).replace(b'name="file"', b'name="data"')
    part = _post(files_server, project, form, f"/v1/uploads/{upload['id']}/parts").json
    assert vendor_defects(part, "UploadPart") == []


def test_uploads_in_parts(client: openai.OpenAI) -> None:
    """Parts become a file in the order that completes them, checked by length and MD5."""
    upload = client.uploads.create(
        filename="a/b/large.bin", purpose="assistants", bytes=len(BYTES), mime_type="x/y"
    )
    assert (upload.status, upload.filename) == ("pending", "large.bin")
    assert upload.expires_at == upload.created_at + 3600
    cut = len(BYTES) // 3
    second = client.uploads.parts.create(upload.id, data=BYTES[cut:])
    first = client.uploads.parts.create(upload.id, data=BYTES[:cut])
    for parts, md5, param in (
        ([first.id], None, "part_ids"),
        ([first.id, "part_x"], None, "part_ids"),
        ([second.id, first.id], hashlib.md5(BYTES).hexdigest(), "md5"),  # noqa: S324
        ([first.id, second.id], "md5", "md5"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.uploads.complete(upload.id, part_ids=parts, md5=md5 or openai.omit)
        assert refused.value.param == param
    done = client.uploads.complete(
        upload.id,
        part_ids=[first.id, second.id],
        md5=hashlib.md5(BYTES).hexdigest(),  # noqa: S324
    )
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).read() == BYTES
    for again in (
        lambda: client.uploads.complete(upload.id, part_ids=[first.id, second.id]),
        lambda: client.uploads.cancel(upload.id),
        lambda: client.uploads.parts.create(upload.id, data=b"x"),
    ):
        with pytest.raises(openai.BadRequestError, match="is completed"):
            again()


def test_the_sdk_uploads_in_chunks(client: openai.OpenAI) -> None:
    """The SDK's own helper for large files."""
    done = client.uploads.upload_file_chunked(
        file=BYTES, filename="f", bytes=len(BYTES), mime_type="x/y", purpose="assistants",
        part_size=400_000,
    )  # fmt: skip
    assert done.file is not None
    assert client.files.content(done.file.id).read() == BYTES


def test_cancelled_uploads_leave_nothing(
    client: openai.OpenAI, files_server: EntenteServer
) -> None:
    """Their parts are deleted, and they take no more of them."""
    upload = client.uploads.create(filename="f", purpose="vision", bytes=2, mime_type="x/y")
    client.uploads.parts.create(upload.id, data=b"1")
    assert list(files_server.data_dir.glob(f"files/{upload.id}.*"))
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert not list(files_server.data_dir.glob(f"files/{upload.id}.*"))
    with pytest.raises(openai.BadRequestError, match="is cancelled"):
        client.uploads.parts.create(upload.id, data=b"1")


def test_parts_are_counted(tmp_path: Path) -> None:
    """One too many is refused in words of its own, and the upload goes on without it."""
    prelude = "import entente.http.uploads as u\nu.PARTS_MAX = 1\n"
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        sdk = openai.OpenAI(
            base_url=server.base_url,
            api_key=server.make_key().secret,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        with sdk as client:
            upload = client.uploads.create(filename="f", purpose="vision", bytes=1, mime_type="x/y")
            part = client.uploads.parts.create(upload.id, data=b"1")
            with pytest.raises(openai.BadRequestError, match="has 1 parts already"):
                client.uploads.parts.create(upload.id, data=b"1")
            done = client.uploads.complete(upload.id, part_ids=[part.id])
            assert done.status == "completed"


def test_an_upload_and_its_file_are_one_step(tmp_path: Path) -> None:
    """A server that dies while an upload completes leaves no file; the next try makes one."""
    (tmp_path / "dies").touch()
    prelude = f"""
import os
import pathlib

from entente.objects import Objects
replace = Objects.replace
async def dying(self, who, changed, *others, **named):
    if changed.kind == "upload" and pathlib.Path({str(tmp_path / "dies")!r}).exists():
        os.kill(os.getpid(), 9)
    return await replace(self, who, changed, *others, **named)
Objects.replace = dying
"""
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        key = server.make_key()

        def sdk() -> openai.OpenAI:
            return openai.OpenAI(
                base_url=server.base_url,
                api_key=key.secret,
                max_retries=0,
                http_client=openai.DefaultHttpxClient(trust_env=False),
            )

        with sdk() as client:
            upload = client.uploads.create(filename="f", purpose="vision", bytes=1, mime_type="x/y")
            part = client.uploads.parts.create(upload.id, data=b"1").id
            with pytest.raises(openai.APIConnectionError):
                client.uploads.complete(upload.id, part_ids=[part])
        (tmp_path / "dies").unlink()
        server.kill()
        server.start()
        with sdk() as client:
            assert list(client.files.list()) == []
            done = client.uploads.complete(upload.id, part_ids=[part])
            assert done.file is not None
            assert [one.id for one in client.files.list()] == [done.file.id]
            assert client.files.content(done.file.id).read() == b"1"
            blob = done.file.id
        folder = server.data_dir / "files"
        wait_until(lambda: [one.name for one in folder.iterdir()] == [blob], "one blob")


def test_files_are_deleted_while_they_are_listed(client: openai.OpenAI) -> None:
    """A loop that deletes what it lists deletes all, past the end of a page."""
    for n in range(5):
        client.files.create(file=(f"{n}", b"x"), purpose="vision")
    for one in client.files.list(limit=2):
        client.files.delete(one.id)
    assert list(client.files.list()) == []


def test_parts_are_bounded_by_the_upload(client: openai.OpenAI) -> None:
    """Sent again, parts may have twice an upload's bytes, and no more."""
    upload = client.uploads.create(filename="f", purpose="vision", bytes=10, mime_type="x/y")
    for _ in range(2):
        client.uploads.parts.create(upload.id, data=bytes(10))
    with pytest.raises(openai.BadRequestError, match="more bytes"):
        client.uploads.parts.create(upload.id, data=b"1")


def test_other_projects_see_nothing(
    client: openai.OpenAI, files_server: EntenteServer, project: Key
) -> None:
    """On every route what belongs to another project is what does not exist."""
    stranger = files_server.make_key(project="strangers")
    made = client.files.create(file=("f", b"secret"), purpose="vision").id
    upload = client.uploads.create(filename="f", purpose="vision", bytes=1, mime_type="x/y").id
    part = client.uploads.parts.create(upload, data=b"1").id
    routes: list[tuple[str, str, bytes | None]] = [
        ("GET", f"/v1/files/{made}", None),
        ("GET", f"/v1/files/{made}/content", None),
        ("DELETE", f"/v1/files/{made}", None),
        ("POST", f"/v1/uploads/{upload}/parts", _form({}).replace(b'"file"', b'"data"')),
        ("POST", f"/v1/uploads/{upload}/complete", b'{"part_ids":["%b"]}' % part.encode()),
        ("POST", f"/v1/uploads/{upload}/cancel", None),
    ]
    for key in (stranger.secret, ADMIN_KEY):
        for method, path, body in routes:
            got = files_server.ask(method, path, key=key, body=body, headers=FORM)
            absent = path.replace(made, "file-0").replace(upload, "upload_0")
            other = files_server.ask(method, absent, key=key, body=body, headers=FORM)
            assert got.status == other.status == 404
            theirs = got.body.replace(made.encode(), b"ID").replace(upload.encode(), b"ID")
            ours = other.body.replace(b"file-0", b"ID").replace(b"upload_0", b"ID")
            assert theirs == ours
        listed = files_server.get(FILES, key=key).json
        assert made not in [one["id"] for one in listed["data"]]
        assert files_server.get(f"{FILES}?after={made}", key=key).json["data"] == []
    assert client.files.content(made).read() == b"secret"
    assert client.uploads.complete(upload, part_ids=[part]).status == "completed"


@pytest.mark.parametrize("path", ["../entente.db", "..%2fentente.db", "file-%00", "%2e%2e", "a.b"])
def test_ids_are_never_paths(files_server: EntenteServer, project: Key, path: str) -> None:
    """Whatever stands in the place of an id, no file of the server's is named by it."""
    for suffix in ("", "/content"):
        got = files_server.get(f"{FILES}/{path}{suffix}", key=project.secret)
        assert got.status == 404, got.body


def test_azure_clients_have_the_same_files(files_server: EntenteServer, project: Key) -> None:
    """On the classic and on the v1 surface."""
    with openai.AzureOpenAI(
        azure_endpoint=files_server.base_url.removesuffix("/v1"),
        api_version="2024-10-21",
        api_key=project.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as classic, openai.OpenAI(
        base_url=files_server.base_url.removesuffix("/v1") + "/openai/v1",
        api_key=project.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as v1:  # fmt: skip
        made = classic.files.create(file=io.BytesIO(b"bytes"), purpose="assistants")
        assert v1.files.retrieve(made.id) == made
        assert v1.files.content(made.id).read() == b"bytes"
        assert classic.files.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            v1.files.retrieve(made.id)


def test_a_large_file_does_not_have_to_fit_into_memory(tmp_path: Path) -> None:
    """Many times as large as what the server may grow by, in and out."""
    piece, count = bytes(1024 * 1024), 96
    head, tail = _form({"purpose": "vision"}, data=b"CUT").split(b"CUT")
    with EntenteServer(tmp_path, "[files]\nfree_bytes_min = 0\n") as server:
        before = server.memory_bytes_peak()
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        with contextlib.closing(connection):
            size = len(head) + count * len(piece) + len(tail)
            asked = {"authorization": f"Bearer {ADMIN_KEY}", "content-length": str(size), **FORM}
            connection.request("POST", FILES, chain([head], repeat(piece, count), [tail]), asked)
            made = json.loads(connection.getresponse().read())
            assert made["bytes"] == count * len(piece)
            del asked["content-length"]
            connection.request("GET", f"{FILES}/{made['id']}/content", headers=asked)
            answer = connection.getresponse()
            assert sum(map(len, iter(lambda: answer.read(65536), b""))) == made["bytes"]
        assert server.memory_bytes_peak() - before < 24 * 1024 * 1024


def test_files_outlive_the_server_and_orphans_do_not(tmp_path: Path) -> None:
    """After `kill -9` what was answered is there, and bytes that nobody owns are deleted."""
    server = EntenteServer(tmp_path, CONFIG)
    with server:
        key = server.make_key()
        kept = _post(server, key, _form({"purpose": "vision"}, data=BYTES)).json["id"]
        server.kill()
        folder = server.data_dir / "files"
        (folder / f"file-{'0' * 32}").write_bytes(b"orphan")
        (folder / f"file-{'1' * 32}.new").write_bytes(b"half")
        (folder / f"upload_{'2' * 32}.part_{'3' * 32}").write_bytes(b"part")
        (folder / "notes.txt").write_text("somebody's own")
        server.start()
        wait_until(
            lambda: {path.name for path in folder.iterdir()} == {kept, "notes.txt"},
            "what nobody owns to be deleted",
        )
        assert server.get(f"{FILES}/{kept}/content", key=key.secret).body == BYTES


def test_expired_files_are_gone_at_once_and_their_bytes_are_swept(tmp_path: Path) -> None:
    """With an hour that lasts no time and a sweep that comes soon."""
    prelude = (
        "import entente.records as r, entente.wire.openai_files as f\n"
        "r.SWEEP_S = 0.05\nf.EXPIRES_S_MIN = 0\n"
    )
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        key = server.make_key()
        after = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "0"}
        made = _post(server, key, _form({"purpose": "evals", **after})).json
        assert server.get(f"{FILES}/{made['id']}", key=key.secret).status == 404
        folder = server.data_dir / "files"
        wait_until(lambda: not list(folder.iterdir()), "the bytes to be swept")


@pytest.mark.parametrize("free_bytes_min", [0, 2_000_000])
def test_a_full_disk_is_a_clear_answer(tmp_path: Path, free_bytes_min: int) -> None:
    """503, nothing left behind, and everything goes on when there is room again."""
    try:
        with small_disk(tmp_path / "data", 8 * 1024 * 1024):
            _drill_full_disk(tmp_path, free_bytes_min)
    except CannotMount as reason:
        pytest.skip(str(reason))


def _drill_full_disk(folder: Path, free_bytes_min: int) -> None:
    config = CONFIG.replace("free_bytes_min = 0", f"free_bytes_min = {free_bytes_min}")
    with EntenteServer(folder, config) as server:
        key = server.make_key()
        large = _form({"purpose": "vision"}, data=bytes(BOUND))
        first = _post(server, key, large)
        assert first.status == 200
        if free_bytes_min == 0:
            filler = server.data_dir / "filler"
            fill(filler)
            os.truncate(filler, filler.stat().st_size - 1_000_000)
        got = _post(server, key, large)
        assert (got.status, got.error["code"]) == (503, "storage_unavailable")
        assert got.headers["x-should-retry"] == "true"
        listed: list[Any] = server.get(FILES, key=key.secret).json["data"]
        assert [one["id"] for one in listed] == [first.json["id"]]
        assert [path.name for path in server.data_dir.glob("files/*")] == [first.json["id"]]
        if free_bytes_min:
            assert "files.free_bytes_min" in got.error["message"]
            assert server.ask("DELETE", f"{FILES}/{first.json['id']}", key=key.secret).status == 200
        else:
            (server.data_dir / "filler").unlink()
        assert _post(server, key, _form({"purpose": "vision"}, data=bytes(1_000_000))).status == 200
