r"""Writes a formula as the network that computes it exactly: the inverse of `formula`.

Every sum in the expression becomes a node, every function of a sum an edge, every product a multiplication node. A term
that the library cannot express is an error that names it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from edgewise.bases import Basis, BSpline
from edgewise.expressions.parse import parse_formula
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, Library, ProductNodes, SymbolicEdges, SymbolicFn


def from_formula(
    expressions: sympy.Expr | str | Iterable[sympy.Expr | str],
    variables: Sequence[sympy.Symbol | str],
    *,
    library: Library = DEFAULT_LIBRARY,
    basis: Basis | None = None,
    output_names: Sequence[str] | None = None,
) -> KAN:
    """The KAN that computes the expressions exactly, in float64, every edge a symbol or absent.

    It can be widened, released to curves and trained like any other network.

    Args:
        expressions: one, or one per output; a text is read by `edgewise.expressions.parse_formula`.
        variables: the inputs, in order, as symbols or by name. A symbol of that name in an expression is the input,
            whatever it is assumed to be.
        library: functions that an edge may carry.
        basis: of the curves that `release` makes of edges.
        output_names: names of the outputs.

    Raises:
        ValueError: naming the term that the library cannot express.
    """
    given = [expressions] if isinstance(expressions, sympy.Expr | str) else list(expressions)
    symbols = [sympy.Symbol(v, real=True) if isinstance(v, str) else v for v in variables]
    outputs = [_of_edges(parse_formula(e, symbols) if isinstance(e, str) else _renamed(e, symbols)) for e in given]
    if not outputs or not symbols:
        raise ValueError("from_formula needs at least one expression and one variable")
    unknown = set().union(*(e.free_symbols for e in outputs)) - set(symbols)
    if unknown:
        raise ValueError(f"{', '.join(sorted(map(str, unknown)))}: not among the variables {list(map(str, symbols))}")
    builder = _Builder(library, BSpline() if basis is None else basis)
    return KAN.assemble(
        builder.layers(outputs, symbols),
        input_names=[str(v) for v in symbols],
        output_names=output_names,
    )


def _renamed(e: Any, symbols: Sequence[sympy.Symbol]) -> Any:
    """The expression with these symbols in place of others of the same name: sympy tells `a` from a real `a`."""
    expression, named = sympy.Add(e), {symbol.name: symbol for symbol in symbols}
    own = [s for s in expression.free_symbols if isinstance(s, sympy.Symbol) and s.name in named]
    return expression.xreplace({s: named[s.name] for s in own})


def _of_edges(e: Any) -> Any:
    """Larger, smaller and step by |u| and sign(u), functions of one variable."""
    return e.rewrite([sympy.Max, sympy.Min], sympy.Abs).rewrite(sympy.Heaviside, sympy.sign)


@dataclass(frozen=True)
class _Edge:
    r"""One term $\gamma f(\alpha u + \beta)$ of a sum, u the value of a node."""

    fn: SymbolicFn
    alpha: float
    beta: float
    gamma: float
    source: Any


@dataclass(frozen=True)
class _Sum:
    constant: float
    edges: tuple[_Edge, ...]


class _Builder:
    """Turns expressions into layers; a node is known by its sympy expression."""

    def __init__(self, library: Library, basis: Basis) -> None:
        self.basis = basis
        u = sympy.Dummy("u", real=True)
        self.functions: dict[Any, SymbolicFn] = {}
        self.powers: dict[Any, SymbolicFn] = {}
        for fn in library.values():
            form = fn.sympy(u)
            if form == u:
                self.identity = fn
            elif form.is_Pow and form.args[0] == u:
                self.powers.setdefault(form.args[1], fn)
            elif isinstance(form, sympy.Function) and form.args == (u,):
                self.functions.setdefault(form.func, fn)
        if not hasattr(self, "identity"):
            raise ValueError("the library has no function x, which carries values from layer to layer")
        self.depths: dict[Any, int] = {}

    def layers(self, outputs: list[Any], variables: list[Any]) -> list[KANLinear | ProductNodes]:
        """The layers from the inputs to the outputs."""
        ends = [self.separate(self.terms(e)) for e in outputs]
        depth = 1 + max((self.depth(edge.source) for end in ends for edge in end.edges), default=0)
        levels: list[list[Any]] = [[] for _ in range(depth)]
        wanted = [edge.source for end in ends for edge in end.edges]
        for level in range(depth - 1, 0, -1):
            nodes = list(dict.fromkeys(wanted))
            levels[level] = sorted(nodes, key=lambda e: self.depth(e) == level and len(self.feeds(e)) > 1)
            wanted = []
            for e in levels[level]:
                if self.depth(e) < level:
                    wanted.append(e)
                else:
                    wanted += [edge.source for feed in self.feeds(e) for edge in feed.edges]
        levels[0] = variables
        result: list[KANLinear | ProductNodes] = []
        for level in range(1, depth):
            feeds: list[_Sum] = []
            arities: list[int] = []
            for e in levels[level]:
                if self.depth(e) < level:
                    feeds.append(_Sum(0.0, (_Edge(self.identity, 1.0, 0.0, 1.0, e),)))
                else:
                    feeds += self.feeds(e)
                    if len(self.feeds(e)) > 1:
                        arities.append(len(self.feeds(e)))
            result.append(self.layer(levels[level - 1], feeds))
            if arities:
                result.append(ProductNodes(len(levels[level]) - len(arities), tuple(arities)))
        return [*result, self.layer(levels[depth - 1], ends)]

    def layer(self, sources: list[Any], feeds: list[_Sum]) -> KANLinear:
        """One layer of symbols from the nodes to the sums."""
        place = {e: j for j, e in enumerate(sources)}
        edges = [(place[edge.source], i, edge) for i, feed in enumerate(feeds) for edge in feed.edges]
        symbols = SymbolicEdges.empty()
        if edges:
            symbols = SymbolicEdges(
                [edge.fn for _, _, edge in edges],
                torch.tensor([j for j, _, _ in edges]),
                torch.tensor([i for _, i, _ in edges]),
                torch.tensor([[e.alpha, e.beta, e.gamma, 0.0] for _, _, e in edges], dtype=torch.float64),
            )
        return KANLinear.assemble(
            self.basis,
            None,
            coef=torch.zeros(len(sources), self.basis.size, len(feeds), dtype=torch.float64),
            grid=self.basis.init_grid(len(sources), dtype=torch.float64),
            mask=torch.zeros(len(sources), len(feeds), dtype=torch.bool),
            bias=torch.tensor([feed.constant for feed in feeds], dtype=torch.float64),
            symbolic=symbols,
        )

    def depth(self, e: Any) -> int:
        """The layer after which the value of a node is known."""
        if e.is_Symbol:
            return 0
        if e not in self.depths:
            sources = [edge.source for feed in self.feeds(e) for edge in feed.edges]
            self.depths[e] = 1 + max(map(self.depth, sources))
        return self.depths[e]

    def feeds(self, e: Any) -> list[_Sum]:
        """The sums that make a node: one, or the factors of a product."""
        factors = _factors(e)
        if len(factors) < 2:
            return [self.separate(self.terms(e))]
        return [self.separate(self.terms(f)) for f in factors]

    def terms(self, e: Any) -> _Sum:
        """An expression as a constant and edges; a product is an edge from its own node."""
        if e.is_number:
            return _Sum(_real(e), ())
        if e.is_Add:
            parts = [self.terms(part) for part in e.args]
            return _Sum(sum(p.constant for p in parts), tuple(edge for p in parts for edge in p.edges))
        scale, rest = e.as_coeff_Mul()
        numbers, varying = _split_numbers(rest)
        scale = _real(scale * numbers)
        if len(_factors(varying)) > 1 or varying.is_Symbol:
            return _Sum(0.0, (_Edge(self.identity, 1.0, 0.0, scale, varying),))
        if varying.is_Add:
            inner = self.terms(varying)
            return _Sum(scale * inner.constant, tuple(_scaled(edge, scale) for edge in inner.edges))
        return _Sum(0.0, (_scaled(self.edge(varying), scale),))

    def edge(self, e: Any) -> _Edge:
        """A function of a node."""
        fn, argument = self.function(e)
        beta, rest = argument.as_coeff_Add()
        if not beta.is_number or beta == 0:
            numbers = [t for t in sympy.Add.make_args(argument) if t.is_number]
            beta = sympy.Add(*numbers)
            rest = argument - beta
        alpha, node = _split_numbers(rest)
        return _Edge(fn, _real(alpha), _real(beta), 1.0, node)

    def function(self, e: Any) -> tuple[SymbolicFn, Any]:
        """The library function and its argument."""
        if e.is_Pow and not isinstance(e, sympy.exp):
            base, exponent = e.args
            if exponent in self.powers:
                return self.powers[exponent], base
            if base.is_number and base.is_positive and sympy.exp in self.functions:
                return self.functions[sympy.exp], exponent * sympy.log(base)
            rational = sympy.nsimplify(exponent) if exponent.is_Float else exponent
            if rational in self.powers:
                return self.powers[rational], base
        elif e.func in self.functions and len(e.args) == 1:
            return self.functions[e.func], e.args[0]
        raise ValueError(
            f"the term {e} has no function in the library; add one with `library | SymbolicFn(...)`, "
            "or rewrite the expression"
        )

    def separate(self, total: _Sum) -> _Sum:
        """One edge per node: a second function of the same node gets a node of its own."""
        seen: dict[Any, _Edge] = {}
        for edge in total.edges:
            if edge.source in seen and edge.fn is self.identity and seen[edge.source].fn is self.identity:
                old = seen[edge.source]
                seen[edge.source] = _Edge(self.identity, 1.0, 0.0, old.gamma + edge.gamma, edge.source)
            elif edge.source in seen:
                u = edge.fn.sympy(_exact(edge.alpha) * edge.source + _exact(edge.beta))
                seen[u] = _Edge(self.identity, 1.0, 0.0, edge.gamma, u)
            else:
                seen[edge.source] = edge
        return _Sum(total.constant, tuple(seen.values()))


def _factors(e: Any) -> list[Any]:
    """The factors that vary, constants multiplied into the first."""
    if not e.is_Mul:
        return [e]
    numbers, _ = _split_numbers(e)
    varying = [f for f in e.args if not f.is_number]
    return [numbers * varying[0], *varying[1:]] if len(varying) > 1 else [e]


def _split_numbers(e: Any) -> tuple[Any, Any]:
    """The product of the numeric factors, and the rest."""
    numbers = [f for f in sympy.Mul.make_args(e) if f.is_number]
    varying = [f for f in sympy.Mul.make_args(e) if not f.is_number]
    return sympy.Mul(*numbers), sympy.Mul(*varying)


def _scaled(edge: _Edge, scale: float) -> _Edge:
    return _Edge(edge.fn, edge.alpha, edge.beta, edge.gamma * scale, edge.source)


def _exact(value: float) -> Any:
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)


def _real(e: Any) -> float:
    value = complex(sympy.Add(e).evalf(20))
    if value.imag != 0 or not math.isfinite(value.real):
        raise ValueError(f"the number {e} is not real and finite")
    return value.real
