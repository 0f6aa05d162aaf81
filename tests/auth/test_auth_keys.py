"""Keys, digests, hints and rings, without a database."""

from __future__ import annotations

import re
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from entente.auth import KeyRing, digest_of, hint_of, new_secret
from entente.domain.principal import Principal, Role
from entente.domain.secret import Secret

BOB = Principal(key_id="key_1", name="bob", role=Role.MEMBER)
printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16)


def test_a_key_is_a_prefix_and_256_bits() -> None:
    """The token source is asked for 32 bytes, and all of them are in the key."""
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count

    secret = new_secret(source).reveal()
    assert asked == [32]
    assert re.fullmatch(r"sk-ent-[A-Za-z0-9_-]{43}", secret)
    assert new_secret(lambda count: b"\0" * count).reveal() != secret


@settings(derandomize=True)
@given(st.binary(min_size=32, max_size=32))
def test_a_hint_shows_the_ends_only(entropy: bytes) -> None:
    """Three and four characters of 43, as OpenAI's hints do."""
    secret = new_secret(lambda _: entropy)
    value = secret.reveal()
    assert hint_of(secret) == f"{value[:10]}***{value[-4:]}"


@settings(derandomize=True)
@given(printable)
def test_a_hint_of_a_foreign_key_shows_at_most_a_quarter(value: str) -> None:
    """A chosen admin key may be short."""
    hint = hint_of(Secret(value))
    assert len(hint) - len("***") <= len(value) / 4
    assert value not in hint


def test_a_ring_finds_the_key_and_nothing_else() -> None:
    """Neither a digest, nor its hexadecimal form, nor a hint is a key."""
    secret = new_secret(lambda count: bytes(range(count)))
    key = secret.reveal().encode()
    digest = digest_of(key)
    ring = KeyRing({digest: BOB}, 3)
    assert ring.find(key) is BOB
    assert (len(ring), ring.generation) == (1, 3)
    for other in (
        b"",
        digest,
        digest.hex().encode(),
        hint_of(secret).encode(),
        key[:-1],
        key + b" ",
        key.upper(),
        BOB.key_id.encode(),
    ):
        assert ring.find(other) is None


def test_a_ring_does_not_follow_its_source() -> None:
    """It is a snapshot."""
    source = {sha256(b"k").digest(): BOB}
    ring = KeyRing(source, 0)
    source.clear()
    assert ring.find(b"k") is BOB
