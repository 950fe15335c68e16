"""The history of a session as a tree: undo goes to the parent, and a new step begins a branch beside the old ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import owned
from edgewise.symbolic import Session
from edgewise.workbench.steps import ActionError


@dataclass(frozen=True)
class Branch:
    """One state of the tree.

    Attributes:
        id: its index in the tree.
        parent: the state that it was made from; None for the first.
        step: what made it; None for the first.
        session: what is worked on as it is there, a `Session` or an `AdditiveSession`.
        error: root mean square error on the data; of an additive model the share of the deviance not explained.
        held_error: the same on rows that no step sees; None where there are none.
        edges: how many edges are curves and how many symbols; of an additive model, terms and none.
        name: what the user calls it.
    """

    id: int
    parent: int | None
    step: Any
    session: Any
    error: float
    held_error: float | None = None
    edges: tuple[int, int] = (0, 0)
    name: str = ""


class History:
    """All states of a session, the current one among them.

    Args:
        start: the first state.
        held: inputs and targets of rows that no step sees.
        score: the error, the error on other rows, and the edges of a session; by default those of a `Session`.
    """

    def __init__(
        self, start: Any, held: tuple[Tensor, Tensor] | None = None, score: Callable[[Any], Scores] | None = None
    ) -> None:
        self.held = held
        self._score = partial(network_scores, held) if score is None else score
        self.branches: list[Branch] = []
        self._forward: dict[int, int] = {}
        self.current = self.add(None, start)

    def __iter__(self) -> Iterator[Branch]:
        return iter(self.branches)

    def __getitem__(self, number: int) -> Branch:
        if not 0 <= number < len(self.branches):
            raise ActionError(f"there is no state {number}; there are 0 to {len(self.branches) - 1}")
        return self.branches[number]

    def add(self, step: Any, session: Any) -> Branch:
        """A new state after the current one, which becomes the current one."""
        parent = self.current.id if self.branches else None
        branch = Branch(len(self.branches), parent, step, session, *self._score(session))
        self.branches.append(branch)
        return self.goto(branch.id)

    def goto(self, number: int) -> Branch:
        """Make a state the current one; redo then follows the way that led to it."""
        self.current = branch = self[number]
        while branch.parent is not None:
            self._forward[branch.parent] = branch.id
            branch = self[branch.parent]
        return self.current

    def undo(self) -> Branch:
        """Back to the parent of the current state."""
        if self.current.parent is None:
            raise ActionError("this is the first state; there is nothing to undo")
        return self.goto(self.current.parent)

    def redo(self) -> Branch:
        """Forward along the branch that was visited last."""
        if self.current.id not in self._forward:
            raise ActionError("there is no later state to redo")
        return self.goto(self._forward[self.current.id])

    def can_redo(self) -> bool:
        """True where the current state has a later one."""
        return self.current.id in self._forward

    def rename(self, number: int, name: str) -> None:
        """Give a state a name; an empty one takes it away."""
        self.branches[number] = replace(self[number], name=name)
        if self.current.id == number:
            self.current = self.branches[number]

    def way(self, number: int) -> list[Branch]:
        """The states from the one after the first to this one."""
        branch, found = self[number], []
        while branch.parent is not None:
            found.append(branch)
            branch = self[branch.parent]
        return found[::-1]

    def steps(self, number: int) -> list[Any]:
        """The steps from the first state to this one."""
        return [branch.step for branch in self.way(number) if branch.step is not None]


Scores = tuple[float, float | None, tuple[int, int]]


def network_scores(held: tuple[Tensor, Tensor] | None, session: Session) -> Scores:
    """Root mean square errors, and how many edges are curves and symbols."""
    held_error = None if held is None else rms(session.model, session.extended(held[0]), held[1])
    return rms(session.model, session.x, session.y), held_error, curves_and_symbols(session.model)


def curves_and_symbols(model: KAN) -> tuple[int, int]:
    """How many edges are curves, and how many symbols."""
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    curves = sum(int(layer.mask.sum()) for layer in layers)
    return curves, sum(int(owned(layer).sum()) for layer in layers) - curves


@torch.no_grad()
def rms(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Root mean square error of a model; infinite where a prediction is not finite."""
    error = (model(x) - y).square().mean().sqrt().item()
    return error if math.isfinite(error) else math.inf
