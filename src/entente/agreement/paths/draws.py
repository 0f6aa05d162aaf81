"""What is drawn at random: the same for the same seed, however the paths are cut.

Every stream of numbers has its own generator for each block of paths, seeded by the
scenario's seed, by the stream's name and by the block's number. So path 7,300 is the same
path whether it is computed alone, in a chunk, or among ten times as many; and a stream that
is added does not disturb the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from math import erf, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from entente.agreement.paths.plan import Correlation, Draw, Triangular

BLOCK_PATHS: Final = 512
_WORD_BYTES: Final = 4
_WORDS: Final = 4
_ROOT_TWO: Final = sqrt(2)

Floats: TypeAlias = npt.NDArray[np.float64]


class Paths:
    """A range of the paths of one seed: where their numbers come from."""

    def __init__(self, seed: int, first: int, count: int) -> None:
        """Take the seed and the range."""
        self._seed = seed
        self.first = first
        self.count = count

    def normals(self, name: str, columns: int) -> Floats:
        """Give standard normal numbers, one row for each path."""
        return self._blocks(f"normal:{name}", columns, normal=True)

    def uniforms(self, name: str, columns: int) -> Floats:
        """Give numbers from 0 up to 1, one row for each path."""
        return self._blocks(f"uniform:{name}", columns, normal=False)

    def _blocks(self, name: str, columns: int, *, normal: bool) -> Floats:
        last = self.first + self.count
        rows = []
        for block in range(self.first // BLOCK_PATHS, (last - 1) // BLOCK_PATHS + 1):
            source = np.random.Generator(np.random.Philox(self._entropy(name, block)))
            shape = (BLOCK_PATHS, columns)
            drawn = source.standard_normal(shape) if normal else source.random(shape)
            begins = block * BLOCK_PATHS
            rows.append(drawn[max(0, self.first - begins) : last - begins])
        return np.concatenate(rows)

    def _entropy(self, name: str, block: int) -> np.random.SeedSequence:
        digest = sha256(name.encode()).digest()
        words = [
            int.from_bytes(digest[i * _WORD_BYTES : (i + 1) * _WORD_BYTES], "big")
            for i in range(_WORDS)
        ]
        return np.random.SeedSequence([self._seed, block, *words])


class Scores:
    """Standard normal numbers for each random stream, correlated where the plan says so."""

    def __init__(
        self, paths: Paths, widths: Mapping[str, int], correlations: tuple[Correlation, ...]
    ) -> None:
        """Take how many columns each stream draws: one for each step, or one in all."""
        self._paths = paths
        self._widths = widths
        named = {name: None for pair in correlations for name in pair.between}
        self._linked = tuple(named)
        self._root = correlation_root(self._linked, correlations)

    def of(self, name: str) -> Floats:
        """Give a stream's numbers, a row for each path."""
        width = self._widths[name]
        if name not in self._linked:
            return self._paths.normals(name, width)
        row = self._root[self._linked.index(name)]
        total: Floats = np.zeros((self._paths.count, width))
        for weight, other in zip(row, self._linked, strict=True):
            if weight:
                total = total + weight * self._paths.normals(other, width)
        return total


def correlation_root(names: tuple[str, ...], correlations: tuple[Correlation, ...]) -> Floats:
    """Give the matrix that makes independent numbers correlated.

    Raises ValueError for correlations that contradict one another.
    """
    matrix: Floats = np.eye(len(names))
    for each in correlations:
        one, other = (names.index(name) for name in each.between)
        matrix[one, other] = matrix[other, one] = float(each.by)
    try:
        return np.asarray(np.linalg.cholesky(matrix), np.float64)
    except np.linalg.LinAlgError:
        message = (
            "these correlations contradict one another (or are all 1): no streams move like "
            "that together; bring them closer to 0"
        )
        raise ValueError(message) from None


def numbers(draw: Draw, scores: Floats) -> Floats:
    """Turn standard normal numbers into those of a draw."""
    if draw.normal is not None:
        return float(draw.normal.mean) + float(draw.normal.deviation) * scores
    if draw.lognormal is not None:
        return float(draw.lognormal.median) * np.exp(float(draw.lognormal.spread) * scores)
    assert draw.triangular is not None  # noqa: S101  (a draw has one form)
    return _triangular(draw.triangular, scores)


def _triangular(shape: Triangular, scores: Floats) -> Floats:
    low, mode, high = float(shape.low), float(shape.mode), float(shape.high)
    rank = (1 + np.asarray(_erf(scores / _ROOT_TWO), np.float64)) / 2
    up = low + np.sqrt(rank * (high - low) * (mode - low))
    down = high - np.sqrt((1 - rank) * (high - low) * (high - mode))
    return np.where(rank < (mode - low) / (high - low), up, down)


_erf: Final = np.frompyfunc(erf, 1, 1)
