"""Write the trained model as a GGUF that llama.cpp loads as architecture ``llama``.

Matrices are stored as Q8_0 (blocks of 32 weights in 8 bits), norms as float32.

    python export.py --build build --out entente-tiny.gguf
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from template import (
    CHAT_TEMPLATE,
    CONTROL_TOKENS,
    END,
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    VISIBLE_TOKENS,
)

ARCHITECTURE = "llama"
NAME = "entente-tiny"
MATRIX = 2


def _add_shape(writer: GGUFWriter, shape: dict[str, Any]) -> None:
    """The hyperparameters."""
    writer.add_name(NAME)
    writer.add_description("The small built-in model of Entente, for trying things out.")
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["hidden"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["heads"])
    writer.add_layer_norm_rms_eps(shape["norm_epsilon"])
    writer.add_rope_freq_base(shape["rope_base"])
    writer.add_key_length(shape["head"])
    writer.add_value_length(shape["head"])
    writer.add_rope_dimension_count(shape["head"])
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def _add_tokenizer(writer: GGUFWriter, path: Path) -> None:
    """Vocabulary, merges, special tokens and the chat template."""
    model = json.loads(path.read_text("utf-8"))["model"]
    ids: dict[str, int] = model["vocab"]
    tokens = sorted(ids, key=ids.__getitem__)
    kinds = dict.fromkeys(CONTROL_TOKENS, TokenType.CONTROL)
    kinds |= dict.fromkeys(VISIBLE_TOKENS, TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(ids[END_OF_TEXT])
    writer.add_eos_token_id(ids[END])
    writer.add_eot_token_id(ids[END])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(value=False)
    for key, token in (("pre", FIM_PREFIX), ("suf", FIM_SUFFIX), ("mid", FIM_MIDDLE)):
        writer.add_uint32(f"tokenizer.ggml.fim_{key}_token_id", ids[token])
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_tensors(writer: GGUFWriter, weights: dict[str, torch.Tensor]) -> None:
    """Matrices quantised, vectors as they are; the names are llama.cpp's already."""
    q8 = GGMLQuantizationType.Q8_0
    for name, tensor in weights.items():
        data = tensor.float().numpy()
        if data.ndim == MATRIX:
            writer.add_tensor(name, quants.quantize(data, q8), raw_dtype=q8)
        else:
            writer.add_tensor(name, data)


def export(build: Path, out: Path) -> None:
    """Read ``tokenizer.json``, ``weights.pt`` and ``run.json``; write the GGUF."""
    shape = json.loads((build / "run.json").read_text())["shape"]
    weights = torch.load(build / "weights.pt", map_location="cpu", weights_only=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(str(out), ARCHITECTURE)
    _add_shape(writer, shape)
    _add_tokenizer(writer, build / "tokenizer.json")
    _add_tensors(writer, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Read the options and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--out", type=Path, default=Path(f"build/{NAME}.gguf"))
    options = parser.parse_args()
    export(options.build, options.out)


if __name__ == "__main__":
    main()
