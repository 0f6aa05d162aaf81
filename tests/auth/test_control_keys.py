"""Making keys, and the first admin key of an installation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from entente.auth import OPERATOR, KeyStore
from entente.control.key_forms import BOOTSTRAP_NAME, KeyWish
from entente.control.keys import ADMIN_KEY_VARIABLE, Keys
from entente.domain.errors import ConfigError, InvalidParameter
from entente.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from entente.db import Database

CHOSEN = "my-own-admin-key!"
OTHER = "another-admin-key"


def environ(key: str) -> dict[str, str]:
    """Give an environment that sets the admin key."""
    return {ADMIN_KEY_VARIABLE: key}


def valid(store: KeyStore, key: str) -> bool:
    """Say whether a key is accepted now, as an admin."""
    found = store.load_ring().find(key.encode())
    return found is not None and found.role is Role.ADMIN


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (KeyWish(name=""), "printable"),
        (KeyWish(name=" "), "printable"),
        (KeyWish(name="a\nb"), "printable"),
        (KeyWish(name="x" * 129), "128"),
        (KeyWish(name=BOOTSTRAP_NAME), "reserved"),
        (KeyWish(models=()), "1 to 1000"),
        (KeyWish(requests_per_minute=0), "requests_per_minute"),
        (KeyWish(tokens_per_minute=-1), "tokens_per_minute"),
    ],
)
def test_a_useless_key_is_refused(keys: Keys, store: KeyStore, wish: KeyWish, words: str) -> None:
    """Nothing is made, and the reason names the parameter."""
    with pytest.raises(InvalidParameter, match=words):
        keys.create(OPERATOR, wish)
    assert store.list(OPERATOR) == ()


def test_keys_without_a_name_get_one(keys: Keys) -> None:
    """From the id, so that it differs."""
    made = [keys.create(OPERATOR, KeyWish()).record.principal for _ in range(3)]
    assert len({who.name for who in made}) == len(made)
    assert all(who.key_id.endswith(who.name.removeprefix("key-")) for who in made)


def test_a_new_key_does_not_print_its_secret(keys: Keys) -> None:
    """The record may be shown and encoded; the secret is reached by `reveal` only."""
    made = keys.create(OPERATOR, KeyWish(name="bob"))
    secret = made.secret.reveal()
    assert secret not in repr(made)
    assert secret.encode() not in msgspec.json.encode(made.record)
    with pytest.raises(TypeError):
        msgspec.json.encode(made)


def test_the_first_start_makes_an_admin_key_and_later_ones_do_not(
    keys: Keys, store: KeyStore
) -> None:
    """It is shown once because it is given once."""
    secret = keys.bootstrap_admin({})
    assert secret is not None
    assert valid(store, secret.reveal())
    assert keys.bootstrap_admin({}) is None
    assert len(store.list(OPERATOR)) == 1


def test_a_revoked_only_admin_key_is_replaced(keys: Keys, store: KeyStore) -> None:
    """Nobody is locked out of their own installation."""
    keys.bootstrap_admin({})
    keys.revoke(OPERATOR, BOOTSTRAP_NAME)
    secret = keys.bootstrap_admin({})
    assert secret is not None
    assert valid(store, secret.reveal())


def test_a_member_key_is_no_reason_to_make_no_admin_key(keys: Keys) -> None:
    """Only admins count."""
    keys.create(OPERATOR, KeyWish())
    assert keys.bootstrap_admin({}) is not None


def test_a_chosen_key_is_taken_and_stays(keys: Keys, store: KeyStore) -> None:
    """Restarting with it, or without it, changes nothing."""
    for variables in (environ(CHOSEN), environ(CHOSEN), {}):
        assert keys.bootstrap_admin(variables) is None
        assert valid(store, CHOSEN)
    assert len(store.list(OPERATOR, with_revoked=True)) == 1


def test_a_changed_key_replaces_the_one_before(keys: Keys, store: KeyStore) -> None:
    """Also one that was made here; other admin keys stay."""
    made = keys.bootstrap_admin({})
    assert made is not None
    other = keys.create(OPERATOR, KeyWish(name="ops", role=Role.ADMIN)).secret.reveal()
    keys.bootstrap_admin(environ(CHOSEN))
    keys.bootstrap_admin(environ(OTHER))
    assert [valid(store, key) for key in (made.reveal(), CHOSEN, OTHER, other)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_revoked_key_never_comes_back(keys: Keys, store: KeyStore) -> None:
    """Setting it again is an error that says so and changes nothing."""
    keys.bootstrap_admin(environ(CHOSEN))
    keys.bootstrap_admin(environ(OTHER))
    with pytest.raises(ConfigError, match="known and revoked: set another value"):
        keys.bootstrap_admin(environ(CHOSEN))
    assert valid(store, OTHER)
    assert not valid(store, CHOSEN)


def test_a_member_key_cannot_become_the_admin_key(keys: Keys) -> None:
    """A key keeps the role that it was made with."""
    member = keys.create(OPERATOR, KeyWish()).secret.reveal()
    with pytest.raises(ConfigError, match="not an admin key") as caught:
        keys.bootstrap_admin(environ(member))
    assert member not in str(caught.value)


@pytest.mark.parametrize("bad", ["short-canary", "canary with a space", "canary-" + "é" * 16])
def test_a_bad_chosen_key_is_refused_without_showing_it(
    keys: Keys, store: KeyStore, bad: str
) -> None:
    """The message has the rule, not the value."""
    with pytest.raises(ConfigError, match=ADMIN_KEY_VARIABLE) as caught:
        keys.bootstrap_admin(environ(bad))
    assert "canary" not in str(caught.value)
    assert store.list(OPERATOR) == ()


def test_two_first_starts_at_once_make_one_key(
    open_database: Callable[[], Database], keys_over: Callable[[KeyStore, int], Keys]
) -> None:
    """The transaction decides who makes it."""

    def start(seed: int) -> bool:
        with closing(open_database()) as database:
            return keys_over(KeyStore(database), seed).bootstrap_admin({}) is not None

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, range(4))) == [False, False, False, True]
