"""Where the model that ships with the product lies."""

from __future__ import annotations

from pathlib import Path

BUILTIN_MODEL = "entente-tiny"


def builtin_model_path() -> Path:
    """Give the path of the built-in model's GGUF file; whether it is there is not checked."""
    return Path(__file__).resolve().parent / "models" / f"{BUILTIN_MODEL}.gguf"
