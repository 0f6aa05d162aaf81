"""What the models behind Converse take that is not the same for all of them. Pure.

A model is told by its id, which an inference profile or a foundation model's ARN contains. An
ARN of one's own (a provisioned model, an application's profile) does not: it counts as one
of Anthropic's, for which these differences matter most.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_CLAUDE_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OPAQUE: Final = re.compile(
    r"arn:[^:]*:bedrock:.*(?:application-inference-profile|provisioned-model|custom-model"
    r"|prompt-router)"
)
_ADAPTIVE_SINCE: Final = (4, 6)


class Family(StrEnum):
    """Models that share the members which Converse only passes on to them."""

    CLAUDE = "claude"
    NOVA = "nova"
    GPT_OSS = "gpt-oss"
    OTHER = "other"


def family_of(model: str) -> Family:
    """Tell the family of a model by its id or ARN."""
    if "anthropic" in model or "claude" in model or _OPAQUE.match(model):
        return Family.CLAUDE
    if "amazon.nova" in model:
        return Family.NOVA
    return Family.GPT_OSS if "openai.gpt-oss" in model else Family.OTHER


def thinks_adaptively(model: str) -> bool:
    """Say whether a Claude model decides itself how much to think; before 4.6 it gets a budget.

    A name without a version counts as new.
    """
    found = _CLAUDE_VERSION.search(model)
    if found is None:
        return True
    return (int(found[1]), int(found[2] or 0)) >= _ADAPTIVE_SINCE
