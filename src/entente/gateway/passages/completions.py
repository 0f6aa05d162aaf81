"""Ways of completions of plain text to providers that have them."""

from __future__ import annotations

from entente.domain.chat import Call, Surface
from entente.domain.features import OnLoss
from entente.gateway.passages.base import Stream, Whole
from entente.gateway.passages.native import ChatPassage
from entente.gateway.sides import Made
from entente.wire import azure_filters, openai_completions
from entente.wire.dialect import Written
from entente.wire.openai_stream import ChatStream


class CompletionsPassage(ChatPassage):
    """OpenAI's completions, whose answers are followed as those of chat are."""

    surface: Surface = Surface.COMPLETIONS

    def request(
        self,
        call: Call,
        *,
        model: str,
        output_tokens_max: int | None,
        on_loss: OnLoss,  # noqa: ARG002  (nothing is lost)
    ) -> Written:
        """Write the call; its own bytes, if nothing has to change."""
        return Written(
            openai_completions.encode_completions(
                call, model=model, output_tokens_max=output_tokens_max
            )
        )


class AzureCompletions(CompletionsPassage):
    """From OpenAI's completions to Azure's: what only clients of Azure expect stays out."""

    def whole(self, call: Call, body: bytes, made: Made) -> Whole:
        """Follow a whole answer."""
        seen = super().whole(call, body, made)
        shown = azure_filters.without(seen.body)
        return Whole(shown, seen.status, seen.usage, seen.service_tier)

    def stream(self, call: Call, made: Made, kind: bytes) -> Stream:  # noqa: ARG002
        """Follow a stream."""
        return _Plain(hide_usage=not call.wants_usage, choices=call.choices)


class _Plain(ChatStream):
    """A stream without annotations."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        return azure_filters.without_in_events(super().feed(data))

    def close(self) -> bytes:
        """Take the end of the bytes."""
        return azure_filters.without_in_events(super().close())
