"""A trained network in the state of an estimator, without torch: the bytes of its file, which skops keeps, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgewise.io.in_memory import bytes_of, model_of

FILE = "model_file"


def without_torch(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a fitted estimator with its network as bytes and its samples as numpy's.

    A network that no file describes, such as one of a basis of the user's own, stays the object that pickle takes.
    """
    state = dict(state)
    if isinstance(state.get("samples_"), torch.Tensor):
        state["samples_"] = state["samples_"].numpy()
    if "model_" in state:
        try:
            data = bytes_of(state["model_"])
        except (TypeError, ValueError):
            return state
        state[FILE] = np.frombuffer(data, np.uint8)
        del state["model_"]
    return state


def with_torch(state: dict[str, Any]) -> dict[str, Any]:
    """The state that `without_torch` was given."""
    state = dict(state)
    if isinstance(state.get("samples_"), np.ndarray):
        state["samples_"] = torch.from_numpy(state["samples_"])
    if FILE in state:
        state["model_"] = model_of(state.pop(FILE).tobytes())
    return state
