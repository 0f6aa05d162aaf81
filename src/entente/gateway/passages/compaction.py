"""Compacting what was said: only a vendor's own model can read what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import UpstreamProtocolError
from entente.domain.features import OnLoss
from entente.gateway.client import Headers
from entente.gateway.passages.base import NO_HEADERS, Stream, Whole
from entente.gateway.sides import SSE, Made
from entente.wire import openai_responses
from entente.wire.dialect import Written
from entente.wire.members import changed


class CompactionPassage:
    """From a client of OpenAI's responses to a provider that has compaction, and back."""

    surface: Surface = Surface.COMPACTION
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def __init__(self, refusal: Callable[[int, bytes, str], bytes]) -> None:
        """Take what the body of an error becomes."""
        self.refusal = refusal

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (no request has such a bound)
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call, with the model as the provider knows it."""
        return Written(changed(call.body, {"model": msgspec.json.encode(model)}))

    def headers(self, call: Call) -> Headers:  # noqa: ARG002
        """Let nothing through."""
        return NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        found = openai_responses.read_compaction(body)
        if found is None:
            raise UpstreamProtocolError(NO_ANSWER)
        return Whole(body, Status.COMPLETE, found.usage)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Refuse a stream: the API has none."""
        raise UpstreamProtocolError(NO_ANSWER)


NO_ANSWER = "The provider's answer is no compaction."
