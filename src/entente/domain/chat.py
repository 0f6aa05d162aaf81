"""A decoded call and how it can end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.quota import Quota

_NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Surface(StrEnum):
    """The kind of API called."""

    CHAT = "chat.completions"
    MESSAGES = "messages"
    RESPONSES = "responses"
    COMPACTION = "responses.compact"
    REALTIME = "realtime"
    EMBEDDINGS = "embeddings"
    COMPLETIONS = "completions"
    MODERATIONS = "moderations"
    TRANSCRIPTIONS = "audio.transcriptions"
    TRANSLATIONS = "audio.translations"
    SPEECH = "audio.speech"
    IMAGE_GENERATIONS = "images.generations"
    IMAGE_EDITS = "images.edits"
    IMAGE_VARIATIONS = "images.variations"
    MODELS = "models"
    FILES = "files"
    BATCHES = "batches"
    OPERATIONS = "operations"
    MANAGEMENT = "management"
    """Azure's control plane."""
    ADMIN = "admin"
    """The control plane of our own."""


class Front(StrEnum):
    """The vendor whose API a client takes us for."""

    OPENAI = "openai"
    """And every other one that has no front of its own."""
    AZURE = "azure"


class Status(StrEnum):
    """How a request ended. Exactly one, the same for client, ledger and metrics."""

    COMPLETE = "complete"
    """The model came to its own end."""
    LENGTH = "length"
    """A token bound ended it."""
    FILTERED = "filtered"
    """A content filter ended it."""
    FAILED = "failed"
    """The provider, or we, answered with an error."""
    CANCELLED = "cancelled"
    """The client went away first."""
    TRUNCATED = "truncated"
    """The provider's answer broke off without an end."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request for inference, decoded as far as governing it needs.

    `body` is what the client sent, byte for byte; `members` are its top-level members
    with the bytes of their values, none if it is no JSON; everything else was read off them.
    """

    surface: Surface
    model: str
    body: bytes
    members: Mapping[str, msgspec.Raw]
    stream: bool = False
    wants_usage: bool = False
    """The client asked for the usage event of the stream."""
    output_tokens_max: int | None = None
    """The client's own bound on output tokens per choice."""
    output_tokens_usual: int | None = None
    """The API's own bound, where it has one for those that give none."""
    choices: int = 1
    """Answers that are made, of all prompts together."""
    prompts: int = 1
    """Texts that are read, each within the model's context."""
    front: Front = Front.OPENAI
    quota: Quota | None = None
    """What the deployment that was named allows, beside the limits of the key."""
    attachments: int = 0
    """Images and files whose bytes do not count: they are named by reference, or no text."""
    text_bytes: int | None = None
    """What counts of the body where attachments are in it; None is all of it."""
    characters: int = 0
    """Characters that are to be spoken."""
    content_type: bytes = b"application/json"
    """Of the body."""
    form: str | None = None
    """In which form the client wants the answer, where that decides how it is read."""
    stored: bool = False
    """The answer is kept here, to be fetched and continued, and says so to the client."""
    carried: Mapping[bytes, bytes] = _NO_HEADERS
    """Headers of the client's that may go on to a provider of its dialect, by lower-case name."""
    end_user: str = ""
    """Whom the client serves, in its own words; empty where it does not say."""
    tags: tuple[str, ...] = ()
    """What the client puts the call down to, in alphabetical order, each once."""
    service_tier: str = ""
    """What the client asks for, in the words of its dialect."""
    size: str = ""
    """Of pictures, where the client says it."""
    is_batch: bool = False
    """It is one of many that nobody waits for."""

    @property
    def named(self) -> str:
        """What the client named: a deployment, or the model itself."""
        return self.quota.deployment if self.quota is not None else self.model
