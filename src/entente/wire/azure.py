"""Azure's paths, versions and headers around OpenAI's dialect, on the client's side. Pure.

Bodies are OpenAI's; what Azure says differently stands around them:

    /openai/deployments/{d}/chat/completions?api-version=2024-10-21   the classic surface
    /openai/v1/chat/completions                                       the v1 surface

Both are read into OpenAI's own path, so that one route table serves all. On the classic
surface the deployment in the path names the model; on v1 the body does. Annotations of
the content filter are in `wire.azure_filters`, errors in `wire.azure_errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from entente.domain.errors import InvalidParameter, UnknownRoute
from entente.wire.members import split

PREFIX: Final = "/openai/"
INFERENCE_PATHS: Final = (
    "chat/completions",
    "completions",
    "embeddings",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "images/edits",
)
"""What a deployment serves. The longer of two that fit is meant."""
CLASSIC_ROOTS: Final = frozenset(
    {
        "models",
        "files",
        "batches",
        "responses",
        "uploads",
        "fine_tuning",
        "vector_stores",
        "realtime",
    }
)
"""What the classic surface has outside deployments."""
V1_VERSIONS: Final = frozenset({"v1", "preview"})
FIRST_VERSION: Final = date(2022, 12, 1)
VERSION_PARAMETER: Final = "api-version"

DEPLOYMENT_CHARS_MAX: Final = 256
QUERY_FIELDS_MAX: Final = 64
VALUE_BYTES_MAX: Final = 256
"""Of a header that is given back or passed on."""
PASSED: Final = (b"x-ms-region", b"x-ms-is-spilled-over", b"azureml-model-session")
"""What an answer of Azure's own says of where it was made."""
NOTHING: Final[Mapping[bytes, bytes]] = MappingProxyType({})
RENEWAL_S: Final = 60
"""Limits are per minute."""

_VERSION: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:-preview)?", re.ASCII)
_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_HEX: Final = re.compile(r"[0-9a-f]{32}")

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes, in OpenAI's own terms."""

    path: str
    """OpenAI's path, such as `/v1/chat/completions`."""
    deployment: str | None
    """The model's name where the URL has it; None where the body or nothing has."""
    api_version: str
    classic: bool
    """The classic surface, as opposed to v1."""


def is_azure(path: str) -> bool:
    """Say whether a path belongs to Azure's surfaces."""
    return path.startswith(PREFIX)


def locate(path: str, query: str) -> Place:
    """Read a path, percent-decoded, and the query of a URL as it was sent.

    Raises UnknownRoute for a path that Azure does not have, and on the classic surface
    for a version that is missing; InvalidParameter for one that does not exist. Every
    version that is well formed is served alike: a date decides nothing here.
    """
    asked = _fields(query)
    rest = path.removeprefix(PREFIX)
    if rest == path:
        raise _not_found()
    if rest.startswith("v1/"):
        version = asked.get(VERSION_PARAMETER, "v1")
        if version not in V1_VERSIONS:
            raise _unsupported()
        return Place(path=f"/{rest}", deployment=None, api_version=version, classic=False)
    inner, deployment = _classic(rest)
    version = asked.get(VERSION_PARAMETER, "")
    if not version:
        raise _not_found()
    if not is_dated(version):
        raise _unsupported()
    if inner == "realtime":
        deployment = _checked(asked.get("deployment", ""))
    return Place(path=f"/v1/{inner}", deployment=deployment, api_version=version, classic=True)


def _classic(rest: str) -> tuple[str, str | None]:
    """Give the path behind `/v1/` that a path of the classic surface stands for."""
    behind = rest.removeprefix("deployments/")
    if behind != rest:
        for inner in INFERENCE_PATHS:
            name = behind.removesuffix(f"/{inner}")
            if name != behind:
                return inner, _checked(name)
        raise _not_found()
    if rest.partition("/")[0] not in CLASSIC_ROOTS:
        raise _not_found()
    return rest, None


def _checked(name: str) -> str:
    """Give the name of a deployment. Raises UnknownRoute for what cannot be one."""
    if not 0 < len(name) <= DEPLOYMENT_CHARS_MAX or not name.isprintable():
        raise _not_found()
    return name


def _fields(query: str) -> dict[str, str]:
    """Give the fields of a query; one that says two things says nothing valid."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise _not_found() from None
    for name, value in pairs:
        if found.setdefault(name, value) != value and name == VERSION_PARAMETER:
            raise _unsupported()
    return found


def is_dated(version: str, *, since: date = FIRST_VERSION) -> bool:
    """Say whether a version is a day from `since` on, `-preview` or not."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return False
    try:
        return date.fromisoformat(match[1]) >= since
    except ValueError:
        return False


def _not_found() -> UnknownRoute:
    return UnknownRoute("Resource not found")


def _unsupported() -> InvalidParameter:
    message = "API version not supported"
    return InvalidParameter(message, param=VERSION_PARAMETER, code="BadRequest")


def name_model(body: bytes, deployment: str) -> bytes:
    """Give a JSON body whose `model` is the deployment; what it said there is ignored.

    All other members keep their bytes, each once. What is no object is given back as it
    is: whoever decodes it says what is wrong.
    """
    members = split(body)
    if members is None:
        return body
    named = {**members, "model": msgspec.Raw(msgspec.json.encode(deployment))}
    return msgspec.json.encode(named)


def answer_headers(
    request_id: str,
    *,
    deployment: str | None = None,
    client_request_id: bytes | None = None,
    theirs: Mapping[bytes, bytes] = NOTHING,
) -> Headers:
    """Write the headers that Azure adds to every answer.

    `request_id` is ours; Azure's form of the same id is a GUID. A client's own id is given
    back if it can be. `theirs` are the provider's headers: where that is Azure, its region and
    whether its content filter ran is passed on. None of ours runs, and else the headers say so.
    """
    pairs = [
        (b"apim-request-id", guid(request_id).encode()),
        (b"x-ms-deployment-name", _latin(deployment)),
        (b"x-ms-rai-invoked", theirs.get(b"x-ms-rai-invoked", b"false")),
        (b"x-content-type-options", b"nosniff"),
        (b"x-ms-client-request-id", client_request_id or b""),
        *((name, theirs[name]) for name in PASSED if name in theirs),
    ]
    return tuple(
        (name, value)
        for name, value in pairs
        if len(value) <= VALUE_BYTES_MAX and _VISIBLE.fullmatch(value)
    )


def rate_limit_headers(
    unit: Literal["requests", "tokens"], *, limit: int, remaining: int, reset_ms: int
) -> Headers:
    """Write where a key stands. Every value is a whole number.

    Azure's `reset` is in milliseconds: recorded answers have 500 after one of 120 requests
    a minute, and 7 after 14 of 120,000 tokens.
    """
    values = (
        (b"limit", limit),
        (b"remaining", max(remaining, 0)),
        (b"reset", reset_ms),
        (b"renewalperiod", RENEWAL_S),
    )
    return tuple(
        (b"x-ratelimit-%b-%b" % (name, unit.encode()), b"%d" % value) for name, value in values
    )


def guid(request_id: str) -> str:
    """Give the form `8-4-4-4-12` of an id of ours, or any other id as it is."""
    digits = request_id.rpartition("_")[2]
    if not _HEX.fullmatch(digits):
        return request_id
    return str(UUID(hex=digits))


def _latin(text: str | None) -> bytes:
    """Give the bytes of a header; b"" for none and for what no header can carry."""
    return (text or "").encode("ascii", "replace") if (text or "").isascii() else b""
