"""A request made to fit a server: what changes, what is said of it, what is refused."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from entente.domain.errors import InvalidParameter
from entente.domain.features import OnLoss
from entente.wire.quirks import Quirks, adapt

OLD = Quirks(output_bound="max_tokens")
ONE = Quirks(choices_max=1)
PLAIN = Quirks(takes_stream_options=False)
NAMED = Quirks(renames=MappingProxyType({"seed": "random_seed"}))
STERN = Quirks(refuses=frozenset({"logprobs", "user"}))


@pytest.mark.parametrize(
    ("quirks", "body", "sent"),
    [
        (OLD, '{"max_completion_tokens": 5 }', '{"max_tokens":5}'),
        (OLD, '{"max_completion_tokens":5,"max_tokens":9}', '{"max_tokens":9}'),
        (OLD, '{"max_completion_tokens":5,"max_tokens":null}', '{"max_tokens":5}'),
        (OLD, '{"max_completion_tokens":null}', "{}"),
        (PLAIN, '{"stream":true,"stream_options":{}}', '{"stream":true}'),
        (NAMED, '{"x":1.10,"seed":7}', '{"x":1.10,"random_seed":7}'),
        (STERN, '{"logprobs":false,"é":"é"}', '{"é":"é"}'),
    ],
)
def test_what_a_server_names_otherwise(quirks: Quirks, body: str, sent: str) -> None:
    """Nothing is lost, so nothing is said; values keep their bytes."""
    for on_loss in OnLoss:
        written = adapt(body.encode(), quirks, target="X", on_loss=on_loss)
        assert (written.body.decode(), written.dropped) == (sent, ())


@pytest.mark.parametrize(
    ("quirks", "body"),
    [
        (OLD, '{ "max_tokens": 5, "stream_options": {} }'),
        (ONE, '{"n": 1}'),
        (ONE, '{"n": "many"}'),
        (Quirks(), '{"n": 9, "max_completion_tokens": 1, "max_tokens": null, "user": "u"}'),
        (STERN, '["no object"]'),
    ],
)
def test_what_fits_keeps_its_bytes(quirks: Quirks, body: str) -> None:
    """Spaces included."""
    written = adapt(body.encode(), quirks, target="X", on_loss=OnLoss.REFUSE)
    assert (written.body.decode(), written.dropped) == (body, ())


@pytest.mark.parametrize(
    ("quirks", "member", "name"),
    [(ONE, b'"n":2', "n"), (STERN, b'"logprobs":true', "logprobs")],
)
def test_what_a_server_cannot_do(quirks: Quirks, member: bytes, name: str) -> None:
    """Is refused by name, or left out and named."""
    body = b'{"model":"m",%b}' % member
    with pytest.raises(InvalidParameter, match=f"'{name}' cannot be expressed in the X API"):
        adapt(body, quirks, target="X", on_loss=OnLoss.REFUSE)
    written = adapt(body, quirks, target="X", on_loss=OnLoss.DROP)
    assert (written.body, written.dropped) == (b'{"model":"m"}', (name,))


def test_bookkeeping_is_no_reason_to_refuse() -> None:
    """It is left out and named."""
    written = adapt(b'{"user":"u"}', STERN, target="X", on_loss=OnLoss.REFUSE)
    assert (written.body, written.dropped) == (b"{}", ("user",))
