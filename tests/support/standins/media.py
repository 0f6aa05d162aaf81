"""Stand-ins for the surfaces that are no conversation: of OpenAI, Azure, Gemini and Bedrock.

One server has them all; whose it is is told by the path, and each wants its own credentials.
What is no request of that vendor's is refused. What is to be played stands in the text, as
`scene:NAME`: `breaks` (the connection is gone in the middle), `stops` (the body ends, the answer
does not), `fails` (an event says so), `refuses` (an error in place of an answer).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final, Self
from urllib.parse import unquote

import msgspec

from entente.wire.multipart import FormReader, PartHead
from tests.support.rawserver import Peer, RawServer
from tests.support.standins.standin import KEY, Refused, Request, sse

API_VERSION: Final = "2024-10-21"
SOUND: Final = bytes(range(256)) * 500
"""128 kB that are no text."""
PICTURE: Final = b64encode(b"\x89PNG of a stand-in").decode()
DIMENSIONS: Final = 8
CREATED_S: Final = 1_700_000_000

_SCENE: Final = re.compile(r"scene:([a-z]+)")
_AZURES: Final = re.compile(r"/openai/deployments/([^/]+)/(.+)")
_GEMINIS: Final = re.compile(r"/v1beta/models/([^/:]+):batchEmbedContents")
_BEDROCKS: Final = re.compile(r"/model/([^/]+)/invoke")
_PIECE_BYTES: Final = 997
_FORM_FIELDS: Final = {
    "audio/transcriptions": {
        "file", "model", "language", "prompt", "response_format", "temperature", "stream",
        "include[]", "timestamp_granularities[]", "chunking_strategy",
    },
    "audio/translations": {"file", "model", "prompt", "response_format", "temperature"},
    "images/edits": {
        "image", "image[]", "mask", "prompt", "model", "n", "size", "response_format", "stream",
        "partial_images", "quality", "background", "output_format", "user",
    },
    "images/variations": {"image", "model", "n", "response_format", "size", "user"},
}  # fmt: skip
_Json = dict[str, Any]


class _Form(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    model: str


class _Embeddings(_Form):
    input: str | list[str | int | list[int]]
    encoding_format: str = "float"
    dimensions: int | None = None
    user: str | None = None


class _Completions(_Form):
    prompt: str | list[str | int | list[int]]
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int = 1
    stream: bool = False
    stream_options: dict[str, bool] | None = None
    logprobs: int | None = None
    echo: bool = False
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    best_of: int | None = None
    logit_bias: dict[str, int] | None = None
    user: str | None = None
    seed: int | None = None


class _Moderations(_Form):
    input: str | list[str | _Json]


class _Speech(_Form):
    input: str
    voice: str
    instructions: str | None = None
    response_format: str = "mp3"
    speed: float = 1
    stream_format: str = "audio"


class _Images(_Form):
    prompt: str
    n: int = 1
    size: str = "auto"
    quality: str = "auto"
    response_format: str | None = None
    stream: bool = False
    partial_images: int = 0
    images: list[_Json] = []
    user: str | None = None


def numbers(text: object, dimensions: int = DIMENSIONS) -> list[float]:
    """Give the vector of a text: numbers of single precision."""
    digest = hashlib.sha256(repr(text).encode()).digest() * (dimensions // 8 + 1)
    drawn = struct.unpack(f"<{dimensions}i", digest[: 4 * dimensions])
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *drawn)))


class Studio(RawServer):
    """All of them. `requests` is what came, in order; `fields` the form of the last one."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        super().__init__(self._connection)
        self.requests: list[Request] = []
        self.fields: dict[str, list[bytes]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        """Listen, on a loop and a thread of its own."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and end the thread."""
        asyncio.run_coroutine_threadsafe(self.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connection(self, peer: Peer) -> None:
        while True:
            request = Request.of(*await peer.request())
            self.requests.append(request)
            try:
                await self._serve_one(peer, request)
            except (Refused, msgspec.ValidationError, KeyError, TypeError) as error:
                status = error.status if isinstance(error, Refused) else 400
                await _whole(peer, _error(str(error)), status=status)

    async def _serve_one(self, peer: Peer, request: Request) -> None:
        found = _SCENE.search(request.body.decode("latin-1"))
        scene = found[1] if found else ""
        if scene == "refuses":
            raise Refused(429, "The stand-in has had enough for now.")
        if azures := _AZURES.fullmatch(request.path):
            _demand(request, "api-key", KEY)
            if request.query != f"api-version={API_VERSION}":
                raise Refused(404, "Resource not found")
            await self._endpoint(peer, azures[2], request, unquote(azures[1]), scene)
        elif geminis := _GEMINIS.fullmatch(request.path):
            _demand(request, "x-goog-api-key", KEY)
            await _whole(peer, _gemini(geminis[1], request))
        elif bedrocks := _BEDROCKS.fullmatch(request.path):
            _demand(request, "authorization", f"Bearer {KEY}")
            await _whole(peer, _bedrock(bedrocks[1], request))
        elif request.target.startswith("/v1/"):
            _demand(request, "authorization", f"Bearer {KEY}")
            await self._endpoint(peer, request.target.removeprefix("/v1/"), request, None, scene)
        else:
            raise Refused(404, f"Invalid URL (POST {request.target})")

    async def _endpoint(
        self, peer: Peer, path: str, request: Request, deployment: str | None, scene: str
    ) -> None:
        """Answer a request of OpenAI's, or of Azure's, whose path names the model."""
        self.fields = _fields(path, request) if path in _FORM_FIELDS else {}
        model = deployment or _model(self.fields, request)
        match path:
            case "embeddings":
                await _whole(peer, _embeddings(request.read(_Embeddings), model))
            case "completions":
                await self._completions(peer, request.read(_Completions), model, scene)
            case "moderations":
                await _whole(peer, _moderation(request.read(_Moderations), model))
            case "audio/speech":
                await self._speech(peer, request.read(_Speech), scene)
            case "audio/transcriptions" | "audio/translations":
                await self._transcription(peer, model, scene)
            case "images/generations":
                asked = request.read(_Images)
                await _pictures(peer, model, asked.n, scene, "generation", stream=asked.stream)
            case "images/edits" | "images/variations":
                stream = self._field("stream") == "true"
                count = int(self._field("n") or 1)
                if "json" in request.headers["content-type"]:
                    asked = request.read(_Images)
                    stream, count = asked.stream, asked.n
                await _pictures(peer, model, count, scene, "edit", stream=stream)
            case _:
                raise Refused(404, f"Invalid URL (POST {request.target})")

    def _field(self, name: str) -> str:
        return b"".join(self.fields.get(name, [])).decode()

    async def _completions(self, peer: Peer, asked: _Completions, model: str, scene: str) -> None:
        prompts = asked.prompt if isinstance(asked.prompt, list) else [asked.prompt]
        texts = [f" {word}" for word in ("one", "two", "three")][: asked.max_tokens]
        frame = {
            "id": "cmpl-9standin",
            "object": "text_completion",
            "created": CREATED_S,
            "model": model,
        }
        tokens = len(texts) * len(prompts) * asked.n
        usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}
        if not asked.stream:
            echoed = str(prompts[0]) if asked.echo else ""
            choices = [
                {**_text(echoed + "".join(texts), at), "finish_reason": "length"}
                for at in range(asked.n * len(prompts))
            ]
            await _whole(peer, msgspec.json.encode({**frame, "choices": choices, "usage": usage}))
            return
        if not (asked.stream_options or {}).get("include_usage"):
            raise Refused(400, "a stream without usage")
        events = [
            sse({**frame, "choices": [_text(text, at)], "usage": None})
            for text in texts
            for at in range(asked.n * len(prompts))
        ]
        ends = [
            sse({**frame, "choices": [{**_text("", at), "finish_reason": "stop"}], "usage": None})
            for at in range(asked.n * len(prompts))
        ]
        ends += [sse({**frame, "choices": [], "usage": usage}), b"data: [DONE]\n\n"]
        await _stream(peer, events, ends, scene)

    async def _speech(self, peer: Peer, asked: _Speech, scene: str) -> None:
        if asked.stream_format != "sse":
            await _stream(peer, [SOUND[:-7]], [SOUND[-7:]], scene, b"audio/mpeg")
            return
        sound = {"type": "speech.audio.delta", "audio": b64encode(SOUND[:300]).decode()}
        usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
        done = {"type": "speech.audio.done", "usage": usage}
        await _stream(peer, [sse(sound), sse(sound)], [sse(done)], scene)

    async def _transcription(self, peer: Peer, model: str, scene: str) -> None:
        form = self._field("response_format") or "json"
        details = {"text_tokens": 4, "audio_tokens": 10}
        usage: _Json = {
            "type": "tokens",
            "input_tokens": 14,
            "input_token_details": details,
            "output_tokens": 5,
            "total_tokens": 19,
        }
        if "whisper" in model:
            usage = {"type": "duration", "seconds": 9}
        text = "Grüße from a stand-in."
        if self._field("stream") == "true":
            delta = {"type": "transcript.text.delta", "delta": "Grüße"}
            done = {"type": "transcript.text.done", "text": text, "usage": usage}
            await _stream(peer, [sse(delta), sse(delta)], [sse(done)], scene)
        elif form in ("text", "srt", "vtt"):
            await _whole(peer, f"1\n{text}\n".encode(), b"text/plain; charset=utf-8")
        elif form == "verbose_json":
            verbose = {
                "task": "transcribe",
                "language": "english",
                "duration": 8.47,
                "text": text,
                "segments": [],
                "usage": usage,
            }
            await _whole(peer, msgspec.json.encode(verbose))
        else:
            await _whole(peer, msgspec.json.encode({"text": text, "usage": usage}))


def _demand(request: Request, name: str, value: str) -> None:
    """See that a request shows the right credentials, and no others."""
    shown = {n: v for n, v in request.headers.items() if n in ("api-key", "authorization")}
    if name == "x-goog-api-key":
        shown[name] = request.headers.get(name, "")
    if shown != {name: value}:
        raise Refused(401, "Incorrect API key provided.")


def _fields(path: str, request: Request) -> dict[str, list[bytes]]:
    """Read a form; a field that the endpoint does not have is refused."""
    if "json" in request.headers["content-type"]:
        return {}
    reader = FormReader(request.headers["content-type"].encode())
    found: dict[str, list[bytes]] = {}
    name = ""
    for event in reader.feed(request.body):
        if isinstance(event, PartHead):
            name = event.name
            found.setdefault(name, []).append(b"")
        else:
            found[name][-1] += event
    reader.close()
    if not found.keys() <= _FORM_FIELDS[path]:
        raise Refused(400, f"Unknown parameter: {sorted(found.keys() - _FORM_FIELDS[path])}")
    return found


def _model(fields: dict[str, list[bytes]], request: Request) -> str:
    if fields:
        (model,) = fields["model"]
        return model.decode()
    return str(msgspec.json.decode(request.body)["model"])


def _text(text: str, index: int) -> _Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": None}


def _embeddings(asked: _Embeddings, model: str) -> bytes:
    inputs: list[Any] = asked.input if isinstance(asked.input, list) else [asked.input]
    if inputs and isinstance(inputs[0], int):
        inputs = [inputs]
    form = {"only-float": "float", "only-base64": "base64"}.get(model, asked.encoding_format)
    data = []
    for at, each in enumerate(inputs):
        vector: Any = numbers(each, asked.dimensions or DIMENSIONS)
        if form == "base64":
            vector = b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": at, "embedding": vector})
    usage = {"prompt_tokens": 3 * len(inputs), "total_tokens": 3 * len(inputs)}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def _moderation(asked: _Moderations, model: str) -> bytes:
    words = (
        "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
        "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
        "sexual/minors", "violence", "violence/graphic",
    )  # fmt: skip
    count = len(asked.input) if isinstance(asked.input, list) else 1
    result = {
        "flagged": False,
        "categories": dict.fromkeys(words, False),
        "category_scores": dict.fromkeys(words, 0.25),
        "category_applied_input_types": {word: ["text"] for word in words},
    }
    body = {"id": "modr-9standin", "model": model, "results": [result] * count}
    return msgspec.json.encode(body)


async def _pictures(
    peer: Peer, model: str, count: int, scene: str, what: str, *, stream: bool
) -> None:
    usage = {
        "total_tokens": 110 * count,
        "input_tokens": 10 * count,
        "output_tokens": 100 * count,
        "input_tokens_details": {"text_tokens": 7 * count, "image_tokens": 3 * count},
    }
    plain = {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
    if not stream:
        body: _Json = {"created": CREATED_S, "data": [{"b64_json": PICTURE}] * count}
        if model != "dall-e-3":
            body |= {**plain, "usage": usage}
        await _whole(peer, msgspec.json.encode(body))
        return
    kind = f"image_{what}"
    frame = {"b64_json": PICTURE, "created_at": CREATED_S, **plain}
    partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, **frame}
    done = {"type": f"{kind}.completed", **frame, "usage": usage}
    events = [sse(partial, f"{kind}.partial_image")]
    await _stream(peer, events, [sse(done, f"{kind}.completed")], scene)


def _gemini(model: str, request: Request) -> bytes:
    body = msgspec.json.decode(request.body)
    vectors = []
    for each in body["requests"]:
        if each["model"] != f"models/{model}":
            raise Refused(400, "the model of each request has to be that of the path")
        (part,) = each["content"]["parts"]
        size = each.get("outputDimensionality", DIMENSIONS)
        vectors.append({"values": numbers(part["text"], size)})
    return msgspec.json.encode({"embeddings": vectors})


def _bedrock(model: str, request: Request) -> bytes:
    body = msgspec.json.decode(request.body)
    if model.startswith("amazon.titan"):
        if not body.keys() <= {"inputText", "dimensions", "normalize"}:
            raise Refused(400, "Malformed input request")
        vector = numbers(body["inputText"], body.get("dimensions", DIMENSIONS))
        return msgspec.json.encode({"embedding": vector, "inputTextTokenCount": 4})
    if not body.keys() <= {"texts", "input_type", "output_dimension", "embedding_types"}:
        raise Refused(400, "Malformed input request")
    if body["input_type"] != "search_document":
        raise Refused(400, "input_type is required")
    vectors: Any = [numbers(text, body.get("output_dimension", 8)) for text in body["texts"]]
    vectors = {"float": vectors} if "embedding_types" in body else vectors
    return msgspec.json.encode({"id": "1", "texts": body["texts"], "embeddings": vectors})


def _error(message: str) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return msgspec.json.encode({"error": error})


async def _whole(
    peer: Peer, body: bytes, kind: bytes = b"application/json", *, status: int = 200
) -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    await peer.send(head % (status, kind, len(body)) + body)


async def _stream(
    peer: Peer, first: list[bytes], end: list[bytes], scene: str, kind: bytes = b"text/event-stream"
) -> None:
    """Send a stream in pieces that cut through its events, and its end, if the scene has one."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    await peer.send(head % kind)
    if scene == "fails":
        end = [b"data: " + _error("The stand-in breaks off.") + b"\n\n"]
    for piece in _pieces(b"".join(first + (end if scene in ("", "fails") else []))):
        await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    if scene == "breaks":
        peer.writer.close()
        await peer.writer.wait_closed()
        raise ConnectionAbortedError
    await peer.send(b"0\r\n\r\n")


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))
