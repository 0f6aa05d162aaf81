"""Where llama.cpp's words differ from the dialect of OpenAI's that it speaks, put right. Pure.

It leaves members out that OpenAI always writes, counts an image that it cannot see as a fault
of its own, and writes on to the end of its context where nobody bounds a completion. Streams
are as OpenAI's, and pass as they are.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from entente.domain.chat import Surface
from entente.wire.members import changed, split
from entente.wire.openai_completions.requests import OUTPUT_TOKENS_USUAL
from entente.wire.openai_errors import passed_on

BAD_REQUEST: Final = 400
_NULL: Final = b"null"
_UNSEEN: Final = re.compile(r"(image|audio|video) input is not supported")
_PARTS: Final = {"image": "image_url", "audio": "input_audio", "video": "file"}
"""OpenAI's names of what a model may be shown."""
_MISSHAPEN: Final = (KeyError, TypeError, AttributeError)
"""What reading an answer of another form raises; who follows it says what it is."""
_LENGTH: Final = "exceed_context_size_error"


class _Wrong(msgspec.Struct):
    message: str
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Error(msgspec.Struct):
    error: _Wrong


_error_decoder: Final = msgspec.json.Decoder(_Error)
_answer_decoder: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def request(surface: Surface, body: bytes) -> bytes:
    """Bound a completion as OpenAI does where its client does not; all else keeps its bytes."""
    members = split(body)
    if surface is not Surface.COMPLETIONS or members is None:
        return body
    if bytes(members.get("max_tokens", _NULL)) != _NULL:
        return body
    return changed(body, {"max_tokens": b"%d" % OUTPUT_TOKENS_USUAL})


def refusal(status: int, body: bytes) -> tuple[int, bytes]:
    """Say an error as OpenAI would; what the model cannot be shown is the request's fault."""
    try:
        wrong = _error_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return status, body
    unseen = _UNSEEN.search(wrong.message)
    if unseen is not None:
        message = (
            f"Invalid content type. {_PARTS[unseen[1]]} is only supported by certain models, "
            f"and this one takes no {unseen[1]}."
        )
        return BAD_REQUEST, passed_on(BAD_REQUEST, message, param="messages")
    if wrong.type == _LENGTH:
        message = (
            f"This model's maximum context length is {wrong.n_ctx} tokens. However, your messages "
            f"resulted in {wrong.n_prompt_tokens} tokens. Please reduce the length of the messages."
        )
        code = "context_length_exceeded"
        return BAD_REQUEST, passed_on(BAD_REQUEST, message, param="messages", code=code)
    return status, passed_on(status, wrong.message)


def answer(body: bytes) -> bytes:
    """Give a whole answer the members that OpenAI's have."""
    try:
        value = _answer_decoder.decode(body)
        for choice in value["choices"]:
            logprobs = choice.setdefault("logprobs", None)
            if "message" in choice:
                choice["message"].setdefault("content", None)
                choice["message"].setdefault("refusal", None)
                _complete(logprobs)
            else:
                choice["logprobs"] = _legacy(logprobs)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, *_MISSHAPEN):
        return body
    return msgspec.json.encode(value)


def _complete(logprobs: Any) -> None:
    """Say of log probabilities that none is of a refusal."""
    if logprobs is not None:
        logprobs.setdefault("refusal", None)


def _legacy(logprobs: Any) -> Any:
    """Write log probabilities as completions of text have them; they come as those of chat."""
    if logprobs is None or "content" not in logprobs:
        return logprobs
    tokens = logprobs["content"]
    offsets, at = [], 0
    for token in tokens:
        offsets.append(at)
        at += len(token["token"])
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in token["top_logprobs"]}
            for token in tokens
        ],
        "text_offset": offsets,
    }
