"""Google's generateContent and streamGenerateContent: the provider's side of the dialect. Pure.

Source: the reference of the Gemini API, v1beta. The model is in the path; a stream is
server-sent events (`alt=sse`), each with a whole response in it, and has no end marker.

A signature stands on any part here, on a call most of all, and only Gemini can read it. It
goes to clients as the signature of a thought with `SIGNATURE_MARK` before it, so that it
comes back to this dialect, and to no other.
"""

from entente.wire.gemini.answers import read_answer, read_error
from entente.wire.gemini.content import SIGNATURE_MARK
from entente.wire.gemini.request_writer import write_request
from entente.wire.gemini.stream_reader import StreamReader as stream_reader  # noqa: N813

__all__ = ["SIGNATURE_MARK", "read_answer", "read_error", "stream_reader", "write_request"]
