r"""The covariance of parameters whose smoothing strengths are uncertain as well.

The posterior $\phi C$ of the parameters takes the strengths as known. Where the evidence smooths a curve to a straight
line, or nearly, it calls the bend known to be 0, though a range of strengths would do: bands are too narrow exactly
where the fit is biased (Marra and Wood, Scandinavian Journal of Statistics 39, 2012). Here the strength of every group
is integrated over its own posterior, the others held,

$$ \operatorname{Var}\theta = \operatorname{E}[\phi C_\lambda] + \operatorname{E}[(\theta_\lambda - \hat\theta)
   (\theta_\lambda - \hat\theta)^T], \qquad p(\rho) \propto e^{-V(\rho)/2}\,N(\rho; m, \text{PRIOR}^2), $$

around the estimate, which stays (the correction of Wood, Pya and Säfken, J. Am. Stat. Assoc. 111, 2016, is its first
order, which vanishes with the bend). With $C_{gg} = Q\operatorname{diag}(d)Q^T$, $t = Q^T\theta_g$ and a change
$\Delta$ of $\lambda_g$, everything is a sum over r numbers, $s_i = \Delta/(1 + \Delta d_i)$:

$$ \theta_\lambda = \theta - C_gQ(s \circ t), \quad C_\lambda = C - C_gQ\operatorname{diag}(s)Q^TC_g^T, \quad
   D_\lambda = D + \sum_i s_it_i^2, \quad \log|H_\lambda| = \log|H| + \sum_i\log(1 + \Delta d_i). $$
"""

from __future__ import annotations

import numpy as np

from edgewise.tables.additive.strengths import Solved, WorkingModel

PRIOR = 4.0
"""The standard deviation of the logarithm of a strength before the data."""
OFFSETS = np.linspace(-12.0, 12.0, 49)


def added_covariance(
    model: WorkingModel, solved: Solved, c: np.ndarray, middle: np.ndarray, scale: float
) -> np.ndarray:
    r"""What the uncertainty of the strengths adds to the covariance of the parameters.

    Args:
        model: whose strengths are integrated.
        solved: at the strengths of greatest evidence.
        c: $H^{-1}$ there.
        middle: m, of every group: where the strength equals the mean curvature of the loss.
        scale: $\phi$.
    """
    sizes = np.bincount(model.groups[model.groups >= 0], minlength=model.count)
    related = np.isin(np.arange(model.count), model.related)
    found = np.zeros_like(c)
    for g in np.flatnonzero((sizes > 1) & ~related):
        found += _added(model, solved, c, int(g), middle[g], scale)
    return scale * found


def _added(model: WorkingModel, solved: Solved, c: np.ndarray, g: int, middle: float, scale: float) -> np.ndarray:
    own = np.flatnonzero(model.groups == g)
    d, q = np.linalg.eigh(c[np.ix_(own, own)])
    t, rho = q.T @ solved.theta[own], middle + OFFSETS
    change = np.exp(rho) - np.exp(solved.log_strengths[g])
    grown = np.maximum(1 + change[:, None] * d, 1e-12)  # (strengths, r)
    s = change[:, None] / grown
    squares = solved.squares + (s * t**2).sum(1)
    value = squares if model.known_scale else model.free * np.log(np.maximum(squares, 1e-300))
    value = value + np.log(grown).sum(1) - len(own) * rho + (OFFSETS / PRIOR) ** 2
    weights = np.exp(-(value - value.min()) / 2)
    weights /= weights.sum()
    moved = s * t
    inner = (moved * weights[:, None]).T @ moved / scale - np.diag(weights @ s)
    wide = c[:, own] @ q
    return wide @ inner @ wide.T
