"""Following a stream of a response: the event that ends it matters, and errors. Pure."""

from __future__ import annotations

import re
from typing import Final

from entente.domain.errors import EntenteError
from entente.wire.following import Follower
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.stream_reader import ResponsesStreamReader

_NOTABLE: Final = re.compile(
    rb'"type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed|cancelled))"'
    rb'|"error"\s*:\s*[{"]'
)
_NUMBER: Final = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_NUMBER_NAME: Final = b'"sequence_number"'


class ResponsesStream(Follower):
    """What has come of one stream so far, and what it means."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        """Start before the first byte."""
        super().__init__(ResponsesStreamReader(), _NOTABLE)
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = super().feed(data)
        if block:
            self._last = block
        return block

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event for an answer that we break off, numbered behind what was sent."""
        at = self._last.rfind(_NUMBER_NAME)
        found = _NUMBER.match(self._last, at) if at >= 0 else None
        return faults.stream_error(error, int(found[1]) + 1 if found else 0)
