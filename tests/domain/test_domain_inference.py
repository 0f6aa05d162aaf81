"""The values between the dialects: each reason has a status, each loss a name for a header."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from entente.domain import events, inference
from entente.domain.errors import InvalidParameter
from entente.domain.features import HINTS, NAMES_MAX, Feature, Losses, OnLoss
from entente.domain.inference import STATUSES, Message, Role, Stop, Text

VALUES = [
    kind
    for module in (inference, events)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
]


def test_nothing_can_be_changed() -> None:
    """Values go from hand to hand; none of them is anybody's to change."""
    assert len(VALUES) > 30
    assert all(kind.__struct_config__.frozen for kind in VALUES)
    message = Message(Role.USER, (Text("hi"),))
    assert hash(message) == hash(Message(Role.USER, (Text("hi"),)))


def test_every_reason_has_a_status() -> None:
    """So that client, ledger and metrics agree whatever the dialect."""
    assert set(STATUSES) == set(Stop)


def test_every_feature_is_a_name_for_a_header() -> None:
    """Short, in letters that need no quoting."""
    for feature in Feature:
        assert feature.value.isascii()
        assert feature.value.replace("_", "").isalnum()


@pytest.mark.parametrize("name", sorted(HINTS))
def test_hints_are_dropped_whatever_is_configured(name: str) -> None:
    """They change cost or bookkeeping, not what is asked; but they are named."""
    for on_loss in OnLoss:
        losses = Losses("Test", on_loss)
        losses.note(name)
        assert losses.names == (name,)


def test_losses_are_refused_with_their_place() -> None:
    """In a sentence that says what to remove, and which dialect it is that cannot."""
    with pytest.raises(InvalidParameter) as caught:
        Losses("Test", OnLoss.REFUSE).note(Feature.AUDIO, "messages[0]")
    assert caught.value.param == "messages[0]"
    assert caught.value.message == (
        "Unsupported parameter: 'messages[0]' cannot be expressed in the Test API, "
        "which serves this model."
    )


def test_losses_are_named_once_and_bounded() -> None:
    """In the order of noticing, in letters that a header may have."""
    losses = Losses("Test", OnLoss.DROP)
    for name in (Feature.N, Feature.SEED, Feature.N, "a\r\nb: \u00e4"):
        losses.note(name)
    assert losses.names == ("n", "seed", "a__b___")
    for number in range(100):
        losses.note(str(number))
    assert len(losses.names) == NAMES_MAX
