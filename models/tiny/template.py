"""The text form of a conversation: special tokens, chat template, rendering.

``CHAT_TEMPLATE`` is what the runtime renders; ``render`` is the same in Python, in
pieces that say which part the model has to produce.  ``evaluate.py`` checks that
both give the same text.  Tools are shown compactly (one line each instead of their
JSON schema), because every token counts for a model of this size.
"""

from __future__ import annotations

import json

from corpus.types import Example, Infill, Tool, Turn

END_OF_TEXT = "<|endoftext|>"
START, END = "<|im_start|>", "<|im_end|>"
FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
CALL, CALL_END = "<tool_call>", "</tool_call>"
CONTROL_TOKENS = (END_OF_TEXT, START, END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)
VISIBLE_TOKENS = (CALL, CALL_END)

CHAT_TEMPLATE = """\
{%- if messages[0].role == 'system' -%}
{%- set system = messages[0].content -%}
{%- else -%}
{%- set system = '' -%}
{%- endif -%}
{%- if system or tools -%}
{{- '<|im_start|>system\\n' + system -}}
{%- if tools -%}
{%- if system -%}{{- '\\n' -}}{%- endif -%}
{{- 'Tools:' -}}
{%- for tool in tools -%}
{%- set f = tool.function -%}
{{- '\\n- ' + f.name + '(' -}}
{%- if f.parameters and f.parameters.properties -%}
{%- for name, spec in f.parameters.properties.items() -%}
{{- ', ' if not loop.first else '' -}}
{{- name -}}
{{- '' if f.parameters.required and name in f.parameters.required else '?' -}}
{{- ': ' + (spec.type if spec.type is string else 'string') -}}
{%- endfor -%}
{%- endif -%}
{{- ')' -}}
{{- ': ' + f.description if f.description else '' -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'system' and loop.first -%}
{%- elif message.role == 'assistant' and message.tool_calls -%}
{{- '<|im_start|>assistant\\n' + (message.content or '') -}}
{%- for call in message.tool_calls -%}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' -}}
{%- set given = call.function.arguments -%}
{{- given if given is string else given | tojson -}}
{{- '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

Piece = tuple[str, bool]


def tool_line(tool: Tool) -> str:
    """One tool as the model sees it: ``- name(a: string, b?: integer): purpose``."""
    args = ", ".join(
        f"{arg}{'?' if arg in tool.optional else ''}: {kind}" for arg, kind in tool.args
    )
    purpose = f": {tool.description}" if tool.description else ""
    return f"- {tool.name}({args}){purpose}"


def answer_text(turn: Turn) -> str:
    """What the model writes for an assistant's turn."""
    if turn.call is None:
        return turn.content
    name, arguments = turn.call
    shown = json.dumps(arguments, ensure_ascii=False)
    return f'{CALL}\n{{"name": "{name}", "arguments": {shown}}}\n{CALL_END}'


def render(example: Example) -> list[Piece]:
    """The conversation in pieces ``(text, is it the model's to write)``."""
    turns = list(example.turns)
    system = turns.pop(0).content if turns[0].role == "system" else ""
    pieces: list[Piece] = []
    if system or example.tools:
        text = system
        if example.tools:
            listing = "\n".join(tool_line(tool) for tool in example.tools)
            text += ("\n" if system else "") + f"Tools:\n{listing}"
        pieces.append((f"{START}system\n{text}{END}\n", False))
    for turn in turns:
        if turn.role == "assistant":
            pieces.append((f"{START}assistant\n", False))
            pieces.append((answer_text(turn) + END, True))
            pieces.append(("\n", False))
        else:
            pieces.append((f"{START}{turn.role}\n{turn.content}{END}\n", False))
    return pieces


def render_infill(item: Infill) -> list[Piece]:
    """Code with a hole in the order prefix, suffix, middle; or plain code."""
    if item.suffix is None:
        return [(item.prefix, False), (item.middle + END_OF_TEXT, True)]
    head = f"{FIM_PREFIX}{item.prefix}{FIM_SUFFIX}{item.suffix}{FIM_MIDDLE}"
    return [(head, False), (item.middle + END_OF_TEXT, True)]


def pieces_of(item: Example | Infill) -> list[Piece]:
    """The pieces of either kind of example."""
    return render_infill(item) if isinstance(item, Infill) else render(item)
