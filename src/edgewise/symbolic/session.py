"""Working on a network by hand: every step gives a new session, and the one before is kept.

Functions are suggested, put on edges, shared between edges, taken back; edges are locked or given a shape; the rest
learns on. Nothing is changed in place, so that undoing a step is going back to the session before it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from edgewise.expressions.formula import Formula
from edgewise.expressions.refit import refit_
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, Library
from edgewise.surgery import fix, release, remove_edge
from edgewise.symbolic.constraints import edge_shapes, symmetric
from edgewise.symbolic.edges import Candidate, suggest
from edgewise.symbolic.read import formula
from edgewise.symbolic.shapes import SHAPES, shaped

Edge = tuple[int, int, int]
"""(number of the layer among the KAN layers, input, output)."""


@dataclass(frozen=True, eq=False)
class Session:
    """A network, the data that it is meant for, what is agreed about its edges, and the way to it.

    Attributes:
        model: the network as it is now.
        x: inputs.
        y: targets, of the shape of the model's output.
        library: the functions that are still allowed.
        locked: edges that no step changes.
        shapes: what shape an edge keeps, by edge.
        shared: groups of edges that carry one function, each with numbers of its own.
        symmetries: pairs of inputs that can be exchanged.
        step: what made this session out of the one before.
        before: that one.

    >>> import edgewise as ew
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> session = Session(ew.KAN([1, 1], dtype=torch.float64), x, torch.sin(2 * x)).fit()
    >>> session.suggest((0, 0, 0))[0].fn.name
    'sin'
    >>> print(session.fix((0, 0, 0), "sin").fit().formula(["t"]).snapped(x, torch.sin(2 * x)))
    y = sin(2*t)
    """

    model: KAN
    x: Tensor
    y: Tensor
    library: Library = field(default_factory=lambda: DEFAULT_LIBRARY)
    locked: frozenset[Edge] = frozenset()
    shapes: Mapping[Edge, str] = field(default_factory=dict)
    shared: tuple[frozenset[Edge], ...] = ()
    symmetries: tuple[tuple[int, int], ...] = ()
    step: str = "start"
    before: Session | None = None

    def __post_init__(self) -> None:
        with torch.no_grad():
            shape = self.model(self.x[:1]).shape[1:]
        if self.y.shape != (len(self.x), *shape):
            raise ValueError(f"y has shape {tuple(self.y.shape)}; the model returns {(len(self.x), *shape)}")

    @property
    def error(self) -> float:
        """Root mean square error of the model on the data."""
        with torch.no_grad():
            return (self.model(self.x) - self.y).square().mean().sqrt().item()

    @property
    def history(self) -> tuple[str, ...]:
        """The steps so far, the oldest first."""
        return (*(self.before.history if self.before else ()), self.step)

    def undo(self, steps: int = 1) -> Session:
        """The session so many steps ago."""
        session = self
        for n in range(steps):
            if session.before is None:
                raise ValueError(f"there are only {n} steps to undo")
            session = session.before
        return session

    def suggest(self, edge: Edge) -> tuple[Candidate, ...]:
        """The allowed functions that explain an edge, best first."""
        return suggest(self.model, self.x, *edge, library=self.library)

    def fix(self, edge: Edge, name: str, affine: Sequence[float] | None = None) -> Session:
        """The function of this name on an edge, and on all that share with it.

        Its numbers are fitted to the curve, unless `affine` gives them for this edge.
        """
        self._check(edge, changes=True)
        if name not in self.library:
            raise ValueError(f"{name!r} is not allowed; the library has {', '.join(self.library)}")
        model = self.model
        members = self._sharing(edge)
        for member in sorted(members):
            self._check(member, changes=True)
            numbers = affine if affine is not None and member == edge else self._numbers(member, name)
            model = fix(model, member, self.library[name], numbers)
        return self._next(f"fix {edge} {name}", model=model, shapes=self._shapes_without(members))

    def release(self, edge: Edge) -> Session:
        """The symbol on an edge as a curve again."""
        self._check(edge, changes=True)
        return self._next(f"release {edge}", model=release(self.model, edge, self.x))

    def remove(self, edge: Edge) -> Session:
        """The network without an edge."""
        self._check(edge, changes=True)
        gone = remove_edge(self.model, edge)
        return self._next(f"remove {edge}", model=gone, shapes=self._shapes_without({edge}))

    def lock(self, *edges: Edge) -> Session:
        """These edges keep function and numbers in all later steps."""
        for edge in edges:
            self._check(edge)
        return self._next(f"lock {_shown(edges)}", locked=self.locked | set(edges))

    def unlock(self, *edges: Edge) -> Session:
        """These edges may change again."""
        return self._next(f"unlock {_shown(edges)}", locked=self.locked - set(edges))

    def share(self, *edges: Edge) -> Session:
        """One function for all these edges: the one that explains them best together."""
        if len(set(edges)) < 2:
            raise ValueError("sharing takes at least two edges")
        scores: dict[str, float] = {}
        for n, edge in enumerate(edges):
            self._check(edge, changes=True)
            found = {c.fn.name: c.score for c in self.suggest(edge)}
            scores = {k: s + scores.get(k, 0.0) for k, s in found.items() if n == 0 or k in scores}
        if not scores:
            raise ValueError("no allowed function is defined on all of these edges")
        name = min(scores, key=lambda k: scores[k])
        group = frozenset(edges).union(*(g for g in self.shared if g & set(edges)))
        others = tuple(g for g in self.shared if not g & set(edges))
        together = replace(self, shared=(*others, group)).fix(edges[0], name)
        return replace(together, step=f"share {_shown(edges)}: {name}", before=self)

    def forbid(self, *names: str) -> Session:
        """These functions are no longer suggested nor put on edges; edges that carry one keep it."""
        unknown = [name for name in names if name not in self.library]
        if unknown:
            raise ValueError(
                f"{', '.join(map(repr, unknown))}: not in the library, which has {', '.join(self.library)}"
            )
        return self._next(f"forbid {', '.join(names)}", library=self.library - names)

    def shape(self, edge: Edge, shape: str) -> Session:
        """A curve that is "increasing", "convex", "even", ... (see `SHAPES`), now and after every fit."""
        self._check(edge, changes=True)
        if shape not in SHAPES:
            raise ValueError(f"there is no shape {shape!r}; there are {', '.join(SHAPES)}")
        return self._next(
            f"shape {edge} {shape}", model=shaped(self.model, edge, shape), shapes={**self.shapes, edge: shape}
        )

    def constrain(self, shape: str, *inputs: int) -> Session:
        """A function that is "increasing", "decreasing", "convex" or "concave" in some inputs, or in all of them.

        Now and after every fit, by shapes of edges that are enough for it: in the first layer the shape itself, beyond
        it rising ones.
        """
        shapes = edge_shapes(self.model, shape, inputs)
        for edge in shapes:
            self._check(edge, changes=True)
        together = replace(self, shapes={**self.shapes, **shapes})
        where = f" in inputs {', '.join(map(str, inputs))}" if inputs else ""
        return self._next(f"constrain {shape}{where}", model=together._constrained(self.model), shapes=together.shapes)

    def symmetric(self, p: int, q: int) -> Session:
        """A function in which two inputs can be exchanged, now and after every fit."""
        together = replace(self, symmetries=(*self.symmetries, (p, q)))
        model = together._constrained(self.model)
        return self._next(f"symmetric in inputs {p}, {q}", model=model, symmetries=together.symmetries)

    def fit(self, steps: int = 30) -> Session:
        """All numbers that are neither locked nor constrained learn by Levenberg-Marquardt; constrained ones before."""
        model = self._constrained(self._refitted(self.model, self.locked, steps))
        held = self._constrained_edges(model)
        if held:
            model = self._refitted(model, self.locked | held, steps)
        return self._next("fit", model=model)

    def formula(self, names: Sequence[str] | None = None) -> Formula:
        """The network as a formula, where every edge is a symbol or absent."""
        return formula(self.model, names)

    def __str__(self) -> str:
        return "\n".join([*self.history, f"error {self.error:.3g}"])

    def _next(self, step: str, **changes: object) -> Session:
        return replace(self, step=step, before=self, **changes)  # type: ignore[arg-type]

    def _refitted(self, model: KAN, held: Iterable[Edge], steps: int) -> KAN:
        model = copy.deepcopy(model)
        refit_(model, self.x, self.y, free=self._free(model, held), steps=steps)
        return model

    def _constrained(self, model: KAN) -> KAN:
        """The nearest model with the shapes and symmetries that were asked for; locked edges stay as they are."""
        for p, q in self.symmetries:
            model = symmetric(model, p, q)
        for edge, shape in self.shapes.items():
            model = shaped(model, edge, shape) if edge not in self.locked else model
        return model

    def _constrained_edges(self, model: KAN) -> set[Edge]:
        first = _layers(model)[0]
        inputs = {j for pair in self.symmetries for j in pair}
        return set(self.shapes) | {(0, j, i) for j in inputs for i in range(first.out_features)}

    def _sharing(self, edge: Edge) -> frozenset[Edge]:
        return next((group for group in self.shared if edge in group), frozenset([edge]))

    def _shapes_without(self, edges: Iterable[Edge]) -> dict[Edge, str]:
        """Shapes belong to curves: what becomes a symbol or disappears has none."""
        gone = set(edges)
        return {edge: shape for edge, shape in self.shapes.items() if edge not in gone}

    def _numbers(self, edge: Edge, name: str) -> tuple[float, float, float, float]:
        found = suggest(self.model, self.x, *edge, library=self.library.only(name))
        best = next((c for c in found if c.fn.name == name), None)
        if best is None:
            raise ValueError(f"{name!r} is not defined where edge {edge} is used; give its numbers as `affine`")
        return best.affine

    def _check(self, edge: Edge, *, changes: bool = False) -> None:
        layers = _layers(self.model)
        l, j, i = edge
        if not (0 <= l < len(layers) and 0 <= j < layers[l].in_features and 0 <= i < layers[l].out_features):
            raise ValueError(f"there is no edge {edge}; an edge is (layer, input, output)")
        if changes and edge in self.locked:
            raise ValueError(f"edge {edge} is locked; `unlock` it first")

    def _free(self, model: KAN, held: Iterable[Edge]) -> dict[str, Tensor]:
        """Which entries of which parameters may change: of edges that are there and not held, and of every bias."""
        free: dict[str, Tensor] = {}
        held = set(held)
        modules = {module: name for name, module in model.named_modules()}
        for l, layer in enumerate(_layers(model)):
            name = modules[layer]
            fixed = torch.zeros_like(layer.mask)
            for _, j, i in (edge for edge in held if edge[0] == l):
                fixed[j, i] = True
            free[f"{name}.coef"] = (layer.mask & ~fixed)[:, None].expand(layer.coef.shape)
            if layer.bias is not None:
                free[f"{name}.bias"] = torch.ones_like(layer.bias, dtype=torch.bool)
            symbols = layer.symbolic
            if symbols.affine is not None:
                rows = ~fixed[symbols.sources, symbols.targets]
                free[f"{name}.symbolic.affine"] = rows[:, None].expand(symbols.affine.shape)
        return free


def _layers(model: KAN) -> list[KANLinear]:
    return [cast(KANLinear, layer) for layer in model.layers if isinstance(layer, KANLinear)]


def _shown(edges: Iterable[Edge]) -> str:
    return ", ".join(map(str, edges))
