r"""Smoothing strengths by restricted maximum likelihood, with Newton's method on their logarithms.

Around the present fit the problem is a weighted least squares with normal equations $G\theta = b$. With
$S = \operatorname{diag}(\lambda_{g(i)})$, $H = G + S$, $\hat\theta = H^{-1}b$ and $D = c - b^T\hat\theta$, where
$c$ is the sum of squares at $\theta = 0$, twice the negative log evidence is (Wood, Journal of the Royal Statistical
Society B 73, 2011; here every penalty is a ridge on coordinates of its own)

$$ V = D/\phi + \log|H| - \sum_g r_g \log\lambda_g + \text{const}, \qquad
   V = (n - m)\log D + \log|H| - \sum_g r_g\log\lambda_g + \text{const}, $$

for a known scale $\phi = 1$ and for an unknown one, which takes its best value $D/(n - m)$; m counts the parameters
without a prior. With $C = H^{-1}$ and $\rho = \log\lambda$, both derivatives are closed:

$$ \partial_g D = \lambda_g|\theta_g|^2, \quad
   \partial_{gh} D = \delta_{gh}\lambda_g|\theta_g|^2 - 2\lambda_g\lambda_h\theta_g^T C_{gh}\theta_h, \quad
   \partial_g\log|H| = \lambda_g\operatorname{tr}C_{gg}, \quad
   \partial_{gh}\log|H| = \delta_{gh}\lambda_g\operatorname{tr}C_{gg} - \lambda_g\lambda_h|C_{gh}|_F^2. $$

Groups of one parameter, the straight lines, tell next to nothing about their own variance: alone, each would vanish
wherever its t-value is below 1, and many small effects with it. Their strengths are therefore related: the logarithms
are $N(\bar\rho, \text{SPREAD}^2)$ around their mean, which adds $\sum_g (\rho_g-\bar\rho)^2/\text{SPREAD}^2$ to V (the
partial pooling of Efron and Morris, J. Am. Stat. Assoc. 70, 1975).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack

LONGEST_STEP = 5.0
STEPS = 60
POLISHING_STEPS = 4
TOLERANCE = 1e-5
"""Of the gradient of V: half of it is the change of the log evidence when a strength is multiplied by e."""
WORTH_LEAVING_OUT = 0.15
"""The share of the parameters that must have vanished before the search leaves them out."""
SPREAD = 2.0
"""The standard deviation of the logarithms of related strengths: effects differ by a factor of e in their size."""
GONE = 1e-3
"""Effective degrees of freedom below which a group that asks for more smoothing gets the longest step."""


@dataclass(frozen=True, eq=False)
class WorkingModel:
    """Weighted least squares with ridges.

    Args:
        gram: G, (parameters, parameters).
        moment: b, (parameters,).
        total: c, the sum of squares at 0.
        groups: the group of every parameter, -1 for those without a prior.
        count: the number of groups.
        samples: n, the sum of the weights.
        known_scale: the scale is 1.
        floor: is added to D where the scale is not known.
        related: the numbers of the groups whose strengths are related.
    """

    gram: np.ndarray
    moment: np.ndarray
    total: float
    groups: np.ndarray
    count: int
    samples: float
    known_scale: bool
    floor: float = 0.0
    related: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def free(self) -> float:
        """n - m, at least one."""
        return max(self.samples - float((self.groups < 0).sum()), 1.0)

    def ridge(self, log_strengths: np.ndarray) -> np.ndarray:
        """The diagonal of S."""
        return np.where(self.groups >= 0, np.exp(np.append(log_strengths, 0.0))[self.groups], 0.0)

    def solve(self, log_strengths: np.ndarray) -> Solved:
        """The parameters and the evidence for these strengths."""
        ridge = self.ridge(log_strengths)
        root = factor(self.gram, ridge)
        theta = cho_solve((root, True), self.moment, check_finite=False)
        squares = self.total - float(self.moment @ theta)
        if not self.known_scale:
            # Without the floor the evidence of an interpolation of few rows has no bound.
            squares = max(squares, 0.0) + self.floor
        ranks = np.bincount(self.groups[self.groups >= 0], minlength=self.count)
        value = squares if self.known_scale else self.free * np.log(squares)
        value += 2 * np.log(np.diag(root)).sum() - float(ranks @ log_strengths)
        value += float(np.sum(self._apart(log_strengths) ** 2)) / SPREAD**2
        return Solved(log_strengths, ridge, root, theta, squares, value)

    def chosen(self, stay: np.ndarray) -> WorkingModel:
        """The model without the parameters of some groups; `stay` is true for the others."""
        kept = (self.groups < 0) | np.append(stay, True)[self.groups]
        numbers = np.append(np.cumsum(stay) - 1, -1)
        return replace(
            self,
            gram=self.gram[np.ix_(kept, kept)],
            moment=self.moment[kept],
            groups=numbers[self.groups[kept]],
            count=int(stay.sum()),
            related=numbers[self.related[stay[self.related]]],
        )

    def derivatives(self, at: Solved) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gradient and the Hessian of V by the logarithms of the strengths, and the degrees of freedom by group."""
        groups, count = self.groups, self.count
        c = inverse(at.root)
        strengths = np.exp(at.log_strengths)
        prior = groups >= 0
        index = groups[prior]
        theta, own = at.theta[prior], c[np.ix_(prior, prior)]
        sums = np.zeros((len(index), count))
        sums[np.arange(len(index)), index] = 1.0
        squares = strengths * np.bincount(index, theta**2, count)
        traces = strengths * np.bincount(index, np.diag(own), count)
        both = strengths[:, None] * strengths
        of_d = np.diag(squares) - 2 * both * (sums.T @ ((own * theta) * theta[:, None]) @ sums)
        of_h = np.diag(traces) - both * (sums.T @ (own * own) @ sums)
        ranks = np.bincount(index, minlength=count)
        slope = 1.0 if self.known_scale else self.free / at.squares
        gradient, hessian = slope * squares + traces - ranks, slope * of_d + of_h
        if not self.known_scale:
            hessian -= slope / at.squares * np.outer(squares, squares)
        gradient[self.related] += 2 / SPREAD**2 * self._apart(at.log_strengths)
        many = max(len(self.related), 1)
        hessian[np.ix_(self.related, self.related)] += 2 / SPREAD**2 * (np.eye(len(self.related)) - 1 / many)
        return gradient, hessian, ranks - traces

    def _apart(self, log_strengths: np.ndarray) -> np.ndarray:
        """How far related strengths are from their mean."""
        found = log_strengths[self.related]
        return found - found.mean() if len(found) else found


@dataclass(frozen=True, eq=False)
class Solved:
    """The fit for given strengths: the ridge, the factor of H, the parameters, D and V."""

    log_strengths: np.ndarray
    ridge: np.ndarray
    root: np.ndarray
    theta: np.ndarray
    squares: float
    value: float


def best_strengths(
    model: WorkingModel, start: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int = STEPS
) -> Solved:
    """The strengths of greatest evidence between bounds on their logarithms, from a start; at most so many steps.

    Groups that reach their upper bound have vanished: when they are many, the search continues without them.
    """
    found = np.minimum(start, high - LONGEST_STEP)  # what has vanished in an earlier search may come back
    part, kept = model, np.arange(model.count)
    here = part.solve(found)
    for _ in range(steps):
        steps_from_here, last = _steps(part, here, low[kept], high[kept])
        if not steps_from_here:
            break
        there = _polished(part, here, low[kept], high[kept]) if last else None
        there = _searched(part, here, steps_from_here, low[kept], high[kept]) if there is None else there
        last = last or there is None
        here = _polished(part, here, low[kept], high[kept]) if there is None else there
        found[kept] = here.log_strengths
        if last:
            break
        stay = here.log_strengths < high[kept]
        if np.isin(part.groups, np.flatnonzero(~stay)).mean() > WORTH_LEAVING_OUT:
            part, kept = part.chosen(stay), kept[stay]
            here = part.solve(found[kept])
    return here if len(kept) == model.count else model.solve(found)


def _polished(model: WorkingModel, here: Solved, low: np.ndarray, high: np.ndarray) -> Solved:
    """A few steps that are too short for V to tell them from rounding, yet each doubles the digits."""
    for _ in range(POLISHING_STEPS):
        found, _ = _steps(model, here, low, high)
        if not found or abs(found[-1]).max() < 1e-10:
            break
        here = model.solve(np.clip(here.log_strengths + np.clip(found[-1], -0.5, 0.5), low, high))
    return here


def _steps(model: WorkingModel, here: Solved, low: np.ndarray, high: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """Steps of the logarithms, none at an optimum, and whether the search is at its end.

    The last one is Newton's. A bold one comes first where groups are gone, which takes those to their bounds; where
    related groups pull each other back it leads uphill at any length.
    """
    if model.count == 0:
        return [], True
    gradient, hessian, edf = model.derivatives(here)
    rho = here.log_strengths
    stuck = ((rho <= low) & (gradient > 0)) | ((rho >= high) & (gradient < 0))
    free = np.flatnonzero(~stuck)
    if len(free) == 0:
        return [], True
    step = np.zeros_like(rho)
    step[free] = _newton_step(gradient[free], hessian[np.ix_(free, free)])
    if abs(gradient[free]).max() < TOLERANCE + 1e-11 * abs(here.value):
        return [step], True
    gone = ~stuck & (edf < GONE) & (gradient < 0)
    return [np.where(gone, LONGEST_STEP, step), step] if gone.any() else [step], False


def _newton_step(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """A step downhill: negative curvatures count as positive, vanishing ones as small ones."""
    values, vectors = np.linalg.eigh(hessian)
    curvature = np.maximum(abs(values), 1e-4 * max(abs(values).max(), 1e-8))
    step = -vectors @ ((vectors.T @ gradient) / curvature)
    return step / max(1.0, abs(step).max() / LONGEST_STEP)


def _searched(
    model: WorkingModel, here: Solved, steps: list[np.ndarray], low: np.ndarray, high: np.ndarray
) -> Solved | None:
    """The first of the steps, then of ever shorter ones, that leads downhill."""
    for step in [*steps[:-1], *(steps[-1] / 3**n for n in range(12))]:
        there = model.solve(np.clip(here.log_strengths + step, low, high))
        if there.value < here.value:
            return there
    return None


def factor(gram: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of G + S; a direction that neither sees is held by a jitter of rounding size."""
    h = gram.copy()
    at = np.diag_indices_from(h)
    h[at] += ridge
    jitter = 1e-14 * np.maximum(h[at], 1e-300)
    for _ in range(8):
        root, failed = lapack.dpotrf(h, lower=1, clean=1)  # pyright: ignore[reportAttributeAccessIssue]
        if not failed:
            return root
        h[at] += jitter
        jitter = 30 * jitter
    return cholesky(h, lower=True)  # raises, and says which minor is not positive


def inverse(root: np.ndarray) -> np.ndarray:
    """H^-1 from its lower factor."""
    found, failed = lapack.dpotri(root, lower=1)  # pyright: ignore[reportAttributeAccessIssue]
    assert not failed
    return np.tril(found) + np.tril(found, -1).T
