"""Train entente-tiny on the endless stream of generated examples.

Examples are grouped by length into batches of about ``BATCH_TOKENS`` tokens, each
row one example from position 0 on, so no example sees another.  Matrices learn
with Muon, embeddings and norms with AdamW, in bfloat16 where the CPU has it.

    python train.py --out build --steps 5000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random

import torch
from corpus import mix
from model import Decoder, Shape
from template import pieces_of
from tokenizers import Tokenizer
from torch import Tensor, distributed, multiprocessing

SEED = 7
WORKERS = 2
BATCH_TOKENS = 2048
LONGEST = 1024
POOL = 4096
ROUND = 8
MATRIX_RATE, OTHER_RATE = 6e-3, 4e-3
REPORT_EVERY, SAVE_EVERY = 50, 250
WARM_UP, COOL_DOWN = 0.02, 0.55

Row = tuple[list[int], list[float]]


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


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches of inputs, targets and weights, each (rows, tokens)."""
    stream, rng = mix.training_stream(seed), Random(seed)
    while True:
        rows = [encode(tokenizer, item) for item in islice(stream, POOL)]
        rows = sorted((r for r in rows if len(r[0]) <= LONGEST), key=lambda r: len(r[0]))
        groups: list[list[Row]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield pad(group)


def pad(group: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of one batch, padded at the end to a round length; padding has no weight."""
    length = max(len(ids) for ids, _ in group)
    length += -(length - 1) % ROUND
    ids = torch.zeros(len(group), length, dtype=torch.long)
    weights = torch.zeros(len(group), length)
    for at, (row, row_weights) in enumerate(group):
        ids[at, : len(row)] = torch.tensor(row)
        weights[at, : len(row)] = torch.tensor(row_weights)
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


def rate_at(progress: float) -> float:
    """Share of the full learning rate: short rise, plateau, linear fall to almost 0."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return min(1.0, max(0.01, (1 - progress) / COOL_DOWN))


def optimizers(model: Decoder) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for everything else."""
    matrices = [p for n, p in model.named_parameters() if n.startswith("blk") and p.dim() > 1]
    others = [p for n, p in model.named_parameters() if not n.startswith("blk") or p.dim() == 1]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05,
                         adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.97), weight_decay=0.0),
    ]


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
        grad.copy_(flat[at: at + grad.numel()].view_as(grad))
        at += grad.numel()
    return [float(number) for number in flat[at:]]


def worker(rank: int, out: Path, steps: int, minutes: float) -> None:
    """Train one of the equal replicas, each on a stream of its own and one thread.

    Two processes of one thread each get more done than one of two threads, above
    all while the machine is busy with other work.
    """
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{(out / 'meet').resolve()}",
                                   rank=rank, world_size=WORKERS)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    model = Decoder(shape)
    optims = optimizers(model)
    groups = [group for optim in optims for group in optim.param_groups]
    base = [group["lr"] for group in groups]
    clock, progress, tokens, mean = Clock(steps, minutes), 0.0, 0.0, 0.0
    facts: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    for step, (inputs, targets, weights) in enumerate(batches(tokenizer, WORKERS * SEED + rank)):
        for group, rate in zip(groups, base, strict=True):
            group["lr"] = rate * rate_at(progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model.loss(model(inputs), targets, weights)
        loss.backward()
        shared = average(model, [clock.progress(step), loss.item(), inputs.numel()])
        progress, tokens = shared[0], tokens + shared[2] * WORKERS
        mean = shared[1] if step == 0 else 0.98 * mean + 0.02 * shared[1]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad(set_to_none=True)
        done = progress >= 1
        facts.update(steps=step + 1, tokens=int(tokens), minutes=round(clock.elapsed(), 1),
                     seed=SEED)
        if rank == 0 and step % REPORT_EVERY == 0:
            print(f"{step} {progress:.1%} loss {mean:.4f} {tokens / 1e6:.2f}M tokens "
                  f"{tokens / 60 / clock.elapsed():.0f}/s", flush=True)
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
    parser.add_argument("--minutes", type=float, default=60.0,
                        help="end the schedule early on a slow or busy machine")
    options = parser.parse_args()
    train(options.out, options.steps, options.minutes)


if __name__ == "__main__":
    main()
