"""The page on settling: its example runs, and prints what the page says."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO

from tests.kit import house

PAGE = (house.DOCS / "agreement" / "settling.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Give the one block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


def test_the_example_prints_what_the_page_says() -> None:
    """Word for word."""
    names = {"DOCUMENT": block("yaml"), "FACTS": block("json").encode().splitlines()}
    printed = StringIO()
    with redirect_stdout(printed):
        exec(block("python"), names)  # noqa: S102 - the documentation's own code
    assert printed.getvalue() == block("text")
