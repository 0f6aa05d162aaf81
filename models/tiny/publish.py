"""Put the exported model and the facts about it where the product takes them from.

Writes ``entente-tiny.gguf`` and ``entente-tiny.json`` into the engine's ``models``
folder and refreshes the table of scores in the model's page.

    python publish.py --build build
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "src/entente/engine/models"
PAGE = ROOT / "docs/models/entente-tiny.md"
NAME = "entente-tiny"
OPEN, CLOSE = "<!-- scores -->", "<!-- /scores -->"
LANGUAGES = {"en": "English", "de": "German", "ar": "Arabic"}


def table(scores: dict[str, Any]) -> str:
    """The scores as a Markdown table, one row for each skill."""
    rows = [
        "| skill | " + " | ".join(LANGUAGES.values()) + " | instances each |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for skill, by_lang in scores.items():
        cells = [f"{by_lang[lang]['exact']:.1%}" if lang in by_lang else "–" for lang in LANGUAGES]
        if list(by_lang) == ["en"]:
            cells[0] += " (code)"
        rows.append(f"| `{skill}` | {' | '.join(cells)} | {by_lang['en']['n']} |")
    return "\n".join(rows)


def commit() -> str:
    """The last commit of the recipe, which is what made the file if nothing has changed since."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", "models/tiny"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def facts(run: dict[str, Any], scores: dict[str, Any], gguf: Path) -> dict[str, Any]:
    """What the product and its users should know about the file."""
    return {
        "name": NAME,
        "file": f"{NAME}.gguf",
        "sha256": hashlib.sha256(gguf.read_bytes()).hexdigest(),
        "bytes": gguf.stat().st_size,
        "parameters": run["parameters"],
        "context_length": run["shape"]["context"],
        "languages": list(LANGUAGES),
        "recipe": {
            "path": "models/tiny",
            "commit": commit(),
            "seed": run["seed"],
            "steps": run["steps"],
            "tokens": run["tokens"],
            "minutes": run["minutes"],
        },
        "exact_match": scores,
    }


def publish(build: Path) -> None:
    """Copy the file, write its facts, refresh the page."""
    run = json.loads((build / "run.json").read_text())
    scores = json.loads((build / "scores.json").read_text())
    TARGET.mkdir(parents=True, exist_ok=True)
    gguf = TARGET / f"{NAME}.gguf"
    shutil.copyfile(build / f"{NAME}.gguf", gguf)
    text = json.dumps(facts(run, scores, gguf), indent=1)
    (TARGET / f"{NAME}.json").write_text(text + "\n")
    page = PAGE.read_text("utf-8")
    before, rest = page.split(OPEN)
    _, after = rest.split(CLOSE)
    PAGE.write_text(f"{before}{OPEN}\n{table(scores)}\n{CLOSE}{after}", "utf-8")


def main() -> None:
    """Read the option and publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=Path("build"))
    publish(parser.parse_args().build)


if __name__ == "__main__":
    main()
