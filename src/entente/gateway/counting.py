"""How many tokens a request would take in, before it is sent.

A provider that counts for nothing is asked, as a client of its own would ask it. For all
others the answer is an estimate from the text alone, and says that it is one: about four
characters of ASCII a token, one token for any other character, a few for each message, and
a fixed number for each image or document. It tends to be above the truth for English and
near it for code; nobody is charged by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter, MalformedJson, UpstreamError, UpstreamRefused
from entente.domain.principal import Principal
from entente.gateway.passage import adapted, way_to
from entente.gateway.pipeline import Gateway
from entente.gateway.relay import Reply
from entente.providers.base import Ask, Countable, Provider
from entente.routing.catalog import Model, Target
from entente.wire import anthropic, counts

ASCII_PER_TOKEN: Final = 4
MESSAGE_TOKENS: Final = 4
"""What a template puts around each message."""
ATTACHMENT_TOKENS: Final = 1_600
"""About what an image of a million pixels takes."""
COUNT_BYTES_MAX: Final = 1024 * 1024
"""Of a provider's answer."""
COUNTED: Final = frozenset({"messages", "system", "tools", "instructions", "input", "text"})
"""Members of a request that a model reads."""
ATTACHMENTS: Final = frozenset(
    {"image", "document", "container_upload", "input_image", "input_file", "input_audio"}
)
_OK: Final = 200
_JSON: Final = (b"content-type", b"application/json")
ESTIMATED: Final = (b"x-entente-estimated", b"input_tokens")
_CUT: Final[Mapping[tuple[str, Surface], Callable[[bytes], bytes]]] = {
    ("openai", Surface.RESPONSES): counts.for_responses,
    ("anthropic", Surface.MESSAGES): counts.for_messages,
    ("gemini", Surface.CHAT): bytes,
}
"""What is counted of a request, by dialect and surface; of others no provider says."""


class Count(msgspec.Struct, frozen=True):
    """Tokens of an input."""

    input_tokens: int
    is_estimated: bool


class Counting:
    """Counts for clients, within their keys' limits of requests."""

    def __init__(self, gateway: Gateway, providers: Mapping[str, Provider]) -> None:
        """Take the parts."""
        self._gateway = gateway
        self._providers = providers

    async def messages(self, who: Principal, call: Call, request_id: str) -> Reply:
        """Answer a request to count in Anthropic's form: exactly, or marked as an estimate.

        Text goes only where a request of the same kind might go. Raises EntenteError.
        """
        model, targets = self._gateway.targets(who, call)
        await self._gateway.count(who, call, model)
        for target in targets:
            provider = self._providers[target.provider]
            if not isinstance(provider, Countable) or call.surface not in provider.surfaces:
                continue
            answer = await provider.count(
                Ask(
                    surface=call.surface,
                    model=target.model,
                    body=anthropic.encode_messages(call, model=target.model),
                    stream=False,
                    request_id=request_id,
                    headers=tuple(call.carried.items()),
                )
            )
            try:
                if answer.status in (401, 403):
                    raise UpstreamRefused(_REFUSED.format(target.provider, answer.status))
                return Reply(answer.status, (_JSON,), await answer.read(COUNT_BYTES_MAX))
            finally:
                await answer.aclose()
        body = msgspec.json.encode({"input_tokens": estimate(call)})
        return Reply(200, (_JSON, ESTIMATED), body)

    async def input(self, who: Principal, call: Call, request_id: str) -> Count:
        """Count the input of a call, whatever its dialect and the provider's. Raises EntenteError.

        A provider that cannot be reached, or refuses to count, makes it an estimate.
        """
        model, targets = self._gateway.targets(who, call)
        await self._gateway.count(who, call, model)
        for target in targets:
            try:
                tokens = await self._by_provider(call, model, target, request_id)
            except (InvalidParameter, UpstreamError):
                continue
            if tokens is not None:
                return Count(tokens, is_estimated=False)
        return Count(estimate(call), is_estimated=True)

    async def _by_provider(
        self, call: Call, model: Model, target: Target, request_id: str
    ) -> int | None:
        """Have a provider count what it would be sent; None where it does not say."""
        provider = self._providers[target.provider]
        way = way_to(provider, call)
        cut = _CUT.get((provider.dialect, way.surface))
        if cut is None or not isinstance(provider, Countable):
            return None
        written = way.request(
            call, model=target.model, output_tokens_max=None, on_loss=model.on_loss
        )
        if provider.quirks is not None and way.surface is Surface.CHAT:
            written = adapted(written, provider.quirks, target.provider, model.on_loss, call=call)
        answer = await provider.count(
            Ask(
                surface=way.surface,
                model=target.model,
                body=cut(written.body),
                stream=False,
                request_id=request_id,
                headers=way.headers(call),
            )
        )
        try:
            said = await answer.read(COUNT_BYTES_MAX)
        finally:
            await answer.aclose()
        return counts.read(said) if answer.status == _OK else None


def estimate(call: Call) -> int:
    """Estimate the tokens that a request takes in. Raises MalformedJson."""
    tokens = 0
    for name in COUNTED & call.members.keys():
        try:
            value = msgspec.json.decode(call.members[name])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            message = "The request body is not valid JSON."
            raise MalformedJson(message) from None
        tokens += sum(_tokens(value))
        if name == "input" and isinstance(value, str):
            tokens += MESSAGE_TOKENS
    return tokens


def _tokens(value: Any) -> Iterator[int]:
    """Give the tokens of each part of a value, in no order."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield of_text(one)
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if one.get("type") in ATTACHMENTS:
                yield ATTACHMENT_TOKENS
                continue
            if "role" in one:
                yield MESSAGE_TOKENS
            waiting += (inner for name, inner in one.items() if name not in ("type", "role"))


def of_text(text: str) -> int:
    """Estimate the tokens of a text."""
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // ASCII_PER_TOKEN) + len(text) - plain


_REFUSED: Final = (
    "The provider `{}` answered {} to the credentials that the gateway has for it. "
    "An administrator must correct them."
)
