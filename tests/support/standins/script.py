"""The scenes as a script of the scripted provider, which stands for a local model."""

from __future__ import annotations

import json

from tests.support.standins.openai import REASONS, usage
from tests.support.standins.scenes import SCENES, Break, Scene

_KINDS = {Break.EVENT: "error_event", Break.CUT: "close", Break.EOF: "eof"}


def script() -> str:
    """Write the script: a reply for each scene; a request that names none gets the first."""
    replies = [_reply(name, scene) for name, scene in SCENES.items()]
    return "\n".join([*replies, _reply("text", SCENES["text"], when=False)])


def _reply(name: str, scene: Scene, *, when: bool = True) -> str:
    """Write one reply. The words of JSON's strings are those of TOML's."""
    lines = ["[[replies]]"]
    if when:
        lines.append(f'when = {{ matches = "scene:{name}\\\\b" }}')
    if scene.status != 200:
        return "\n".join([*lines, f"error = {{ status = {scene.status} }}", ""])
    if scene.texts:
        lines.append(f"pieces = {json.dumps(scene.texts, ensure_ascii=False)}")
    if scene.calls:
        calls = [
            f"{{ name = {json.dumps(call.name)}, "
            f"arguments = {json.dumps(''.join(call.pieces) or '{}', ensure_ascii=False)} }}"
            for call in scene.calls
        ]
        lines.append(f"tool_calls = [{', '.join(calls)}]")
    lines.append(f'finish_reason = "{REASONS[scene.stop]}"')
    counts = usage(scene)
    inward, outward = counts["prompt_tokens_details"], counts["completion_tokens_details"]
    told = {
        "prompt_tokens": counts["prompt_tokens"],
        "completion_tokens": counts["completion_tokens"],
        "cached_tokens": inward["cached_tokens"],
        "cache_write_tokens": inward["cache_write_tokens"],
        "reasoning_tokens": outward["reasoning_tokens"],
    }
    lines.append(f"usage = {{ {', '.join(f'{k} = {v}' for k, v in told.items())} }}")
    if scene.breaks is not None:
        lines.append(f'break = {{ kind = "{_KINDS[scene.breaks]}" }}')
    return "\n".join([*lines, ""])
