"""AWS's own SDK as an oracle: is this a request of Converse, and what do these bytes say?"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.validate import ParamValidator

from entente.wire.aws_event_stream import Message, encode


@cache
def _bedrock() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def converse_defects(body: bytes, operation: str = "Converse") -> str:
    """Say what the SDK would refuse in a body, "" for nothing."""
    params = {"modelId": "m", **json.loads(body)}
    shape = _bedrock().operation_model(operation).input_shape
    return str(ParamValidator().validate(params, shape).generate_report())


def sdk_answer(body: bytes) -> dict[str, Any]:
    """Read an answer of Converse as the SDK does."""
    response = {"status_code": 200, "headers": {}, "body": body}
    shape = _bedrock().operation_model("Converse").output_shape
    parsed = RestJSONParser().parse(response, shape)
    return {name: value for name, value in parsed.items() if name != "ResponseMetadata"}


def sdk_events(data: bytes) -> list[dict[str, Any]]:
    """Read a stream of ConverseStream as the SDK does; members that it does not know are gone."""
    shape = _bedrock().operation_model("ConverseStream").output_shape.members["stream"]
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [EventStreamJSONParser().parse(event.to_response_dict(), shape) for event in buffer]


def event(kind: str, payload: object) -> bytes:
    """Write an event as Bedrock does."""
    return _framed({":event-type": kind, ":message-type": "event"}, payload)


def exception(kind: str, payload: object) -> bytes:
    """Write an exception as Bedrock does."""
    return _framed({":exception-type": kind, ":message-type": "exception"}, payload)


def _framed(kind: dict[str, str], payload: object) -> bytes:
    (name, word), (type_name, type_word) = kind.items()
    headers = {name: word, ":content-type": "application/json", type_name: type_word}
    return encode(Message(dict(headers), json.dumps(payload).encode()))
