"""Writes OpenAI's chat completions: whole bodies, stream events and errors.

Pure: the number and the time of an answer are arguments, so equal calls give equal
bytes. The order of keys and events is that of recorded traffic of 2026. The random
padding that OpenAI adds to events (`obfuscation`) is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from entente.providers.scripted import shapes
from entente.providers.scripted.script import ErrorReply, FinishReason, Reply, UsageCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.providers.scripted.request import ChatRequest

LOGPROB: Final = -0.125
"""The log probability of every piece: exact in binary, so that it prints the same."""

DONE: Final = b"data: [DONE]\n\n"
ERROR_MESSAGE: Final = "The server had an error while processing your request. Sorry about that!"

_WORD: Final = re.compile(r"\s*\S+(?:\s+\Z)?")
_ENCODE: Final = msgspec.json.Encoder().encode


class Stamp(msgspec.Struct, frozen=True):
    """What makes an answer this one: its number at this provider and its time."""

    number: int
    created_s: int

    @property
    def id(self) -> str:
        """The id of the completion."""
        return f"chatcmpl-{self.number:032x}"

    def call_id(self, choice: int, call: int) -> str:
        """Make the id of a tool call, which no other answer has."""
        return f"call_{self.number:016x}{choice:04x}{call:04x}"


class Piece(msgspec.Struct, frozen=True):
    """What one stream event carries and one token counts."""

    kind: Literal["content", "refusal", "name", "arguments"]
    text: str
    call: int = 0


class Cut(msgspec.Struct, frozen=True):
    """The pieces of one choice after the request's token bound, and why they end."""

    pieces: tuple[Piece, ...]
    finish_reason: FinishReason


class StreamParts(NamedTuple):
    """The events of a stream, by where a script can break it."""

    head: list[bytes]
    """A role event for each choice."""
    pieces: Iterator[bytes]
    tail: list[bytes]
    """A finish event for each choice, then the usage where it was asked for."""


def split_words(text: str) -> tuple[str, ...]:
    """Split before each word; joined, the pieces are the text again."""
    return tuple(_WORD.findall(text)) if text.strip() else (text,) * bool(text)


def cut_pieces(request: ChatRequest, reply: Reply) -> Cut:
    """Give the pieces of one choice, at most as many as the request allows."""
    pieces = [Piece("content", text) for text in _content(request, reply) or ()]
    pieces += [Piece("refusal", text) for text in split_words(reply.refusal or "")]
    for index, call in enumerate(reply.tool_calls or ()):
        pieces.append(Piece("name", call.name, index))
        pieces += [Piece("arguments", text, index) for text in split_words(call.arguments)]
    bound = request.pieces_max
    if bound is not None and len(pieces) > bound:
        return Cut(tuple(pieces[:bound]), "length")
    usual: FinishReason = "tool_calls" if reply.tool_calls else "stop"
    return Cut(tuple(pieces), reply.finish_reason or usual)


def _content(request: ChatRequest, reply: Reply) -> tuple[str, ...] | None:
    """Give the content's pieces; None where the message's content is null."""
    if reply.pieces is not None:
        return tuple(filter(None, reply.pieces))
    if reply.echo:
        return split_words(request.last_user_text())
    text = reply.text if reply.text is not None else reply.json
    return None if text is None else split_words(text)


def encode_completion(request: ChatRequest, reply: Reply, stamp: Stamp) -> bytes:
    """Write the whole answer to a request without a stream."""
    cut = cut_pieces(request, reply)
    has_content = _content(request, reply) is not None
    completion = shapes.Completion(
        id=stamp.id,
        created=stamp.created_s,
        model=request.model,
        choices=[
            shapes.Choice(
                index=index,
                message=_message(cut.pieces, stamp, index, has_content=has_content),
                logprobs=_logprobs(request, cut.pieces) if request.logprobs else None,
                finish_reason=cut.finish_reason,
            )
            for index in range(request.choices)
        ],
        usage=_usage(request, reply, cut),
        service_tier=request.tier,
    )
    return _ENCODE(completion)


def _message(
    pieces: tuple[Piece, ...], stamp: Stamp, choice: int, *, has_content: bool
) -> shapes.Message:
    """Put the pieces of one choice together again."""
    text = "".join(piece.text for piece in pieces if piece.kind == "content")
    refusal = "".join(piece.text for piece in pieces if piece.kind == "refusal")
    calls = [
        shapes.ToolCall(
            id=stamp.call_id(choice, named.call),
            type="function",
            function=shapes.Function(
                name=named.text,
                arguments="".join(
                    piece.text
                    for piece in pieces
                    if piece.kind == "arguments" and piece.call == named.call
                ),
            ),
        )
        for named in pieces
        if named.kind == "name"
    ]
    return shapes.Message(
        role="assistant",
        content=text if has_content else None,
        refusal=refusal or None,
        annotations=(),
        tool_calls=calls or UNSET,
    )


def encode_stream(request: ChatRequest, reply: Reply, stamp: Stamp) -> StreamParts:
    """Write the events of the answer to a streamed request, all but the last `[DONE]`.

    Choices take turns, piece by piece. Events are written as they are read, so that the
    echo of a long message does not fill the memory.
    """
    cut = cut_pieces(request, reply)
    usage = _usage(request, reply, cut) if request.wants_usage else UNSET
    event = _EventWriter(request, stamp, UNSET if usage is UNSET else None)
    choices = range(request.choices)
    only_calls = reply.tool_calls is not None and _content(request, reply) is None
    opening = shapes.Message(role="assistant", content=None if only_calls else "", refusal=None)
    tail = [event.plain(i, shapes.Message(), cut.finish_reason) for i in choices]
    if usage is not UNSET:
        tail.append(event.usage(usage))
    return StreamParts(
        head=[event.plain(i, opening, None) for i in choices],
        pieces=(event.piece(i, piece) for piece in cut.pieces for i in choices),
        tail=tail,
    )


class _EventWriter:
    """Writes the events of one stream, which have all but their choice in common."""

    __slots__ = ("_no_usage", "_request", "_stamp")

    def __init__(self, request: ChatRequest, stamp: Stamp, no_usage: UnsetType | None) -> None:
        """Take what stands for the usage in events that have none: null, or no key."""
        self._request = request
        self._stamp = stamp
        self._no_usage = no_usage

    def plain(self, choice: int, delta: shapes.Message, finish_reason: str | None) -> bytes:
        """Write an event without a token."""
        logprobs: shapes.MaybeLogprobs = None if self._request.logprobs else UNSET
        return self._write(
            (shapes.ChunkChoice(choice, delta, logprobs, finish_reason),), self._no_usage
        )

    def piece(self, choice: int, piece: Piece) -> bytes:
        """Write the event of one piece."""
        logprobs = _logprobs(self._request, (piece,)) if self._request.logprobs else UNSET
        delta = _delta(piece, self._stamp, choice)
        return self._write((shapes.ChunkChoice(choice, delta, logprobs, None),), self._no_usage)

    def usage(self, usage: shapes.Usage) -> bytes:
        """Write the event with the usage, which has no choice."""
        return self._write((), usage)

    def _write(
        self, choices: tuple[shapes.ChunkChoice, ...], usage: shapes.Usage | UnsetType | None
    ) -> bytes:
        """Write an event."""
        chunk = shapes.Chunk(
            service_tier=self._request.tier,
            id=self._stamp.id,
            created=self._stamp.created_s,
            model=self._request.model,
            choices=choices,
            usage=usage,
        )
        return b"data: " + _ENCODE(chunk) + b"\n\n"


def _delta(piece: Piece, stamp: Stamp, choice: int) -> shapes.Message:
    """Write one piece as the change of a message."""
    if piece.kind == "content":
        return shapes.Message(content=piece.text)
    if piece.kind == "refusal":
        return shapes.Message(refusal=piece.text)
    if piece.kind == "arguments":
        more = shapes.ToolCall(index=piece.call, function=shapes.Function(arguments=piece.text))
        return shapes.Message(tool_calls=[more])
    call = shapes.ToolCall(
        index=piece.call,
        id=stamp.call_id(choice, piece.call),
        type="function",
        function=shapes.Function(name=piece.text),
    )
    return shapes.Message(tool_calls=[call])


def _logprobs(request: ChatRequest, pieces: tuple[Piece, ...]) -> shapes.Logprobs | None:
    """Give each piece of text the same log probability; None for tool calls alone."""
    content = [_token(request, piece) for piece in pieces if piece.kind == "content"]
    refusal = [_token(request, piece) for piece in pieces if piece.kind == "refusal"]
    if not content and not refusal:
        return None
    return shapes.Logprobs(content or None, refusal or None)


def _token(request: ChatRequest, piece: Piece) -> shapes.TokenLogprob:
    """Describe a piece as a token, with itself as the only alternative."""
    octets = list(piece.text.encode())
    top = [shapes.TopLogprob(piece.text, LOGPROB, octets)] if request.top_logprobs else []
    return shapes.TokenLogprob(piece.text, LOGPROB, octets, top)


def _usage(request: ChatRequest, reply: Reply, cut: Cut) -> shapes.Usage | UnsetType:
    """Count what the reply does not give; absent for a provider that does not report."""
    if reply.usage == "none":
        return UNSET
    given = reply.usage or UsageCounts()
    classes = given.cached_tokens + given.cache_write_tokens + given.audio_prompt_tokens
    prompt = given.prompt_tokens
    if prompt is None:
        prompt = max(request.words(), classes)
    completion = given.completion_tokens
    if completion is None:
        pieces = request.choices * len(cut.pieces)
        completion = pieces + given.reasoning_tokens + given.audio_completion_tokens
    return shapes.Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=shapes.PromptDetails(
            given.cached_tokens, given.audio_prompt_tokens, given.cache_write_tokens or UNSET
        ),
        completion_tokens_details=shapes.CompletionDetails(
            given.reasoning_tokens,
            given.audio_completion_tokens,
            given.accepted_prediction_tokens,
            given.rejected_prediction_tokens,
        ),
    )


def encode_error(error: ErrorReply) -> bytes:
    """Write an error's body; words that are not given are those usual for the status."""
    if error.body is not None:
        return error.body.encode()
    code = error.code
    if error.status == 429 and error.type is None and code is None:
        code = "rate_limit_exceeded"
    message = error.message or f"The script answers with status {error.status}."
    return _ENCODE(
        shapes.ErrorBody(
            shapes.Error(message, error.type or _usual_type(error.status), error.param, code)
        )
    )


def _usual_type(status: int) -> str:
    """Give the error type that OpenAI uses for most errors of a status."""
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"


def encode_failure() -> bytes:
    """Write OpenAI's error for a failure of its own."""
    return _ENCODE(shapes.ErrorBody(shapes.Error(ERROR_MESSAGE, "server_error", None, None)))


def encode_failure_event() -> bytes:
    """Write the event with which OpenAI ends a stream that failed after its head."""
    return b"data: " + encode_failure() + b"\n\n"
