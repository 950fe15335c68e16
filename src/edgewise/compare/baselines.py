"""What a network must be compared with: a perceptron of equal size, a linear model, gradient boosting, a constant.

Each is trained with care, on the same rows and with the same validation rows, because a comparison with a badly trained
rival says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

Array = np.ndarray
Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class Baseline:
    """A trained rival.

    Args:
        name: what it is, for a table.
        predict: inputs (rows, features) to numbers (rows,), or to class probabilities (rows, classes).
        parameters: how many numbers it learnt; None where counting them says nothing.
    """

    name: str
    predict: Callable[[Array], Array]
    parameters: int | None


def fit_baselines(
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    task: Task,
    *,
    parameters: int,
    steps: int = 2000,
    seed: int = 0,
) -> Iterator[Baseline]:
    """Train the rivals one by one: boosting, the perceptron with about `parameters` parameters, the line, the constant.

    Args:
        train: inputs (rows, features) and outcome (rows,), class indices 0..K-1 for a classification.
        validation: rows that choose the number of training steps.
        task: what the outcome is.
        parameters: the size that the perceptron must match.
        steps: of the perceptron's training.
        seed: source of the randomness of all of them.
    """
    yield _boosting(train, validation, task, seed)
    yield _perceptron(train, validation, task, parameters, steps, seed)
    yield _linear(train, task)
    yield _constant(train, task)


def mlp_widths(inputs: int, outputs: int, parameters: int) -> list[int]:
    r"""The widths of the perceptron with two equal hidden layers whose size is nearest to `parameters`.

    $h^2 + h(n_{in} + n_{out} + 2) + n_{out}$ parameters for hidden width h; one hidden layer,
    $h(n_{in} + n_{out} + 1) + n_{out}$, where two would be narrower than 4.
    """
    half = (inputs + outputs + 2) / 2
    h = round((half**2 + max(parameters - outputs, 0)) ** 0.5 - half)
    if h >= 4:
        return [inputs, h, h, outputs]
    return [inputs, max(1, round((parameters - outputs) / (inputs + outputs + 1))), outputs]


def perceptron(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Linear layers of these widths with SiLU between them, drawn from the generator alone."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)  # the usual initialisation draws from the global state
        assert isinstance(linear, nn.Linear)
        nn.init.kaiming_uniform_(linear.weight, a=5**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def _perceptron(
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    task: Task,
    parameters: int,
    steps: int,
    seed: int,
) -> Baseline:
    """SiLU network; Adam with a cosine schedule, the better of two learning rates and the best step by validation."""
    outputs = 1 if task == "regression" else int(train[1].max()) + 1
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
    trained = [_train(widths, data, held, loss, rate, steps, seed) for rate in (3e-3, 1e-2)]
    _, net = min(trained, key=lambda pair: pair[0])

    def predict(x: Array) -> Array:
        with torch.no_grad():
            raw = net(torch.as_tensor((x - mean) / std, dtype=torch.float32))
        if task == "regression":
            return raw[:, 0].double().numpy() * spread + centre
        return raw.softmax(-1).double().numpy()

    return Baseline(f"MLP {widths}", predict, sum(p.numel() for p in net.parameters()))


def _train(
    widths: list[int],
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    loss: Callable[..., Tensor],
    rate: float,
    steps: int,
    seed: int,
) -> tuple[float, nn.Module]:
    """The network with the least loss on the rows held out, and that loss."""
    generator = torch.Generator().manual_seed(seed)
    net = perceptron(widths, generator)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rows, batch = len(data[0]), min(256, len(data[0]))
    best, state = float("inf"), net.state_dict()
    for step in range(steps):
        pick = torch.randint(rows, (batch,), generator=generator)
        optimiser.zero_grad()
        loss(net(data[0][pick]), data[1][pick]).backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99 or step == steps - 1:
            with torch.no_grad():
                value = float(loss(net(held[0]), held[1]))
            if value < best:
                best, state = value, {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(state)
    return best, net


def _boosting(train: tuple[Array, Array], validation: tuple[Array, Array], task: Task, seed: int) -> Baseline:
    """Histogram gradient boosting, which stops by the validation rows."""
    ensemble = _sklearn("ensemble")
    kind = ensemble.HistGradientBoostingRegressor if task == "regression" else ensemble.HistGradientBoostingClassifier
    known = np.isin(validation[1], train[1]) | (task == "regression")  # the classifier refuses classes it has not seen
    model = kind(random_state=seed, early_stopping=bool(known.any()), max_iter=500)
    held = {"X_val": validation[0][known], "y_val": validation[1][known]} if known.any() else {}
    model.fit(*train, **held)
    return Baseline("gradient boosting", _predictor(model, task, train[1]), None)


def _linear(train: tuple[Array, Array], task: Task) -> Baseline:
    """Ridge regression with a cross-validated penalty, or logistic regression, on standardised inputs."""
    linear, scale = _sklearn("linear_model"), _sklearn("preprocessing").StandardScaler()
    last = linear.RidgeCV(np.logspace(-6, 3, 10)) if task == "regression" else linear.LogisticRegression(max_iter=2000)
    model = _sklearn("pipeline").make_pipeline(scale, last)
    model.fit(*train)
    return Baseline("linear model", _predictor(model, task, train[1]), int(last.coef_.size + np.size(last.intercept_)))


def _constant(train: tuple[Array, Array], task: Task) -> Baseline:
    dummy = _sklearn("dummy")
    model = dummy.DummyRegressor() if task == "regression" else dummy.DummyClassifier(strategy="prior")
    model.fit(*train)
    return Baseline("constant", _predictor(model, task, train[1]), 1)


def _predictor(model, task: Task, outcome: Array) -> Callable[[Array], Array]:
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
