"""The network: a small decoder of the Llama family, laid out as llama.cpp reads it.

RMSNorm before each block, rotary positions on neighbouring pairs of channels (the
layout of llama.cpp's ``llama`` architecture, so that the export needs no
permutation), SwiGLU, no biases.  The output matrix is not tied to the embedding:
training pushes the outputs of all rare tokens the same way, which would make their
embeddings alike and copying hard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ROUND = 128
ANCHOR, OUTPUT_SCALE, FAST_PAIRS, POSITION_GAIN = 8.0, 0.05, 6, 1.6
NOTE_GAIN, MATCH_GAIN, COPY_GAIN = 2.0, 3.5, 4.0


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; ``context`` counts tokens."""

    vocabulary: int = 2560
    width: int = 192
    layers: int = 6
    heads: int = 4
    hidden: int = 512
    context: int = 2048
    rope_base: float = 500_000.0
    norm_epsilon: float = 1e-5


def rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of shape (context, channels per head / 2)."""
    half = shape.width // shape.heads // 2
    rates = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), rates)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of neighbouring channels of x (batch, heads, tokens, channels)."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention over (batch, heads, tokens, channels), written out.

    On a CPU and for short rows this is several times faster, backwards above all,
    than the fused kernel.
    """
    tokens = q.shape[2]
    future = torch.full((tokens, tokens), float("-inf"), dtype=v.dtype).triu(1)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (scores + future).softmax(-1).to(v.dtype) @ v


class Block(nn.Module):
    """Attention and SwiGLU, each after its own norm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.ffn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.attn_q = nn.Linear(width, width, bias=False)
        self.attn_k = nn.Linear(width, width, bias=False)
        self.attn_v = nn.Linear(width, width, bias=False)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_gate = nn.Linear(width, hidden, bias=False)
        self.ffn_up = nn.Linear(width, hidden, bias=False)
        self.ffn_down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map the stream x (batch, tokens, width) to the next one."""
        batch, tokens, width = x.shape
        h = self.attn_norm(x)
        q, k, v = (proj(h).view(batch, tokens, self.heads, -1).transpose(1, 2)
                   for proj in (self.attn_q, self.attn_k, self.attn_v))
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, tokens, width))
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))


@torch.no_grad()
def prepare_copying(model: Decoder, shape: Shape) -> None:
    """Start from weights that can already copy by looking back.

    Short training seldom finds this two-step circuit by itself, and most skills need
    it.  Channel 0 of the embedding is constant, which gives heads something to
    attend by position with.  Every head of block 0 looks one token back and notes a
    projection of what was there; every head of block 1 looks for the place whose note
    is like the current token and takes over the token found there.
    """
    size = shape.width // shape.heads
    first, second = cast("Block", model.blk[0]), cast("Block", model.blk[1])
    model.output.weight.copy_(OUTPUT_SCALE * model.token_embd.weight)
    model.token_embd.weight[:, 0] = ANCHOR
    slow = 2 * FAST_PAIRS
    notes, _ = torch.linalg.qr(torch.randn(shape.width, shape.width))
    views, _ = torch.linalg.qr(torch.randn(shape.width, shape.width))
    copies, _ = torch.linalg.qr(torch.randn(shape.width, shape.width))
    views[:, 0] = copies[:, 0] = 0
    notes[0] = 0
    rates = shape.rope_base ** (-2.0 * torch.arange(FAST_PAIRS) / size)
    for head in range(shape.heads):
        rows = slice(head * size, (head + 1) * size)
        first.attn_q.weight[rows] *= 0.1
        first.attn_k.weight[rows] *= 0.1
        for pair in range(FAST_PAIRS):
            at = head * size + 2 * pair
            first.attn_q.weight[at, 0] = POSITION_GAIN
            first.attn_k.weight[at, 0] = POSITION_GAIN * rates[pair].cos()
            first.attn_k.weight[at + 1, 0] = POSITION_GAIN * rates[pair].sin()
        first.attn_v.weight[rows] = views[rows]
        first.attn_output.weight[:, rows] = NOTE_GAIN * notes[:, rows]
        second.attn_q.weight[rows] *= 0.1
        second.attn_k.weight[rows] *= 0.1
        slow_rows = slice(head * size + slow, (head + 1) * size)
        second.attn_q.weight[slow_rows] = MATCH_GAIN * views[slow_rows]
        second.attn_k.weight[slow_rows] = MATCH_GAIN * notes[:, slow_rows].T
        second.attn_v.weight[rows] = copies[rows]
        second.attn_output.weight[:, rows] = COPY_GAIN * copies[rows].T


class Decoder(nn.Module):
    """Token ids (batch, tokens) to the final stream (batch, tokens, width)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        cos, sin = rotations(shape)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(shape)

    def _initialise(self, shape: Shape) -> None:
        """Normal weights; the writers into the stream start almost silent."""
        for name, weight in self.named_parameters():
            if weight.dim() == 1:
                continue
            writes = name.endswith(("attn_output.weight", "ffn_down.weight"))
            scale = 0.02 if writes else 1.0
            nn.init.normal_(weight, std=scale * shape.width ** -0.5)
        nn.init.normal_(self.token_embd.weight, std=1.0)
        prepare_copying(self, shape)

    def forward(self, ids: Tensor) -> Tensor:
        """The stream after the last norm."""
        x = self.token_embd(ids)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def loss(self, stream: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean cross-entropy; only positions with a weight are projected.

        Their number is rounded up, to keep to few shapes of the matrix product.
        """
        weights, targets = weights.flatten(), targets.flatten()
        wanted = weights.nonzero().flatten()
        wanted = functional.pad(wanted, (0, -len(wanted) % ROUND))
        share = weights[wanted] / weights.sum()
        share[(weights > 0).sum():] = 0
        logits = self.output(stream.flatten(0, 1)[wanted])
        each = functional.cross_entropy(logits.float(), targets[wanted], reduction="none")
        return (each * share).sum()
