"""The page of the scripted provider is true: its examples run and it names everything."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from entente.domain.chat import Surface
from entente.providers.base import Ask
from entente.providers.scripted import (
    Break,
    ErrorReply,
    Reply,
    ScriptedProvider,
    ToolCall,
    UsageCounts,
    When,
    parse_script,
)

PAGE = (Path(__file__).parents[2] / "docs" / "scripted-provider.md").read_text(encoding="utf-8")
EXAMPLES = [
    text
    for text in re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    if "replies" in tomllib.loads(text)
]
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_script_on_the_page_loads(example: str) -> None:
    """What the page shows can be copied."""
    assert parse_script(example).replies


def test_there_are_examples() -> None:
    """The test above would pass on a page without any."""
    assert len(EXAMPLES) == 4
    assert len(PROGRAMS) == 1


def test_the_first_script_does_what_its_comments_say() -> None:
    """It fails twice, calls a tool, says what came back, and echoes everything else."""
    user = {"role": "user", "content": "the weather?"}
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    conversations = [[user]] * 3 + [[user, result], [{"role": "user", "content": "thanks"}]]

    async def sleep(_seconds: float) -> None:
        """Wait for nothing."""

    async def answers() -> list[bytes]:
        """Hold the conversations one after another."""
        script = parse_script(EXAMPLES[0])
        provider = ScriptedProvider("fake", script, now_ns=lambda: 0, sleep=sleep)
        bodies = []
        for messages in conversations:
            body = json.dumps({"model": "m", "messages": messages, "tools": tools}).encode()
            ask = Ask(surface=Surface.CHAT, model="m", body=body, stream=False, request_id="r")
            bodies.append(await (await provider.open(ask)).read(1_000_000))
        return bodies

    marks = (b"rate_limit_exceeded", b"rate_limit_exceeded", b"get_weather", b"sunny", b"thanks")
    bodies = asyncio.run(answers())
    assert [mark in body for mark, body in zip(marks, bodies, strict=True)] == [True] * 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_on_the_page_runs(program: str) -> None:
    """Its own assertions hold."""
    exec(compile(program, "scripted-provider.md", "exec"), {})  # noqa: S102 -- our own page


@pytest.mark.parametrize("table", [Reply, When, ToolCall, UsageCounts, ErrorReply, Break])
def test_every_field_is_on_the_page(table: type[msgspec.Struct]) -> None:
    """A field that nobody is told about does not exist."""
    names = [field.encode_name for field in msgspec.structs.fields(table)]
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []


def test_every_word_of_a_field_is_on_the_page() -> None:
    """So are the words that `break.kind`, `timeout` and `finish_reason` can be."""
    for table, name in ((Break, "kind"), (Reply, "timeout"), (Reply, "finish_reason")):
        (field,) = (one for one in msgspec.structs.fields(table) if one.encode_name == name)
        words = re.findall(r"'(\w+)'", str(field.type))
        assert words
        assert [word for word in words if not re.search(rf"\b{word}\b", PAGE)] == []


def test_every_attribute_for_tests_is_on_the_page() -> None:
    """The provider's properties, `name` aside, are all there for tests."""
    names = [name for name, value in vars(ScriptedProvider).items() if isinstance(value, property)]
    assert [name for name in names if name != "name" and f"`{name}`" not in PAGE] == []
