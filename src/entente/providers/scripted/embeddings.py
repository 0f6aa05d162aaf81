"""Vectors that a script need not give: each is drawn from the digest of its text.

Equal texts have equal vectors on every machine, of length 1, and unlike texts unlike ones.
They mean nothing. A token is a word, or a token that was given as one.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Final

from entente.domain.errors import InvalidParameter, RequestError
from entente.providers.scripted.plan import Plan, plan_error, plan_whole
from entente.providers.scripted.script import ErrorReply
from entente.providers.scripted.wire import Stamp
from entente.wire.embeddings import Asked, decode_embeddings, read_request, write_answer

DIMENSIONS: Final = 16
DIMENSIONS_MAX: Final = 4096
_HALF: Final = 2**31


def plan_embeddings(body: bytes, stamp: Stamp) -> Plan:
    """Plan the answer to a request for embeddings, in OpenAI's form."""
    try:
        call = decode_embeddings(body)
        asked = read_request(call)
    except RequestError as error:
        code = error.code if isinstance(error, InvalidParameter) else None
        return plan_error(ErrorReply(status=400, message=error.message, code=code), stamp)
    vectors = [
        vector(each, min(asked.dimensions or DIMENSIONS, DIMENSIONS_MAX)) for each in asked.inputs
    ]
    answer = write_answer(vectors, wanted=asked.format, model=call.model, tokens=_tokens(asked))
    return plan_whole(answer, stamp)


def vector(text: str | list[int], dimensions: int) -> tuple[float, ...]:
    """Draw the vector of a text: single-precision numbers."""
    seed = repr(text).encode()
    digests = (hashlib.sha256(b"%d:%b" % (at, seed)).digest() for at in range(-(-dimensions // 8)))
    drawn = struct.unpack(f"<{-(-dimensions // 8) * 8}i", b"".join(digests))[:dimensions]
    length = math.hypot(*drawn) or _HALF
    form = f"<{dimensions}f"
    return struct.unpack(form, struct.pack(form, *(number / length for number in drawn)))


def _tokens(asked: Asked) -> int:
    return sum(len(each.split()) if isinstance(each, str) else len(each) for each in asked.inputs)
