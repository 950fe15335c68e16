"""Tables of known relations, each by name, and tables of independent columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Columns = dict[str, Array]


@dataclass(frozen=True)
class BoundTable:
    """A table whose relations are known.

    Attributes:
        draw: (generator, rows) to the columns.
        relations: the least sets, columns separated by blanks.
        exact: whether the relations are laws without noise, to be read as exact formulas.
        named: whether the issue or the paper names the table, so that the method was developed with it in view.
    """

    draw: Callable[[np.random.Generator, int], Columns]
    relations: tuple[str, ...]
    exact: bool = True
    named: bool = False


def _toy(r: np.random.Generator, n: int) -> Columns:
    x1, x2, x4, x6 = r.uniform(-1, 1, (4, n))
    return {"x1": x1, "x2": x2, "x3": np.exp(np.sin(np.pi * x1) + x2**2), "x4": x4, "x5": x4**3, "x6": x6}


def _gas(r: np.random.Generator, n: int) -> Columns:
    V, m, T = r.uniform(1, 3, n), r.uniform(0.5, 2, n), r.uniform(250, 400, n)
    return {"P": 8.314 * m * T / V, "V": V, "n": m, "T": T}


def _circle(r: np.random.Generator, n: int) -> Columns:
    t = r.uniform(0, 2 * np.pi, n)
    return {"x": np.cos(t), "y": np.sin(t)}


def _lens(r: np.random.Generator, n: int) -> Columns:
    a, b = r.uniform(1, 4, (2, n))
    return {"a": a, "b": b, "f": 1 / (1 / a + 1 / b)}


def _pythagoras(r: np.random.Generator, n: int) -> Columns:
    a, b = r.uniform(1, 4, (2, n))
    return {"a": a, "b": b, "c": np.hypot(a, b)}


def _saddle(r: np.random.Generator, n: int) -> Columns:
    x, z = r.uniform(1, 3, n), r.uniform(-1, 1, n)
    return {"x": x, "y": (3 - z**2) / x, "z": z}


def _pendulum(r: np.random.Generator, n: int) -> Columns:
    theta, energy = r.uniform(-1, 1, n), r.uniform(-0.5, 2, n)
    return {"theta": theta, "omega": r.choice([-1, 1], n) * np.sqrt(2 * (energy + np.cos(theta))), "energy": energy}


def _orbit(r: np.random.Generator, n: int) -> Columns:
    theta = np.arccos(-0.3) * np.sin(r.uniform(0, 2 * np.pi, n))
    return {"theta": theta, "omega": r.choice([-1, 1], n) * np.sqrt(np.maximum(2 * (0.3 + np.cos(theta)), 0))}


def _kepler(r: np.random.Generator, n: int) -> Columns:
    a, mass = r.uniform(0.3, 30, n), r.uniform(0.5, 3, n)
    return {"period": np.sqrt(a**3 / mass), "axis": a, "mass": mass}


def _relativity(r: np.random.Generator, n: int) -> Columns:
    p, m = r.uniform(0.1, 3, (2, n))
    return {"E": np.sqrt(p**2 + m**2), "p": p, "m": m}


def _snell(r: np.random.Generator, n: int) -> Columns:
    n1, n2, a = r.uniform(1, 1.3, n), r.uniform(1.4, 2, n), r.uniform(0.1, 1.2, n)
    return {"n1": n1, "n2": n2, "a": a, "b": np.arcsin(n1 * np.sin(a) / n2)}


def _circuit(r: np.random.Generator, n: int) -> Columns:
    current, resistance = r.uniform(0.1, 5, n), r.uniform(1, 50, n)
    voltage = current * resistance
    return {"I": current, "R": resistance, "U": voltage, "P": voltage * current}


def _sphere(r: np.random.Generator, n: int) -> Columns:
    v = r.normal(size=(3, n))
    return dict(zip("xyz", v / np.linalg.norm(v, axis=0), strict=True))


def _predators(r: np.random.Generator, n: int) -> Columns:
    x, y = r.uniform(0.3, 3, (2, n))
    return {"prey": x, "hunters": y, "constant": x - np.log(x) + y - np.log(y)}


def _enzyme(r: np.random.Generator, n: int) -> Columns:
    s, k, most = r.uniform(0.1, 5, n), r.uniform(0.5, 2, n), r.uniform(1, 3, n)
    return {"v": most * s / (k + s), "S": s, "K": k, "Vmax": most}


def _parts(r: np.random.Generator, n: int) -> Columns:
    return dict(zip(("sand", "silt", "clay", "peat"), r.dirichlet([3, 2, 2, 1], n).T, strict=True))


def _units(r: np.random.Generator, n: int) -> Columns:
    celsius = np.round(r.normal(15, 8, n), 1)
    return {"C": celsius, "F": celsius * 1.8 + 32, "copy": celsius, "mm": np.round(r.gamma(2, 10, n), 1)}


def _noisy_product(r: np.random.Generator, n: int) -> Columns:
    a, b = r.uniform(1, 4, (2, n))
    return {"a": a, "b": b, "y": a * b * (1 + 0.1 * r.normal(size=n))}


def _noisy_ring(r: np.random.Generator, n: int) -> Columns:
    t, size = r.uniform(0, 2 * np.pi, n), 1 + 0.05 * r.normal(size=n)
    return {"x": size * np.cos(t), "y": size * np.sin(t)}


def _chain(r: np.random.Generator, n: int) -> Columns:
    a = r.normal(size=n)
    b = np.tanh(a) + 0.3 * r.normal(size=n)
    c = b + 0.5 * r.normal(size=n)
    return {"a": a, "b": b, "c": c, "d": c**3 + 0.5 * r.normal(size=n)}


def _fork(r: np.random.Generator, n: int) -> Columns:
    a = r.normal(size=n)
    return {"a": a} | {name: a + 0.7 * r.normal(size=n) for name in ("b", "c")}


BOUND: Mapping[str, BoundTable] = {
    "paper's toy": BoundTable(_toy, ("x1 x2 x3", "x4 x5"), named=True),
    "ideal gas": BoundTable(_gas, ("P V n T",), named=True),
    "circle": BoundTable(_circle, ("x y",), named=True),
    "lens": BoundTable(_lens, ("a b f",), named=True),
    "Pythagoras": BoundTable(_pythagoras, ("a b c",), named=True),
    "xy + z^2": BoundTable(_saddle, ("x y z",), named=True),
    "pendulum, energies": BoundTable(_pendulum, ("theta omega energy",), named=True),
    "pendulum, one orbit": BoundTable(_orbit, ("theta omega",), named=True),
    "Kepler": BoundTable(_kepler, ("period axis mass",)),
    "E^2 = p^2 + m^2": BoundTable(_relativity, ("E p m",)),
    "Snell": BoundTable(_snell, ("n1 n2 a b",)),
    "circuit": BoundTable(_circuit, ("I R U", "I U P")),
    "sphere": BoundTable(_sphere, ("x y z",)),
    "Lotka-Volterra": BoundTable(_predators, ("prey hunters constant",)),
    "Michaelis-Menten": BoundTable(_enzyme, ("v S K Vmax",)),
    "parts of soil": BoundTable(_parts, ("sand silt clay peat",)),
    "units and a copy": BoundTable(_units, ("C F", "C copy")),
    "product, 10 % noise": BoundTable(_noisy_product, ("a b y",), exact=False),
    "ring, 5 % noise": BoundTable(_noisy_ring, ("x y",), exact=False),
    "chain of four": BoundTable(_chain, ("a b", "b c", "c d"), exact=False),
    "fork": BoundTable(_fork, ("a b", "a c"), exact=False),
}

EQUIVALENT: Mapping[str, tuple[frozenset[frozenset[str]], ...]] = {
    "circuit": tuple(
        frozenset({frozenset(a.split()), frozenset(b.split())})
        for a, b in (("I R U", "I R P"), ("I R U", "R U P"), ("I U P", "I R P"), ("I U P", "R U P"), ("I R P", "R U P"))
    ),
    "units and a copy": tuple(
        frozenset({frozenset(a.split()), frozenset(b.split())}) for a, b in (("C F", "F copy"), ("C copy", "F copy"))
    ),
}
"""Other choices of relations that imply the same."""


def noise_columns(r: np.random.Generator, n: int) -> Columns:
    """Two columns that are bound to nothing."""
    return {"noise": r.normal(size=n), "decay": r.lognormal(0, 2, n)}


UNBOUND: tuple[Callable[[np.random.Generator, int], Array], ...] = (
    lambda r, n: r.normal(size=n),
    lambda r, n: r.standard_cauchy(n),
    lambda r, n: r.lognormal(0, 3, n),
    lambda r, n: r.uniform(size=n),
    lambda r, n: r.integers(0, 4, n).astype(float),
    lambda r, n: (r.random(n) < 0.05).astype(float),
    lambda r, n: np.round(r.exponential(size=n), 1),
    lambda r, n: np.where(r.random(n) < 0.5, 0.0, r.gamma(0.5, size=n)),
)
"""Distributions of independent columns: heavy tails, decades, few values, a rare class, ties, half zeros."""


def unbound_table(r: np.random.Generator, rows: int, columns: int) -> Columns:
    """Independent columns; several may have one distribution."""
    return {f"c{j + 1}": UNBOUND[int(r.integers(len(UNBOUND)))](r, rows) for j in range(columns)}
