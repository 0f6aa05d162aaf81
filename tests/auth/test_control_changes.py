"""Projects, changes and rotation of keys, and the audit of it all, on a real SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from entente.auth import OPERATOR, KeyStore
from entente.control.audit import Audit
from entente.control.events import EventType
from entente.control.key_forms import KeyChange, KeyWish
from entente.control.keys import ADMIN_KEY_VARIABLE, Keys
from entente.control.outbox import Outbox
from entente.control.projects import Projects
from entente.control.table import Base
from entente.domain.errors import (
    ConfigError,
    InvalidParameter,
    LedgerUnavailable,
    ObjectNotFound,
    PermissionDenied,
)
from entente.domain.ids import Ids
from entente.domain.principal import Principal, Role

if TYPE_CHECKING:
    from entente.domain.secret import Secret

MEMBER = Principal(key_id="key_m", name="m", role=Role.MEMBER)
NOW = 1_700_000_000_000_000_000
HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture
def base(store: KeyStore) -> Base:
    """Give what use cases stand on."""
    moments = iter(range(NOW, NOW + 10**9))
    numbers = iter(range(10**6))
    return Base(store.database, lambda: next(moments), Ids(lambda: NOW, lambda _: next(numbers)))


@pytest.fixture
def audit(base: Base) -> Audit:
    """Give the audit."""
    return Audit(base)


@pytest.fixture
def projects(base: Base, audit: Audit) -> Projects:
    """Give the use cases of projects."""
    return Projects(base, audit)


def actions(audit: Audit) -> list[str]:
    """Give what was done, oldest first."""
    return [row.action for row in reversed(audit.list(OPERATOR, limit=100).found)]


def presents(store: KeyStore, secret: Secret, at_ns: int = NOW) -> Principal | None:
    """Present a key at a moment."""
    return store.load_ring(lambda: at_ns).find(secret.reveal().encode())


def test_a_key_belongs_to_a_project_that_is_there(
    keys: Keys, store: KeyStore, projects: Projects
) -> None:
    """`default` always is; a name that was mistyped makes no key."""
    with pytest.raises(InvalidParameter, match=r"entente projects create alpha"):
        keys.create(OPERATOR, KeyWish(project="alpha"))
    assert store.list(OPERATOR, with_revoked=True) == ()
    projects.create(OPERATOR, "alpha", "Alpha team")
    keys.create(OPERATOR, KeyWish(project="alpha"))
    assert [project.id for project in projects.list(OPERATOR, limit=10).found] == [
        "alpha",
        "default",
    ]


def test_an_archived_project_ends_its_keys(keys: Keys, store: KeyStore, projects: Projects) -> None:
    """Old ones are in no new ring, new ones are refused, and the generation tells of it."""
    projects.create(OPERATOR, "alpha")
    made = keys.create(OPERATOR, KeyWish(project="alpha"))
    other = keys.create(OPERATOR, KeyWish())
    before = store.generation()
    projects.archive(OPERATOR, "alpha")
    assert store.generation() > before
    assert presents(store, made.secret) is None
    assert presents(store, other.secret) is not None
    with pytest.raises(InvalidParameter, match="is archived"):
        keys.create(OPERATOR, KeyWish(project="alpha"))
    assert projects.archive(OPERATOR, "alpha").archived_ns is not None
    with pytest.raises(InvalidParameter, match="always there"):
        projects.archive(OPERATOR, "default")


def test_projects_are_paged_by_id(projects: Projects) -> None:
    """Each page goes on behind the last one's last."""
    for name in ("c", "a", "b"):
        projects.create(OPERATOR, name)
    first = projects.list(OPERATOR, limit=3)
    assert ([p.id for p in first.found], first.has_more) == (["a", "b", "c"], True)
    rest = projects.list(OPERATOR, limit=3, after="c")
    assert ([p.id for p in rest.found], rest.has_more) == (["default"], False)


@pytest.mark.parametrize("id_", ["", "a b", "a/b", "x" * 65, "ä"])
def test_ids_of_projects_are_plain(projects: Projects, id_: str) -> None:
    """They go into paths and into names of meters."""
    with pytest.raises(InvalidParameter, match="`id` must be"):
        projects.create(OPERATOR, id_)


def test_projects_are_for_admins(projects: Projects, audit: Audit) -> None:
    """Every way to them, and to the audit."""
    for call in (
        lambda: projects.create(MEMBER, "a"),
        lambda: projects.rename(MEMBER, "default", "x"),
        lambda: projects.archive(MEMBER, "default"),
        lambda: projects.get(MEMBER, "default"),
        lambda: projects.list(MEMBER, limit=1),
        lambda: projects.check_open(MEMBER, "default"),
        lambda: audit.list(MEMBER, limit=1),
    ):
        with pytest.raises(PermissionDenied, match="role admin"):
            call()
    with pytest.raises(ObjectNotFound):
        projects.get(OPERATOR, "nowhere")


def test_a_change_counts_and_leaves_the_rest(keys: Keys, store: KeyStore) -> None:
    """What is not named stays; None takes away; the generation tells of it."""
    made = keys.create(
        OPERATOR, KeyWish(name="bob", user="ann", tags=("a",), models=("m",), tokens_per_minute=5)
    )
    before = store.generation()
    after = keys.change(
        OPERATOR, "bob", KeyChange(user=None, tags=("b", "c"), requests_per_minute=7)
    )
    assert store.generation() > before
    assert presents(store, made.secret) == after.principal
    expected = msgspec.structs.replace(
        made.record.principal, user=None, tags=("b", "c"), requests_per_minute=7
    )
    assert after.principal == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (KeyChange(tags=("a b",)), "`tags` must each be"),
        (KeyChange(tags=("a", "a")), "each named once"),
        (KeyChange(user="\n"), "`user` must be printable"),
        (KeyChange(name="bootstrap-admin"), "reserved"),
        (KeyChange(models=()), "`models` must name"),
        (KeyChange(tokens_per_minute=0), "`tokens_per_minute` must be"),
        (KeyChange(expires_ns=NOW), "has passed"),
    ],
)
def test_a_change_is_held_to_the_same_bounds(keys: Keys, change: KeyChange, text: str) -> None:
    """As what a new key may be; and it leaves no trace."""
    made = keys.create(OPERATOR, KeyWish(name="bob"))
    with pytest.raises(InvalidParameter, match=text):
        keys.change(OPERATOR, "bob", change)
    assert keys.get(OPERATOR, "bob") == made.record


def test_a_rotated_key_has_two_secrets_for_a_while(keys: Keys, store: KeyStore) -> None:
    """Both are the same key; the old one ends by itself, without a new ring."""
    old = keys.create(OPERATOR, KeyWish(name="bob"))
    new = keys.rotate(OPERATOR, "bob", grace_s=3600)
    assert new.record.principal == old.record.principal
    assert new.record.hint != old.record.hint
    moment = [NOW]
    ring = store.load_ring(lambda: moment[0])
    for secret in (old.secret, new.secret):
        assert ring.find(secret.reveal().encode()) == new.record.principal
    assert ring.named("bob") == new.record.principal
    moment[0] += 2 * HOUR_NS
    assert ring.find(old.secret.reveal().encode()) is None
    assert ring.find(new.secret.reveal().encode()) is not None
    keys.revoke(OPERATOR, "bob")
    for secret in (old.secret, new.secret):
        assert presents(store, secret) is None


def test_no_grace_ends_the_old_secret_at_once(keys: Keys, store: KeyStore) -> None:
    """And a former secret can never be taken for a new key."""
    old = keys.create(OPERATOR, KeyWish(name="bob", role=Role.ADMIN))
    keys.rotate(OPERATOR, "bob", grace_s=0)
    assert presents(store, old.secret, NOW + HOUR_NS) is None
    with pytest.raises(ConfigError, match="was rotated"):
        keys.bootstrap_admin({ADMIN_KEY_VARIABLE: old.secret.reveal()})


def test_a_key_ends_by_itself(keys: Keys, store: KeyStore) -> None:
    """At its instant, in a ring that was made before, by secret and by name."""
    made = keys.create(OPERATOR, KeyWish(name="bob", expires_ns=NOW + HOUR_NS))
    moment = [NOW]
    ring = store.load_ring(lambda: moment[0])
    presented = made.secret.reveal().encode()
    moment[0] = NOW + HOUR_NS - 1
    assert ring.find(presented) == ring.named("bob") == made.record.principal
    moment[0] += 1
    assert (ring.find(presented), ring.named("bob")) == (None, None)


def test_an_admin_key_that_ended_is_none(keys: Keys) -> None:
    """Where it was the only one, the next start makes another."""
    keys.create(OPERATOR, KeyWish(role=Role.ADMIN, expires_ns=NOW + HOUR_NS))
    assert keys.bootstrap_admin({}) is None
    keys._now_ns = lambda: NOW + HOUR_NS
    assert keys.bootstrap_admin({}) is not None


def test_every_change_is_in_the_audit(keys: Keys, projects: Projects, audit: Audit) -> None:
    """Who, what, of which object, before and after; a refused change is not."""
    projects.create(OPERATOR, "alpha")
    made = keys.create(OPERATOR, KeyWish(name="bob", project="alpha"))
    keys.change(OPERATOR, "bob", KeyChange(name="rob"))
    rotated = keys.rotate(OPERATOR, "rob", grace_s=60)
    keys.revoke(OPERATOR, "rob")
    projects.archive(OPERATOR, "alpha")
    with pytest.raises(InvalidParameter):
        keys.change(OPERATOR, made.record.principal.key_id, KeyChange(name="x"))
    assert sorted(actions(audit)) == [
        "key.change",
        "key.create",
        "key.revoke",
        "key.rotate",
        "project.archive",
        "project.create",
    ]
    (change,) = [row for row in audit.list(OPERATOR, limit=9).found if row.action == "key.change"]
    shown = change.view()
    assert (shown.actor.id, shown.object) == ("operator", made.record.principal.key_id)
    assert shown.before is not None
    assert shown.after is not None
    names = [msgspec.json.decode(side)["name"] for side in (shown.before, shown.after)]
    assert names == ["bob", "rob"]
    everything = msgspec.json.encode([row.view() for row in audit.list(OPERATOR, limit=9).found])
    for made_key in (made, rotated):
        assert made_key.secret.reveal().encode() not in everything


def test_the_audit_is_paged_and_asked_by_object(projects: Projects, audit: Audit) -> None:
    """Newest first, each page behind the last one's last."""
    for name in ("a", "b", "c"):
        projects.create(OPERATOR, name)
    projects.rename(OPERATOR, "a", "A")
    first = audit.list(OPERATOR, limit=2)
    assert [row.object for row in first.found] == ["a", "c"]
    assert first.has_more
    rest = audit.list(OPERATOR, limit=2, after=first.found[-1].id)
    assert ([row.object for row in rest.found], rest.has_more) == (["b", "a"], False)
    of_one = audit.list(OPERATOR, limit=9, about="a").found
    assert [row.action for row in of_one] == ["project.rename", "project.create"]


def test_the_audit_only_grows(projects: Projects, base: Base, audit: Audit) -> None:
    """Not even somebody with the file in a shell changes it by mistake."""
    projects.create(OPERATOR, "a")
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(LedgerUnavailable, match="append only"):
            base.database.execute(statement)
    assert actions(audit) == ["project.create"]


def test_a_change_and_its_event_are_one(keys: Keys, base: Base, store: KeyStore) -> None:
    """What fails behind the change takes key, audit and event back with it."""
    store.database.execute("DROP TABLE deliveries")
    store.database.execute(
        "INSERT INTO webhooks (id, url, events, secret, created_ns) VALUES ('w','u','[]','s',0)"
    )
    with pytest.raises(Exception, match="deliveries"):
        keys.create(OPERATOR, KeyWish(name="bob"))
    for table in ("keys", "audit", "outbox"):
        assert base.database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608


def test_what_is_told_once_is_told_once(base: Base) -> None:
    """Whoever tells it again, it goes to each webhook a single time."""
    outbox = Outbox(base)
    base.database.execute(
        "INSERT INTO webhooks (id, url, events, secret, created_ns)"
        """ VALUES ('w1','u','[]','s',0), ('w2','u','["key.created"]','s',0)"""
    )
    told = [
        outbox.tell(EventType.BUDGET_EXCEEDED, {"key": "k"}, once="x"),
        Outbox(base).tell(EventType.BUDGET_EXCEEDED, {"key": "k"}, once="x"),
        outbox.tell(EventType.BUDGET_EXCEEDED, {"key": "k"}),
    ]
    assert told == [True, False, True]
    rows = base.database.execute("SELECT webhook, state FROM deliveries").fetchall()
    assert rows == [("w1", "pending"), ("w1", "pending")]
