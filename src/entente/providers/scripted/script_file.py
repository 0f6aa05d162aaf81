"""Reads a script from TOML and says where a mistake is and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from typing import TYPE_CHECKING, Final

import msgspec

from entente.domain.errors import ConfigError
from entente.providers.scripted.script import (
    Break,
    ErrorReply,
    Reply,
    Script,
    ToolCall,
    UsageCounts,
    When,
)

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT_BYTES_MAX: Final = 16 * 1024 * 1024

_SEE: Final = "The format is described in docs/scripted-provider.md."
_AT: Final = re.compile(r" - at `\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_INDEX: Final = re.compile(r"\.replies\[(?P<index>\d+)\]\.?")
_HEADING: Final = re.compile(r"^[ \t]*\[\[[ \t]*replies[ \t]*\]\]", re.MULTILINE)
_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "when": When,
    "usage": UsageCounts,
    "error": ErrorReply,
    "break": Break,
    "tool_calls": ToolCall,
}


def load_script(path: Path) -> Script:
    """Read a script from a TOML file.

    Raises ConfigError, which names the file, the line as near as it is known, and the
    remedy.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(SCRIPT_BYTES_MAX + 1)
    except OSError as error:
        message = (
            f"The script {path} cannot be read: {error.strerror}. Check the `script` of the "
            f"provider, or leave it out for one that echoes."
        )
        raise ConfigError(message) from error
    if len(raw) > SCRIPT_BYTES_MAX:
        message = f"The script {path} is longer than {SCRIPT_BYTES_MAX} bytes. Split it in two."
        raise ConfigError(message)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"{path}, line {line}: not UTF-8. TOML is UTF-8; save the file as that."
        raise ConfigError(message) from error
    return parse_script(text, source=str(path))


def parse_script(text: str, *, source: str = "script") -> Script:
    """Read a script from TOML text; `source` names it in errors. Raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{source}: not TOML: {error}. {_SEE}"
        raise ConfigError(message) from error
    try:
        return msgspec.convert(tree, Script)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), text, source)) from error


def _explain(defect: str, text: str, source: str) -> str:
    """Turn msgspec's sentence into one with a line, a name from the format and a remedy."""
    found = _AT.search(defect)
    path = found["path"] if found else ""
    sentence = (defect[: found.start()] if found else defect).replace(" | null", "")
    unknown = _UNKNOWN.fullmatch(sentence)
    if unknown:
        sentence = _unknown_field(unknown["field"], path)
    elif sentence.startswith("Invalid enum value"):
        sentence = f"{sentence}; there are: {', '.join(_words_at(path))}"
    index = _INDEX.match(path)
    if index is None:
        return f"{source}: {sentence}. {_SEE}"
    number = int(index["index"])
    rest = path[index.end() :]
    place = f"reply {number + 1}, `{rest}`" if rest else f"reply {number + 1}"
    return f"{source}{_line_of(text, number)}: {place}: {sentence}. {_SEE}"


def _unknown_field(field: str, path: str) -> str:
    """Name the field nearest to one that does not exist, or all there are."""
    names = _fields_at(path)
    near = difflib.get_close_matches(field, names, n=1)
    if near:
        return f"there is no field `{field}`; did you mean `{near[0]}`?"
    return f"there is no field `{field}`; there are: {', '.join(names)}"


def _fields_at(path: str) -> tuple[str, ...]:
    """List the fields of the table at a path such as `.replies[0].when`."""
    return tuple(field.encode_name for field in msgspec.structs.fields(_table_at(path)))


def _table_at(path: str) -> type[msgspec.Struct]:
    """Find the table at a path."""
    last = re.sub(r"\[[^\]]*\]$", "", path).rpartition(".")[2]
    return _TABLES.get(last, Reply if path else Script)


def _words_at(path: str) -> list[str]:
    """List the words that the field at a path such as `.replies[0].break.kind` can be."""
    table, _, name = path.rpartition(".")
    for field in msgspec.structs.fields(_table_at(table)):
        if field.encode_name == name:
            info = msgspec.inspect.type_info(field.type)
            kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
            literals = [kind for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType)]
            return [json.dumps(word) for literal in literals for word in literal.values]
    return []


def _line_of(text: str, index: int) -> str:
    """Give the line where a reply starts; nothing where headings cannot tell.

    A `[[replies]]` inside a multi-line string makes the count wrong, and replies may be
    written as an array; then no line is better than a wrong one.
    """
    plain = re.sub(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'', _blank, text)
    headings = list(_HEADING.finditer(plain))
    if index >= len(headings):
        return ""
    return f", line {plain.count(chr(10), 0, headings[index].start()) + 1}"


def _blank(found: re.Match[str]) -> str:
    """Keep the newlines of a string, so that the lines after it keep their numbers."""
    return '""' + "\n" * found[0].count("\n")
