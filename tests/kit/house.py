"""The house rules as functions of source text; each gives what is wrong, in words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src" / "entente"
TESTS: Final = ROOT / "tests"
DOCS: Final = ROOT / "docs"

FILE_LINES_MAX: Final = 500
FUNCTION_LINES_MAX: Final = 70
FUNCTION_LINES_P95_MAX: Final = 40

CATCH_ALL: Final = frozenset({"gateway/batches/asking.py", "http/data_plane.py", "net/exchange.py"})
"""The outer boundaries, which may catch everything; and a turn of the event loop that hands
what it runs into to the task that waits for it."""
LATE_IMPORTS: Final = ("cli/",)
"""Commands import what they need, so that `entente --help` is fast."""
BANNED: Final = frozenset({"utils", "helpers", "common", "misc", "manager", "base_class", "impl"})
"""Names of modules that say nothing of what is inside."""

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_CHECKING: Final = re.compile(r"^(?:raises|warns|fail|assert\w*|_assert\w*|check\w*|_check\w*)$")


def sources(folder: Path = SOURCE) -> dict[str, str]:
    """Read every Python file below a folder, by its path relative to it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def _functions(tree: ast.AST) -> Iterator[_Function]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def _lines(function: _Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def too_long(files: Mapping[str, str]) -> list[str]:
    """Find files and functions above the ratchet, and say if functions are long on the whole."""
    found, lengths = [], []
    for name, text in files.items():
        count = len(text.splitlines())
        if count > FILE_LINES_MAX:
            found.append(f"{name} has {count} lines")
        for function in _functions(ast.parse(text)):
            lengths.append(_lines(function))
            if lengths[-1] > FUNCTION_LINES_MAX:
                found.append(f"{name}: {function.name} has {lengths[-1]} lines")
    lengths.sort()
    if lengths and lengths[(len(lengths) * 95) // 100] > FUNCTION_LINES_P95_MAX:
        found.append("one function in twenty is too long")
    return found


def late_imports(files: Mapping[str, str]) -> list[str]:
    """Find imports inside functions, where they are not allowed."""
    return [
        f"{name}:{node.lineno} imports inside {function.name}"
        for name, text in files.items()
        if not name.startswith(LATE_IMPORTS)
        for function in _functions(ast.parse(text))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def catch_alls(files: Mapping[str, str]) -> list[str]:
    """Find handlers that catch everything and go on, outside the outer boundaries."""
    found = []
    for name, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ExceptHandler) or not _catches_all(node.type):
                continue
            reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if name not in CATCH_ALL and not reraises:
                found.append(f"{name}:{node.lineno} catches everything")
    return found


def _catches_all(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in names)


def banned_names(files: Iterable[str]) -> list[str]:
    """Find modules whose name says nothing."""
    return [name for name in files if BANNED & set(name.removesuffix(".py").split("/"))]


def without_docstring(files: Mapping[str, str]) -> list[str]:
    """Find modules and public classes and functions without a docstring."""
    found = []
    for name, text in files.items():
        tree = ast.parse(text)
        if not ast.get_docstring(tree):
            found.append(f"{name} has no docstring")
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            if not node.name.startswith("_") and not ast.get_docstring(node):
                found.append(f"{name}: {node.name} has no docstring")
        found += [
            f"{name}: {node.name} has no docstring"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    return found


def checks_nothing(files: Mapping[str, str]) -> list[str]:
    """Find test files that assert nothing and expect nothing to be raised."""
    return [
        name
        for name, text in files.items()
        if name.rpartition("/")[2].startswith("test_") and not _checks(ast.parse(text))
    ]


def _checks(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if _CHECKING.match(name):
                return True
    return False


def scraped_names(text: str) -> list[str]:
    """Read the names of metrics off a scrape."""
    return re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)


def gauge_names(files: Mapping[str, str]) -> list[str]:
    """Find the names of gauges, which are added where their value is known."""
    return [
        node.args[0].value
        for text in files.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "gauge"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def unmentioned(names: Iterable[str], page: str) -> list[str]:
    """Find names that a page does not have between back ticks."""
    mentioned = {
        word for span in re.findall(r"`([^`\n]+)`", page) for word in (span, *span.split())
    }
    return [name for name in names if name not in mentioned]


def claims_without_command(page: str) -> list[list[str]]:
    """Find rows of the claims table whose last cell names no command."""
    return [row for row in _rows(page) if not re.search(r"`[^`]+`", row[-1])]


def _rows(page: str) -> list[list[str]]:
    """Give the cells of every row of every table of a page, heads left out."""
    lines = [line.strip() for line in page.splitlines()]
    tables = [line for line in lines if line.startswith("|")]
    rows: list[list[str]] = []
    for line, after in zip(tables, [*tables[1:], ""], strict=True):
        if set(line) <= set("|-: ") or (after and set(after) <= set("|-: ")):
            continue
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
