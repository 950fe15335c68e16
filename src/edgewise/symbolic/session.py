"""Edits a network step by step: every step returns a new session and keeps the previous one.

Functions are suggested, put on edges, shared between edges and released; edges are drawn, locked or given a shape;
nodes are removed, split or multiplied; inputs are left out or combined; all other parameters are refitted. Nothing is
changed in place, so that `undo` returns an earlier session.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from edgewise.expressions.formula import Formula
from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.nn.layers import EdgeKey, EdgeLike, kan_layers, owned
from edgewise.surgery import fix, prune, refine, release, remove_edge
from edgewise.symbolic.combined_inputs import CombinedInput, extended, in_columns
from edgewise.symbolic.edges import Candidate, suggest
from edgewise.symbolic.hand_drawn import drawn, pulled
from edgewise.symbolic.read import formula
from edgewise.symbolic.refit import refit_
from edgewise.symbolic.session_edges import (
    each,
    free_entries,
    key_of,
    layers_of,
    shapes_without,
    sharing,
    shown,
    twins,
)
from edgewise.symbolic.session_structure import (
    formulas_adopted,
    input_combined,
    inputs_excluded,
    node_multiplied,
    node_removed,
    node_split,
    unit_fault,
    units_given,
)
from edgewise.symbolic.shapes import SHAPES, edge_shapes, shaped, symmetric
from edgewise.tracing import edge_scores, trace

NEAR = 1e-2  # first damping of a refit: what the data leave free stays near the curves that the user sees


@dataclass(frozen=True, eq=False)
class Session:
    """A network with its data, the constraints on its edges, and the steps that led to it.

    Edges are given as an `EdgeKey` or a tuple (layer, source, target), and stored by the index of the layer.

    Attributes:
        model: the network as it is now.
        x: inputs.
        y: targets, of the shape of the model's output.
        library: the functions that are allowed.
        locked: edges that no step changes.
        shapes: the shape that an edge keeps, by edge.
        shared: groups of edges that carry one function, each with its own parameters.
        symmetries: pairs of inputs that can be exchanged.
        combined: the last inputs of the model, which are formulas of those before them; x has them too.
        units: units of data columns and outputs by their names.
        step: what made this session from the previous one.
        before: the previous session.

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
    locked: frozenset[EdgeKey] = frozenset()
    shapes: Mapping[EdgeKey, str] = field(default_factory=dict)
    shared: tuple[frozenset[EdgeKey], ...] = ()
    symmetries: tuple[tuple[int, int], ...] = ()
    combined: tuple[CombinedInput, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
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

    def suggest(self, edge: EdgeLike) -> tuple[Candidate, ...]:
        """The allowed functions that explain an edge, best first."""
        return suggest(self.model, self.x, edge, library=self.library)

    def fix(self, edge: EdgeLike, name: str, affine: Sequence[float] | None = None) -> Session:
        """The function of this name on an edge, and on all that share with it.

        Its parameters are fitted to the curve, unless `affine` gives them for this edge.
        """
        edge = key_of(self, edge, changes=True)
        if name not in self.library:
            raise ValueError(f"{name!r} is not allowed; the library has {', '.join(self.library)}")
        model, done = self.model, set[EdgeKey]()
        for member in [edge, *sorted(sharing(self, edge) - {edge})]:
            if member in done:
                continue
            numbers = affine if affine is not None and member == edge else self._numbers(member, name)
            for twin in sorted(twins(self, member)):
                model = fix(model, key_of(self, twin, changes=True), self.library[name], numbers)
                done.add(twin)
        return self._next(f"fix {shown(edge)} {name}", model=model, shapes=shapes_without(self, done))

    def release(self, edge: EdgeLike) -> Session:
        """The symbol on an edge as a curve again."""
        edge = key_of(self, edge, changes=True)
        model = each(self, edge, lambda m, twin: release(m, twin, self.x))
        return self._next(f"release {shown(edge)}", model=self._constrained(model))

    def draw(self, edge: EdgeLike, points: Sequence[tuple[float, float]]) -> Session:
        """A curve that follows these points (x, y) from the first to the last, and is elsewhere what it was."""
        edge = key_of(self, edge, changes=True)
        model = each(self, edge, lambda m, twin: drawn(m, twin, points))
        return self._next(f"draw {shown(edge)}", model=self._constrained(model))

    def pull(self, edge: EdgeLike, x: float, y: float) -> Session:
        """A curve that goes through the point (x, y), changed as little as its coefficients can be."""
        edge = key_of(self, edge, changes=True)
        model = each(self, edge, lambda m, twin: pulled(m, twin, x, y))
        return self._next(f"pull {shown(edge)} to ({x:.4g}, {y:.4g})", model=self._constrained(model))

    def remove(self, edge: EdgeLike) -> Session:
        """The network without an edge."""
        edge = key_of(self, edge, changes=True)
        gone = each(self, edge, remove_edge)
        return self._next(f"remove {shown(edge)}", model=gone, shapes=shapes_without(self, twins(self, edge)))

    def prune(self, least: float) -> Session:
        """The network without the edges whose score is at most this, and without hidden nodes that they leave useless.

        Locked edges stay, and with them the hidden nodes.
        """
        if not 0 <= least < 1:
            raise ValueError(f"scores are shares of the spread of the outputs: give one in [0, 1), not {least}")
        scores = edge_scores(trace(self.model, self.x))
        names = list(kan_layers(self.model))
        for l, j, i in self.locked:
            scores[names[cast(int, l)]][j, i] = 1 + least
        for p, q in self.symmetries:
            scores[names[0]][[p, q]] = scores[names[0]][[p, q]].amax(0)
        model = prune(self.model, scores, edge=least, node=-1.0 if self.locked else least)
        left = [owned(layer) for layer in layers_of(model)]
        if not all(edges.any() for edges in left):
            raise ValueError(f"pruning at {least:.3g} leaves a layer without edges; prune at a smaller score")
        gone = {edge for edge in self.shapes if not left[cast(int, edge[0])][edge[1], edge[2]]}
        return self._next(f"prune {least:.3g}", model=model, shapes=shapes_without(self, gone))

    def remove_node(self, layer: int, node: int) -> Session:
        """The network without the edges into and out of a hidden node, which the KAN layer of this index feeds."""
        return self._next(*node_removed(self, layer, node))

    def split_node(self, layer: int, node: int) -> Session:
        """The same function with a hidden sum twice, one carrying three quarters; a fit makes them differ."""
        return self._next(*node_split(self, layer, node))

    def multiply_node(self, layer: int, node: int) -> Session:
        """The same function with a further factor of a hidden node, which is 1 until a fit changes it."""
        return self._next(*node_multiplied(self, layer, node))

    def exclude(self, *inputs: int) -> Session:
        """A function that does not depend on these inputs: all their edges are removed."""
        return self._next(*inputs_excluded(self, inputs))

    def combine(self, formula: str, name: str | None = None) -> Session:
        """The same function with one input more, which is a formula of the others, such as "x1*x2" or "x1 - x2".

        Its curves are zero until a fit changes them. On new rows the model reads `extended(x)`.

        Args:
            formula: in plain notation, as `edgewise.expressions.parse_formula` reads it.
            name: of the new input; the formula by default.
        """
        return self._next(*input_combined(self, formula, name))

    def extended(self, x: Tensor) -> Tensor:
        """New rows of the data's columns with the combined inputs after them, as the model reads them."""
        return extended(x, self.combined)

    def adopt(self, *expressions: str) -> Session:
        """The network that computes these formulas of the data's columns, one per output, every edge a symbol.

        Locks, shapes, symmetries and combined inputs end, for they are about edges that are gone.
        """
        return self._next(*formulas_adopted(self, expressions))

    def measure(self, units: Mapping[str, str]) -> Session:
        """The session with units of data columns and outputs, such as {"length": "m"}, by which `misfit` judges."""
        return self._next(*units_given(self, units))

    def misfit(self) -> str:
        """Where the dimensions of the formula do not fit together; empty where they do, or where units are missing."""
        return unit_fault(self)

    def refine(self, intervals: int) -> Session:
        """The same curves on grids of so many intervals; exactly the same where it is a multiple of the number now."""
        if intervals < 1:
            raise ValueError(f"a grid has at least one interval, not {intervals}")
        return self._next(f"refine {intervals}", model=refine(self.model, intervals))

    def lock(self, *edges: EdgeLike) -> Session:
        """These edges keep their function and parameters in all later steps."""
        keys = [key_of(self, edge) for edge in edges]
        return self._next(f"lock {shown(*keys)}", locked=self.locked | set(keys))

    def unlock(self, *edges: EdgeLike) -> Session:
        """These edges may change again."""
        keys = [key_of(self, edge) for edge in edges]
        return self._next(f"unlock {shown(*keys)}", locked=self.locked - set(keys))

    def share(self, *edges: EdgeLike) -> Session:
        """One function for all these edges: the one that explains them best together."""
        keys = [key_of(self, edge, changes=True) for edge in edges]
        if len(set(keys)) < 2:
            raise ValueError("sharing takes at least two edges")
        scores: dict[str, float] = {}
        for n, key in enumerate(keys):
            found = {c.fn.name: c.score for c in self.suggest(key)}
            scores = {k: s + scores.get(k, 0.0) for k, s in found.items() if n == 0 or k in scores}
        if not scores:
            raise ValueError("no allowed function is defined on all of these edges")
        name = min(scores, key=lambda k: scores[k])
        group = frozenset(keys).union(*(g for g in self.shared if g & set(keys)))
        others = tuple(g for g in self.shared if not g & set(keys))
        together = replace(self, shared=(*others, group)).fix(keys[0], name)
        return replace(together, step=f"share {shown(*keys)}: {name}", before=self)

    def forbid(self, *names: str) -> Session:
        """These functions are no longer suggested or put on edges; edges that carry one keep it."""
        unknown = [name for name in names if name not in self.library]
        if unknown:
            raise ValueError(
                f"{', '.join(map(repr, unknown))}: not in the library, which has {', '.join(self.library)}"
            )
        return self._next(f"forbid {', '.join(names)}", library=self.library - names)

    def shape(self, edge: EdgeLike, shape: str) -> Session:
        """A curve that is "increasing", "convex", "even", ... (see `SHAPES`), now and after every fit."""
        edge = key_of(self, edge, changes=True)
        if shape not in SHAPES:
            raise ValueError(f"there is no shape {shape!r}; there are {', '.join(SHAPES)}")
        model = each(self, edge, lambda m, twin: shaped(m, twin, shape))
        shapes = {**self.shapes, **dict.fromkeys(twins(self, edge), shape)}
        return self._next(f"shape {shown(edge)} {shape}", model=model, shapes=shapes)

    def constrain(self, shape: str, *inputs: int) -> Session:
        """A function that is "increasing", "decreasing", "convex" or "concave" in some inputs, or in all of them.

        Now and after every fit, by shapes of edges that are sufficient: the shape itself in the first layer,
        increasing ones after it.
        """
        shapes = edge_shapes(self.model, shape, inputs)
        for edge in shapes:
            key_of(self, edge, changes=True)
        together = replace(self, shapes={**self.shapes, **shapes})
        where = f" in inputs {', '.join(map(str, inputs))}" if inputs else ""
        return self._next(f"constrain {shape}{where}", model=together._constrained(self.model), shapes=together.shapes)

    def symmetric(self, p: int, q: int) -> Session:
        """A function in which two inputs can be exchanged, now and after every fit."""
        for more in self.combined:
            if more.changes_with(p, q):
                raise ValueError(f"the input {more.name!r} changes where inputs {p} and {q} are exchanged")
        together = replace(self, symmetries=(*self.symmetries, (p, q)))
        model = together._constrained(self.model)
        return self._next(f"symmetric in inputs {p}, {q}", model=model, symmetries=together.symmetries)

    def fit(self, steps: int = 30, *, tick: Callable[[], None] = lambda: None) -> Session:
        """Levenberg-Marquardt on all parameters that are not locked; shapes and symmetries hold afterwards.

        `tick` is called before every evaluation; what it raises ends the fit.
        """
        model = self._constrained(self._refitted(self.model, self.locked, steps, tick))
        held = self._constrained_edges(model)
        if held:
            model = self._refitted(model, self.locked | held, steps, tick)
        return self._next("fit", model=model)

    def formula(self, names: Sequence[str] | None = None) -> Formula:
        """The network as a formula of the data's columns, where every edge is a symbol or absent."""
        if names is not None and self.combined and len(names) < self.x.shape[1]:
            names = [*names, *(more.name for more in self.combined)]
        return in_columns(formula(self.model, names), self.combined)

    def __str__(self) -> str:
        return "\n".join([*self.history, f"error {self.error:.3g}"])

    def _next(self, step: str, changes: Mapping[str, object] | None = None, **more: object) -> Session:
        return replace(self, step=step, before=self, **(changes or {}), **more)  # type: ignore[arg-type]

    def _refitted(self, model: KAN, held: Iterable[EdgeKey], steps: int, tick: Callable[[], None]) -> KAN:
        model = copy.deepcopy(model)
        refit_(model, self.x, self.y, free=free_entries(model, held), steps=steps, mu=NEAR, tick=tick)
        return model

    def _constrained(self, model: KAN) -> KAN:
        """The nearest model with the requested shapes and symmetries; locked edges do not change."""
        for p, q in self.symmetries:
            model = symmetric(model, p, q)
        for edge, shape in self.shapes.items():
            model = shaped(model, edge, shape) if edge not in self.locked else model
        return model

    def _constrained_edges(self, model: KAN) -> set[EdgeKey]:
        first = layers_of(model)[0]
        inputs = {j for pair in self.symmetries for j in pair}
        return set(self.shapes) | {EdgeKey(0, j, i) for j in inputs for i in range(first.out_features)}

    def _numbers(self, edge: EdgeKey, name: str) -> tuple[float, float, float, float]:
        found = suggest(self.model, self.x, edge, library=self.library.only(name))
        best = next((c for c in found if c.fn.name == name), None)
        if best is None:
            raise ValueError(
                f"{name!r} is not defined on the range of edge {shown(edge)}; give its parameters as `affine`"
            )
        return best.affine
