"""Baselines of a network: an MLP of equal size, a linear model, gradient boosting, a constant.

Each is trained with care, on the same rows and with the same validation rows: a comparison with a badly trained
baseline says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.compare.mlp import mlp_widths, new_mlp
from edgewise.nn.layers import count_parameters
from edgewise.progress import Budget

Array = np.ndarray
Kind = Literal["regression", "classification"]
ROUNDS = 500
"""The most trees of the boosting, for every class."""


@dataclass(frozen=True)
class Baseline:
    """A trained baseline.

    Args:
        name: what it is, for a table.
        predict: inputs (rows, features) to amounts (rows,), or to class probabilities (rows, classes).
        parameters: how many it has; None where their count says nothing.
    """

    name: str
    predict: Callable[[Array], Array]
    parameters: int | None


def fit_baselines(
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    task: Kind,
    *,
    parameters: int,
    steps: int = 2000,
    seed: int = 0,
    budget: Budget | None = None,
) -> Iterator[Baseline]:
    """Train one baseline after the other: constant, linear model, boosting, the MLP of about `parameters` parameters.

    Args:
        train: inputs (rows, features) and outcome (rows,), class indices 0..K-1 for a classification.
        validation: rows that choose the number of training steps.
        task: what the outcome is.
        parameters: the size that the MLP must match.
        steps: of the MLP's training.
        seed: seed of all of them.
        budget: time limit. None but the constant is begun after it; boosting and the MLP are not yielded where it ends
            before they have converged: a baseline that had too little time says nothing.
    """
    budget = Budget() if budget is None else budget
    yield _fit_constant(train, task)
    fits = (
        lambda: _fit_linear(train, task),
        lambda: _fit_boosting(train, validation, task, seed, budget.share(0.5)),
        lambda: _fit_mlp(train, validation, task, parameters, steps, seed, budget),
    )
    for fit in fits:
        baseline = None if budget.over else fit()
        if baseline is not None:
            yield baseline


def _fit_mlp(
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    task: Kind,
    parameters: int,
    steps: int,
    seed: int,
    budget: Budget,
) -> Baseline | None:
    """SiLU network; Adam with a cosine schedule, the better of two learning rates and the best step by validation."""
    outputs = 1 if task == "regression" else int(max(train[1].max(), validation[1].max())) + 1
    mean, std = train[0].mean(0), train[0].std(0)
    std = np.where(std > 0, std, 1.0)
    centre, spread = (train[1].mean(), train[1].std() or 1.0) if task == "regression" else (0.0, 1.0)

    def tensors(x: Array, y: Array) -> tuple[Tensor, Tensor]:
        inputs = torch.as_tensor((x - mean) / std, dtype=torch.float32)
        if task == "regression":
            return inputs, torch.as_tensor((y - centre) / spread, dtype=torch.float32)[:, None]
        return inputs, torch.as_tensor(y, dtype=torch.long)

    loss = nn.functional.mse_loss if task == "regression" else nn.functional.cross_entropy
    widths = mlp_widths(train[0].shape[1], outputs, parameters)
    data, held = tensors(*train), tensors(*validation)
    tries = [_train(widths, data, held, loss, rate, steps, seed, budget) for rate in (3e-3, 1e-2)]
    if budget.over:
        return None
    _, net = min(tries, key=lambda pair: pair[0])

    def predict(x: Array) -> Array:
        with torch.no_grad():
            raw = net(torch.as_tensor((x - mean) / std, dtype=torch.float32))
        if task == "regression":
            return raw[:, 0].double().numpy() * spread + centre
        return raw.softmax(-1).double().numpy()

    return Baseline(f"MLP {widths}", predict, count_parameters(net))


def _train(
    widths: list[int],
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    loss: Callable[..., Tensor],
    rate: float,
    steps: int,
    seed: int,
    budget: Budget,
) -> tuple[float, nn.Module]:
    """The network with the least loss on the rows held out, and that loss; it stops when the time is over."""
    generator = torch.Generator().manual_seed(seed)
    net = new_mlp(widths, generator)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows, batch = len(data[0]), min(256, len(data[0]))
    best, state = float("inf"), net.state_dict()
    for step in range(steps):
        pick = torch.randint(rows, (batch,), generator=generator)
        optimizer.zero_grad()
        loss(net(data[0][pick]), data[1][pick]).backward()
        optimizer.step()
        schedule.step()
        if budget.over:
            break
        if step % 100 == 99 or step == steps - 1:
            with torch.no_grad():
                value = float(loss(net(held[0]), held[1]))
            if value < best:
                best, state = value, {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(state)
    return best, net


def _fit_boosting(
    train: tuple[Array, Array], validation: tuple[Array, Array], task: Kind, seed: int, budget: Budget
) -> Baseline | None:
    """Histogram gradient boosting, which stops by the validation rows; it grows in parts, to keep to the time."""
    ensemble = _sklearn("ensemble")
    kind = ensemble.HistGradientBoostingRegressor if task == "regression" else ensemble.HistGradientBoostingClassifier
    known = np.isin(validation[1], train[1]) | (task == "regression")  # the classifier refuses classes it has not seen
    model = kind(random_state=seed, early_stopping=bool(known.any()), warm_start=True)
    held = {"X_val": validation[0][known], "y_val": validation[1][known]} if known.any() else {}
    for most in (20, 100, ROUNDS):
        model.set_params(max_iter=most).fit(*train, **held)
        if model.n_iter_ < most:
            break
        if most < ROUNDS and budget.over:
            return None
    return Baseline("gradient boosting", _predictor(model, task, train[1]), None)


def _fit_linear(train: tuple[Array, Array], task: Kind) -> Baseline:
    """Ridge regression with a cross-validated penalty, or logistic regression, on standardised inputs."""
    linear, scale = _sklearn("linear_model"), _sklearn("preprocessing").StandardScaler()
    last = linear.RidgeCV(np.logspace(-6, 3, 10)) if task == "regression" else linear.LogisticRegression(max_iter=2000)
    model = _sklearn("pipeline").make_pipeline(scale, last)
    model.fit(*train)
    return Baseline("linear model", _predictor(model, task, train[1]), int(last.coef_.size + np.size(last.intercept_)))


def _fit_constant(train: tuple[Array, Array], task: Kind) -> Baseline:
    dummy = _sklearn("dummy")
    model = dummy.DummyRegressor() if task == "regression" else dummy.DummyClassifier(strategy="prior")
    model.fit(*train)
    return Baseline("constant", _predictor(model, task, train[1]), 1)


def _predictor(model, task: Kind, outcome: Array) -> Callable[[Array], Array]:
    if task == "regression":
        return model.predict
    classes = int(outcome.max()) + 1

    def probabilities(x: Array) -> Float[Array, "rows classes"]:
        found = np.zeros((len(x), classes))
        found[:, model.classes_.astype(int)] = model.predict_proba(x)
        return found

    return probabilities


def _sklearn(module: str):
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError("the comparison needs scikit-learn: pip install edgewise[sklearn]") from error
