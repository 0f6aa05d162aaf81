"""Models that leave, and that nobody can delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from tests.support.media import Desk


def test_a_shutdown_date_is_shown(desk: Desk) -> None:
    """Where one is set, as the vendor shows it; retired models are not listed."""
    client = desk.openai(desk.key())
    listed = {model.id: model.to_dict() for model in client.models.list()}
    assert listed["leaving"]["shutdown_date"] == "2999-12-31"
    assert vendor_defects(listed["leaving"], "Model") == []
    assert "shutdown_date" not in listed["chatty"]
    assert "retired" not in listed
    assert client.models.retrieve("leaving").to_dict() == listed["leaving"]


def test_a_retired_model(desk: Desk) -> None:
    """The vendor's 404 for a deprecated model, on every path."""
    client = desk.openai(desk.key())
    for ask in (
        lambda: client.completions.create(model="retired", prompt="x"),
        lambda: client.embeddings.create(model="retired", input="x"),
        lambda: client.models.retrieve("retired"),
    ):
        with pytest.raises(openai.NotFoundError) as gone:
            ask()
        assert gone.value.code == "model_not_found"
        assert "has been deprecated, learn more here" in gone.value.message


def test_models_of_others_cannot_be_deleted(desk: Desk) -> None:
    """403 for one that is there, 404 for one that is not."""
    client = desk.openai(desk.key())
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete("chatty")
    with pytest.raises(openai.NotFoundError):
        client.models.delete("nope")
