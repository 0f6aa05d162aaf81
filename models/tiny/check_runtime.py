# ruff: noqa: S310 (the address is given by whoever runs this)
"""Prove that the runtime reads the model as the training meant it.

Checks, against the real server: its tokenisation equals the training tokenizer's,
its rendering of the chat template equals ``template.render``, tool calls are parsed
(unary, streamed, required) and a tool's result is used, and ``/infill`` works.

    python check_runtime.py --build build --gguf build/entente-tiny.gguf
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from corpus import mix, repeat, words
from corpus.types import Example, Turn
from evaluate import message, tool_schema
from serve import serving
from template import pieces_of
from tokenizers import Tokenizer

ODD_TEXTS = (
    "",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    " \t \n  x",
    "a  b   c",
    "trailing  ",
    "\u00a0x\u2003y\u200bz",
    "don't we'll I'M they'RE",
    "1234567890 3.14 1,000 ½ ٣٤٥ ²",
    "😀👍🏽👩‍👩‍👧‍👦🇩🇪",
    "naïve café Straße ÄÖÜ",
    "مُحَمَّدٌ كَتَبَ الـكتاب ﷽ لا إله",
    "x=1\n\tif x>=2:\n        return {'a': [1,2]}  # ok\n",
    "你好，世界。こんにちは 안녕",
    "https://a.b/c?d=e&f=%20#g",
    "a\u0301e\u0308 \ufeff\u202e",
    "<b>&amp;</b>",
    "!!!???...---___",
    "\x00\x01\x7f",
    "e.g. U.S.A. 'quoted' \"double\" `tick`",
    "שלום नमस्ते สวัสดี",
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather for a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def post(url: str, body: dict[str, Any]) -> Any:
    """Send JSON, receive JSON."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)


def check_tokens(address: str, tokenizer: Tokenizer) -> str:
    """Every text gives the same token ids on both sides, and comes back whole."""
    rng = Random(5)
    texts = [
        *ODD_TEXTS,
        *("".join(p for p, _ in pieces_of(item)) for item in islice(mix.training_stream(99), 400)),
    ]
    for _ in range(400):
        lang = rng.choice(words.LANGS)
        texts.append(repeat.mixed_text(rng, lang, rng.randint(1, 30)))
        texts.append(
            "".join(
                chr(
                    rng.choice(
                        (
                            rng.randrange(32, 127),
                            rng.randrange(0x600, 0x6FF),
                            rng.randrange(0xA0, 0x2FFF),
                        )
                    )
                )
                for _ in range(60)
            )
        )
    for text in texts:
        ours = tokenizer.encode(text, add_special_tokens=False).ids
        theirs = post(f"{address}/tokenize", {"content": text, "parse_special": True})["tokens"]
        if ours != theirs:
            raise AssertionError(f"tokens differ for {text!r}: {ours} and {theirs}")
        if tokenizer.decode(ours, skip_special_tokens=False) != text:
            raise AssertionError(f"{text!r} does not come back")
    return f"tokens equal on {len(texts)} texts"


def check_template(address: str) -> str:
    """The runtime's chat template and ``template.render`` give the same text."""
    checked = 0
    for item in islice(mix.training_stream(77), 400):
        if not isinstance(item, Example):
            continue
        turns = item.turns[:-1]
        body: dict[str, Any] = {"messages": [message(turn) for turn in turns]}
        if item.tools:
            body["tools"] = [tool_schema(tool) for tool in item.tools]
        theirs = post(f"{address}/apply-template", body)["prompt"]
        pieces = pieces_of(
            Example(item.skill, item.lang, item.key, (*turns, Turn("assistant", "")), item.tools)
        )
        ours = "".join(text for text, _ in pieces[:-2])
        if ours != theirs:
            raise AssertionError(f"templates differ:\n{ours!r}\n{theirs!r}")
        checked += 1
    return f"templates equal on {checked} conversations"


def stream(url: str, body: dict[str, Any]) -> tuple[str, str, str, str]:
    """Content, tool name, arguments and finish reason put together from a stream."""
    request = urllib.request.Request(
        url,
        json.dumps({**body, "stream": True}).encode(),
        headers={"Content-Type": "application/json"},
    )
    content = name = arguments = reason = ""
    with urllib.request.urlopen(request, timeout=120) as reply:
        for raw in reply:
            line = raw.decode().strip()
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choice = json.loads(line[6:])["choices"][0]
            reason = choice.get("finish_reason") or reason
            content += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or []:
                name += call["function"].get("name") or ""
                arguments += call["function"].get("arguments") or ""
    return content, name, arguments, reason


def check_tools(address: str) -> str:
    """A call by itself, by request and streamed, and the answer from its result."""
    url = f"{address}/v1/chat/completions"
    question = {"role": "user", "content": "What is the weather in Zanzibar?"}
    lines = []
    for choice in ("auto", "required"):
        body = {
            "messages": [question],
            "tools": [WEATHER],
            "tool_choice": choice,
            "temperature": 0,
            "max_tokens": 100,
        }
        reply = post(url, body)["choices"][0]
        lines.append(f"{choice}: {reply['finish_reason']} {reply['message'].get('tool_calls')}")
        lines.append(f"{choice} streamed: {stream(url, body)}")
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Zanzibar"}'},
    }
    told = post(
        url,
        {
            "messages": [
                question,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {
                    "role": "tool",
                    "tool_call_id": "c1",
                    "content": '{"temperature": 31, "sky": "clear"}',
                },
            ],
            "tools": [WEATHER],
            "temperature": 0,
            "max_tokens": 100,
        },
    )
    lines.append(f"told: {told['choices'][0]['message']['content']}")
    return "\n".join(lines)


def check_infill(address: str) -> str:
    """The middle of a function."""
    body = {
        "input_prefix": "def add(a, b):\n    return ",
        "input_suffix": "\n\nprint(add(1, 2))\n",
        "temperature": 0,
        "n_predict": 40,
    }
    return f"infill: {post(f'{address}/infill', body)['content']!r}"


def main() -> None:
    """Run all checks and print what they found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--gguf", type=Path, default=Path("build/entente-tiny.gguf"))
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.build / "tokenizer.json"))
    with serving(options.gguf) as address:
        print(check_tokens(address, tokenizer))
        print(check_template(address))
        print(check_tools(address))
        print(check_infill(address))


if __name__ == "__main__":
    main()
