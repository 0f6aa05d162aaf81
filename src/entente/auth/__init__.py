"""Who is asking: keys, the principals they stand for, and the table they are kept in."""

from entente.auth.keys import KeyRing, digest_of, hint_of, new_secret
from entente.auth.model import OPERATOR, KeyRecord
from entente.auth.store import KeyStore

__all__ = [
    "OPERATOR",
    "KeyRecord",
    "KeyRing",
    "KeyStore",
    "digest_of",
    "hint_of",
    "new_secret",
]
