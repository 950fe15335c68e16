r"""Networks with the manners of scikit-learn: pandas in, feature names kept, inputs and targets scaled inside.

`KANRegressor` and `KANClassifier` train a network of any widths. `KANAdditive` is the network of one layer,

$$ f(x) = b + \sum_j \phi_j(x_j), $$

a generalised additive model whose curves are the model; its coefficients solve a penalised linear system.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.fit import fit
from edgewise.nn import DEFAULT_LIBRARY, KAN, Affine, KANLinear, Library
from edgewise.nn.kan import Width
from edgewise.penalties import Penalty
from edgewise.symbolic import Formula, formula, symbolify
from edgewise.trace import edge_scores, trace

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,  # pyright: ignore[reportPrivateUsage]
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError("the estimators need scikit-learn: pip install edgewise[sklearn]") from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT_SAMPLES = 2000
HELD_OUT_FROM, HELD_OUT_SHARE = 500, 0.1
SMALL_STEPS = 10


class _KANEstimator(BaseEstimator):
    """What the three share: checked inputs, units, the fitted network and what can be asked of it."""

    model_: KAN
    samples_: Tensor
    n_features_in_: int

    def formula_(self, *, library: Library = DEFAULT_LIBRARY, min_r2: float = 0.0) -> Formula:
        """The network as a formula of the features: every curve becomes the function that explains it best.

        How far the two differ is what `formula_().check(model_, x)` answers.

        Args:
            library: functions to try.
            min_r2: a curve of which no function explains this share is an error.
        """
        check_is_fitted(self)
        symbolic, _ = symbolify(self.model_, self.samples_, library=library, min_r2=min_r2)
        return formula(symbolic)

    def plot(self, **options: Any) -> Figure:
        """The network diagram; options as in `edgewise.viz.plot`."""
        from edgewise.viz import plot

        check_is_fitted(self)
        return plot(self.model_, self.samples_, **options)

    @property
    def feature_importances_(self) -> Float[np.ndarray, " features"]:
        """The share of every feature in the spread of the outputs, by the attribution scores of the edges; sum 1."""
        check_is_fitted(self)
        scores = next(iter(edge_scores(trace(self.model_, self.samples_)).values())).sum(1)
        return (scores / scores.sum().clamp_min(torch.finfo(scores.dtype).tiny)).numpy()

    def _more_names(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        return tuple(f"x{j + 1}" for j in range(self.n_features_in_)) if names is None else tuple(map(str, names))

    def _set_model(self, layers: Sequence[Any], units: Affine, outputs: Affine | None, names: Sequence[str]) -> None:
        self.model_ = KAN.assemble(
            layers, input_affine=units, output_affine=outputs, input_names=self._more_names(), output_names=names
        )

    def _keep_samples(self, x: Tensor, weights: Tensor) -> None:
        used = weights.nonzero()[:, 0]
        self.samples_ = x[used[:: max(1, -(-len(used) // KEPT_SAMPLES))]].clone()

    def _forward(self, x: Any) -> Float[Tensor, "rows out"]:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, dtype=np.float64)
        with torch.no_grad():
            return torch.cat([self.model_(part) for part in torch.tensor(x).split(65_536)])


class _DeepEstimator(_KANEstimator):
    """A network of any widths, trained by `edgewise.fit`."""

    def __init__(
        self,
        hidden: Sequence[Width] = (5,),
        *,
        basis: Basis | None = None,
        optimizer: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        penalties: Sequence[Penalty] = (),
        validation: float | str | None = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.hidden = hidden
        self.basis = basis
        self.optimizer = optimizer
        self.steps = steps
        self.batch_size = batch_size
        self.penalties = penalties
        self.validation = validation
        self.random_state = random_state
        self.progress = progress

    def _train(
        self,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        *,
        loss: str,
        outputs: int,
        scale: Affine | None,
        names: Sequence[str],
    ) -> None:
        """Train on targets y in the units of the loss; `scale` brings the outputs back to the user's units."""
        units = _units(x, weights)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model = KAN(
            [x.shape[1], *self.hidden, outputs],
            self.basis or BSpline(3, 3),
            residual=None,
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.float64,
        )
        data = _repeated(units(x), y, weights)
        held = self.validation
        if held == "auto":
            held = HELD_OUT_SHARE if len(data[0]) >= HELD_OUT_FROM else None
        # Too few rows to hold some out: one start, smoothing by evidence, and few steps where the loss has no minimum.
        few = held is None and self.optimizer in ("auto", "lm") and self.batch_size is None and not self.penalties
        options: dict[str, Any] = {"validation": held}
        if few:
            options = {"validation": data, "starts": 0, "extend": False, "smoothing": True}
        result = fit(
            model,
            data,
            optimizer=self.optimizer,
            steps=SMALL_STEPS if self.steps is None and few and loss != "mse" else self.steps,
            loss=loss,
            batch_size=self.batch_size,
            penalties=self.penalties,
            seed=seed,
            progress=self.progress,
            **options,
        )
        self.history_ = result.history
        assert isinstance(result.model, KAN)
        self._set_model(list(result.model.layers), units, scale, names)
        self._keep_samples(x, weights)


class KANRegressor(RegressorMixin, _DeepEstimator):
    """A Kolmogorov-Arnold network for one number per row.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = KANRegressor(hidden=(2,), random_state=0).fit(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2))
    >>> bool(model.score(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2)) > 0.99)
    True

    Args:
        hidden: nodes of the hidden layers as in `KAN`, such as (5,) or ((3, 2),); () is one layer of curves.
        basis: the functions on the edges; `BSpline(3, 3)` by default.
        optimizer: as in `fit`.
        steps: as in `fit`.
        batch_size: rows per step; all by default.
        penalties: terms added to the loss, such as `edgewise.Sparsity(1e-3)`.
        validation: share of the rows held out to choose by; "auto" is a tenth from 500 rows on, none below.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        model_: the trained `KAN`; it takes and returns the user's units.
        samples_: rows of the training data that show where the curves are used.
        history_: one record per evaluation.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANRegressor:
        """Train on rows X, numbers y and weights of the rows."""
        x, target, weights = _checked(self, X, y, sample_weight)
        mean = (weights * target).sum() / weights.sum()
        spread = ((weights * (target - mean) ** 2).sum() / weights.sum()).sqrt()
        spread = torch.where(spread > 0, spread, 1.0)
        self._train(
            x,
            ((target - mean) / spread)[:, None],
            weights,
            loss="mse",
            outputs=1,
            scale=Affine(spread[None], mean[None]),
            names=[_target_name(y)],
        )
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " rows"]:
        """The prediction for every row."""
        return self._forward(X)[:, 0].numpy()


class KANClassifier(ClassifierMixin, _DeepEstimator):
    """A Kolmogorov-Arnold network for class probabilities: one log-odds for two classes, else one score per class.

    Args:
        hidden: nodes of the hidden layers as in `KAN`; () is one layer of curves.
        basis: the functions on the edges; `BSpline(3, 3)` by default.
        optimizer: as in `fit`.
        steps: as in `fit`.
        batch_size: rows per step; all by default.
        penalties: terms added to the loss, such as `edgewise.Sparsity(1e-3)`.
        class_weight: None, "balanced" or a dictionary, as in scikit-learn.
        validation: share of the rows held out to choose by; "auto" is a tenth from 500 rows on, none below.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        classes_: the labels.
        model_: the trained `KAN`; it takes the user's units and returns log-odds or scores.
        samples_: rows of the training data that show where the curves are used.
        history_: one record per evaluation.
    """

    def __init__(
        self,
        hidden: Sequence[Width] = (5,),
        *,
        basis: Basis | None = None,
        optimizer: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        penalties: Sequence[Penalty] = (),
        class_weight: str | dict[Any, float] | None = None,
        validation: float | str | None = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__(
            hidden,
            basis=basis,
            optimizer=optimizer,
            steps=steps,
            batch_size=batch_size,
            penalties=penalties,
            validation=validation,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANClassifier:
        """Train on rows X, labels y and weights of the rows."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(np.unique(labels[weights > 0])) < 2:
            raise ValueError(
                f"the target has one class ({self.classes_[labels[weights > 0][0]]!r}) in all rows of positive weight; "
                "a classifier needs at least two classes"
            )
        weights = weights * compute_sample_weight(self.class_weight, y)
        target = torch.tensor(labels)
        binary = len(self.classes_) == 2
        self._train(
            torch.tensor(X),
            target.double()[:, None] if binary else target,
            torch.tensor(weights),
            loss="bce" if binary else "cross_entropy",
            outputs=1 if binary else len(self.classes_),
            scale=None,
            names=[f"log-odds of {self.classes_[1]}"] if binary else [f"score of {label}" for label in self.classes_],
        )
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "rows classes"]:
        """The probability of every class, in the order of `classes_`."""
        check_is_fitted(self)
        scores = self._forward(X)
        if len(self.classes_) == 2:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores.softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of every row."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class KANAdditive(RegressorMixin, _KANEstimator):
    r"""A generalised additive model, $f(x) = b + \sum_j \phi_j(x_j)$: its curves are the whole model.

    The coefficients minimise $\sum_n w_n (y_n - f(x_n))^2 + \lambda \sum_j |D_2 c_j|^2$ with second differences $D_2$
    (Eilers and Marx, Statistical Science 11, 1996), by one linear system. An additive *classifier* is
    `KANClassifier(hidden=())`.

    Args:
        intervals: pieces of every curve.
        degree: degree of the splines.
        smoothness: the strength $\lambda$ in units of the data; "auto" chooses it by generalised cross-validation.

    Attributes:
        model_: the `KAN` of one layer; it takes and returns the user's units, and every curve has mean 0.
        smoothness_: the strength that was used.
        samples_: rows of the training data that show where the curves are used.
    """

    def __init__(self, intervals: int = 10, *, degree: int = 3, smoothness: float | str = "auto") -> None:
        self.intervals = intervals
        self.degree = degree
        self.smoothness = smoothness

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANAdditive:
        """Solve for the curves from rows X, numbers y and weights of the rows."""
        strength: Any = self.smoothness
        if strength != "auto" and not (isinstance(strength, Real) and float(strength) >= 0):
            raise ValueError(f"smoothness must be 'auto' or a number >= 0, got {self.smoothness!r}")
        if not isinstance(self.intervals, Integral):
            raise ValueError(f"intervals must be a positive integer, got {self.intervals!r}")
        x, target, weights = _checked(self, X, y, sample_weight)
        units, basis = _units(x, weights), BSpline(int(self.intervals), self.degree)
        grid = basis.init_grid(x.shape[1], dtype=torch.float64)
        system = _NormalSystem.of(units(x), target, weights, grid, basis)
        self.smoothness_ = system.best_strength() if self.smoothness == "auto" else float(self.smoothness)
        coef, bias = system.solve(self.smoothness_)
        layer = KANLinear.assemble(
            basis,
            None,
            coef=coef[:, :, None],
            grid=grid,
            mask=torch.ones(x.shape[1], 1, dtype=torch.bool),
            bias=bias[None],
        )
        self._set_model([layer], units, None, [_target_name(y)])
        self._keep_samples(x, weights)
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " rows"]:
        """The prediction for every row."""
        return self._forward(X)[:, 0].numpy()

    def curve(self, feature: int | str, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
        r"""The curve $\phi_j$ of one feature over the range of the training data: its arguments and its values."""
        check_is_fitted(self)
        names = list(self._more_names())
        j = names.index(feature) if feature in names else feature
        if not isinstance(j, int | np.integer) or not 0 <= j < len(names):
            raise ValueError(f"there is no feature {feature!r}; the features are {', '.join(names)}")
        assert self.model_.input_affine is not None
        inner = torch.linspace(-1, 1, points, dtype=torch.float64)
        x = torch.zeros(points, len(names), dtype=torch.float64)
        x[:, j] = inner
        layer = self.model_.layers[0]
        assert isinstance(layer, KANLinear)
        with torch.no_grad():
            values = layer.edge_values(x)[:, j, 0]
            arguments = (inner - self.model_.input_affine.shift[j]) / self.model_.input_affine.scale[j]
        return arguments.numpy(), values.numpy()


class _NormalSystem:
    r"""$(A + \lambda P)\,c = a$ of centred basis functions, for any $\lambda$ at once.

    Centring every function by its weighted mean makes the bias the mean of the target. $P$ holds second differences and
    a twentieth of first differences, so that more features than rows do no harm. With $A + sP = LL^T$ and
    $L^{-1}PL^{-T} = U \mathrm{diag}(m)\,U^T$, the matrix is $LU\,(1 + (\lambda - s)\,m)\,U^T L^T$.
    """

    def __init__(
        self, gram: Tensor, moment: Tensor, means: Tensor, y_mean: Tensor, total: Tensor, n: Tensor, size: int
    ):
        self.means, self.y_mean, self.total, self.n = means.view(-1, size), y_mean, total, n
        first = torch.eye(size, dtype=torch.float64).diff(dim=0)
        second = first.diff(dim=0)
        penalty = torch.block_diag(*[second.T @ second + 0.05 * first.T @ first] * len(self.means))
        self.scale = float(gram.diagonal().mean().clamp_min(1e-300))
        # The functions of a feature sum to a constant, which neither matrix sees: the ridge settles that direction.
        ridge = 1e-9 * self.scale * torch.eye(len(moment), dtype=torch.float64)
        factor = torch.linalg.cholesky(gram + self.scale * penalty + ridge)
        whitened = torch.linalg.solve_triangular(factor, penalty, upper=False)
        whitened = torch.linalg.solve_triangular(factor, whitened.T, upper=False)
        self.m, u = torch.linalg.eigh((whitened + whitened.T) / 2)
        self.back = torch.linalg.solve_triangular(factor.T, u, upper=True)  # L^-T U
        self.rotated = self.back.T @ moment

    @classmethod
    def of(cls, x: Tensor, y: Tensor, weights: Tensor, grid: Tensor, basis: BSpline, rows: int = 8192) -> _NormalSystem:
        """Accumulate the system in blocks of rows, so that memory does not grow with the table."""
        total = weights.sum()
        y_mean = (weights * y).sum() / total
        blocks = [slice(start, start + rows) for start in range(0, len(x), rows)]
        means = torch.zeros(x.shape[1] * basis.size, dtype=torch.float64)
        for part in blocks:
            means += weights[part] @ basis.evaluate(x[part], grid).flatten(1) / total
        gram, moment = torch.zeros(len(means), len(means), dtype=torch.float64), torch.zeros_like(means)
        for part in blocks:
            b = basis.evaluate(x[part], grid).flatten(1) - means
            gram += b.T @ (weights[part, None] * b)
            moment += b.T @ (weights[part] * (y[part] - y_mean))
        return cls(gram, moment, means, y_mean, (weights * (y - y_mean) ** 2).sum(), total, basis.size)

    def solve(self, strength: float) -> tuple[Float[Tensor, "in size"], Float[Tensor, ""]]:
        """Coefficients of curves with mean 0, and the bias."""
        c = (self.back @ (self.rotated / self._weights(strength))).view_as(self.means)
        # The functions of a feature sum to 1: subtracting the mean from every coefficient subtracts it from the curve.
        return c - (c * self.means).sum(1, keepdim=True), self.y_mean

    def best_strength(self) -> float:
        r"""The least $n\,\mathrm{RSS}/(n - \mathrm{df} - 1)^2$, df the trace of the hat matrix, over nine decades."""
        strengths = [self.scale * 10**e for e in np.linspace(-4, 5, 28)]
        return min(strengths, key=self._cross_validation)

    def _weights(self, strength: float) -> Tensor:
        return 1 + (strength - self.scale) * self.m

    def _cross_validation(self, strength: float) -> float:
        d, explained = self._weights(strength), (1 - self.scale * self.m).clamp_min(0)  # the Gram matrix, rotated
        z = self.rotated / d
        rss = self.total - 2 * z @ self.rotated + (explained * z * z).sum()
        free = self.n - (explained / d).sum() - 1
        # Below its rounding errors RSS says nothing: without the floor an interpolating fit would be chosen by chance.
        return float(self.n * rss.clamp_min(1e-12 * self.total) / free**2) if free > 0.02 * self.n else float("inf")


def _checked(estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, numbers and weights of a regression as float64 tensors."""
    X, y = validate_data(estimator, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
    y = column_or_1d(y, warn=True)
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.sum() > 0:
        raise ValueError("sample_weight is zero in every row; at least one row needs a non-zero weight")
    return torch.tensor(X), torch.tensor(np.asarray(y, float)), torch.tensor(weights)


def _units(x: Float[Tensor, "rows features"], weights: Float[Tensor, " rows"]) -> Affine:
    """The map of every feature's range, over rows that count, to [-1, 1]; a constant goes to 0."""
    used = x[weights > 0]
    low, high = used.amin(0), used.amax(0)
    half = torch.where(high > low, (high - low) / 2, 1.0)
    return Affine(1 / half, -(low + high) / 2 / half)


def _repeated(x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with whole weights are repeated, as scikit-learn reads them; else rows of weight 0 are left out."""
    if bool((weights == weights.round()).all()) and float(weights.sum()) <= 10 * len(weights):
        rows = torch.arange(len(x)).repeat_interleave(weights.long())
        return x[rows], y[rows], torch.ones(len(rows), dtype=torch.float64)
    used = weights > 0
    return x[used], y[used], weights[used]


def _target_name(y: Any) -> str:
    return str(getattr(y, "name", None) or "y")
