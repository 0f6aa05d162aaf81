"""Thoughts with their seals: what lets a vendor take its model's own thoughts back. Pure.

A vendor reads only its own seals, so a seal has to say whose it is, wherever it travels:

- What a provider of this dialect encrypts belongs to the id of its item. In canonical values
  both together are a signature, `openai:ID:CONTENT`; so it comes back whole from clients of
  any dialect, and no other vendor's signature is ever sent to it in its place.
- For a client of this dialect a canonical signature is an `encrypted_content` of the form
  `thinking:SIGNATURE`, or `redacted:DATA` for a thought that is encrypted as a whole. What
  has neither form a client brought from elsewhere, and is OpenAI's own.

All of it is opaque to clients.
"""

from __future__ import annotations

from typing import Any, Final

from entente.domain.inference import RedactedThinking, Thinking

PART_SEPARATOR: Final = "\n\n"
"""Stands between the parts of a summary."""
_OPENAI: Final = "openai:"
_THINKING: Final = "thinking:"
_REDACTED: Final = "redacted:"


def seal(item_id: str, content: str) -> str:
    """Make a signature of what a provider encrypted."""
    return f"{_OPENAI}{item_id}:{content}"


def unseal(signature: str) -> tuple[str, str] | None:
    """Give the id of an item and its encrypted content; None for other vendors' signatures."""
    if not signature.startswith(_OPENAI):
        return None
    item_id, colon, content = signature[len(_OPENAI) :].partition(":")
    return (item_id, content) if colon else None


def by_provider(
    item_id: str, text: str, encrypted: str | None
) -> Thinking | RedactedThinking | None:
    """Give the thought of a reasoning item that a provider wrote; None for an empty one."""
    if encrypted:
        signature = seal(item_id, encrypted)
        return Thinking(text, signature) if text else RedactedThinking(signature)
    return Thinking(text) if text else None


def by_client(item_id: str, text: str, encrypted: str | None) -> Thinking | RedactedThinking | None:
    """Give the thought of a reasoning item that a client sends back; None for an empty one."""
    if encrypted and encrypted.startswith(_THINKING):
        return Thinking(text, encrypted[len(_THINKING) :])
    if encrypted and encrypted.startswith(_REDACTED):
        return RedactedThinking(encrypted[len(_REDACTED) :])
    return by_provider(item_id, text, encrypted)


def for_client(part: Thinking | RedactedThinking) -> str | None:
    """Give the `encrypted_content` that a client sees; None for a thought without signature."""
    if isinstance(part, RedactedThinking):
        return _REDACTED + part.data
    return None if part.signature is None else _THINKING + part.signature


def item(item_id: str, text: str, encrypted: str | None) -> dict[str, Any]:
    """Write a reasoning item; one that a provider knows only by its content has no id."""
    written: dict[str, Any] = {"id": item_id} if item_id else {}
    written["type"] = "reasoning"
    written["summary"] = [{"type": "summary_text", "text": text}] if text else []
    if encrypted is not None:
        written["encrypted_content"] = encrypted
    return written
