"""A client that speaks one dialect: it says what a test wishes, and checks what it is told.

A dialect is a subclass. Every answer, event and error is validated against the types of the
vendor's own SDK, and the order of events against the vendor's rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from pydantic import BaseModel, TypeAdapter

from entente.domain.inference import Stop
from entente.domain.usage import Usage

OUTPUT_TOKENS_MAX: Final = 300
"""What every request bounds its output by."""
T = TypeVar("T")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request in nobody's dialect."""

    scene: str
    stream: bool = False
    system: str | None = None
    parts: tuple[tuple[Any, ...], ...] = ()
    """What the user shows behind the text: kind (`image`, `link`, `document`) and content."""
    history: tuple[tuple[Any, ...], ...] = ()
    """What was said before, flat: who, kind, content."""
    tools: tuple[tuple[str, Any], ...] = ()
    choice: str | None = None
    form: Any = None
    settings: dict[str, Any] = {}
    """Parameters under OpenAI's names."""
    extra: dict[str, Any] = {}
    """Members of the client's own dialect."""

    @property
    def text(self) -> str:
        """What the user says last."""
        return f"Please play scene:{self.scene}!"

    @property
    def said(self) -> tuple[tuple[Any, ...], ...]:
        """The conversation, flat, as a stand-in understands it."""
        shown = (("user", *part) for part in self.parts)
        return (*self.history, ("user", "text", self.text), *shown)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as a client sees it; words are those of its dialect."""

    model: str
    thought: str = ""
    text: str = ""
    calls: tuple[tuple[str, str, Any], ...] = ()
    """Ids, names, and arguments as JSON."""
    stop: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    choices: int = 1
    failure: str | None = None
    """The words of the error that ended a stream."""


class Wrong(msgspec.Struct, frozen=True):
    """An error in place of an answer."""

    kind: str
    message: str
    param: str | None = None


class Client(ABC):
    """One dialect."""

    name: ClassVar[str]
    words: ClassVar[dict[Stop, str]]
    """Why an answer ended."""
    says_thoughts: ClassVar[bool] = True
    says_stop_sequence: ClassVar[bool] = True
    kinds: ClassVar[dict[int, str]]
    """Types of errors by status."""
    losses: ClassVar[dict[str, str]] = {}
    """What this dialect calls a parameter that a provider cannot be told, by its name in chat."""

    @abstractmethod
    def path(self, model: str) -> str:
        """Give the path, and the query, under which a model is asked."""

    @abstractmethod
    def headers(self, key: str) -> dict[str, str]:
        """Give the headers that show a key."""

    @abstractmethod
    def body(self, wish: Wish, model: str) -> dict[str, Any]:
        """Write a request."""

    @abstractmethod
    def read(self, body: bytes) -> Seen:
        """Read and validate a whole answer."""

    @abstractmethod
    def read_stream(self, body: bytes) -> Seen:
        """Read and validate a streamed answer, to its end or its failure."""

    @abstractmethod
    def wrong(self, body: bytes) -> Wrong:
        """Read and validate an error."""

    def check_headers(self, headers: Mapping[str, str], request_id: str) -> None:
        """See that every answer names its request."""
        assert headers["x-request-id"] == request_id

    def lost(self, name: str) -> str:
        """Give this dialect's name of what was lost."""
        return self.losses.get(name, name)

    def shown(self, usage: Usage) -> Usage:
        """Give a usage as far as this dialect can tell it."""
        return usage


def arguments(text: str) -> Any:
    """Read the arguments of a call; a model, or who stands between, may have written no JSON."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text


def validated(adapter: TypeAdapter[T], value: Any, *, also: frozenset[str] = frozenset()) -> T:
    """Validate a value strictly, and see that it has no member that its type does not have.

    `also` names members that we add on purpose.
    """
    found = adapter.validate_json(msgspec.json.encode(value), strict=True)
    assert_known(found, also)
    return found


def assert_known(value: object, also: frozenset[str]) -> None:
    """Fail for a member that no type has."""
    match value:
        case BaseModel():
            unknown = set(value.model_extra or ()) - also
            assert not unknown, f"{type(value).__name__} has no {sorted(unknown)}"
            for name in value.model_fields_set - also:
                assert_known(getattr(value, name), also)
        case list() | tuple():
            for item in value:
                assert_known(item, also)
        case _:
            pass


def events_of(body: bytes) -> list[tuple[str, Any]]:
    """Cut a stream into the names and the data of its events; the data as JSON where it is."""
    assert body.endswith(b"\n\n"), body[-100:]
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in event.split("\n"))
        assert set(lines) <= {"event", "data"}, lines
        data = lines["data"]
        found.append(
            (lines.get("event", ""), data if data == "[DONE]" else msgspec.json.decode(data))
        )
    return found
