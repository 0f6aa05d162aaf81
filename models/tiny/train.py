"""Train entente-tiny on the endless stream of generated examples.

Examples are grouped into batches of ``BATCH_TOKENS`` tokens, each row one example
from position 0 on, so no example sees another.  Batches come in a few fixed shapes
only, because the CPU's matrix kernels are compiled anew for each shape.  AdamW, in
bfloat16.

    python train.py --out build --steps 5000
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from random import Random

import torch
from corpus import mix
from model import Decoder, Shape
from template import CONTROL_TOKENS, VISIBLE_TOKENS, pieces_of
from tokenizers import Tokenizer
from torch import Tensor, distributed, multiprocessing

SEED = 7
COPY_ONLY, COPY_EVERY, COPY_LENGTHS = 10, 8, (32, 64, 128)
WORKERS = 2
BATCH_TOKENS = 2048
LENGTHS = (24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512, 768, 1024)
POOL = 4096
RATE, EMBEDDING_RATE = 1.2e-3, 4e-3
REPORT_EVERY, SAVE_EVERY = 25, 150
WARM_UP, COOL_DOWN = 0.04, 0.6

Row = tuple[list[int], list[float]]
Batch = tuple[Tensor, Tensor, Tensor]


def encode(tokenizer: Tokenizer, item: object) -> Row:
    """Token ids of an example and the weight of each as a target.

    Only what the model has to write has a weight: the inverse square root of its
    length, so that a sum of eight tokens is not drowned by a page to copy.
    """
    ids: list[int] = []
    weights: list[float] = []
    for text, own in pieces_of(item):  # type: ignore[arg-type]
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        weights += [float(own) * len(piece) ** -0.5] * len(piece)
    return ids, weights


def echo(dice: Random, length: int, vocabulary: int) -> Row:
    """Random tokens in which one stretch keeps coming back after gaps of any size.

    What follows can only be known by looking for the earlier occurrence, wherever
    it is; that is what the weights ask for.
    """
    first = len(CONTROL_TOKENS) + len(VISIBLE_TOKENS)
    stretch = [dice.randrange(first, vocabulary) for _ in range(dice.randint(4, length // 3))]
    ids, weights = list(stretch), [0.0] * len(stretch)
    while len(ids) <= length:
        gap = dice.randint(0, 4)
        ids += [dice.randrange(first, vocabulary) for _ in range(gap)] + stretch
        weights += [0.0] * (gap + 1) + [1.0] * (len(stretch) - 1)
    return ids[: length + 1], weights[: length + 1]


def copying(tokenizer: Tokenizer, seed: int) -> Iterator[Batch]:
    """Endless batches of random tokens to copy.

    Copying by looking back is what almost every skill needs first, and it is learnt
    soonest where nothing but the earlier occurrence tells the next token.
    """
    dice, vocabulary = Random(seed), tokenizer.get_vocab_size()
    while True:
        length = dice.choice(COPY_LENGTHS)
        size = BATCH_TOKENS // length
        yield pad([echo(dice, length, vocabulary) for _ in range(size)], length)


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[Batch]:
    """Endless batches of inputs, targets and weights, each (rows, tokens)."""
    copies = copying(tokenizer, seed)
    yield from islice(copies, COPY_ONLY)
    stream, rng = mix.training_stream(seed), Random(seed)
    for turn in count():
        rows = [encode(tokenizer, item) for item in islice(stream, POOL)]
        groups: list[tuple[int, list[Row]]] = []
        shorter = 0
        for length in LENGTHS:
            fitting = [row for row in rows if shorter < len(row[0]) - 1 <= length]
            size = BATCH_TOKENS // length
            groups += [(length, fitting[at : at + size]) for at in range(0, len(fitting), size)]
            shorter = length
        rng.shuffle(groups)
        for at, (length, group) in enumerate(groups):
            yield pad(group, length)
            if turn == 0 and at % COPY_EVERY == 0:
                yield next(copies)


def pad(group: list[Row], length: int) -> Batch:
    """Rows of one batch, filled up to the full size; the filling has no weight."""
    size = BATCH_TOKENS // length
    ids = torch.zeros(size, length + 1, dtype=torch.long)
    weights = torch.zeros(size, length + 1)
    for at, (row, row_weights) in enumerate(group):
        ids[at, : len(row)] = torch.tensor(row)
        weights[at, : len(row)] = torch.tensor(row_weights)
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


def rate_at(progress: float) -> float:
    """Share of the full learning rate: short rise, plateau, linear fall to almost 0."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return min(1.0, max(0.01, (1 - progress) / COOL_DOWN))


def optimizer(model: Decoder) -> torch.optim.Optimizer:
    """AdamW; the embedding, whose rows are met seldom, moves faster than the rest."""
    embedding = model.token_embd.weight
    rest = [p for p in model.parameters() if p is not embedding]
    groups = [{"params": [embedding], "lr": EMBEDDING_RATE}, {"params": rest, "lr": RATE}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, fused=True)


def save(out: Path, model: Decoder, shape: Shape, facts: dict[str, float]) -> None:
    """Write the weights with the shape and the facts of the run next to them."""
    torch.save(model.state_dict(), out / "weights.pt")
    (out / "run.json").write_text(json.dumps({"shape": asdict(shape), **facts}, indent=1))


class Clock:
    """How far the schedule is: by steps or by minutes, whichever is further on."""

    def __init__(self, steps: int, minutes: float) -> None:
        """Start now; the schedule ends after so many steps or minutes."""
        self.steps, self.minutes = steps, minutes
        self.began = time.monotonic()

    def elapsed(self) -> float:
        """Minutes since the start."""
        return (time.monotonic() - self.began) / 60

    def progress(self, step: int) -> float:
        """Share of the schedule that is done, 0 to 1."""
        return max(step / self.steps, self.elapsed() / self.minutes)


def average(model: Decoder, extra: list[float]) -> list[float]:
    """Average the gradients, and some numbers besides, over the workers."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads] + [torch.tensor(extra)])
    distributed.all_reduce(flat)
    flat /= WORKERS
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad))
        at += grad.numel()
    return [float(number) for number in flat[at:]]


def worker(rank: int, out: Path, steps: int, minutes: float) -> None:
    """Train one of the equal replicas, each on a stream of its own and one thread.

    Two processes of one thread each, each on a core of its own, get more done than one
    of two threads, above all while the machine is busy with other work.
    """
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    distributed.init_process_group(
        "gloo", init_method=f"file://{(out / 'meet').resolve()}", rank=rank, world_size=WORKERS
    )
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    model = Decoder(shape)
    optim = optimizer(model)
    base = [group["lr"] for group in optim.param_groups]
    clock, progress, tokens, mean = Clock(steps, minutes), 0.0, 0.0, 0.0
    facts: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    for step, (inputs, targets, weights) in enumerate(batches(tokenizer, WORKERS * SEED + rank)):
        for group, rate in zip(optim.param_groups, base, strict=True):
            group["lr"] = rate * rate_at(progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model.loss(model(inputs), targets, weights)
        loss.backward()
        shared = average(model, [clock.progress(step), loss.item(), inputs.numel()])
        progress, tokens = shared[0], tokens + shared[2] * WORKERS
        mean = shared[1] if step == 0 else 0.95 * mean + 0.05 * shared[1]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        optim.zero_grad(set_to_none=True)
        done = progress >= 1
        facts.update(
            steps=step + 1, tokens=int(tokens), minutes=round(clock.elapsed(), 1), seed=SEED
        )
        if rank == 0 and step % REPORT_EVERY == 0:
            print(
                f"{step} {progress:.1%} loss {mean:.4f} {tokens / 1e6:.2f}M tokens "
                f"{tokens / 60 / clock.elapsed():.0f}/s",
                flush=True,
            )
        if rank == 0 and (done or step % SAVE_EVERY == 0):
            save(out, model, shape, facts)
        if done:
            break
    distributed.destroy_process_group()


def train(out: Path, steps: int, minutes: float) -> None:
    """Run the workers to the end of the schedule."""
    (out / "meet").unlink(missing_ok=True)
    multiprocessing.spawn(worker, args=(out, steps, minutes), nprocs=WORKERS)


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="end the schedule early on a slow or busy machine",
    )
    options = parser.parse_args()
    train(options.out, options.steps, options.minutes)


if __name__ == "__main__":
    main()
