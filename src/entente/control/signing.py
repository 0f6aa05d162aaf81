"""Signatures of webhooks, as Standard Webhooks has them. Pure."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entente.domain.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  (it says what a secret is)


def signature(secret: Secret, event_id: str, at_s: int, body: bytes) -> str:
    """Sign the id, the moment in whole seconds and the body, with dots between them."""
    key = b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{event_id}.{at_s}.".encode() + body, sha256).digest()
    return f"v1,{b64encode(digest).decode()}"
