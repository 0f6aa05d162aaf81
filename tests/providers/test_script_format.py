"""The script's format: what is taken, and what a mistake is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import ConfigError
from entente.providers.scripted import (
    ECHO,
    Break,
    ErrorReply,
    Reply,
    Script,
    ToolCall,
    UsageCounts,
    When,
    load_script,
    parse_script,
)

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = """
[[replies]]
times = 2
text = "let me see"
tool_calls = [{ name = "f", arguments = '{"a": 1}' }, { name = "g" }]
finish_reason = "length"
usage = { prompt_tokens = 9, completion_tokens = 8, cached_tokens = 1, cache_write_tokens = 2, \
audio_prompt_tokens = 3, reasoning_tokens = 4, audio_completion_tokens = 5, \
accepted_prediction_tokens = 6, rejected_prediction_tokens = 7 }
headers = { X-Region = "here" }
first_delay_ms = 10
piece_delay_ms = 20
break = { after = 3, kind = "close" }
chunk_bytes = 7
[replies.when]
model = "m"
contains = "c"
matches = "^x"
stream = true
tool = "t"
last_role = "tool"

[[replies]]
times = 1
[replies.error]
status = 429
headers = { retry-after-ms = "20" }
type = "tokens"
code = "slow_down"
message = "Slowly."
param = "model"

[[replies]]
pieces = ["a", "b"]
usage = "none"
"""


def test_every_field_reaches_its_place() -> None:
    """The TOML names and the Python names are the same, but for `break`."""
    assert parse_script(EVERYTHING).replies == (
        Reply(
            when=When(
                model="m", contains="c", matches="^x", stream=True, tool="t", last_role="tool"
            ),
            times=2,
            text="let me see",
            tool_calls=(ToolCall(name="f", arguments='{"a": 1}'), ToolCall(name="g")),
            finish_reason="length",
            usage=UsageCounts(
                prompt_tokens=9,
                completion_tokens=8,
                cached_tokens=1,
                cache_write_tokens=2,
                audio_prompt_tokens=3,
                reasoning_tokens=4,
                audio_completion_tokens=5,
                accepted_prediction_tokens=6,
                rejected_prediction_tokens=7,
            ),
            headers={"X-Region": "here"},
            first_delay_ms=10,
            piece_delay_ms=20,
            break_=Break(kind="close", after=3),
            chunk_bytes=7,
        ),
        Reply(
            times=1,
            error=ErrorReply(
                status=429,
                headers={"retry-after-ms": "20"},
                type="tokens",
                code="slow_down",
                message="Slowly.",
                param="model",
            ),
        ),
        Reply(pieces=("a", "b"), usage="none"),
    )


def test_a_file_reads_like_its_text(tmp_path: Path) -> None:
    """`load_script` adds nothing but the reading."""
    path = tmp_path / "script.toml"
    path.write_text(EVERYTHING, encoding="utf-8")
    assert load_script(path) == parse_script(EVERYTHING)


def test_the_default_script_echoes() -> None:
    """What a provider without a script does can be written as a script."""
    assert parse_script("[[replies]]\necho = true\n") == ECHO


MISTAKES = {
    "an unknown field, with the nearest": (
        '[[replies]]\ntext = "a"\ntimes = 1\n\n[[replies]]\ntxt = "b"',
        "script, line 5: reply 2: there is no field `txt`; did you mean `text`?",
    ),
    "an unknown condition": (
        '[[replies]]\ntext = "a"\nwhen = { contians = "b" }',
        "line 1: reply 1, `when`: there is no field `contians`; did you mean `contains`?",
    ),
    "an unknown field of a tool call": (
        '[[replies]]\ntool_calls = [{ name = "f", argument = "{}" }]',
        "reply 1, `tool_calls[0]`: there is no field `argument`; did you mean `arguments`?",
    ),
    "an unknown field at the top": (
        "[[reply]]\ntext = 'a'",
        "script: there is no field `reply`; did you mean `replies`?",
    ),
    "a field like no other": (
        '[[replies]]\nbreak = { kind = "eof", zzz = 1 }\ntext = "a"',
        "`break`: there is no field `zzz`; there are: kind, after",
    ),
    "the Python name of break": ('[[replies]]\nbreak_ = 1\ntext = "a"', "did you mean `break`?"),
    "a wrong type": ("[[replies]]\ntext = 1", "reply 1, `text`: Expected `str`, got `int`"),
    "a wrong word": (
        '[[replies]]\ntext = "a"\nbreak = { kind = "bang" }',
        'reply 1, `break.kind`: Invalid enum value \'bang\'; there are: "close", "eof", ',
    ),
    "a number out of range": ("[[replies]]\ntext = 'a'\ntimes = 0", "`times`: Expected `int` >= 1"),
    "no replies": ("replies = []", "a script needs at least one reply"),
    "an empty file": ("", "Object missing required field `replies`"),
    "a reply of no kind": ("[[replies]]\ntimes = 1", "a reply needs one of: text, pieces, echo"),
    "a reply of two kinds": (
        "[[replies]]\ntext = 'a'\nconnect_error = true",
        "these do not go together: text, connect_error",
    ),
    "two texts": ("[[replies]]\ntext = 'a'\njson = '1'", "only one of these at a time: text, json"),
    "a refusal that calls": (
        "[[replies]]\nrefusal = 'a'\ntool_calls = [{ name = 'f' }]",
        "`refusal` does not go with `tool_calls`",
    ),
    "an option without effect": (
        "[[replies]]\ntimeout = 'connect'\nbreak = { kind = 'eof' }",
        "`break` has no effect on a timeout (timeout); it goes with an answer of the model or raw",
    ),
    "headers of an error in the wrong place": (
        "[[replies]]\nerror = { status = 500 }\nheaders = { a = 'b' }",
        "`headers` has no effect on an error (error)",
    ),
    "a header that HTTP cannot carry": (
        '[[replies]]\ntext = "a"\nheaders = { a = "b\\r\\nc: d" }',
        "header a holds a control character",
    ),
    "a header's name": (
        '[[replies]]\ntext = "a"\nheaders = { "a b" = "c" }',
        "'a b' is not the name",
    ),
    "json that is none": ("[[replies]]\njson = '{'", "write broken JSON as `text`"),
    "a pattern that does not compile": (
        "[[replies]]\ntext = 'a'\nwhen = { matches = '(' }",
        "reply 1, `when`: `matches` is not a regular expression",
    ),
    "a condition without condition": ("[[replies]]\ntext = 'a'\nwhen = {}", "names no condition"),
    "a body that hides words": (
        "[[replies]]\nerror = { status = 500, body = 'a', code = 'b' }",
        "`code` would not be seen",
    ),
    "a place for no_done": (
        "[[replies]]\ntext = 'a'\nbreak = { kind = 'no_done', after = 1 }",
        '`after` does not go with `kind = "no_done"`',
    ),
    "no_done on raw bytes": (
        "[[replies]]\nraw_stream = 'a'\nbreak = { kind = 'no_done' }",
        "leave [DONE] out of them",
    ),
    "a reply out of reach": (
        "[[replies]]\ntext = 'a'\n[[replies]]\ntext = 'b'",
        "reply 1 matches every request, so reply 2 is never given",
    ),
    "a status that is no error": (
        "[[replies]]\nerror = { status = 200 }",
        "`error.status`: Expected `int` >= 300",
    ),
    "broken TOML": ("[[replies]\n", "script: not TOML: "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(mistake: str) -> None:
    """Each mistake gives its sentence and where the format is described, or a line."""
    text, sentence = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        parse_script(text)
    assert sentence in caught.value.message
    assert "docs/scripted-provider.md" in caught.value.message


def test_a_syntax_error_has_line_and_column() -> None:
    """TOML's own errors say where they are."""
    with pytest.raises(ConfigError, match=re.escape("(at line 2, column 8)")):
        parse_script("[[replies]]\ntext = \n")


def test_headings_inside_strings_do_not_move_the_line() -> None:
    """The line is the reply's own, whatever the texts before it look like."""
    text = "[[replies]]\ntimes = 1\ntext = '''\n[[replies]]\n'''\n[[replies]]\nbad = 1\n"
    with pytest.raises(ConfigError, match=r"line 6: reply 2: there is no field `bad`"):
        parse_script(text)


def test_replies_written_as_an_array_have_no_line() -> None:
    """No line is better than a wrong one."""
    with pytest.raises(ConfigError, match=r"^script: reply 1: there is no field `bad`"):
        parse_script("replies = [{ bad = 1 }]")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error says which file, why, and what else can be done."""
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file.*leave it out"):
        load_script(path)


def test_a_file_that_is_not_utf8_has_a_line(tmp_path: Path) -> None:
    """The line of the first bad byte is given."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[[replies]]\ntext = 'caf\xe9'\n")
    with pytest.raises(ConfigError, match=r"latin\.toml, line 2: not UTF-8"):
        load_script(path)


def test_a_file_past_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is read up to the bound and no further."""
    monkeypatch.setattr("entente.providers.scripted.script_file.SCRIPT_BYTES_MAX", 8)
    path = tmp_path / "long.toml"
    path.write_text("# 9 bytes", encoding="utf-8")
    with pytest.raises(ConfigError, match="longer than 8 bytes"):
        load_script(path)


def test_scripts_made_in_python_are_checked_too() -> None:
    """A script in code has the same rules, as ValueError."""
    with pytest.raises(ValueError, match="these do not go together"):
        Reply(text="a", connect_error=True)
    with pytest.raises(ValueError, match="at least one reply"):
        Script(replies=())
