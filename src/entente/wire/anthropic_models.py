"""Anthropic's list of models. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def write_model(name: str, *, created_s: int) -> dict[str, object]:
    """Write a model that is served since `created_s`, seconds since 1970."""
    created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": created,
        "lifecycle": "active",
    }


def write_list(names: Sequence[str], *, created_s: int) -> dict[str, object]:
    """Write all models as one page."""
    return {
        "data": [write_model(name, created_s=created_s) for name in names],
        "first_id": names[0] if names else None,
        "has_more": False,
        "last_id": names[-1] if names else None,
    }
