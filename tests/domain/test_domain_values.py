"""Ids that sort by time, and secrets that have no text form."""

from __future__ import annotations

import copy
import json
import pickle
import random

import msgspec
import pytest

from entente.domain.ids import Ids
from entente.domain.secret import MASK, Secret

HIDDEN = "sk-very-secret"


def test_ids_sort_by_time_and_differ() -> None:
    """Neighbours in time are neighbours in an index; the prefix says what it is an id of."""
    clock = iter(range(0, 10**12, 10**9))
    source = random.Random(1)  # noqa: S311
    ids = Ids(lambda: next(clock), source.getrandbits)
    made = [ids.new("req") for _ in range(500)]
    assert made == sorted(set(made))
    assert all(name.startswith("req_") and len(name) == len("req_") + 32 for name in made)


def test_ids_of_one_moment_differ() -> None:
    """80 random bits follow the time."""
    source = random.Random(1)  # noqa: S311
    ids = Ids(lambda: 1, source.getrandbits)
    assert len({ids.new("r") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: repr({"key": [secret]}),
        lambda secret: str(ValueError(secret)),
    ],
)
def test_a_secret_prints_as_a_mask(write: object) -> None:
    """Promise 7: whatever way it comes into a text."""
    assert callable(write)
    text = write(Secret(HIDDEN))
    assert MASK in text
    assert HIDDEN not in text


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, msgspec.json.encode, copy.copy, vars])
def test_a_secret_cannot_be_written(write: object) -> None:
    """Not to a file, not to JSON, not by taking it apart."""
    assert callable(write)
    with pytest.raises(TypeError):
        write(Secret(HIDDEN))


def test_a_secret_is_reached_by_one_name() -> None:
    """And can be asked whether there is one at all."""
    assert Secret(HIDDEN).reveal() == HIDDEN
    assert Secret(HIDDEN)
    assert not Secret("")
