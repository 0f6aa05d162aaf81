"""Messages, checked as Anthropic does. Pure.

The order was measured: parameter after parameter, then unknown names, then the shape of the
conversation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from entente.domain.errors import MalformedJson
from entente.wire import shapes
from entente.wire.anthropic import form
from entente.wire.anthropic.decode import MALFORMED, MODEL_CHARS_MAX
from entente.wire.anthropic.shapes import SHAPES
from entente.wire.members import split
from entente.wire.strict.table import NULL, decoders

USER_CHARS_MAX: Final = 256
BUDGET_TOKENS_MIN: Final = 1024
REQUIRED: Final = ("model", "messages", "max_tokens")
BETAS: Final = frozenset(
    {
        "betas",
        "billing_policy",
        "compaction",
        "context_management",
        "fallback_credit_token",
        "fallbacks",
        "mcp_servers",
        "output_format",
        "thread",
    }
)
"""Names that Anthropic knows only of clients that name a beta."""
LATER: Final = frozenset({"diagnostics", "speed", "user_profile_id", "workspace_id"})
"""Names that came after the order was measured; what they hold is the provider's to check."""


class _Parameters(msgspec.Struct):
    """The parameters in the order in which they are checked."""

    model: str
    tool_choice: form.ToolChoice
    tools: list[dict[str, Raw]]
    messages: list[form.Message]
    system: str | list[form.Block]
    thinking: form.Thinking
    output_config: dict[str, Raw]
    cache_control: form.CacheControl
    max_tokens: int
    metadata: form.Metadata
    stop_sequences: list[str]
    temperature: float
    service_tier: Literal["auto", "standard_only"]
    top_k: int
    top_p: float
    stream: bool
    container: str | dict[str, Raw]
    inference_geo: str


_DECODERS: Final = decoders(_Parameters)
COUNTED: Final = (
    *("model", "tool_choice", "tools", "messages", "system", "thinking", "output_config"),
    "cache_control",
)
"""What a count of tokens takes of them: what is told to the model, and nothing of its answer."""
_ROLES: Final = ("user", "assistant", "system")


def check_messages(body: bytes, *, names_a_beta: bool = False) -> None:
    """Check a request for a message; `names_a_beta` says that its client asks for one."""
    _check_request(body, tuple(_DECODERS), LATER, names_a_beta=names_a_beta)


def check_count_tokens(body: bytes, *, names_a_beta: bool = False) -> None:
    """Check a request to count the tokens of a message that is not sent yet."""
    _check_request(body, COUNTED, LATER - {"diagnostics"}, names_a_beta=names_a_beta)


def _check_request(
    body: bytes, names: Collection[str], later: Collection[str], *, names_a_beta: bool
) -> None:
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    values = {name: _read(name, members, with_betas=names_a_beta) for name in names}
    for name in members:
        if name not in names and name not in later and not (names_a_beta and name in BETAS):
            raise form.invalid(name[:MODEL_CHARS_MAX], "Extra inputs are not permitted")
    _check_conversation(values["messages"])


def _read(name: str, members: Mapping[str, Raw], *, with_betas: bool) -> Any:
    """Read a parameter; None where it is not there."""
    raw = members.get(name)
    if raw is None or bytes(raw) == NULL:
        if name in REQUIRED:
            raise form.missing(name)
        return None
    try:
        value = _DECODERS[name].decode(raw)
    except msgspec.ValidationError as error:
        raise form.misfit(error, name) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    if name in SHAPES and not with_betas:
        _check_inside(name, raw)
    _check(name, value)
    return value


def _check_inside(name: str, raw: Raw) -> None:
    """Refuse the first member inside of a parameter that nobody knows."""
    place = shapes.unknown(msgspec.json.decode(raw), SHAPES[name], (name,))
    if place is not None:
        steps = (step.name if isinstance(step, shapes.Kind) else str(step) for step in place)
        path = ".".join(step[:MODEL_CHARS_MAX] for step in steps)
        raise form.invalid(path, "Extra inputs are not permitted")


def _check(name: str, value: Any) -> None:
    """Refuse what its type cannot refuse."""
    match name:
        case "model" if not value:
            raise form.invalid(name, "String should have at least 1 character")
        case "model" if len(value) > MODEL_CHARS_MAX:
            raise form.invalid(name, f"String should have at most {MODEL_CHARS_MAX} characters")
        case "max_tokens" | "top_k" if value < 0:
            raise form.invalid(name, "Input should be greater than or equal to 0")
        case "temperature" | "top_p" if not 0 <= value <= 1:
            raise form.invalid(name, "range: 0..1")
        case "thinking" if value.type == "enabled":
            _check_budget(value.budget_tokens)
        case "metadata" if len(value.user_id or "") > USER_CHARS_MAX:
            what = f"String should have at most {USER_CHARS_MAX} characters"
            raise form.invalid("metadata.user_id", what)


def _check_budget(tokens: int | None) -> None:
    path = "thinking.enabled.budget_tokens"
    if tokens is None:
        raise form.missing(path)
    if tokens < BUDGET_TOKENS_MIN:
        raise form.invalid(path, f"Input should be greater than or equal to {BUDGET_TOKENS_MIN}")


def _check_conversation(messages: list[form.Message]) -> None:
    if not messages:
        raise form.invalid("messages", "at least one message is required")
    for message in messages:
        if message.role not in _ROLES:
            raise form.no_role(message.role)
