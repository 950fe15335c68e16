r"""Families of outcomes: the loss, the link, and whether the scale of the noise is known.

A family is a name and at most one parameter. The loss $\ell(\eta, y)$ on the link scale, its slope and its curvature
are those of `edgewise.optim.losses`, times a factor that makes them a negative log likelihood where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edgewise.optim.losses import LOSSES, Loss, expectile, quantile, tweedie
from edgewise.stored import read_fields


@dataclass(frozen=True)
class _Rule:
    """The loss of a family, the factor that makes it a negative log likelihood, and the name of its parameter."""

    loss: Callable[[float], Loss]
    factor: float = 1.0
    parameter: str = ""


def _named(name: str) -> Callable[[float], Loss]:
    return lambda _: LOSSES[name]


RULES: dict[str, _Rule] = {
    "gaussian": _Rule(_named("mse"), factor=0.5),
    "huber": _Rule(_named("huber")),
    "quantile": _Rule(quantile, parameter="level"),
    "expectile": _Rule(expectile, factor=0.5, parameter="level"),
    "binomial": _Rule(_named("bce")),
    "multinomial": _Rule(_named("cross_entropy")),
    "poisson": _Rule(_named("poisson")),
    "gamma": _Rule(_named("gamma")),
    "tweedie": _Rule(tweedie, parameter="power"),
    "cox": _Rule(_named("cox")),
}


@dataclass(frozen=True)
class Family:
    r"""A family of outcomes.

    | name | parameter | link | scale of the noise |
    |---|---|---|---|
    | `gaussian`, `huber` | | identity | estimated |
    | `quantile`, `expectile` | level in (0, 1) | identity | estimated |
    | `binomial`, `multinomial` | | logit, softmax | known |
    | `poisson` | | log | known |
    | `gamma`, `tweedie` | power in (1, 2) of tweedie | log | estimated |
    | `cox` | | log hazard | known |

    Args:
        name: of the family.
        parameter: of the families that have one; else None.
        dispersion: the variance of counts or shares is a multiple of that of the family, which is estimated
            (quasi-likelihood: Wedderburn, Biometrika 61, 1974).
    """

    name: str = "gaussian"
    parameter: float | None = None
    dispersion: bool = False

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise ValueError(f"unknown family {self.name!r}; choose one of {', '.join(RULES)}")
        if (self.parameter is None) != (not self._rule.parameter):
            wanted = f"needs its {self._rule.parameter}" if self._rule.parameter else "has no parameter"
            raise ValueError(f"the family {self.name!r} {wanted}; got {self.parameter!r}")
        if self.dispersion and self.name not in ("binomial", "poisson"):
            raise ValueError(f"the family {self.name!r} has no dispersion to choose; 'binomial' and 'poisson' have")
        self.loss  # noqa: B018  the parameter is checked there

    @property
    def loss(self) -> Loss:
        """The loss on the link scale."""
        return self._rule.loss(self.parameter or 0.0)

    @property
    def known_scale(self) -> bool:
        """The loss is a negative log likelihood as it is; else its scale is estimated."""
        return self.loss.known_noise and self.name != "huber" and not self.dispersion

    @property
    def log_link(self) -> bool:
        """The mean is the exponential of the link scale, so that an exposure is an offset."""
        return self.loss.link == "log" and not self.loss.joint

    def mean(self, eta: np.ndarray) -> np.ndarray:
        """The expected outcome at values of the link scale; of `cox` the hazard, relative to that at 0."""
        return self.loss.mean(torch.tensor(eta)).numpy()

    def values(self, eta: np.ndarray, y: np.ndarray, weights: np.ndarray, spread: float = 1.0) -> np.ndarray:
        """The loss of every row, (rows,)."""
        loss = self._loss_at(spread)
        return self._rule.factor * loss.each(loss.values, _column(eta), _column(y), torch.tensor(weights)).numpy()

    def slope_and_curvature(
        self, eta: np.ndarray, y: np.ndarray, weights: np.ndarray, spread: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""$\partial\ell/\partial\eta$ and a positive curvature of every row, (rows,) each.

        The curvature is $\partial^2\ell/\partial\eta^2$, or its mean where the scale of the noise is estimated.

        Args:
            eta: the link scale.
            y: the targets.
            weights: of the rows, which the loss of one row may depend on.
            spread: the standard deviation of the targets.
        """
        loss = self._loss_at(spread)
        given = _column(eta), _column(y), torch.tensor(weights)
        assert loss.slope is not None
        assert loss.factor is not None
        slope, factor = loss.each(loss.slope, *given)[:, 0], loss.each(loss.factor, *given)[:, 0, 0]
        if loss.dispersion and loss.power is not None:
            # Of the expected curvature the sum of slope^2 / curvature is that of Pearson, whose mean is the scale.
            return self._rule.factor * slope.numpy(), np.exp((2 - loss.power) * eta)
        return self._rule.factor * slope.numpy(), self._rule.factor * factor.square().numpy()

    def _loss_at(self, spread: float) -> Loss:
        """The corner of a quantile's loss is rounded in units of the spread of the targets."""
        return quantile(self.parameter or 0.5, 0.01 * spread) if self.name == "quantile" else self.loss

    def require_targets(self, y: np.ndarray) -> None:
        """Raise `ValueError` for a target that the family cannot have."""
        low, high = self.loss.targets
        bad = ~((y >= low) & (y <= high))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"the family {self.name!r} takes targets from {low:g} to {high:g}, but row {row} has {y[row]:g}; "
                "correct it or choose another family"
            )

    def to_json(self) -> dict[str, Any]:
        """The family as a JSON object, read back by `family_from_json`."""
        return {"name": self.name, "parameter": self.parameter, "dispersion": self.dispersion}

    @property
    def _rule(self) -> _Rule:
        return RULES[self.name]


def family_from_json(record: Mapping[str, Any]) -> Family:
    """The family that `Family.to_json` described."""
    return read_fields(Family, {"dispersion": False, **record}, "the family of an additive model")


def family_of(loss: Loss) -> Family | None:
    """The family whose loss on the link scale this is, up to a factor; None where there is none.

    >>> family_of(quantile(0.9))
    Family(name='quantile', parameter=0.9, dispersion=False)
    """
    found = re.fullmatch(r"(\w+)\(([0-9.]+)\)", loss.name)
    if found is not None:
        return Family(found[1], float(found[2])) if found[1] in RULES else None
    plain = (name for name, rule in RULES.items() if not rule.parameter and rule.loss(0.0).name == loss.name)
    name = next(plain, None)
    return None if name is None else Family(name, dispersion=name == "poisson" and loss.dispersion)


def _column(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]
