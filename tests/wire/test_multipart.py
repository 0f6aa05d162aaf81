"""Forms are read the same however their bytes are cut, and what is no form is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import RequestError
from entente.http.forms import FIELD_BYTES_MAX, collect
from entente.wire.multipart import (
    FILENAME_CHARS_MAX,
    HEADER_BYTES_MAX,
    PARTS_MAX,
    Form,
    FormReader,
    PartHead,
    as_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

TYPE: Final = b"multipart/form-data; boundary=b"


def _read(pieces: Iterable[bytes], content_type: bytes = TYPE) -> Form:
    reader = FormReader(content_type)
    events = [event for piece in pieces for event in reader.feed(piece)]
    reader.close()
    return collect(events)


def _part(head: str, data: bytes, boundary: str = "b") -> bytes:
    return f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def _field(name: str, data: bytes) -> bytes:
    return _part(f'Content-Disposition: form-data; name="{name}"', data)


END: Final = b"--b--\r\n"


@given(data=st.data(), content=st.binary(max_size=300) | st.just(b"\r\n--b\r\r\n-\r\n--"))
def test_a_client_of_httpx_is_read_however_it_is_cut(data: st.DataObject, content: bytes) -> None:
    """What the SDKs' own HTTP library writes comes back byte for byte."""
    request = httpx.Request(
        "POST",
        "http://x/",
        data={"purpose": "batch", "tags[]": ["a", "ü"]},
        files={"file": ('naïve "quoted".jsonl', content, "text/plain")},
    )
    body = request.read()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    form = _read(pieces, request.headers["content-type"].encode())
    assert form.text("purpose") == "batch"
    assert [as_text(part) for part in form.named("tags", "tags[]")] == ["a", "ü"]
    file = form.file("file")
    assert file is not None
    assert file.data == content
    assert file.head.content_type == "text/plain"
    assert file.head.filename is not None
    assert file.head.filename.startswith("naïve")


def test_fields_and_files_are_told_apart() -> None:
    """A part with a file's name is a file, and the last plain value of a name counts."""
    file = _part('Content-Disposition: form-data; name="a"; filename=""', b"bytes")
    form = _read([_field("a", b"1"), file, _field("a", b"2"), END])
    assert form.text("a") == "2"
    found = form.file("a")
    assert found is not None
    assert (found.head, found.data) == (PartHead("a", ""), b"bytes")
    assert (form.text("b"), form.file("b")) == (None, None)


@pytest.mark.parametrize(
    "content_type",
    [b"", b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=",
     b"multipart/mixed; boundary=b", b"multipart/form-data; boundary=" + b"x" * 5000],
)  # fmt: skip
def test_other_types_are_no_forms(content_type: bytes) -> None:
    """The message says what the body has to be."""
    with pytest.raises(RequestError, match="has to be a form"):
        _read([END], content_type)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends before"),
        (_field("a", b"1"), "ends before"),
        (b"nothing of the kind", "does not read"),
        (_field("", b"1") + END, "no name"),
        (_part("Content-Type: text/plain", b"1") + END, "no name"),
        (_part('Content-Disposition: form-data; name="%s"' % ("n" * 300), b"") + END, "too long"),
        (
            _part(
                'Content-Disposition: form-data; name="a"; filename="%s"'
                % ("n" * (FILENAME_CHARS_MAX + 1)),
                b"",
            )
            + END,
            "too long",
        ),
        (_part("X: %s" % ("n" * HEADER_BYTES_MAX), b"") + END, "does not read"),
        (_part("\r\n".join(f"X{n}: 1" for n in range(9)), b"") + END, "does not read"),
        (_part('Content-Disposition: form-data; name="a"; name="b"', b"1") + END, "twice"),
        (_part('Content-Disposition: form-data; name="a\\\\"; NAME=b', b"1") + END, "twice"),
        (_part('Content-Disposition: form-data; name="a"; name*=b', b"1") + END, "twice"),
        (_part('Content-Disposition: form-data; name="a"\r\n' * 2 + "X: 1", b"1") + END, "twice"),
        (_field("a", b"1") * (PARTS_MAX + 1) + END, "more than 64 parts"),
        (_field("a", bytes(FIELD_BYTES_MAX + 1)) + END, "longer than"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, said: str) -> None:
    """With what is wrong, and within the bounds."""
    with pytest.raises(RequestError, match=said):
        _read([body])


def test_two_boundaries_are_none() -> None:
    """Whoever reads the form behind us may take the other one, and other fields with it."""
    for other in (b"; boundary=c", b"; Boundary = c", b"; boundary*=utf-8''c"):
        with pytest.raises(RequestError, match="twice"):
            _read([END], TYPE + other)
    assert _read([END], TYPE + b'; charset="; boundary=c"').parts == ()


def test_names_of_files_may_be_anything() -> None:
    """Also what looks as if it were more of the header, and with a second spelling."""
    head = 'Content-Disposition: form-data; name="f"; filename="%s"; filename*=utf-8\'\'x'
    for name in ("a; name=b", "my name=5.png", r"a\"; name=b"):
        found = _read([_part(head % name, b"1"), END]).parts[0].head
        assert (found.name, found.filename) == ("f", name.replace('\\"', '"'))


def test_a_field_that_is_no_text_is_named() -> None:
    """Bytes that are no UTF-8 are fine in a file only."""
    form = _read([_field("a", b"\xff"), END])
    with pytest.raises(RequestError, match="'a' is not UTF-8"):
        form.text("a")


def test_a_large_part_goes_through_in_pieces() -> None:
    """The reader keeps nothing of a file: all but a boundary's length has come out."""
    reader = FormReader(TYPE)
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
    assert reader.feed(head) == [PartHead("f", "x")]
    for _ in range(100):
        out = reader.feed(bytes(10_000))
        assert sum(len(data) for data in out if isinstance(data, bytes)) >= 9_990


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Whatever comes is a form or a RequestError."""
    try:
        form = _read([body])
    except RequestError:
        return
    assert all(part.head.name for part in form.parts)
