r"""Families of outcomes: the loss, the link, and whether the scale of the noise is known.

A family is a name and at most one parameter. The loss $\ell(\eta, y)$ on the link scale, its slope and its curvature
are those of `edgewise.optim.losses`, times a factor that makes them a negative log likelihood where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit, softmax

from edgewise.optim.losses import LOSSES, Loss


@dataclass(frozen=True)
class _Rule:
    """What a family of this name is: its loss, its inverse link, the factor of the loss, and if the scale is known."""

    loss: Callable[[float | None], Loss]
    mean: Callable[[np.ndarray], np.ndarray]
    factor: float = 1.0
    known_scale: bool = False
    parameter: str = ""
    least: float = -math.inf
    log_link: bool = False


def _identity(eta: np.ndarray) -> np.ndarray:
    return eta


def _named(name: str) -> Callable[[float | None], Loss]:
    return lambda _: LOSSES[name]


RULES: dict[str, _Rule] = {
    "gaussian": _Rule(_named("mse"), _identity, factor=0.5),
    "huber": _Rule(_named("huber"), _identity),
    "binomial": _Rule(_named("bce"), expit, known_scale=True, least=0.0),
    "multinomial": _Rule(_named("cross_entropy"), lambda eta: softmax(eta, axis=1), known_scale=True, least=0.0),
    "poisson": _Rule(_named("poisson"), np.exp, known_scale=True, least=0.0, log_link=True),
}


@dataclass(frozen=True)
class Family:
    r"""A family of outcomes.

    Args:
        name: "gaussian", "huber", "binomial", "multinomial" or "poisson".
        parameter: of the families that have one; else None.
    """

    name: str = "gaussian"
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise ValueError(f"unknown family {self.name!r}; choose one of {', '.join(RULES)}")
        if (self.parameter is None) != (not self._rule.parameter):
            wanted = f"needs its {self._rule.parameter}" if self._rule.parameter else "has no parameter"
            raise ValueError(f"the family {self.name!r} {wanted}; got {self.parameter!r}")

    @property
    def loss(self) -> Loss:
        """The loss on the link scale."""
        return self._rule.loss(self.parameter)

    @property
    def known_scale(self) -> bool:
        """The loss is a negative log likelihood as it is; else its scale is estimated."""
        return self._rule.known_scale

    @property
    def log_link(self) -> bool:
        """The mean is the exponential of the link scale, so that an exposure is an offset."""
        return self._rule.log_link

    def mean(self, eta: np.ndarray) -> np.ndarray:
        """The expected outcome at values of the link scale."""
        return self._rule.mean(eta)

    def values(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The loss of every row, (rows,)."""
        return self._rule.factor * self.loss.values(_column(eta), _column(y)).numpy()

    def slope_and_curvature(self, eta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""$\partial\ell/\partial\eta$ and a positive $\partial^2\ell/\partial\eta^2$ of every row, (rows,) each."""
        loss, f, target = self.loss, _column(eta), _column(y)
        assert loss.slope is not None
        assert loss.factor is not None
        factor = self._rule.factor
        return factor * loss.slope(f, target)[:, 0].numpy(), factor * loss.factor(f, target)[:, 0, 0].numpy() ** 2

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
        return {"name": self.name, "parameter": self.parameter}

    @property
    def _rule(self) -> _Rule:
        return RULES[self.name]


def family_from_json(record: Mapping[str, Any]) -> Family:
    """The family that `Family.to_json` described."""
    return Family(str(record["name"]), record["parameter"])


def _column(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]
