"""The one route table: every route's surface, action and the roles that may take it.

A route without a row does not exist; a row without a role is open to everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.chat import Front, Surface
from entente.domain.errors import MethodNotAllowed, UnknownRoute
from entente.domain.principal import Role
from entente.http.admin.paths import ADMIN_PATHS, PREFIX
from entente.routing.deployments import Deployments
from entente.wire.azure_management import is_management

ANYONE: Final[frozenset[Role]] = frozenset()
ALL_ROLES: Final = frozenset(Role)
ADMINS: Final = frozenset({Role.ADMIN})
ANTHROPIC_PREFIXES: Final = ("/anthropic/", "/v1/messages/")

_COMPLETION: Final = "/v1/chat/completions/{id}"
_RESPONSE: Final = "/v1/responses/{id}"
_CONVERSATION: Final = "/v1/conversations/{id}"


_COGNITIVE: Final = "providers/Microsoft.CognitiveServices"
_ACCOUNT: Final = (
    f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/{_COGNITIVE}/accounts/{{account}}"
)
_LOCATION: Final = f"/subscriptions/{{subscription}}/{_COGNITIVE}/locations/{{location}}"
_DEPLOYMENTS: Final = f"{_ACCOUNT}/deployments"
_DEPLOYMENT: Final = f"{_DEPLOYMENTS}/{{deployment}}"


class Route(msgspec.Struct, frozen=True):
    """A row. `{name}` in a path is one segment; `/*` at its end is all the rest."""

    method: str
    path: str
    surface: Surface
    action: str
    """The handler's name."""
    roles: frozenset[Role]


ROUTES: Final = (
    Route("POST", "/v1/chat/completions", Surface.CHAT, "chat", ALL_ROLES),
    Route("GET", "/v1/chat/completions", Surface.CHAT, "list_completions", ALL_ROLES),
    Route("GET", _COMPLETION, Surface.CHAT, "get_completion", ALL_ROLES),
    Route("POST", _COMPLETION, Surface.CHAT, "update_completion", ALL_ROLES),
    Route("DELETE", _COMPLETION, Surface.CHAT, "delete_completion", ALL_ROLES),
    Route("GET", f"{_COMPLETION}/messages", Surface.CHAT, "list_completion_messages", ALL_ROLES),
    Route("POST", "/v1/responses", Surface.RESPONSES, "responses", ALL_ROLES),
    Route("POST", "/v1/responses/compact", Surface.RESPONSES, "compact_response", ALL_ROLES),
    Route("POST", "/v1/responses/input_tokens", Surface.RESPONSES, "count_input", ALL_ROLES),
    Route("GET", _RESPONSE, Surface.RESPONSES, "get_response", ALL_ROLES),
    Route("DELETE", _RESPONSE, Surface.RESPONSES, "delete_response", ALL_ROLES),
    Route("POST", f"{_RESPONSE}/cancel", Surface.RESPONSES, "cancel_response", ALL_ROLES),
    Route("GET", f"{_RESPONSE}/input_items", Surface.RESPONSES, "list_input_items", ALL_ROLES),
    Route("POST", "/v1/conversations", Surface.RESPONSES, "create_conversation", ALL_ROLES),
    Route("GET", _CONVERSATION, Surface.RESPONSES, "get_conversation", ALL_ROLES),
    Route("POST", _CONVERSATION, Surface.RESPONSES, "update_conversation", ALL_ROLES),
    Route("DELETE", _CONVERSATION, Surface.RESPONSES, "delete_conversation", ALL_ROLES),
    Route("POST", f"{_CONVERSATION}/items", Surface.RESPONSES, "add_items", ALL_ROLES),
    Route("GET", f"{_CONVERSATION}/items", Surface.RESPONSES, "list_items", ALL_ROLES),
    Route("GET", f"{_CONVERSATION}/items/{{item}}", Surface.RESPONSES, "get_item", ALL_ROLES),
    Route("DELETE", f"{_CONVERSATION}/items/{{item}}", Surface.RESPONSES, "delete_item", ALL_ROLES),
    Route("POST", "/v1/messages", Surface.MESSAGES, "messages", ALL_ROLES),
    Route("POST", "/anthropic/v1/messages", Surface.MESSAGES, "messages", ALL_ROLES),
    Route("GET", "/v1/realtime", Surface.REALTIME, "realtime", ALL_ROLES),
    Route(
        "POST", "/v1/realtime/client_secrets", Surface.REALTIME, "create_client_secret", ALL_ROLES
    ),
    Route("POST", "/v1/realtime/sessions", Surface.REALTIME, "create_realtime_session", ALL_ROLES),
    Route(
        "POST",
        "/v1/realtime/transcription_sessions",
        Surface.REALTIME,
        "create_transcription_session",
        ALL_ROLES,
    ),
    Route("POST", "/v1/completions", Surface.COMPLETIONS, "completions", ALL_ROLES),
    Route("POST", "/v1/embeddings", Surface.EMBEDDINGS, "embeddings", ALL_ROLES),
    Route("POST", "/v1/moderations", Surface.MODERATIONS, "moderations", ALL_ROLES),
    Route("POST", "/v1/audio/transcriptions", Surface.TRANSCRIPTIONS, "transcriptions", ALL_ROLES),
    Route("POST", "/v1/audio/translations", Surface.TRANSLATIONS, "translations", ALL_ROLES),
    Route("POST", "/v1/audio/speech", Surface.SPEECH, "speech", ALL_ROLES),
    Route(
        "POST", "/v1/images/generations", Surface.IMAGE_GENERATIONS, "image_generations", ALL_ROLES
    ),
    Route("POST", "/v1/images/edits", Surface.IMAGE_EDITS, "image_edits", ALL_ROLES),
    Route("POST", "/v1/images/variations", Surface.IMAGE_VARIATIONS, "image_variations", ALL_ROLES),
    Route("GET", "/v1/models", Surface.MODELS, "list_models", ALL_ROLES),
    Route("GET", "/v1/models/*", Surface.MODELS, "get_model", ALL_ROLES),
    Route("DELETE", "/v1/models/*", Surface.MODELS, "delete_model", ALL_ROLES),
    Route("GET", "/anthropic/v1/models", Surface.MESSAGES, "list_models", ALL_ROLES),
    Route("GET", "/anthropic/v1/models/*", Surface.MESSAGES, "get_model", ALL_ROLES),
    Route("POST", "/v1/files", Surface.FILES, "create_file", ALL_ROLES),
    Route("GET", "/v1/files", Surface.FILES, "list_files", ALL_ROLES),
    Route("GET", "/v1/files/{id}", Surface.FILES, "get_file", ALL_ROLES),
    Route("DELETE", "/v1/files/{id}", Surface.FILES, "delete_file", ALL_ROLES),
    Route("GET", "/v1/files/{id}/content", Surface.FILES, "download_file", ALL_ROLES),
    Route("POST", "/v1/uploads", Surface.FILES, "create_upload", ALL_ROLES),
    Route("POST", "/v1/uploads/{id}/parts", Surface.FILES, "add_upload_part", ALL_ROLES),
    Route("POST", "/v1/uploads/{id}/complete", Surface.FILES, "complete_upload", ALL_ROLES),
    Route("POST", "/v1/uploads/{id}/cancel", Surface.FILES, "cancel_upload", ALL_ROLES),
    Route("POST", "/v1/batches", Surface.BATCHES, "create_batch", ALL_ROLES),
    Route("GET", "/v1/batches", Surface.BATCHES, "list_batches", ALL_ROLES),
    Route("GET", "/v1/batches/{id}", Surface.BATCHES, "get_batch", ALL_ROLES),
    Route("POST", "/v1/batches/{id}/cancel", Surface.BATCHES, "cancel_batch", ALL_ROLES),
    Route("POST", "/v1/messages/count_tokens", Surface.MESSAGES, "count_tokens", ALL_ROLES),
    Route(
        "POST", "/anthropic/v1/messages/count_tokens", Surface.MESSAGES, "count_tokens", ALL_ROLES
    ),
    *(
        Route(method, f"{start}{path}", Surface.MESSAGES, action, ALL_ROLES)
        for start in ("/v1/messages/batches", "/anthropic/v1/messages/batches")
        for method, path, action in (
            ("POST", "", "create_message_batch"),
            ("GET", "", "list_message_batches"),
            ("GET", "/{id}", "get_message_batch"),
            ("DELETE", "/{id}", "delete_message_batch"),
            ("POST", "/{id}/cancel", "cancel_message_batch"),
            ("GET", "/{id}/results", "get_message_batch_results"),
        )
    ),
    *(
        Route(
            "GET",
            f"/v1/organization/usage/{report}",
            Surface.OPERATIONS,
            f"get_usage_{report}",
            ADMINS,
        )
        for report in (
            "completions",
            "embeddings",
            "moderations",
            "images",
            "audio_speeches",
            "audio_transcriptions",
            "vector_stores",
            "code_interpreter_sessions",
            "file_search_calls",
            "web_search_calls",
        )
    ),
    Route("GET", "/v1/organization/costs", Surface.OPERATIONS, "get_costs", ADMINS),
    Route("GET", _DEPLOYMENTS, Surface.MANAGEMENT, "list_deployments", ADMINS),
    Route("GET", _DEPLOYMENT, Surface.MANAGEMENT, "get_deployment", ADMINS),
    Route("PUT", _DEPLOYMENT, Surface.MANAGEMENT, "put_deployment", ADMINS),
    Route("DELETE", _DEPLOYMENT, Surface.MANAGEMENT, "delete_deployment", ADMINS),
    Route("GET", f"{_ACCOUNT}/models", Surface.MANAGEMENT, "list_deployable_models", ADMINS),
    Route("GET", f"{_ACCOUNT}/usages", Surface.MANAGEMENT, "list_quota", ADMINS),
    Route("GET", f"{_LOCATION}/models", Surface.MANAGEMENT, "list_deployable_models", ADMINS),
    Route("GET", f"{_LOCATION}/usages", Surface.MANAGEMENT, "list_quota", ADMINS),
    *(
        Route(method, PREFIX + path, Surface.ADMIN, act, ADMINS)
        for method, path, act in ADMIN_PATHS
    ),
    Route("GET", "/healthz", Surface.OPERATIONS, "health", ANYONE),
    Route("GET", "/readyz", Surface.OPERATIONS, "ready", ANYONE),
    Route("GET", "/metrics", Surface.OPERATIONS, "metrics", ADMINS),
)


NO_DEPLOYMENTS: Final = Deployments()


class Match(msgspec.Struct, frozen=True):
    """The row of a request, and the parameters that its path has."""

    route: Route
    parameter: str = ""
    """The last parameter of the path."""
    parameters: Mapping[str, str] = MappingProxyType({})
    """Those in braces, by name."""
    front: Front = Front.OPENAI
    deployment: str | None = None
    """The model's name, where the path of a front has it."""
    deployments: Deployments = NO_DEPLOYMENTS
    """Names that stand for models, where the front has such."""


class Router:
    """Finds the row of a request. Paths without parameters cost one look-up.

    Where a row has a path as it is, no parameter of another row means it.
    """

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        """Index the table."""
        self.routes = routes
        fixed = [r for r in routes if not _PARAMETER.search(r.path)]
        self._exact = {(r.method, r.path): Match(r) for r in fixed}
        self._surfaces = {r.path: r.surface for r in fixed}
        self._patterns = [(_pattern(r.path), r) for r in routes if _PARAMETER.search(r.path)]

    def surface(self, path: str) -> Surface:
        """Give the surface of a path, found or not, for the form of errors."""
        surface = self._surfaces.get(path)
        if surface is not None:
            return surface
        for pattern, route in self._patterns:
            if pattern.fullmatch(path):
                return route.surface
        if is_management(path):
            return Surface.MANAGEMENT
        if path.startswith(PREFIX + "/"):
            return Surface.ADMIN
        return Surface.MESSAGES if path.startswith(ANTHROPIC_PREFIXES) else Surface.OPERATIONS

    def find(self, method: str, path: str) -> Match:
        """Find the row. Raises UnknownRoute or MethodNotAllowed, worded as OpenAI does."""
        match = self._exact.get((method, path))
        if match is not None:
            return match
        allowed = {r.method for r in self.routes if r.path == path}
        for pattern, route in () if allowed else self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if route.method == method:
                return Match(route, found[found.lastindex or 0], found.groupdict())
            allowed.add(route.method)
        if allowed:
            message = (
                f"Not allowed to {method} on {path}. "
                "(HINT: Perhaps you meant to use a different HTTP method?)"
            )
            raise MethodNotAllowed(message, allow=tuple(sorted(allowed)))
        message = f"Invalid URL ({method} {path})"
        raise UnknownRoute(message + self._hint(path))

    def _hint(self, path: str) -> str:
        """Say what the base URL lacks, or has twice, where that alone hides a row."""
        if path.startswith(f"{_VERSION}{_VERSION}/"):
            meant, where = path.removeprefix(_VERSION), "ends before"
        else:
            meant, where = _VERSION + path, "ends with"
        if not any(row.path == meant for row in self.routes):
            return ""
        return (
            f" (HINT: Perhaps you meant {meant}? The base URL of this client {where} {_VERSION}.)"
        )


_VERSION: Final = "/v1"
_PARAMETER: Final = re.compile(r"\{(\w+)\}|/\*$")


def _pattern(path: str) -> re.Pattern[str]:
    """Compile the path of a row."""
    return re.compile(
        _PARAMETER.sub(lambda hole: f"(?P<{hole[1]}>[^/]+)" if hole[1] else "/(.+)", path)
    )
