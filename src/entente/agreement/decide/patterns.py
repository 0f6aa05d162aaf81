"""Forms of names: `gpt-*`, where `*` stands for any text and every other sign for itself."""

from __future__ import annotations

import re


def pattern_of(form: str) -> re.Pattern[str]:
    """Make the expression that matches a form as a whole; case counts."""
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", form)), re.DOTALL)
