"""AWS Bedrock's Converse: signed requests, the model in the path, streams in AWS's framing.

Embeddings are not in Converse: they go to InvokeModel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import quote

from entente.domain.chat import Surface
from entente.domain.ids import NowNs
from entente.domain.secret import Secret
from entente.net import Client, ClientOptions, Response
from entente.net.options import split_base_url
from entente.providers.base import Ask
from entente.providers.checks import REFUSALS, Checked, by_status
from entente.providers.checks import ask as ask_provider
from entente.providers.headers import JSON_BLOCK, secret_line
from entente.providers.sigv4 import AwsCredentials, AwsScope, sign

SERVICE: Final = "bedrock"
THREAD_BYTES_MIN: Final = 1024 * 1024
"""From here on a body is hashed in a thread, so that others do not wait for it."""

_JSON: Final = "application/json"
_EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
_NS_PER_S: Final = 1_000_000_000
_CHECK_PATH: Final = "/async-invoke"
_CHECK_QUERY: Final = "maxResults=1"
_NO_RIGHT: Final = b"not authorized to perform"
"""AWS says so to whom it knows; the right to list is not the right to converse."""
_NO_KEY: Final = b"Authentication failed"
_DENIED: Final = b"AccessDenied"


class BedrockProvider:
    """A provider that gets Converse, with our credentials."""

    dialect = "bedrock"
    surfaces = frozenset({Surface.EMBEDDINGS})
    quirks = None

    def __init__(
        self,
        name: str,
        options: ClientOptions,
        credentials: AwsCredentials | Secret,
        *,
        region: str,
        now_ns: NowNs,
    ) -> None:
        """Send to `options.base_url`, which the signature covers.

        `credentials` sign each request with the time of `now_ns`; a Secret is an API key of
        Bedrock's own, and is sent as it is.
        """
        origin, prefix = split_base_url(options.base_url)
        is_key = isinstance(credentials, Secret)
        self.credentials = ("api_key",) if is_key else ("access_key_id", "secret_access_key")
        self.name = name
        self._client = Client(options)
        self._host = origin.host_header
        self._prefix = prefix.decode("ascii")
        self._credentials = credentials
        self._scope = AwsScope(region, SERVICE)
        self._now_ns = now_ns

    async def open(self, ask: Ask) -> Response:
        """Send the call; see `Provider.open`. A model is an id, or the ARN of one."""
        action = "converse-stream" if ask.stream else "converse"
        if ask.surface is Surface.EMBEDDINGS:
            action = "invoke"
        path = f"/model/{quote(ask.model, safe='')}/{action}"
        accept = _EVENT_STREAM if ask.stream else _JSON
        credentials = self._credentials
        if isinstance(credentials, Secret):
            proof = secret_line(b"authorization", credentials, b"Bearer")
        else:
            signing = self._signing(credentials, "POST", path, ask.body)
            is_large = len(ask.body) >= THREAD_BYTES_MIN
            proof = await asyncio.to_thread(signing) if is_large else signing()
        headers = b"accept: %b\r\n" % accept.encode("ascii") + JSON_BLOCK + proof
        return await self._client.request(b"POST", path.encode("ascii"), headers, ask.body)

    async def check(self) -> Checked:
        """Ask for the list of asynchronous calls, the only thing to read here.

        See `Checkable.check`.
        """
        credentials = self._credentials
        if isinstance(credentials, Secret):
            proof = secret_line(b"authorization", credentials, b"Bearer")
        else:
            proof = self._signing(credentials, "GET", _CHECK_PATH, b"", _CHECK_QUERY)()
        target = f"{_CHECK_PATH}?{_CHECK_QUERY}"
        return await ask_provider(self._client, target, JSON_BLOCK + proof, _judge)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def _signing(
        self, credentials: AwsCredentials, method: str, path: str, body: bytes, query: str = ""
    ) -> Callable[[], bytes]:
        """Prepare the headers that sign a request."""
        return partial(
            _signed,
            credentials,
            self._scope,
            method=method,
            path=self._prefix + path,
            query=query,
            host=self._host,
            body=body,
            at_s=self._now_ns() // _NS_PER_S,
        )


def _signed(
    credentials: AwsCredentials,
    scope: AwsScope,
    *,
    method: str,
    path: str,
    query: str,
    host: str,
    body: bytes,
    at_s: int,
) -> bytes:
    """Write the headers that sign a request; they cover the host and the type of its body."""
    added = sign(
        credentials,
        scope,
        method=method,
        path=path,
        query=query,
        headers=[("host", host), ("content-type", _JSON)],
        body=body,
        at_s=at_s,
    )
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in added)


def _judge(status: int, body: bytes, kind: bytes) -> bool | None:
    """Tell whether credentials are good: a denial alone may be about rights or about a key."""
    if status not in REFUSALS:
        return by_status(status, body, kind)
    if _NO_RIGHT in body:
        return True
    return None if kind.startswith(_DENIED) and _NO_KEY not in body else False
