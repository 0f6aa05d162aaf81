"""The table of keys, on a real SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entente.auth import OPERATOR, KeyStore
from entente.control.key_forms import KeyWish
from entente.control.keys import Keys
from entente.db import DATABASE_NAME, Kind, migrate, open_sqlite
from entente.domain.errors import InvalidParameter, LedgerUnavailable, PermissionDenied
from entente.domain.principal import Principal, Role
from tests.support.postgres import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entente.db import Database

MEMBER = Principal(key_id="key_m", name="m", role=Role.MEMBER)

CALLS: dict[str, Callable[[Keys, KeyStore, Principal], object]] = {
    "create": lambda keys, _, actor: keys.create(actor, KeyWish()),
    "list": lambda keys, _, actor: keys.list(actor),
    "revoke": lambda keys, _, actor: keys.revoke(actor, "bob"),
    "store.list": lambda _, store, actor: store.list(actor),
    "store.get": lambda _, store, actor: store.get(actor, "x"),
    "store.resolve": lambda _, store, actor: store.resolve(actor, "bob"),
    "store.by_digest": lambda _, store, actor: store.by_digest(actor, b""),
    "store.revoke": lambda _, store, actor: store.revoke(actor, "x", 1),
    "store.set_budgeted": lambda _, store, actor: store.set_budgeted(actor, "x"),
}


@pytest.mark.parametrize("name", CALLS)
def test_members_reach_no_key(keys: Keys, store: KeyStore, name: str) -> None:
    """Every way to the table takes the caller and lets admins pass only."""
    keys.create(OPERATOR, KeyWish(name="bob"))
    before = store.list(OPERATOR, with_revoked=True)
    with pytest.raises(PermissionDenied, match="role admin"):
        CALLS[name](keys, store, MEMBER)
    assert store.list(OPERATOR, with_revoked=True) == before


def test_a_key_is_kept_as_it_was_made(keys: Keys, store: KeyStore) -> None:
    """What comes back is what went in, models in order."""
    wish = KeyWish(
        name="bob",
        role=Role.ADMIN,
        budgeted=True,
        models=("b", "a"),
        requests_per_minute=10,
        tokens_per_minute=20,
    )
    made = keys.create(OPERATOR, wish)
    assert store.get(OPERATOR, made.record.principal.key_id) == made.record
    assert made.record.principal == Principal(
        key_id=made.record.principal.key_id,
        name="bob",
        role=Role.ADMIN,
        budgeted=True,
        models=("b", "a"),
        requests_per_minute=10,
        tokens_per_minute=20,
    )


def test_the_database_never_holds_a_secret(keys: Keys, database: Database) -> None:
    """Only digests and hints reach the disk, the write-ahead log included."""
    secret = keys.create(OPERATOR, KeyWish(name="bob")).secret.reveal().encode()
    count = 0
    for content in _contents(database):
        assert secret not in content
        assert secret.removeprefix(b"sk-ent-")[3:-4] not in content
        count += 1
    assert count


def _contents(database: Database) -> Iterator[bytes]:
    """Read the files that hold it, those of a whole server where there is one."""
    if database.kind is Kind.SQLITE:
        yield from (path.read_bytes() for path in Path(database.place).parent.iterdir())
        return
    data = postgres_server().folder / "data"
    for top in ("base", "pg_wal"):
        for folder, _, names in os.walk(data / top):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # it deletes and renames its own
                    yield Path(folder, name).read_bytes()


def test_a_revoked_key_is_gone_from_a_new_ring(keys: Keys, store: KeyStore) -> None:
    """The old ring keeps it: it is a snapshot, and its generation says that it is old."""
    made = keys.create(OPERATOR, KeyWish(name="bob"))
    other = keys.create(OPERATOR, KeyWish(name="eve"))
    presented = made.secret.reveal().encode()
    old = store.load_ring()
    assert old.find(presented) == made.record.principal
    revoked = keys.revoke(OPERATOR, "bob")
    assert revoked.revoked_ns is not None
    new = store.load_ring()
    assert new.find(presented) is None
    assert new.find(other.secret.reveal().encode()) == other.record.principal
    assert old.find(presented) is not None
    assert new.generation > old.generation


def test_revoking_again_changes_nothing(keys: Keys, store: KeyStore) -> None:
    """The first moment stands."""
    made = keys.create(OPERATOR, KeyWish(name="bob"))
    key_id = made.record.principal.key_id
    first = keys.revoke(OPERATOR, key_id)
    assert keys.revoke(OPERATOR, key_id) == first
    assert not store.revoke(OPERATOR, key_id, 1)


def test_every_change_has_another_generation(keys: Keys, store: KeyStore) -> None:
    """So that a server sees what the command line did by asking for one number."""
    seen = [store.generation()]
    key_id = keys.create(OPERATOR, KeyWish(name="bob")).record.principal.key_id
    seen.append(store.generation())
    store.set_budgeted(OPERATOR, key_id)
    seen.append(store.generation())
    keys.revoke(OPERATOR, key_id)
    seen.append(store.generation())
    assert seen == sorted(set(seen))
    assert store.load_ring().generation == seen[-1]
    assert len(store.load_ring()) == 0


def test_an_empty_table_gives_an_empty_ring(store: KeyStore) -> None:
    """Before the first start."""
    ring = store.load_ring()
    assert (len(ring), ring.generation) == (0, 0)


def test_a_key_is_named_by_id_name_or_start_of_id(keys: Keys, store: KeyStore) -> None:
    """Whatever a person has at hand, if it names one key."""
    bob = keys.create(OPERATOR, KeyWish(name="bob")).record
    key_id = bob.principal.key_id
    for handle in (key_id, "bob", key_id[:-1], key_id[:20]):
        assert store.resolve(OPERATOR, handle) == bob


def test_an_unclear_name_is_not_guessed(keys: Keys, store: KeyStore) -> None:
    """None and several are both refused, with what to do."""
    keys.create(OPERATOR, KeyWish(name="bob"))
    second = keys.create(OPERATOR, KeyWish(name="bob")).record.principal.key_id
    with pytest.raises(InvalidParameter, match=f"names 2 keys.*{second}"):
        store.resolve(OPERATOR, "bob")
    with pytest.raises(InvalidParameter, match="names 2 keys"):
        store.resolve(OPERATOR, second[:9])
    for handle in ("bo", "key_", "", "%", "key_%%%%%%"):
        with pytest.raises(InvalidParameter, match="entente keys list"):
            store.resolve(OPERATOR, handle)
    keys.revoke(OPERATOR, second)
    assert store.resolve(OPERATOR, "bob").principal.key_id != second


def test_a_failed_transaction_leaves_nothing(keys: Keys, store: KeyStore) -> None:
    """All or nothing."""

    def fail_inside() -> None:
        with store.transaction():
            keys.create(OPERATOR, KeyWish())
            keys.create(OPERATOR, KeyWish(name=" "))

    with pytest.raises(InvalidParameter):
        fail_inside()
    assert store.list(OPERATOR) == ()


def test_sqlite_errors_leave_as_ledger_errors(tmp_path: Path) -> None:
    """A reader cannot write, and a closed connection cannot read."""
    path = tmp_path / DATABASE_NAME
    with closing(open_sqlite(path)) as database:
        migrate(database.connection)
    reader = open_sqlite(path, read_only=True)
    only_reads = KeyStore(reader)
    with pytest.raises(LedgerUnavailable, match="entente doctor"):
        only_reads.revoke(OPERATOR, "x", 1)
    reader.close()
    for call in (only_reads.generation, only_reads.load_ring, lambda: only_reads.list(OPERATOR)):
        with pytest.raises(LedgerUnavailable, match=DATABASE_NAME):
            call()
