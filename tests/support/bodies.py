"""A good body for every route that takes one, by the route's action."""

from __future__ import annotations

from typing import Any, Final

EMPTY: Final = frozenset(
    {
        *("cancel_response", "cancel_upload", "cancel_batch", "cancel_message_batch"),
        *("admin_archive_project", "admin_revoke_key", "admin_end_rule", "admin_test_webhook"),
        "admin_redeliver",
    }
)
"""Actions that take no body."""
FORMS: Final = {
    "create_file": ("file", {"purpose": "batch", "expires_after[anchor]": "created_at"}),
    "add_upload_part": ("data", {}),
    "transcriptions": ("file", {"model": "m", "response_format": "json"}),
    "translations": ("file", {"model": "m"}),
    "image_edits": ("image", {"model": "m", "prompt": "x", "stream": "true"}),
    "image_variations": ("image", {"model": "m", "n": "1"}),
}
"""What is sent as a form: the name of its file, and its fields."""
_USER: Final = {"role": "user", "content": [{"type": "text", "text": "hé"}]}
_SAID: Final = {"type": "message", "role": "user", "content": "hé"}
_MESSAGE: Final = {"model": "m", "max_tokens": 9, "messages": [_USER], "system": "Be brief."}
BODIES: Final[dict[str, Any]] = {
    "admin_create_project": {"id": "alpha", "name": "hé"},
    "admin_create_key": {"name": "hé", "user": "ada", "tags": ["red"], "budget_usd": "1.5"},
    "admin_rotate_key": {"grace_s": 60},
    "admin_create_grant": {"usd": "0.5", "note": "hé"},
    "admin_create_rule": {
        "level": "tag",
        "name": "red",
        "unit": "spend",
        "amount": "1.5",
        "currency": "USD",
        "window": "month",
        "thresholds": [50],
    },
    "admin_create_webhook": {"url": "https://hooks.invalid/x", "events": ["key.created"]},
    "chat": {"model": "m", "messages": [_USER], "n": 1, "store": True, "metadata": {"a": "b"}},
    "update_completion": {"metadata": {"a": "b"}},
    "responses": {
        "model": "m",
        "input": [_SAID],
        "conversation": {"id": "CONVERSATION"},
        "metadata": {"a": "b"},
        "background": True,
    },
    "compact_response": {"model": "m", "input": [_SAID], "previous_response_id": "RESPONSE"},
    "count_input": {"model": "m", "input": [_SAID], "previous_response_id": "RESPONSE"},
    "create_conversation": {"items": [_SAID], "metadata": {"a": "b"}},
    "update_conversation": {"metadata": {"a": "b"}},
    "add_items": {"items": [_SAID]},
    "messages": _MESSAGE,
    "count_tokens": _MESSAGE,
    "create_message_batch": {"requests": [{"custom_id": "a", "params": _MESSAGE}]},
    "create_client_secret": {
        "expires_after": {"anchor": "created_at", "seconds": 60},
        "session": {"type": "realtime", "model": "m", "instructions": "Be brief."},
    },
    "create_realtime_session": {"model": "m", "instructions": "Be brief."},
    "create_transcription_session": {"input_audio_transcription": {"model": "m"}},
    "completions": {"model": "m", "prompt": ["a"], "stream_options": {}, "max_tokens": 5},
    "embeddings": {"model": "m", "input": ["a", "b"], "encoding_format": "base64"},
    "moderations": {"model": "m", "input": [{"type": "text", "text": "x"}]},
    "speech": {"model": "m", "input": "x", "voice": "alloy", "stream_format": "sse"},
    "image_generations": {"model": "m", "prompt": "x", "n": 1, "stream": True},
    "create_upload": {"filename": "f", "purpose": "vision", "bytes": 9, "mime_type": "x/y"},
    "complete_upload": {"part_ids": ["part_1"], "md5": "x"},
    "create_batch": {
        "input_file_id": "file-1",
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "metadata": {"a": "b"},
        "output_expires_after": {"anchor": "created_at", "seconds": 3600},
    },
    "put_deployment": {
        "sku": {"name": "Standard", "capacity": 5},
        "properties": {"model": {"format": "OpenAI", "name": "m", "version": "1"}},
    },
}
"""What is sent as JSON. `CONVERSATION` and `RESPONSE` stand for ids of what is there."""


def form(file: str, fields: dict[str, str]) -> bytes:
    """Write a form with a file."""
    head = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    parts = [head.format(name, "", value) for name, value in fields.items()]
    return "".join([*parts, head.format(file, '; filename="a.jsonl"', "{}"), "--b--\r\n"]).encode()
