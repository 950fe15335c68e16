r"""A term before its fit: its functions at the distinct arguments, and coordinates in which its prior is a ridge.

The coefficients of a term are $c = T\theta$. The columns of T form groups; group g has the prior
$\theta_g \sim N(0, I/\lambda_g)$, in units of the noise. For a curve they are

- `slope`: the straight line, one column, and
- `bend`: with $D$ the second differences of the coefficients over the Greville abscissae $\xi$, which vanish on
  straight lines, columns with $|Dc|^2 = |\theta|^2$: the penalty on bending (Eilers and Marx, Statistical Science 11,
  1996),

so that either goes to zero where the data ask for it (Marra and Wood, Comput. Stat. Data Anal. 55, 2011). Levels and
missing cells have a ridge each. The groups of a surface are the products of those of its two axes (Wood, Scheipl and
Faraway, Statistics and Computing 23, 2013). Every column of T is centred on the training rows, so that curves have mean
0 there and surfaces mean 0 along either axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from edgewise.tables.additive.additive_terms import row_products
from edgewise.tables.additive.axes import Axis, CircleAxis, LevelAxis, SplineAxis, counted
from edgewise.tables.additive.inputs import Input
from edgewise.tables.additive.row_sums import summed

DISTINCT = 65_536
"""Arguments that are kept apart; more are rounded to the mean of as many quantile bins."""
BINS = 512
"""Bins of an argument in the Gram matrices of two terms of a large table."""
ROWS = 1 << 20
"""Rows that are looked up together."""
DENSE_NUMBERS = 8_000_000
"""The largest table of functions that is kept dense."""

Groups = tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Block:
    r"""The functions of a term on the training rows, $f(x_n) = (B T\theta)_{\text{codes}_n}$.

    Args:
        inputs: what the term reads.
        axes: its bases.
        basis: B, the functions at the distinct arguments, (distinct, coefficients).
        codes: the distinct argument of every row, in the smallest type that holds them.
        transform: T, (coefficients, parameters).
        groups: names and sizes of the groups of parameters in order.
        bin_of_distinct: the bin of every distinct argument in Gram matrices of many rows, (distinct,).
        mean: the mean of every function over the training rows, where T is not centred; else None.
        shape: "increasing", "decreasing", "convex", "concave" or "".
    """

    inputs: tuple[Input, ...]
    axes: tuple[Axis, ...]
    basis: sparse.csr_array
    codes: np.ndarray
    transform: np.ndarray
    groups: Groups
    bin_of_distinct: np.ndarray
    mean: np.ndarray | None = None
    shape: str = ""

    @property
    def parameters(self) -> int:
        return self.transform.shape[1]

    @cached_property
    def dense(self) -> np.ndarray | None:
        """B T where it is small."""
        small = self.basis.shape[0] * self.parameters <= DENSE_NUMBERS  # type: ignore[index]
        return np.ascontiguousarray(self.basis @ self.transform) if small else None

    @cached_property
    def means(self) -> np.ndarray:
        """The means of the functions of the parameters over each bin, (bins, parameters)."""
        count, bins = len(self.bin_of_distinct), self.bin_of_distinct
        rows = summed(np.bincount(self.codes, minlength=count).astype(float))
        sums = sparse.csr_array((rows, (bins, np.arange(count))), (bins[-1] + 1, count)) @ self.basis
        return sums @ self.transform / np.maximum(np.bincount(bins, rows), 1e-300)[:, None]

    def rows(self, part: np.ndarray | slice) -> np.ndarray:
        """The functions of the parameters in these rows, (rows, parameters)."""
        if self.dense is not None:
            return self.dense[self.codes[part]]
        return self.basis[self.codes[part]] @ self.transform

    def values(self, theta: np.ndarray) -> np.ndarray:
        """The contribution of the term in every row."""
        return (self.basis @ (self.transform @ theta))[self.codes]

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """The sum over rows of the functions of the parameters times these weights, (parameters,)."""
        counts = np.bincount(self.codes, weights, self.basis.shape[0])  # type: ignore[index]
        return self.transform.T @ (self.basis.T @ summed(counts))

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """The weighted Gram matrix of the functions of the parameters, (parameters, parameters)."""
        return self.transform.T @ (basis_gram(self, weights) @ self.transform)

    def chosen(self, rows: np.ndarray | slice) -> Block:
        """The same functions on some of the rows."""
        return replace(self, codes=self.codes[rows])


def basis_gram(block: Block, weights: np.ndarray) -> sparse.csr_array:
    """The weighted Gram matrix of the functions of the basis."""
    counts = summed(np.bincount(block.codes, weights, block.basis.shape[0]))  # type: ignore[index]
    return sparse.csr_array(block.basis.T @ (block.basis * counts[:, None]))


def curve_block(
    part: Input,
    axis: Axis,
    values: np.ndarray,
    weights: np.ndarray,
    *,
    plain: bool = False,
    shape: str = "",
    most: int = DISTINCT,
) -> Block:
    """The block of a curve, a cyclic curve or levels.

    Args:
        part: what it reads.
        axis: its basis.
        values: the arguments of the training rows.
        weights: of the rows.
        plain: one penalty on second differences with a twentieth of first differences, of one strength.
        shape: of the curve.
        most: distinct arguments that are kept apart.
    """
    distinct, codes = distinct_values(values, axis, most)
    codes = smallest(codes)
    basis = axis.matrix(distinct)
    counts = np.bincount(codes, weights, len(distinct))
    transform, groups = axis_transform(axis, basis, counts, plain)
    mean = None
    if isinstance(axis, LevelAxis):  # each level on its own keeps the Gram matrix sparse; the intercept takes the mean
        seen = counts[: axis.functions]
        mean = np.append(seen / max(seen.sum(), 1e-300), np.zeros(int(axis.missing)))
        transform = np.eye(axis.size) if (counts > 0).sum() > 1 else np.zeros((axis.size, 0))
        groups = groups if transform.shape[1] else ()
        basis = sparse.csr_array(sparse.vstack([basis[:-1], mean[None]]))  # a level without a coefficient adds the mean
    return Block((part,), (axis,), basis, codes, transform, groups, _bins(axis, distinct), mean, shape)


def surface_block(first: Block, second: Block, weights: np.ndarray) -> Block:
    """The block of the pure interaction of two blocks of one input each."""
    m = int(second.basis.shape[0])  # type: ignore[index]
    pairs, codes = np.unique(first.codes.astype(np.int64) * m + second.codes, return_inverse=True)
    basis = row_products(first.basis[pairs // m], second.basis[pairs % m])
    transform, names = np.kron(_centred_transform(first), _centred_transform(second)), _names(first, second)
    order = np.argsort(names, kind="stable")
    used = np.bincount(codes, weights, len(pairs)) @ abs(basis @ transform) > 0
    order = order[used[order]]
    kept = names[order]
    found = dict.fromkeys(kept.tolist(), 0)
    groups = tuple((name, int((kept == name).sum())) for name in found)
    axes, own = first.axes + second.axes, np.arange(len(pairs))
    return Block(first.inputs + second.inputs, axes, basis, codes, transform[:, order], groups, own)


def distinct_values(values: np.ndarray, axis: Axis, most: int = DISTINCT) -> tuple[np.ndarray, np.ndarray]:
    """The distinct arguments and which of them every row has; of more than `most`, means of quantile bins."""
    if isinstance(axis, LevelAxis):
        codes = axis.codes(values)
        levels = np.array([*axis.levels, None, ""], object)
        unseen = axis.functions + 1
        return levels, np.where(codes < 0, unseen, codes)
    missing = np.isnan(values)
    distinct, counts = counted(values[~missing] if missing.any() else values)
    ends = distinct
    if len(distinct) > most:
        bins = (np.cumsum(counts) - 1) * most // counts.sum()
        first = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
        ends = distinct[np.append(first[1:], len(distinct)) - 1]
        distinct = np.add.reduceat(counts * distinct, first) / np.add.reduceat(counts, first)
    codes = np.empty(len(values), np.min_scalar_type(max(len(distinct) - 1 + int(missing.any()), 0)))
    for start in range(0, len(values), ROWS):
        codes[start : start + ROWS] = np.searchsorted(ends, values[start : start + ROWS])  # NaN comes after all
    return np.append(distinct, np.full(int(missing.any()), np.nan)), codes


def smallest(codes: np.ndarray) -> np.ndarray:
    """Numbers from 0 on in the smallest type that holds them."""
    return codes.astype(np.min_scalar_type(int(codes.max(initial=0))))


def _bins(axis: Axis, distinct: np.ndarray) -> np.ndarray:
    """Equal parts of every interval, where the functions are polynomials; missing cells and levels have their own."""
    if isinstance(axis, LevelAxis) or len(distinct) <= BINS:
        return np.arange(len(distinct))
    if isinstance(axis, CircleAxis):
        place = np.mod((distinct - axis.low) / axis.period, 1.0) * axis.intervals
    else:
        assert isinstance(axis, SplineAxis)
        place = np.interp(distinct, axis.knots, np.arange(len(axis.knots)))
    intervals = axis.functions
    parts = max(BINS // intervals, 4)
    whole = np.where(np.isnan(place), intervals * parts, np.floor(np.nan_to_num(place) * parts))
    return np.unique(whole, return_inverse=True)[1]


def axis_transform(
    axis: Axis, basis: sparse.csr_array, counts: np.ndarray, plain: bool = False
) -> tuple[np.ndarray, Groups]:
    """T and its groups for an axis, from its functions at distinct arguments and the weights of these."""
    k = axis.functions
    inner = basis[:, :k]
    known = counts * (np.asarray(inner.sum(1)).ravel() > 0.5)
    total = known.sum()
    parts: list[tuple[str, np.ndarray]] = []
    if total > 0:
        mean = (inner.T @ known) / total
        parts = _parts(axis, inner, known / total, mean, plain)
    columns = [np.vstack([part, np.zeros((int(axis.missing), part.shape[1]))]) for _, part in parts if part.shape[1]]
    groups = [(name, part.shape[1]) for name, part in parts if part.shape[1]]
    if axis.missing and total > 0:
        columns.append(np.eye(axis.size)[:, -1:])
        groups.append(("missing", 1))
    return (np.hstack(columns) if columns else np.zeros((axis.size, 0))), tuple(groups)


def _parts(
    axis: Axis, inner: sparse.csr_array, share: np.ndarray, mean: np.ndarray, plain: bool
) -> list[tuple[str, np.ndarray]]:
    """The named groups of centred columns of an axis."""
    if isinstance(axis, LevelAxis):
        return [("levels", np.eye(axis.functions) - mean)]
    if isinstance(axis, CircleAxis):
        d = np.eye(axis.functions)
        second = d - 2 * np.roll(d, 1, axis=1) + np.roll(d, 2, axis=1)
        return [("bend", _centred(_inverse_root(second.T @ second), mean))]
    assert isinstance(axis, SplineAxis)
    line = axis.abscissae - mean @ axis.abscissae
    gram = (inner.T @ (inner * share[:, None])).toarray()
    variance = line @ gram @ line
    if not variance > (1e-9 * np.ptp(axis.abscissae)) ** 2:
        return []  # a constant column
    if plain:
        first = np.diff(np.eye(axis.functions), axis=0)
        second = np.diff(first, axis=0)
        return [("all", _centred(_inverse_root(second.T @ second + 0.05 * first.T @ first), mean))]
    line = line[:, None] / np.sqrt(variance)
    bend = _centred(np.linalg.pinv(second_differences(axis.abscissae)), mean)
    return [("slope", line), ("bend", bend - line * (line.T @ gram @ bend))]


def second_differences(x: np.ndarray) -> np.ndarray:
    r"""The rows $\frac{2}{a+b}(b, -(a+b), a)$ for neighbours at distances a and b: (1, -2, 1) where they are equal."""
    a, b = np.diff(x)[:-1], np.diff(x)[1:]
    found = np.zeros((max(len(x) - 2, 0), len(x)))
    at = np.arange(len(found))
    found[at, at], found[at, at + 1], found[at, at + 2] = 2 * b / (a + b), -2, 2 * a / (a + b)
    return found


def _inverse_root(penalty: np.ndarray) -> np.ndarray:
    """Columns R with R^T P R = 1 that span what a penalty P with a null space of constants sees."""
    values, vectors = np.linalg.eigh(penalty)
    return vectors[:, 1:] / np.sqrt(values[1:])


def _centred(columns: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The functions of an axis sum to 1: subtracting the mean from every coefficient subtracts it from the curve."""
    return columns - mean @ columns


def _centred_transform(block: Block) -> np.ndarray:
    """T, whose columns have mean 0 over the rows whose cell is known."""
    if block.mean is None:
        return block.transform
    known = np.zeros(len(block.mean))
    known[: block.axes[0].functions] = 1.0
    return block.transform - known[:, None] * (block.mean @ block.transform)


def _names(first: Block, second: Block) -> np.ndarray:
    """The group of every column of the product of two transforms; whatever concerns missing cells is one group."""
    a, b = ([name for name, count in block.groups for _ in range(count)] for block in (first, second))
    return np.array(["missing" if "missing" in (i, j) else f"{i} × {j}" for i in a for j in b])


def group_of(blocks: Sequence[Block]) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """The number of the group of every parameter of all blocks, and per group its block and its name."""
    names = [(t, name) for t, block in enumerate(blocks) for name, _ in block.groups]
    sizes = [count for block in blocks for _, count in block.groups]
    return np.repeat(np.arange(len(names)), sizes), names
