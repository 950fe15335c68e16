r"""The functions of all terms side by side, and their Gram matrix.

Of many rows and curves alone, the Gram matrix of two terms is $(A_jT_j)^T H_{jk} (A_kT_k)$: H holds the sums of the
weights of the rows by pairs of bins of the two arguments, and $A$ the means of the functions over a bin. Within a term
it is exact. Since $\operatorname{E}[B B^T] - \operatorname{E}[B]\operatorname{E}[B]^T$ of a bin is positive, so is
the whole matrix (the discretised covariates of Li and Wood, Statistics and Computing 30, 2020, with an exact diagonal).
Gradients never use bins.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgewise.tables.additive.blocks import DENSE_NUMBERS, ROWS, Block
from edgewise.tables.additive.row_sums import summed

CHUNK = 4096
ROWS_OF_PRODUCTS = 20_000
"""Up to so many rows the Gram matrix is a product of dense blocks."""
WORK_OF_A_STEP, WORK_OF_THE_LAST = 1.5e10, 2e11
"""Multiplications of a Gram matrix with surfaces, in a step and for the covariance; beyond, of a sample of rows."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A column of ones, where there is an intercept, and the functions of the parameters of all blocks."""

    blocks: Sequence[Block]
    intercept: bool
    rows: int

    @property
    def slices(self) -> list[slice]:
        """Where the parameters of every block are."""
        ends = np.cumsum([int(self.intercept), *(block.parameters for block in self.blocks)])
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]

    @property
    def parameters(self) -> int:
        return int(self.intercept) + sum(block.parameters for block in self.blocks)

    def eta(self, theta: np.ndarray) -> np.ndarray:
        """The sum of the terms in every row."""
        found = np.full(self.rows, theta[0] if self.intercept else 0.0)
        for block, part in zip(self.blocks, self.slices, strict=True):
            found += block.values(theta[part])
        return found

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """The sum over rows of all functions times the weights."""
        first = [np.array([summed(weights.sum())])] if self.intercept else []
        return np.concatenate([*first, *(block.sums(weights) for block in self.blocks)])

    def scores(self, theta: np.ndarray) -> np.ndarray:
        """The sum of the terms in every row for several sets of parameters, (parameters, sets): (rows, sets)."""
        if self.whole is not None:
            return self.whole @ theta
        return np.stack([self.eta(column) for column in theta.T], axis=1)

    def sums_of(self, weights: np.ndarray) -> np.ndarray:
        """`sums` of every column of the weights, (rows, sets): (parameters, sets)."""
        if self.whole is not None:
            return summed(self.whole.T @ weights)
        return np.stack([self.sums(column) for column in weights.T], axis=1)

    @cached_property
    def whole(self) -> np.ndarray | None:
        """The functions in all rows, dense, where that is small."""
        return self.matrix(slice(None)) if self.rows * self.parameters <= DENSE_NUMBERS else None

    def matrix(self, part: np.ndarray | slice) -> np.ndarray:
        """The functions in some rows, dense: (rows, parameters)."""
        count = len(part) if isinstance(part, np.ndarray) else len(range(self.rows)[part])
        found = np.empty((count, self.parameters))
        if self.intercept:
            found[:, 0] = 1.0
        for block, where in zip(self.blocks, self.slices, strict=True):
            found[:, where] = block.rows(part)
        return found

    @property
    def exact(self) -> bool:
        """`gram` is that of all rows, up to what bins of the arguments change."""
        return self.sample is None

    @cached_property
    def sample(self) -> np.ndarray | None:
        """The rows that the Gram matrix is made of, spread over the table without a pattern; None for all."""
        most = max(WORK_OF_A_STEP / self.parameters**2, 6.0 * self.parameters)
        if self._curves or self.rows <= most:
            return None
        return np.sort(np.random.default_rng(0).permutation(self.rows)[: int(most)])

    def last_gram(self, weights: np.ndarray) -> np.ndarray | None:
        """The Gram matrix of all rows where `gram` has a sample; None where that would take long."""
        short = self.sample is not None and self.rows * float(self.parameters) ** 2 < WORK_OF_THE_LAST
        return self._products(weights, None) if short else None

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """The weighted Gram matrix of all functions, (parameters, parameters)."""
        if summed(self.rows) > ROWS_OF_PRODUCTS and self._curves:
            return self._binned_gram(weights)
        return self._products(weights, None) if self.sample is None else self._sampled_gram(weights, self.sample)

    @property
    def _curves(self) -> bool:
        return all(len(block.axes) == 1 for block in self.blocks)

    def _products(self, weights: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        found = np.zeros((self.parameters, self.parameters))
        count = self.rows if rows is None else len(rows)
        roots = np.sqrt(weights)
        for start in range(0, count, CHUNK):
            part = slice(start, start + CHUNK) if rows is None else rows[start : start + CHUNK]
            functions = self.matrix(part) if self.whole is None else self.whole[part]
            scaled = functions * roots[part][:, None]
            found += scaled.T @ scaled
        return summed(found)

    def _binned_gram(self, weights: np.ndarray) -> np.ndarray:
        found = np.zeros((self.parameters, self.parameters))
        if self.intercept:
            found[0] = found[:, 0] = self.sums(weights)
        for block, where in zip(self.blocks, self.slices, strict=True):
            found[where, where] = block.gram(weights)
        for (one, here), (two, there) in itertools.combinations(zip(self.blocks, self.slices, strict=True), 2):
            sums = summed(_sums_by_bins(one, two, weights))
            found[here, there] = one.means.T @ sums @ two.means
            found[there, here] = found[here, there].T
        return found

    def _sampled_gram(self, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The Gram matrix with the correlations of a sample of the rows and the exact diagonal."""
        found = self._products(weights, rows)
        exact = np.concatenate(
            [[weights.sum()][: int(self.intercept)], *(np.diag(block.gram(weights)) for block in self.blocks)]
        )
        seen = np.diag(found) > 1e-12 * exact
        scale = np.where(seen, np.sqrt(exact / np.where(seen, np.diag(found), 1.0)), 0.0)
        found *= scale[:, None] * scale
        found[np.diag_indices_from(found)] = exact
        return found


def _sums_by_bins(one: Block, two: Block, weights: np.ndarray) -> np.ndarray:
    """The sums of the weights of the rows by pairs of bins of two arguments, (bins of one, bins of two)."""
    shape = len(one.means), len(two.means)
    first, second = one.bin_of_distinct * shape[1], two.bin_of_distinct
    found = np.zeros(shape[0] * shape[1])
    for start in range(0, len(weights), ROWS):
        part = slice(start, start + ROWS)
        cells = first[one.codes[part]]
        cells += second[two.codes[part]]
        found += np.bincount(cells, weights[part], len(found))
    return found.reshape(shape)
