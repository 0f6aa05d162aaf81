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
NOTE, MATCHED, FAST_PAIRS = 32, (24, 16, 12), 6
ANCHOR, OUTPUT_SCALE, POSITION_GAIN = 8.0, 0.05, 1.8
NOTE_GAIN, MATCH_GAIN, COPY_GAIN, TAKE_GAIN = 1.0, 3.0, 6.0, 2.0


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; ``head`` is the width of one head, ``context`` counts tokens."""

    vocabulary: int = 2560
    width: int = 192
    layers: int = 6
    heads: int = 4
    head: int = 64
    hidden: int = 512
    context: int = 2048
    rope_base: float = 500_000.0
    norm_epsilon: float = 1e-5


def rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of shape (context, channels per head / 2)."""
    half = shape.head // 2
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
        width, hidden, inner = shape.width, shape.hidden, shape.heads * shape.head
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.ffn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.attn_q = nn.Linear(width, inner, bias=False)
        self.attn_k = nn.Linear(width, inner, bias=False)
        self.attn_v = nn.Linear(width, inner, bias=False)
        self.attn_output = nn.Linear(inner, width, bias=False)
        self.ffn_gate = nn.Linear(width, hidden, bias=False)
        self.ffn_up = nn.Linear(width, hidden, bias=False)
        self.ffn_down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map the stream x (batch, tokens, width) to the next one."""
        batch, tokens, _ = x.shape
        h = self.attn_norm(x)
        q, k, v = (
            proj(h).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for proj in (self.attn_q, self.attn_k, self.attn_v)
        )
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))


@torch.no_grad()
def prepare_copying(model: Decoder, shape: Shape) -> None:
    """Start from weights that can already copy by looking back.

    Short training seldom finds this circuit by itself, and most skills need it.  The
    first half of the stream holds the token itself, the second half notes about the
    three tokens before.  Block 0 writes the notes: its heads look one, two and three
    tokens back.  Each head of block 1 looks for the place whose last three tokens are
    those that have just been seen, and takes over a share of the token that stands
    there.  Channel 0 is constant, so that heads can attend by position alone.
    """
    half = shape.width // 2
    embedding = model.token_embd.weight
    embedding[:, half:] = 0
    embedding[:, 0] = 0
    model.output.weight.copy_(OUTPUT_SCALE * embedding)
    embedding[:, 0] = ANCHOR
    view = torch.linalg.qr(torch.randn(half, half))[0][:NOTE]
    view[:, 0] = 0
    _write_notes(cast("Block", model.blk[0]), shape, view)
    _find_and_copy(cast("Block", model.blk[1]), shape, view)
    for block in list(model.blk)[2:]:
        _take_over(cast("Block", block), shape, TAKE_GAIN)


def _write_notes(block: Block, shape: Shape, view: Tensor) -> None:
    """Let three heads note a view of the token one, two and three places back."""
    half, size = shape.width // 2, shape.head
    rates = shape.rope_base ** (-2.0 * torch.arange(FAST_PAIRS) / size)
    for back in (1, 2, 3):
        top = (back - 1) * size
        rows = slice(top, top + size)
        block.attn_q.weight[rows] = 0
        block.attn_k.weight[rows] = 0
        block.attn_v.weight[rows] = 0
        fast = torch.arange(top, top + 2 * FAST_PAIRS, 2)
        block.attn_q.weight[fast, 0] = POSITION_GAIN
        block.attn_k.weight[fast, 0] = POSITION_GAIN * (back * rates).cos()
        block.attn_k.weight[fast + 1, 0] = POSITION_GAIN * (back * rates).sin()
        block.attn_v.weight[top : top + NOTE, :half] = view
        notes = torch.arange(NOTE) + half + (back - 1) * NOTE
        block.attn_output.weight[notes, torch.arange(NOTE) + top] = NOTE_GAIN


def _find_and_copy(block: Block, shape: Shape, view: Tensor) -> None:
    """Let every head match the last three tokens and take over its share of the next.

    The slowest channels of a head, which rotate little, do the matching.
    """
    half, size = shape.width // 2, shape.head
    for head in range(shape.heads):
        rows = slice(head * size, (head + 1) * size)
        block.attn_q.weight[rows] = 0
        block.attn_k.weight[rows] = 0
        row = (head + 1) * size
        for back, amount in enumerate(MATCHED):
            picked = torch.randperm(NOTE)[:amount]
            slow = torch.arange(row - amount, row)
            row -= amount
            block.attn_k.weight[slow, half + back * NOTE + picked] = MATCH_GAIN
            if back == 0:
                block.attn_q.weight[slow, :half] = MATCH_GAIN * view[picked]
            else:
                seen = half + (back - 1) * NOTE + picked
                block.attn_q.weight[slow, seen] = MATCH_GAIN / NOTE_GAIN
    _take_over(block, shape, COPY_GAIN)


def _take_over(block: Block, shape: Shape, gain: float) -> None:
    """Let every head pass on a large part of the token that it attends to.

    With this, a head only has to learn where to look.
    """
    half, size = shape.width // 2, shape.head
    for head in range(shape.heads):
        source = torch.arange(head * size, (head + 1) * size)
        part = torch.arange(size) + (half - size) * (head % 2)
        block.attn_v.weight[source] = 0
        block.attn_v.weight[source, part] = 1.0
        block.attn_output.weight[part, source] = gain


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
            nn.init.normal_(weight, std=scale * shape.width**-0.5)
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
        share[(weights > 0).sum() :] = 0
        logits = self.output(stream.flatten(0, 1)[wanted])
        each = functional.cross_entropy(logits.float(), targets[wanted], reduction="none")
        return (each * share).sum()
