r"""Searches sums of power laws, $y = \sum_k c_k \prod_j x_j^{p_{jk}}$, with exponents that one would write down.

All products of a few inputs with exponents of a short list are candidates. Terms are added one by one, and each is
exchanged for a better candidate for as long as the description gets shorter: half the rows times the logarithm of the
sum of squares, and the bits of the terms (Rissanen 1978). Dimensionless groups, such as $\sqrt{L/g}$, need no search of
their own: they are products with such exponents.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.discovery.free_exponents import freed
from edgewise.discovery.goal import Goal
from edgewise.discovery.noise import noise_kind, scale_of, unexplained
from edgewise.discovery.rows import Table
from edgewise.functional import least_squares

EXPONENTS: dict[Fraction, float] = {
    Fraction(0): 0.0,
    Fraction(1): 8.0,
    Fraction(-1): 9.0,
    Fraction(2): 9.0,
    Fraction(-2): 10.0,
    Fraction(1, 2): 10.0,
    Fraction(-1, 2): 10.0,
    Fraction(3): 14.0,
    Fraction(-3): 15.0,
    Fraction(3, 2): 14.0,
    Fraction(-3, 2): 14.0,
    Fraction(4): 16.0,
}
"""The bits of an input with each exponent: one among thousands of products is good by chance, so that inputs cost."""

LEVEL = 6.0
"""The bits of a constant term."""

MOST_HALVES = int(2 * max(map(abs, EXPONENTS)))

COMMON = tuple(p for p in EXPONENTS if EXPONENTS[p] <= 14.0 and p.denominator * abs(p.numerator) < 5 and p != -3)
"""The exponents of tables with many inputs."""

TOGETHER = 4
"""The most inputs in one candidate, but for the power law that logarithms show."""

MOST_PRODUCTS = 4200
"""The most candidates; with more inputs fewer of them meet in one product."""

ROWS = 600
"""Rows that terms are selected with."""

MOST_TERMS = 4
"""The most terms of a sum: more are a polynomial, which other generators propose."""

FIRSTS = 200
"""The single terms that pairs begin with."""

NEAR, CLOSE = 2, 6.0
"""Terms that may take the place of one, and the bits that they may be worse by: names of constants then decide."""

CERTAINLY = 1e-9
"""With so small a probability of chance, what a sum leaves is another form, and the sum is not proposed."""

ROUNDING = 1e-9
"""A relative error below this is rounding."""

MOST_FREED = 3
"""The most terms of a sum whose exponents are freed."""

KEPT = 0.5
"""A sum is proposed where it leaves less than this share of the standard deviation of y."""

Terms = tuple[int, ...]


def power_sums(goal: Goal, *, complete: bool = True) -> Iterator[Any]:
    """The sums with the shortest descriptions for noise of every kind, as expressions of the inputs, each once.

    Args:
        goal: of the search.
        complete: leave out sums that certainly only come near a law of another form.
    """
    table = goal.samples.head(ROWS)
    inputs = sorted({*goal.varying, *goal.needless})  # an input of little effect is in a correction, or in no term
    if not inputs:
        return
    products = PowerProducts.of(table, inputs)
    goal.pulse("sums of power laws")
    size = torch.ones_like(table.y)
    sums = products.selected(table.y, size)
    for _ in range(2):  # the noise of the sum that is found shows the weights to select with
        if not sums:
            return
        value = products.value(sums[0], table.y, size)
        kind = noise_kind(value, table.y)
        new = scale_of(value, kind) if (value != 0).all() else size
        if torch.equal(new, size):
            break
        size = new
        sums = products.selected(table.y, size)
    x = goal.straightened(table.x)

    def is_other(value: Tensor) -> bool:
        """Whether what is left is certainly another form: these terms only come near."""
        if not complete:
            return False
        rest = table.y - value
        noisy = rest.square().mean() > (ROUNDING * table.y.std()) ** 2
        return bool(noisy) and unexplained(x, rest / size, CERTAINLY)

    laws = [products.freed(s, table, size) for s in _shortest_of_each_length(sums)]
    found = [law for law in laws if law is not None and not is_other(table.values(law)[:, 0])]
    if not is_other(products.value(sums[0], table.y, size)):
        shorter = [s for s in sums if len(s) < len(sums[0])]
        near = [s for s in sums if len(s) == len(sums[0])]
        found += [products.expression(s, table.y, size) for s in [*near[: 1 + NEAR], *shorter[:1]]]
    yield from found


def _shortest_of_each_length(sums: Sequence[Terms]) -> list[Terms]:
    first: dict[int, Terms] = {}
    for terms in sums:
        first.setdefault(len(terms), terms)
    return [first[n] for n in sorted(first) if n <= MOST_FREED]


@dataclass(frozen=True)
class PowerProducts:
    """Candidates: the inputs with their columns; of every product the exponents, the values and the bits."""

    symbols: tuple[Any, ...]
    columns: list[int]
    exponents: tuple[tuple[Fraction, ...], ...]
    values: Float[Tensor, "rows products"]
    bits: Float[Tensor, " products"]

    @classmethod
    def of(cls, table: Table, inputs: list[int]) -> PowerProducts:
        """All products of inputs that are finite at all rows, of so many inputs at once as there is room for."""
        x = table.x[:, inputs]
        lists, together = _lists([_allowed(u) for u in x.T])
        exponents = [
            tuple(chosen[some.index(k)] if k in some else Fraction(0) for k in range(len(inputs)))
            for n in range(together + 1)
            for some in itertools.combinations(range(len(inputs)), n)
            for chosen in itertools.product(*(lists[k][1:] for k in some))
        ]
        exponents += [row for row in _of_logarithms(x, table.y) if row not in exponents]
        halves = torch.tensor([[int(2 * p) for p in row] for row in exponents])
        bits = [sum(EXPONENTS[p] for p in row) or LEVEL for row in exponents]
        powers = [{h: u ** (h / 2) for h in set(column)} for u, column in zip(x.T, halves.T.tolist(), strict=True)]
        values = torch.ones(len(exponents), len(x), dtype=x.dtype)
        for table_of, column in zip(powers, halves.T.tolist(), strict=True):
            values *= torch.stack([table_of[h] for h in column])
        values = values.T
        good = torch.isfinite(values).all(0) & (values.abs().amax(0) > 0)
        kept = good.nonzero()[:, 0].tolist()
        return cls(
            tuple(table.inputs[j] for j in inputs),
            inputs,
            tuple(exponents[k] for k in kept),
            values[:, kept],
            torch.tensor([bits[k] for k in kept], dtype=torch.float64),
        )

    def selected(self, y: Float[Tensor, " rows"], size: Float[Tensor, " rows"]) -> list[Terms]:
        """The sums that explain most of y, the one with the shortest description first."""
        A, z = self.values / size[:, None], y / size
        A = A / A.square().mean(0).sqrt().clamp_min(1e-300)
        found: dict[Terms, float] = {}
        terms: Terms = ()
        for count in range(MOST_TERMS):
            start = self._best_pair(A, z) if count == 1 else (*terms, self._best(A, z, terms)[0])
            terms, cost = self._improved(A, z, start)
            if found and not cost < min(found.values()):
                break
            found[tuple(sorted(terms))] = cost
            terms = tuple(sorted(terms))
        spread = ((y - y.mean()) / size).square().mean().sqrt()
        best = min(found, key=lambda t: found[t])
        found |= self._near(A, z, best, found[best])
        good = {t: cost for t, cost in found.items() if _left(A[:, t], z) < KEPT * spread}
        return sorted(good, key=lambda t: good[t])

    def value(self, terms: Terms, y: Tensor, size: Tensor) -> Float[Tensor, " rows"]:
        """The least-squares sum at every row."""
        return self.values[:, terms] @ self._coefficients(terms, y, size)

    def freed(self, terms: Terms, table: Table, size: Tensor) -> Any:
        """The sum with free exponents, where these explain more."""
        exponents = self._halves[list(terms)].double() / 2
        return freed(self.symbols, exponents, table.x[:, self.columns], table.y, size)

    def expression(self, terms: Terms, y: Tensor, size: Tensor) -> Any:
        """The least-squares sum with its largest term in front, where that is a factor of the others."""
        c = self._coefficients(terms, y, size)
        reach = (self.values[:, terms] * c).square().mean(0).sqrt()
        order = reach.argsort(descending=True).tolist()
        products = [self._product(self.exponents[terms[k]]) for k in order]
        numbers = [sympy.Float(c[k].item(), 17) for k in order]
        return sympy.Add(*(n * p for n, p in zip(numbers, products, strict=True)))

    @cached_property
    def _halves(self) -> Int[Tensor, "products inputs"]:
        """Twice the exponents, which are whole numbers."""
        return torch.tensor([[int(2 * p) for p in row] for row in self.exponents])

    def _product(self, row: tuple[Fraction, ...]) -> Any:
        powers = (s ** sympy.Rational(p.numerator, p.denominator) for s, p in zip(self.symbols, row, strict=True))
        return sympy.Mul(*powers)

    def _coefficients(self, terms: Terms, y: Tensor, size: Tensor) -> Float[Tensor, " terms"]:
        A = self.values[:, terms] / size[:, None]
        scale = A.square().mean(0).sqrt()
        return least_squares(A / scale, (y / size)[:, None])[:, 0] / scale

    def _improved(self, A: Tensor, z: Tensor, terms: Terms) -> tuple[Terms, float]:
        """The terms, each exchanged for a better one as long as that makes the description shorter."""
        cost = math.inf
        while True:
            best, least = terms, cost
            for k in range(len(terms)):
                others = (*terms[:k], *terms[k + 1 :])
                new, total = self._best(A, z, others)
                if total < least - 1e-9:
                    best, least = (*others, new), total
            if best == terms and cost < math.inf:
                return terms, cost
            if not least < cost:
                return terms, cost
            terms, cost = best, least

    def _near(self, A: Tensor, z: Tensor, terms: Terms, cost: float) -> dict[Terms, float]:
        """The sums with one term exchanged that the rows do not tell from this one."""
        near: dict[Terms, float] = {}
        for k in range(len(terms)):
            others = (*terms[:k], *terms[k + 1 :])
            bits = self._bits(A, z, others)
            for new in bits.topk(min(NEAR + 1, len(bits)), largest=False).indices.tolist():
                if new != terms[k] and bits[new] < cost + CLOSE:
                    near[tuple(sorted((*others, new)))] = bits[new].item()
        return near

    def _best_pair(self, A: Tensor, z: Tensor) -> Terms:
        """The best of the pairs of a good single term and any other; pairs found one by one are often neither."""
        n, b = len(z), A.T @ z
        firsts = self._bits(A, z, ()).topk(min(FIRSTS, A.shape[1]), largest=False).indices
        g = A[:, firsts].T @ A
        p, q = b[firsts][:, None], b
        energy = n * n - g.square()
        gain = (n * p.square() + n * q.square() - 2 * p * q * g) / energy.clamp_min(1e-300)
        left = (z.square().sum() - gain).clamp_min(1e-26 * z.square().sum())
        beside = torch.stack([torch.minimum(self.bits, self._corrections(k)) for k in firsts.tolist()])
        bits = 0.5 * n * left.log2() + self.bits[firsts][:, None] + beside
        k = int(torch.where(energy > 1e-8 * n * n, bits, torch.inf).argmin())
        return int(firsts[k // A.shape[1]]), k % A.shape[1]

    def _best(self, A: Tensor, z: Tensor, others: Terms) -> tuple[int, float]:
        """The candidate that makes the shortest description with the other terms, and its bits."""
        bits = self._bits(A, z, others)
        k = int(bits.argmin())
        return k, bits[k].item()

    def _bits(self, A: Tensor, z: Tensor, others: Terms) -> Float[Tensor, " products"]:
        """The description with the other terms and every candidate; infinite where it depends on the others."""
        n = len(z)
        q = torch.linalg.qr(A[:, others]).Q if others else A[:, :0]
        rest = z - q @ (q.T @ z)
        energy = n - (q.T @ A).square().sum(0)  # all columns have the size n
        usable = energy > 1e-8 * n
        gain = torch.where(usable, (rest @ A).square() / energy.clamp_min(1e-300), 0.0)
        left = (rest.square().sum() - gain).clamp_min(1e-26 * z.square().sum())
        bits = 0.5 * n * left.log2() + self._length(others) + 0.5 * math.log2(n) * (1 + len(others))
        return torch.where(usable, bits, torch.inf)

    def _length(self, others: Terms) -> Float[Tensor, " products"]:
        """The bits of the others and of every candidate beside them, the shorter of two ways to write each.

        A term is written by its exponents, or by those that it has more than the leading term: as a correction of it.
        """
        if not others:
            return self.bits
        options = []
        for lead in others:
            beside = torch.minimum(self.bits, self._corrections(lead))
            rest = [k for k in others if k != lead]
            options.append(self.bits[lead] + beside[rest].sum() + beside)
        return torch.stack(options).amin(0)

    def _corrections(self, lead: int) -> Float[Tensor, " products"]:
        """The bits of every product as a factor of the leading one."""
        table = torch.full((4 * MOST_HALVES + 1,), torch.inf, dtype=torch.float64)
        for p, bits in EXPONENTS.items():
            table[int(2 * p) + 2 * MOST_HALVES] = bits
        more = self._halves - self._halves[lead]
        return 1.0 + table[more + 2 * MOST_HALVES].sum(-1)


def _left(A: Tensor, z: Tensor) -> Float[Tensor, ""]:
    return (z - A @ least_squares(A, z[:, None])[:, 0]).square().mean().sqrt()


def _allowed(u: Float[Tensor, " rows"]) -> list[Fraction]:
    """The exponents, zero first, with which an input is finite and real at all rows."""
    positive, nonzero = bool((u > 0).all()), bool((u > 0).all() or (u < 0).all())
    return [p for p in EXPONENTS if (positive or p.denominator == 1) and (nonzero or p >= 0)]


def _lists(lists: list[list[Fraction]]) -> tuple[list[list[Fraction]], int]:
    """The exponents of every input and how many inputs meet in one product, as there is room for."""
    short = [[p for p in allowed if p in COMMON] for allowed in lists]
    for together in range(min(len(lists), TOGETHER), 0, -1):
        for some in (lists, short):
            if _count(some, together) <= MOST_PRODUCTS:
                return some, together
    return short, 1


def _count(lists: list[list[Fraction]], together: int) -> int:
    """The number of products of at most so many inputs."""
    counts = [1] + [0] * together
    for allowed in lists:
        counts = [c + (counts[n - 1] * (len(allowed) - 1) if n else 0) for n, c in enumerate(counts)]
    return sum(counts)


def _of_logarithms(x: Float[Tensor, "rows inputs"], y: Float[Tensor, " rows"]) -> Iterator[tuple[Fraction, ...]]:
    """The power law that is linear in logarithms with its exponents rounded to halves, where all are positive."""
    if not (x > 0).all() or not ((y > 0).all() or (y < 0).all()):
        return
    A = torch.cat([torch.ones_like(y)[:, None], x.log()], -1)
    halves = (2 * least_squares(A, y.abs().log()[:, None])[1:, 0]).round().tolist()
    row = tuple(Fraction(int(h), 2) for h in halves)
    if all(p in EXPONENTS for p in row):
        yield row
