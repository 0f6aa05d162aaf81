"""The requests for short-lived session keys, in the interface's form and its beta's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.members import is_text, split

LIFE_S_DEFAULT: Final = 600
LIFE_S_BETA: Final = 60
"""The beta's keys lived for a minute, whatever was asked."""
SESSION_BYTES_MAX: Final = 256 * 1024
REASON_CHARS_MAX: Final = 500
_NOT_JSON: Final = "We could not parse the JSON body of your request."


class _Expiry(msgspec.Struct):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = LIFE_S_DEFAULT


class _Request(msgspec.Struct):
    session: Raw = Raw(b"{}")
    expires_after: _Expiry | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is asked for. `session` is the configuration, as the client wrote it."""

    model: str
    session: Raw
    lives_s: int
    transcribes: bool
    beta: bool

    def answer(self, value: str, expires_s: int, session_id: str) -> bytes:
        """Write the answer: the key, and the session that it opens."""
        object_name = "realtime.transcription_session" if self.transcribes else "realtime.session"
        session: dict[str, object] = {
            **(split(bytes(self.session)) or {}),
            "id": session_id,
            "object": object_name,
        }
        if not self.transcribes:
            session["model"] = self.model
        if not self.beta:
            session["type"] = "transcription" if self.transcribes else "realtime"
            body = {"value": value, "expires_at": expires_s, "session": session}
            return msgspec.json.encode(body)
        session["client_secret"] = {"value": value, "expires_at": expires_s}
        return msgspec.json.encode(session)


def read_client_secret(body: bytes) -> Asked:
    """Read `POST /realtime/client_secrets`. Raises MalformedJson or InvalidParameter."""
    try:
        asked = msgspec.json.decode(body, type=_Request)
    except msgspec.ValidationError as error:
        message = f"Invalid request: {str(error)[:REASON_CHARS_MAX]}."
        raise InvalidParameter(message, param=None, code="invalid_value") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(_NOT_JSON) from None
    session = _members(bytes(asked.session))
    kind = _text(session, "type", "session.type") or "realtime"
    if kind not in ("realtime", "transcription"):
        message = "Invalid value. Supported values are: 'realtime' and 'transcription'."
        raise InvalidParameter(message, param="session.type", code="invalid_value")
    transcribes = kind == "transcription"
    if transcribes:
        path = ("audio", "input", "transcription")
        model = _deep(session, path, "session.audio.input.transcription.model")
    else:
        model = _needed(session, "session.model")
    session["type"] = Raw(msgspec.json.encode(kind))
    expiry = asked.expires_after or _Expiry()
    return Asked(
        model=model,
        session=Raw(msgspec.json.encode(session)),
        lives_s=expiry.seconds,
        transcribes=transcribes,
        beta=False,
    )


def read_session(body: bytes) -> Asked:
    """Read `POST /realtime/sessions`, the beta's. Raises MalformedJson or InvalidParameter."""
    session = _members(body)
    session.pop("client_secret", None)  # the specification has it here by mistake
    return Asked(
        model=_needed(session, "model"),
        session=Raw(msgspec.json.encode(session)),
        lives_s=LIFE_S_BETA,
        transcribes=False,
        beta=True,
    )


def read_transcription_session(body: bytes) -> Asked:
    """Read `POST /realtime/transcription_sessions`, the beta's."""
    session = _members(body)
    model = _deep(session, ("input_audio_transcription",), "input_audio_transcription.model")
    return Asked(
        model=model,
        session=Raw(msgspec.json.encode(session)),
        lives_s=LIFE_S_BETA,
        transcribes=True,
        beta=True,
    )


def _members(body: bytes) -> dict[str, Raw]:
    """Take a configuration apart, within the bound of what is kept."""
    if len(body) > SESSION_BYTES_MAX:
        message = f"A session's configuration has at most {SESSION_BYTES_MAX} bytes."
        raise InvalidParameter(message, param="session", code="string_above_max_length")
    members = split(body)
    if members is None or not is_text(body):
        raise MalformedJson(_NOT_JSON)
    return members


def _deep(session: Mapping[str, Raw], path: tuple[str, ...], param: str) -> str:
    """Give the name of the model at the end of a path."""
    for name in path:
        session = split(bytes(session.get(name, Raw(b"{}")))) or {}
    return _needed(session, param)


def _needed(members: Mapping[str, Raw], param: str) -> str:
    """Give the name of a model, which has to be there."""
    name = _text(members, "model", param)
    if not name:
        message = f"Missing required parameter: '{param}'."
        raise InvalidParameter(message, param=param, code="missing_required_parameter")
    return name


def _text(members: Mapping[str, Raw], name: str, param: str) -> str:
    """Give a text, "" where there is none."""
    try:
        return msgspec.json.decode(bytes(members.get(name, Raw(b'""'))), type=str)
    except msgspec.DecodeError:
        message = f"Invalid type for '{param}': expected a string."
        raise InvalidParameter(message, param=param, code="invalid_type") from None
