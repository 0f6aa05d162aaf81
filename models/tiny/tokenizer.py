"""Train the byte-level BPE tokenizer on text of the recipe's own generators.

Words are cut as llama.cpp's pre-tokenizer ``qwen2`` cuts them (every digit alone),
so that the runtime and the training see the same tokens; ``evaluate.py`` proves it.

    python tokenizer.py --out build
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from corpus import mix
from template import CONTROL_TOKENS, VISIBLE_TOKENS, pieces_of
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 2560
EXAMPLES = 40_000
SEED = 11
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _texts(amount: int) -> Iterator[str]:
    """Rendered training examples without their special tokens."""
    for item in islice(mix.training_stream(SEED), amount):
        text = "".join(piece for piece, _ in pieces_of(item))
        for token in (*CONTROL_TOKENS, *VISIBLE_TOKENS):
            text = text.replace(token, "\n")
        yield text


def train() -> Tokenizer:
    """A tokenizer of ``VOCABULARY`` tokens, the special ones first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        AddedToken(token, special=True, normalized=False)
        for token in (*CONTROL_TOKENS, *VISIBLE_TOKENS)
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_texts(EXAMPLES), trainer)
    return tokenizer


def main() -> None:
    """Train and write ``tokenizer.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    train().save(str(out / "tokenizer.json"))


if __name__ == "__main__":
    main()
