"""Following a stream of messages: its first and last events matter, and errors. Pure."""

from __future__ import annotations

import re
from typing import Final

from entente.domain.errors import EntenteError
from entente.wire.anthropic.stream_reader import MessagesStreamReader
from entente.wire.anthropic_errors import stream_error
from entente.wire.following import Follower

_NOTABLE: Final = re.compile(rb'"(?:message_start|message_delta|message_stop|error)"')


class MessagesStream(Follower):
    """What has come of one stream so far, and what it means."""

    __slots__ = ()

    def __init__(self) -> None:
        """Start before the first byte."""
        super().__init__(MessagesStreamReader(), _NOTABLE)

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event, behind which nothing comes."""
        return stream_error(error)
