"""What a deployment may be asked for in any minute, whoever asks."""

from __future__ import annotations

import msgspec


class Quota(msgspec.Struct, frozen=True):
    """A bound beside the key's own."""

    deployment: str
    """Its name."""
    requests_per_minute: int
    tokens_per_minute: int
