r"""One law for all groups of rows, with constants of every group: $y = f(x;\, c, k_g)$, such as one law per material.

The forms are those that `discover` finds in the largest groups. All their numbers are fitted to every group; a number
that all groups determine alike, by $\sum_g (k_g - \bar k)^2 / \sigma_g^2 \sim \chi^2$ (Cochran 1954), is shared, and
the rest are fitted again beside it. The form of the shortest description of all rows is taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.discovery.discover import discover
from edgewise.discovery.noise import chance_of_rest
from edgewise.discovery.rows import Table, read_samples
from edgewise.display import shows_progress
from edgewise.expressions import Constant
from edgewise.expressions.constants import minimize, named_near
from edgewise.expressions.evaluate import Program
from edgewise.expressions.uncertainty import Numbers
from edgewise.optim import ResidualLeastSquares
from edgewise.progress import Budget, Listener

SEARCHED = 3
"""The largest groups in which forms are searched."""

ROWS = 20
"""A group has at least this many rows."""

DIFFERENT = 0.001
"""With a smaller probability of chance a number differs between groups."""

NO_NOISE = 1e-5
"""A law is refused where so small a probability is left that what it leaves is noise."""

ROUNDING = 1e-9
"""A relative error below this is rounding."""


@dataclass(frozen=True)
class GroupedLaw:
    """The answer of `discover_groups`.

    Attributes:
        expression: of the inputs and of the symbols k1, k2, ... of the constants of groups; None where no law fits.
        inputs: the symbols of the inputs.
        shared: the numbers that are the same in all groups.
        constants: for every group the values of k1, k2, ... with their standard errors.
        error: on held-out rows of all groups, relative to the standard deviation of y.
        reason: why this law is announced, or why none is.
    """

    expression: Any
    inputs: tuple[sympy.Symbol, ...]
    shared: tuple[Constant, ...]
    constants: Mapping[Any, tuple[Constant, ...]]
    error: float
    reason: str

    def __call__(self, x: Float[np.ndarray, "rows inputs"], groups: Sequence[Any]) -> Float[np.ndarray, " rows"]:
        """The law at rows of known groups; raises `ValueError` for one that it has no constants of."""
        if self.expression is None:
            raise ValueError(f"no law was found: {self.reason}")
        strange = sorted({g for g in groups if g not in self.constants}, key=str)
        if strange:
            raise ValueError(f"the law has no constants of the group {strange[0]!r}; fit it with rows of that group")
        k = torch.tensor([[c.value for c in self.constants[g]] for g in groups], dtype=torch.float64)
        symbols = (*self.inputs, *_constants(len(k[0])))
        return Program.of((self.expression,), symbols)(torch.cat([torch.as_tensor(x).double(), k], -1))[:, 0].numpy()

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        return {
            "expression": None if self.expression is None else str(self.expression),
            "inputs": [str(s) for s in self.inputs],
            "shared": [c.to_json() for c in self.shared],
            "constants": {str(g): [c.to_json() for c in row] for g, row in self.constants.items()},
            "error": self.error if math.isfinite(self.error) else None,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        rows = [f"  {g}: {', '.join(map(_shown, _constants(len(row)), row))}" for g, row in self.constants.items()]
        return "\n".join([str(self.expression or "no law"), *rows, self.reason])


@shows_progress
def discover_groups(
    x: Any,
    y: Any,
    groups: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    start: Sequence[str] = (),
    seconds: float = 60.0,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> GroupedLaw:
    """Search for one law y = f(x; constants of the group), and say so when there is none.

    Args:
        x: samples of shape (samples, variables): array, tensor or frame.
        y: targets of shape (samples,).
        groups: the group of every sample, such as its material; every group has at least 20 rows.
        names: names of the variables; those of the columns of a frame or x1, x2, ... by default.
        start: formulas to begin with, as for `discover`.
        seconds: time limit in seconds, of which each of the three largest groups may take a third.
        seed: of the splits.
        clock: measures the seconds: the processor time of this thread by default.
        progress: True to show it; or called with an `Event` after every law that was judged.

    Raises:
        ValueError: where the samples, the names or the groups cannot be used.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    x, y, inputs = read_samples(x, y, names)
    labels, places = _groups(groups, len(y))
    budget, forms = Budget.of_search(seconds, clock), list[Any]()
    for g in torch.bincount(places).argsort(descending=True, stable=True).tolist()[:SEARCHED]:
        rows = places == g
        share: dict[str, Any] = {"seconds": budget.left / 2, "clock": clock, "progress": progress}
        some = discover(x[rows], y[rows], names=list(map(str, inputs)), start=start, seed=seed, **share)
        laws = [some.law] if some.exact and some.law else some.alternatives
        forms += [law.formula.expressions[0] for law in laws]
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(y), dtype=torch.bool).index_fill(0, order[: len(y) // 5], True)
    fits = [f for e in dict.fromkeys(forms) if (f := GroupFit.of(e, Table(inputs, x, y), places, held)) is not None]
    best = min(fits, key=lambda f: f.bits, default=None)
    return _answer(best, labels, inputs)


def _groups(groups: Sequence[Any], rows: int) -> tuple[list[Any], Int[Tensor, " rows"]]:
    groups = np.asarray(groups, dtype=object).tolist()
    if len(groups) != rows:
        raise ValueError(f"groups has {len(groups)} entries for {rows} samples; give the group of every sample")
    labels = list(dict.fromkeys(groups))
    places = torch.tensor([labels.index(g) for g in groups])
    if len(labels) < 2:
        raise ValueError(f"all samples are of the group {labels[0]!r}; `discover` finds a law of one group")
    few = int(torch.bincount(places).argmin())
    count = int((places == few).sum())
    if count < ROWS:
        raise ValueError(f"the group {labels[few]!r} has {count} rows; give at least {ROWS} of every group")
    return labels, places


def _constants(count: int) -> tuple[sympy.Symbol, ...]:
    return tuple(sympy.Symbol(f"k{n + 1}", real=True) for n in range(count))


@dataclass(frozen=True)
class GroupFit:
    """A form with numbers fitted to all groups.

    Attributes:
        form: the expression with a symbol for every number.
        theta: the numbers of every group; shared ones are equal.
        errors: their standard errors.
        shared: which numbers are the same in all groups.
        bits: description length of the fitted rows.
        error: on held-out rows, relative to the standard deviation of y.
        chance: the probability that what is left is noise.
    """

    form: Numbers
    theta: Float[Tensor, "groups numbers"]
    errors: Float[Tensor, "groups numbers"]
    shared: tuple[bool, ...]
    bits: float
    error: float
    chance: float

    @classmethod
    def of(cls, expression: Any, table: Table, places: Tensor, held: Tensor) -> GroupFit | None:
        """The fit of a form; None where it is not defined in a group."""
        form = Numbers.of(_with_factors(expression))
        if not form.symbols:
            return None
        program = Program.of((form.expression,), (*table.inputs, *form.symbols))
        x, y, g, spread = table.x, table.y, places[~held], table.y.std()

        def left(theta: Tensor, rows: Tensor) -> Tensor:
            return (program(torch.cat([x[rows], theta[places[rows]]], -1))[:, 0] - y[rows]) / spread

        apart = form.start.repeat(int(places.max()) + 1, 1)
        theta, errors = _fitted(lambda t: left(t, ~held), apart, (False,) * len(form.symbols))
        shared = tuple(_is_shared(t, e) for t, e in zip(theta.T, errors.T, strict=True))
        if any(shared):
            mean = (theta / errors.square()).sum(0) / (1 / errors.square()).sum(0)
            theta = torch.where(torch.tensor(shared), mean, theta)
            theta, errors = _fitted(lambda t: left(t, ~held), theta, shared)
        rest, outside = left(theta, ~held), left(theta, held)
        if not torch.isfinite(rest).all() or not torch.isfinite(outside).all():
            return None
        free = sum(1 if one else len(theta) for one in shared)
        s2 = max(rest.square().mean().item(), ROUNDING**4)
        bits = (
            0.5 * len(rest) * math.log2(s2) + 0.5 * math.log2(len(rest)) * free + 4 * int(sympy.count_ops(expression))
        )
        level = torch.stack([(g == k).double() for k in range(1, len(theta))], -1)
        chance = chance_of_rest(torch.cat([x[~held], level], -1), rest)
        return cls(form, theta, errors, shared, bits, outside.square().mean().sqrt().item(), chance)


def _with_factors(expression: Any) -> Any:
    """The expression with a number in front of every term, that in another group may be another."""
    ones = [_with_factor(term, n) for n, term in enumerate(sympy.Add.make_args(expression))]
    return sympy.Add(*ones)


def _with_factor(term: Any, n: int) -> Any:
    one = not term.is_number and abs(term.as_coeff_Mul()[0]) == 1
    return sympy.Float(1 + 1e-9 * n, 17) * term if one else term  # equal numbers would be one


def _shown(k: sympy.Symbol, constant: Constant) -> str:
    return f"{k} = {constant.value:.4g} ± {constant.error:.2g}"


def _fitted(
    left: Callable[[Tensor], Tensor], theta: Float[Tensor, "groups numbers"], shared: tuple[bool, ...]
) -> tuple[Tensor, Tensor]:
    """The minimiser, with one value of every shared number, and the standard errors."""
    place, count = torch.zeros(theta.shape, dtype=torch.long), 0
    for n, one in enumerate(shared):
        own = torch.zeros(len(theta), dtype=torch.long) if one else torch.arange(len(theta))
        place[:, n], count = count + own, count + int(own.max()) + 1
    flat = torch.zeros(count, dtype=theta.dtype).index_copy(0, place.flatten(), theta.flatten())
    best, _ = minimize(ResidualLeastSquares(lambda t: left(t[place])), flat, steps=60)
    J = torch.func.jacfwd(lambda t: left(t[place]))(best)
    rest = left(best[place])
    size = J.norm(dim=0).clamp_min(1e-300)
    s2 = rest.square().sum() / max(len(rest) - count, 1)
    inverse = torch.linalg.pinv((J / size).T @ (J / size), hermitian=True)
    errors = (s2 * inverse.diagonal().clamp_min(0)).sqrt() / size
    return best[place], torch.maximum(errors, 1e-9 * best.abs().clamp_min(1e-12))[place]


def _is_shared(values: Float[Tensor, " groups"], errors: Float[Tensor, " groups"]) -> bool:
    """Whether the groups determine one number alike."""
    from scipy.special import chdtrc

    weight = 1 / errors.square()
    mean = (values * weight).sum() / weight.sum()
    return float(chdtrc(len(values) - 1, float(((values - mean).square() * weight).sum()))) > DIFFERENT


def _answer(best: GroupFit | None, labels: Sequence[Any], inputs: tuple[sympy.Symbol, ...]) -> GroupedLaw:
    if best is None:
        return GroupedLaw(
            None, inputs, (), {}, math.inf, "no form that fits the largest groups is defined in all of them"
        )
    exact = best.error < ROUNDING
    if not exact and (best.error > 0.5 or best.chance < NO_NOISE):
        reason = f"the best form leaves {best.error:.2g} of the spread of y, which is no noise"
        return GroupedLaw(None, inputs, (), {}, best.error, reason)
    degrees = 10**6
    every = [
        [Constant(v, e, degrees, None, p) for v, e, p in zip(t, s, best.form.places, strict=True)]
        for t, s in zip(best.theta.tolist(), best.errors.tolist(), strict=True)
    ]
    own = [n for n, one in enumerate(best.shared) if not one]
    together = [_named(every[0][n]) for n, one in enumerate(best.shared) if one]
    values = iter(c.name if c.name is not None else sympy.Float(c.value, 17) for c in together)
    k = iter(_constants(len(own)))
    table = {s: next(values) if one else next(k) for s, one in zip(best.form.symbols, best.shared, strict=True)}
    what = (
        "rounding alone is left" if exact else f"explains all but {best.error:.2g} of the spread of y, which is noise"
    )
    reason = f"{what}, on held-out rows of all {len(labels)} groups; {len(own)} constants differ between groups"
    constants = {g: tuple(row[n] for n in own) for g, row in zip(labels, every, strict=True)}
    return GroupedLaw(
        best.form.expression.xreplace(table).doit(), inputs, tuple(together), constants, best.error, reason
    )


def _named(constant: Constant) -> Constant:
    names = [(saved, n) for saved, n in named_near(constant.value, constant.error) if n != 0]
    return replace(constant, name=max(names, key=lambda p: p[0])[1]) if names else constant
