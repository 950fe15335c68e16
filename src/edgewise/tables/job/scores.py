"""How good a prediction is, by the measures of its task."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Num

from edgewise.tables.encode import Encoding

Array = np.ndarray


def scores(encoding: Encoding, outcome: Num[Array, " rows"], prediction: Array) -> dict[str, float]:
    """R2, RMSE, MAE and, where the amounts are few, accuracy; or accuracy and log loss of class probabilities."""
    if encoding.task == "classification":
        chosen = prediction[np.arange(len(outcome)), outcome.astype(int)]
        return {
            "accuracy": float(np.mean(prediction.argmax(1) == outcome)),
            "log_loss": float(-np.log(np.clip(chosen, 1e-15, 1)).mean()),
        }
    wrong = prediction - outcome
    variance = float(np.var(outcome))
    found = {
        "r2": 1 - float(np.mean(wrong**2)) / variance if variance > 0 else float("nan"),
        "rmse": float(np.mean(wrong**2) ** 0.5),
        "mae": float(np.abs(wrong).mean()),
    }
    if encoding.values:
        found = {"accuracy": float(np.mean(encoding.round(prediction) == outcome)), **found}
    return found


def loss(encoding: Encoding, outcome: Num[Array, " rows"], prediction: Array) -> float:
    """What importance and pruning are judged by: mean square error, or log loss."""
    found: Mapping[str, float] = scores(encoding, outcome, prediction)
    return found["rmse"] ** 2 if encoding.task == "regression" else found["log_loss"]
