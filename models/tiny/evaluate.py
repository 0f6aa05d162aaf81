# ruff: noqa: S310 (the address is given by whoever runs this)
"""Exact match on held-out instances, per skill and language, over HTTP.

Any OpenAI-compatible endpoint will do (standard library only):

    python evaluate.py --base-url http://127.0.0.1:8080/v1 --model entente-tiny --per-skill 50

or a GGUF, served by the runtime for the length of the run (needs ``xllamacpp``):

    python evaluate.py --gguf build/entente-tiny.gguf --per-skill 100

The answers are sampled at temperature 0.  A tool call counts if the name and all
arguments are right; text counts if it is the same, spaces at its ends aside.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus import mix
from corpus.types import Example, Infill, Tool, Turn

SEED = 2026
LONGEST_ANSWER = 400
TIMEOUT_SECONDS = 120
CALL_ID = "call00001"


@dataclass(frozen=True)
class Endpoint:
    """Where the model answers and by which name."""

    base_url: str
    model: str
    infill_url: str
    key: str = field(repr=False, default="")

    def post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON, receive JSON."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(url, json.dumps(body).encode("utf-8"), headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer


def tool_schema(tool: Tool) -> dict[str, Any]:
    """The tool as the OpenAI API describes it."""
    properties = {name: {"type": kind} for name, kind in tool.args}
    required = [name for name, _ in tool.args if name not in tool.optional]
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": {"type": "object", "properties": properties, "required": required},
    }
    return {"type": "function", "function": function}


def message(turn: Turn) -> dict[str, Any]:
    """A turn as a message of the OpenAI API."""
    if turn.call is not None:
        name, arguments = turn.call
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": CALL_ID, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if turn.role == "tool":
        return {"role": "tool", "tool_call_id": CALL_ID, "content": turn.content}
    return {"role": turn.role, "content": turn.content}


def ask(endpoint: Endpoint, item: Example) -> Turn:
    """The model's turn after the example's questions."""
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [message(turn) for turn in item.turns[:-1]],
        "temperature": 0,
        "max_tokens": LONGEST_ANSWER,
    }
    if item.tools:
        body["tools"] = [tool_schema(tool) for tool in item.tools]
    reply = endpoint.post(f"{endpoint.base_url}/chat/completions", body)
    said = reply["choices"][0]["message"]
    calls = said.get("tool_calls") or []
    if len(calls) == 1:
        function = calls[0]["function"]
        return Turn("assistant", "", (function["name"], json.loads(function["arguments"])))
    return Turn("assistant", (said.get("content") or "").strip())


def complete(endpoint: Endpoint, item: Infill) -> str:
    """The model's text in the hole, or after the prefix where there is no suffix."""
    if item.suffix is None:
        body = {
            "model": endpoint.model,
            "prompt": item.prefix,
            "temperature": 0,
            "max_tokens": LONGEST_ANSWER,
        }
        reply = endpoint.post(f"{endpoint.base_url}/completions", body)
        return str(reply["choices"][0]["text"])
    body = {
        "model": endpoint.model,
        "input_prefix": item.prefix,
        "input_suffix": item.suffix,
        "temperature": 0,
        "n_predict": LONGEST_ANSWER,
    }
    return str(endpoint.post(endpoint.infill_url, body)["content"])


def is_right(endpoint: Endpoint, item: Example | Infill) -> tuple[bool, str]:
    """Whether the answer matches, and the answer as text for the log."""
    try:
        if isinstance(item, Infill):
            text = complete(endpoint, item)
            return text.strip() == item.middle.strip(), text
        turn = ask(endpoint, item)
    except (urllib.error.URLError, KeyError, ValueError, TimeoutError) as error:
        return False, f"failed: {error!r}"
    wanted = item.turns[-1]
    if wanted.call is not None or turn.call is not None:
        return turn.call == wanted.call, str(turn.call or turn.content)
    return turn.content == wanted.content.strip(), turn.content


def log_miss(item: Example | Infill, answer: str) -> None:
    """Print a wrong answer next to the right one."""
    if isinstance(item, Infill):
        asked, wanted = f"{item.prefix}▮{item.suffix}", item.middle
    else:
        asked = item.turns[-2].content
        wanted = str(item.turns[-1].call or item.turns[-1].content)
    print(
        f"--- {item.skill} {item.lang}\nasked:  {asked}\nwanted: {wanted}\ngot:    {answer}",
        file=sys.stderr,
    )


def evaluate(endpoint: Endpoint, per_skill: int, only: list[str], verbose: bool) -> dict[str, Any]:
    """``{skill: {lang: {"n": instances, "exact": share that matched}}}``."""
    scores: dict[str, Any] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for skill, how in mix.SKILLS.items():
            if only and skill not in only:
                continue
            scores[skill] = {}
            for lang in how.langs:
                items = mix.held_out_set(SEED, skill, lang, per_skill)
                results = list(pool.map(lambda item: is_right(endpoint, item), items))
                for item, (right, answer) in zip(items, results, strict=True):
                    if verbose and not right:
                        log_miss(item, answer)
                exact = sum(right for right, _ in results) / max(1, len(items))
                scores[skill][lang] = {"n": len(items), "exact": round(exact, 4)}
                print(f"{skill} {lang} {exact:.1%}", file=sys.stderr, flush=True)
    return scores


def main() -> None:
    """Read the options, evaluate, print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--base-url", help="an OpenAI-compatible endpoint, up to /v1")
    where.add_argument("--gguf", type=Path, help="serve this file for the evaluation")
    parser.add_argument("--infill-url", help="default: /infill next to /v1")
    parser.add_argument("--key", default="", help="sent as bearer token")
    parser.add_argument("--model", default="entente-tiny")
    parser.add_argument("--per-skill", type=int, default=50, help="per skill and language")
    parser.add_argument("--only", nargs="*", default=[], help="only these skills")
    parser.add_argument("--verbose", action="store_true", help="print the wrong answers")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    options = parser.parse_args()

    def run(base_url: str) -> None:
        base = base_url.rstrip("/")
        infill = options.infill_url or base.removesuffix("/v1") + "/infill"
        endpoint = Endpoint(base, options.model, infill, options.key)
        scores = evaluate(endpoint, options.per_skill, options.only, options.verbose)
        text = json.dumps(scores, indent=1)
        if options.out:
            options.out.write_text(text + "\n")
        print(text)

    if options.gguf is None:
        run(options.base_url)
        return
    from serve import serving  # noqa: PLC0415 (the endpoint mode needs no runtime)

    with serving(options.gguf) as address:
        run(f"{address}/v1")


if __name__ == "__main__":
    main()
