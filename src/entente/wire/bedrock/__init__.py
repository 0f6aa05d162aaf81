"""AWS Bedrock's Converse and ConverseStream: the provider's side of the dialect. Pure.

Source: the service model of `bedrock-runtime` (2023-09-30) and its API reference. Binary
members are base64 in JSON; the model is in the path; streams are in AWS's own framing.
"""

from entente.wire.bedrock.answers import read_answer, read_error
from entente.wire.bedrock.request_writer import write_request
from entente.wire.bedrock.stream_reader import StreamReader as stream_reader  # noqa: N813

__all__ = ["read_answer", "read_error", "stream_reader", "write_request"]
