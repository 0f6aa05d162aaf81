"""What the server says when it is up can be pasted as it is."""

from __future__ import annotations

import ast
import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from entente.domain.secret import Secret
from entente.welcome import called_as, welcome

if TYPE_CHECKING:
    from pathlib import Path


def greeting(*, made: Secret | None = None, program: str = "entente") -> str:
    """Give the lines of a server on a port."""
    return welcome(host="127.0.0.1", port=8123, model="m", made=made, given=False, program=program)


def python_of(text: str) -> str:
    """Give the lines in Python."""
    found = re.search(r"in Python .*:\n\n(.*?)\n\nStop", text, re.DOTALL)
    assert found is not None
    return dedent(found[1])


@pytest.mark.parametrize(("made", "imports"), [(Secret("sk-ent-made"), []), (None, ["os"])])
def test_the_lines_in_python_import_what_they_need(made: Secret | None, imports: list[str]) -> None:
    """And nothing else."""
    tree = ast.parse(python_of(greeting(made=made)))
    names = [name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names]
    assert names == imports


def test_commands_are_named_as_the_program_was(tmp_path: Path) -> None:
    """From a folder that is not on the PATH the bare name would not be found."""
    told = greeting(program=".venv/bin/entente")
    assert "one: .venv/bin/entente keys create" in told
    assert "Health of the installation: .venv/bin/entente doctor." in told
    ours, other, link = tmp_path / "entente", tmp_path / "b" / "entente", tmp_path / "c"
    other.parent.mkdir()
    ours.touch()
    other.touch()
    link.symlink_to(ours)
    assert called_as(str(ours), None) == str(ours)
    assert called_as(str(ours), str(other)) == str(ours)
    assert called_as(str(ours), str(link)) == "entente"
    assert called_as("/somewhere/entente/__main__.py", None) == "python -m entente"
    assert called_as("/usr/bin/pytest", None) == "entente"
