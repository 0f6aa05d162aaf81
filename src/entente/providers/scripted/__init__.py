"""A provider that answers from a script, without any network.

It is a vendor like any other: it speaks OpenAI's chat completions, and a script in
TOML says what it answers, how fast, and how it breaks. The format is described in
`docs/scripted-provider.md`.
"""

from entente.providers.scripted.provider import ScriptedAnswer, ScriptedProvider, SeenCall
from entente.providers.scripted.script import (
    ECHO,
    Break,
    ErrorReply,
    Reply,
    Script,
    ToolCall,
    UsageCounts,
    When,
)
from entente.providers.scripted.script_file import load_script, parse_script

__all__ = [
    "ECHO",
    "Break",
    "ErrorReply",
    "Reply",
    "Script",
    "ScriptedAnswer",
    "ScriptedProvider",
    "SeenCall",
    "ToolCall",
    "UsageCounts",
    "When",
    "load_script",
    "parse_script",
]
