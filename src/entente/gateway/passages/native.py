"""Ways between a client and a provider that speak the same dialect: bytes pass as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import UpstreamProtocolError
from entente.domain.features import OnLoss
from entente.gateway.client import Headers
from entente.gateway.passages.base import NO_HEADERS, Stream, Whole
from entente.gateway.sides import SSE, Made
from entente.wire import anthropic, openai, openai_responses
from entente.wire.carried import ANTHROPICS, OPENAIS, chosen
from entente.wire.dialect import Written
from entente.wire.openai_stream import ChatStream
from entente.wire.progress import status_of

NOT_JSON: Final = "The provider's answer is not whole: it does not read as JSON."


def as_it_is(_status: int, body: bytes, _request_id: str) -> bytes:
    """Leave an error as it is."""
    return body


class ChatPassage:
    """OpenAI's chat completions, from client to provider and back."""

    surface: Surface = Surface.CHAT
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def __init__(self, refusal: Callable[[int, bytes, str], bytes] = as_it_is) -> None:
        """Take what the body of an error becomes."""
        self.refusal = refusal

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        body = openai.encode_chat(call, model=model, output_tokens_max=output_tokens_max)
        return Written(body)

    def headers(self, call: Call) -> Headers:
        """Let through what OpenAI reads."""
        return chosen(call.carried, OPENAIS) if call.carried else NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        completion = openai.read_completion(body)
        if completion is None and not _is_json(body):
            raise UpstreamProtocolError(NOT_JSON)
        if completion is None or completion.failed or not completion.choices:
            status = Status.FAILED
        elif reasons := completion.reasons:
            status = openai.ending(reasons.values())
        else:
            status = Status.TRUNCATED
        usage = completion.usage.disjoint() if completion and completion.usage else None
        return Whole(body, status, usage, completion.tier if completion else "")

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return ChatStream(hide_usage=not call.wants_usage, choices=call.choices)


class MessagesPassage:
    """Anthropic's messages, from client to provider and back."""

    surface: Surface = Surface.MESSAGES
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE
    refusal = staticmethod(as_it_is)

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,  # noqa: ARG002  (the dialect's own bound is required)
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(anthropic.encode_messages(call, model=model))

    def headers(self, call: Call) -> Headers:
        """Let through the version and the betas that the client was written for."""
        return chosen(call.carried, ANTHROPICS) if call.carried else NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:  # noqa: ARG002
        """Follow a whole answer."""
        answer = anthropic.read_answer(body)
        if answer is None and not _is_json(body):
            raise UpstreamProtocolError(NOT_JSON)
        if answer is None or not answer.choices:
            return Whole(body, Status.FAILED, answer.usage if answer else None)
        stops = [choice.stop for choice in answer.choices if choice.stop is not None]
        status = status_of(stops) if stops else Status.TRUNCATED
        return Whole(body, status, answer.usage, answer.service_tier or "")

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return anthropic.MessagesStream()


class ResponsesPassage:
    """OpenAI's responses, from client to provider and back.

    The provider is asked to keep nothing: what is kept of an answer is kept here, if at all.
    Where that shows in the answer, it is said as the client knows it; all else passes.
    """

    surface: Surface = Surface.RESPONSES
    crosses: bool = False
    stream_types: tuple[bytes, ...] = SSE

    def __init__(
        self,
        refusal: Callable[[int, bytes, str], bytes] = as_it_is,
        *,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Take what the body of an error becomes, and what of a response is not for the client."""
        self.refusal = refusal
        self._without = without

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, but for what would be kept."""
        return Written(
            openai_responses.encode_responses(
                call, model=model, output_tokens_max=output_tokens_max
            )
        )

    def headers(self, call: Call) -> Headers:
        """Let through what OpenAI reads."""
        return chosen(call.carried, OPENAIS) if call.carried else NO_HEADERS

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Follow a whole answer."""
        end = openai_responses.read_end(body)
        if end is None:
            if not _is_json(body):
                raise UpstreamProtocolError(NOT_JSON)
            return Whole(body, Status.FAILED, None)
        shown = self._retelling(call, made).body(body)
        return Whole(shown, end.status, end.usage, end.service_tier)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return openai_responses.ResponsesStream(self._retelling(call, made))

    def _retelling(self, call: Call, made: Made) -> openai_responses.Retelling:
        return openai_responses.retelling(call, made.id, without=self._without)


def _is_json(body: bytes) -> bool:
    """Say whether a body is JSON, of whatever form."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    except RecursionError:
        pass  # too deep for us to read, which makes it no less JSON
    return True
