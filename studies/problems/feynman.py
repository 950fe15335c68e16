"""Equations of physics as test problems: those of AI Feynman, and the dimensionless ones of the KAN paper.

The first hundred formulas and their sampling ranges are those of the AI Feynman data base (Udrescu and Tegmark, Science
Advances 2020, arXiv 1905.11481); the last twenty are its harder ones, on ranges of ours that keep away from poles. The
KAN paper (arXiv 2404.19756, table 2) gives 27 of them without dimensions; it states no ranges, see `functions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from studies.problems.functions import FUNCTIONS

Range = tuple[float, float]


@dataclass(frozen=True)
class Equation:
    """A formula, and the box that its variables are sampled from.

    >>> EQUATIONS["I.25.13"].expression
    q/C
    """

    name: str
    text: str
    ranges: Mapping[str, Range]

    @cached_property
    def variables(self) -> tuple[sympy.Symbol, ...]:
        """The variables in order."""
        return tuple(sympy.Symbol(name, real=True) for name in self.ranges)

    @cached_property
    def expression(self) -> Any:
        """The formula as sympy."""
        return sympy.parse_expr(self.text, local_dict={str(v): v for v in self.variables})

    def sample(self, count: int, generator: torch.Generator, *, wider: float = 0.0) -> tuple[Tensor, Tensor]:
        """Inputs (count, variables) and values (count,) in float64.

        Args:
            count: how many rows to draw; those where the formula has no finite real value are left out.
            generator: source of randomness.
            wider: share of each range by which the box is enlarged at either end.
        """
        low, high = torch.tensor(list(self.ranges.values()), dtype=torch.float64).T
        width = (high - low) * (1 + 2 * wider)
        x = low - wider * (high - low) + width * torch.rand(count, len(low), generator=generator, dtype=torch.float64)
        with np.errstate(all="ignore"):
            values = sympy.lambdify(self.variables, self.expression, "numpy")(*x.T.numpy())
        y = torch.from_numpy(np.asarray(values, dtype=np.float64) * np.ones(count))
        finite = y.isfinite()
        return x[finite], y[finite]


def _parsed(table: str) -> dict[str, Equation]:
    """Lines `name; formula; variable [low high], ...`, the range 1 to 5 where none is given."""
    equations = {}
    for line in table.strip().splitlines():
        name, text, variables = (part.strip() for part in line.split(";"))
        ranges = {}
        for variable in variables.split(","):
            symbol, *ends = variable.split()
            ranges[symbol] = (float(ends[0]), float(ends[1])) if ends else (1.0, 5.0)
        equations[name] = Equation(name, text, ranges)
    return equations


EQUATIONS: dict[str, Equation] = _parsed("""
I.6.2a; exp(-theta**2/2)/sqrt(2*pi); theta 1 3
I.6.2; exp(-(theta/sigma)**2/2)/(sqrt(2*pi)*sigma); sigma 1 3, theta 1 3
I.6.2b; exp(-((theta - theta1)/sigma)**2/2)/(sqrt(2*pi)*sigma); sigma 1 3, theta 1 3, theta1 1 3
I.8.14; sqrt((x2 - x1)**2 + (y2 - y1)**2); x1, x2, y1, y2
I.9.18; G*m1*m2/((x2 - x1)**2 + (y2 - y1)**2 + (z2 - z1)**2); \
m1 1 2, m2 1 2, G 1 2, x1 3 4, x2 1 2, y1 3 4, y2 1 2, z1 3 4, z2 1 2
I.10.7; m0/sqrt(1 - v**2/c**2); m0, v 1 2, c 3 10
I.11.19; x1*y1 + x2*y2 + x3*y3; x1, x2, x3, y1, y2, y3
I.12.1; mu*N; mu, N
I.12.2; q1*q2/(4*pi*epsilon*r**2); q1, q2, epsilon, r
I.12.4; q1/(4*pi*epsilon*r**2); q1, epsilon, r
I.12.5; q2*E; q2, E
I.12.11; q*(E + B*v*sin(theta)); q, E, B, v, theta
I.13.4; m*(v**2 + u**2 + w**2)/2; m, v, u, w
I.13.12; G*m1*m2*(1/r2 - 1/r1); m1, m2, r1, r2, G
I.14.3; m*g*z; m, g, z
I.14.4; k*x**2/2; k, x
I.15.3x; (x - u*t)/sqrt(1 - u**2/c**2); x 5 10, u 1 2, c 3 20, t 1 2
I.15.3t; (t - u*x/c**2)/sqrt(1 - u**2/c**2); x, c 3 10, u 1 2, t
I.15.10; m0*v/sqrt(1 - v**2/c**2); m0, v 1 2, c 3 10
I.16.6; (u + v)/(1 + u*v/c**2); c, v, u
I.18.4; (m1*r1 + m2*r2)/(m1 + m2); m1, m2, r1, r2
I.18.12; r*F*sin(theta); r, F, theta 0 5
I.18.14; m*r*v*sin(theta); m, r, v, theta
I.24.6; m*(omega**2 + omega0**2)*x**2/4; m 1 3, omega 1 3, omega0 1 3, x 1 3
I.25.13; q/C; q, C
I.26.2; asin(n*sin(theta)); n 0 1, theta
I.27.6; 1/(1/d1 + n/d2); d1, d2, n
I.29.4; omega/c; omega 1 10, c 1 10
I.29.16; sqrt(x1**2 + x2**2 - 2*x1*x2*cos(theta1 - theta2)); x1, x2, theta1, theta2
I.30.3; I0*sin(n*theta/2)**2/sin(theta/2)**2; I0, theta, n
I.30.5; asin(lam/(n*d)); lam 1 2, d 2 5, n
I.32.5; q**2*a**2/(6*pi*epsilon*c**3); q, a, epsilon, c
I.32.17; epsilon*c*E**2/2*8*pi*r**2/3*omega**4/(omega**2 - omega0**2)**2; \
epsilon 1 2, c 1 2, E 1 2, r 1 2, omega 1 2, omega0 3 5
I.34.8; q*v*B/p; q, v, B, p
I.34.10; omega0/(1 - v/c); c 3 10, v 1 2, omega0
I.34.14; (1 + v/c)/sqrt(1 - v**2/c**2)*omega0; c 3 10, v 1 2, omega0
I.34.27; h/(2*pi)*omega; omega, h
I.37.4; I1 + I2 + 2*sqrt(I1*I2)*cos(delta); I1, I2, delta
I.38.12; 4*pi*epsilon*(h/(2*pi))**2/(m*q**2); m, q, h, epsilon
I.39.10; 3*p*V/2; p, V
I.39.11; p*V/(gamma - 1); gamma 2 5, p, V
I.39.22; n*k*T/V; n, T, V, k
I.40.1; n0*exp(-m*g*x/(k*T)); n0, m, x, T, g, k
I.41.16; h/(2*pi)*omega**3/(pi**2*c**2*(exp(h/(2*pi)*omega/(k*T)) - 1)); omega, T, h, k, c
I.43.16; mu*q*V/d; mu, q, V, d
I.43.31; mu*k*T; mu, T, k
I.43.43; k*v/((gamma - 1)*A); gamma 2 5, k, A, v
I.44.4; n*k*T*log(V2/V1); n, k, T, V1, V2
I.47.23; sqrt(gamma*p/rho); gamma, p, rho
I.48.20; m*c**2/sqrt(1 - v**2/c**2); m, v 1 2, c 3 10
I.50.26; x1*(cos(omega*t) + alpha*cos(omega*t)**2); x1 1 3, omega 1 3, t 1 3, alpha 1 3
II.2.42; kappa*(T2 - T1)*A/d; kappa, T1, T2, A, d
II.3.24; P/(4*pi*r**2); P, r
II.4.23; q/(4*pi*epsilon*r); q, epsilon, r
II.6.11; p*cos(theta)/(4*pi*epsilon*r**2); epsilon 1 3, p 1 3, theta 1 3, r 1 3
II.6.15a; p/(4*pi*epsilon)*3*z/r**5*sqrt(x**2 + y**2); epsilon 1 3, p 1 3, r 1 3, x 1 3, y 1 3, z 1 3
II.6.15b; p/(4*pi*epsilon)*3*cos(theta)*sin(theta)/r**3; epsilon 1 3, p 1 3, theta 1 3, r 1 3
II.8.7; 3*q**2/(5*4*pi*epsilon*d); q, epsilon, d
II.8.31; epsilon*E**2/2; epsilon, E
II.10.9; sigma/(epsilon*(1 + chi)); sigma, epsilon, chi
II.11.3; q*E/(m*(omega0**2 - omega**2)); q 1 3, E 1 3, m 1 3, omega0 3 5, omega 1 2
II.11.17; n0*(1 + p*E*cos(theta)/(k*T)); n0 1 3, k 1 3, T 1 3, theta 1 3, p 1 3, E 1 3
II.11.20; n*p**2*E/(3*k*T); n, p, E, k, T
II.11.27; n*alpha/(1 - n*alpha/3)*epsilon*E; n 0 1, alpha 0 1, epsilon 1 2, E 1 2
II.11.28; 1 + n*alpha/(1 - n*alpha/3); n 0 1, alpha 0 1
II.13.17; 2*I/(4*pi*epsilon*c**2*r); epsilon, c, I, r
II.13.23; rho/sqrt(1 - v**2/c**2); rho, v 1 2, c 3 10
II.13.34; rho*v/sqrt(1 - v**2/c**2); rho, v 1 2, c 3 10
II.15.4; -mu*B*cos(theta); mu, B, theta
II.15.5; -p*E*cos(theta); p, E, theta
II.21.32; q/(4*pi*epsilon*r*(1 - v/c)); q, epsilon, r, v 1 2, c 3 10
II.24.17; sqrt(omega**2/c**2 - pi**2/d**2); omega 4 6, c 1 2, d 2 4
II.27.16; epsilon*c*E**2; epsilon, c, E
II.27.18; epsilon*E**2; epsilon, E
II.34.2a; q*v/(2*pi*r); q, v, r
II.34.2; q*v*r/2; q, v, r
II.34.11; g*q*B/(2*m); g, q, B, m
II.34.29a; q*h/(4*pi*m); q, h, m
II.34.29b; g*mu*B*J/(h/(2*pi)); g, h, J, mu, B
II.35.18; n0/(exp(mu*B/(k*T)) + exp(-mu*B/(k*T))); n0 1 3, k 1 3, T 1 3, mu 1 3, B 1 3
II.35.21; n*mu*tanh(mu*B/(k*T)); n, mu, B, k, T
II.36.38; mu*H/(k*T) + mu*alpha*M/(epsilon*c**2*k*T); mu 1 3, H 1 3, k 1 3, T 1 3, alpha 1 3, epsilon 1 3, c 1 3, M 1 3
II.37.1; mu*(1 + chi)*B; mu, B, chi
II.38.3; Y*A*x/d; Y, A, d, x
II.38.14; Y/(2*(1 + sigma)); Y, sigma
III.4.32; 1/(exp(h/(2*pi)*omega/(k*T)) - 1); h, omega, k, T
III.4.33; h/(2*pi)*omega/(exp(h/(2*pi)*omega/(k*T)) - 1); h, omega, k, T
III.7.38; 2*mu*B/(h/(2*pi)); mu, B, h
III.8.54; sin(E*t/(h/(2*pi)))**2; E 1 2, t 1 2, h 1 4
III.9.52; p*E*t/(h/(2*pi))*sin((omega - omega0)*t/2)**2/((omega - omega0)*t/2)**2; \
p 1 3, E 1 3, t 1 3, h 1 3, omega, omega0
III.10.19; mu*sqrt(Bx**2 + By**2 + Bz**2); mu, Bx, By, Bz
III.12.43; n*h/(2*pi); n, h
III.13.18; 2*E*d**2*k/(h/(2*pi)); E, d, k, h
III.14.14; I0*(exp(q*V/(k*T)) - 1); I0, q 1 2, V 1 2, k 1 2, T 1 2
III.15.12; 2*U*(1 - cos(k*d)); U, k, d
III.15.14; (h/(2*pi))**2/(2*E*d**2); h, E, d
III.15.27; 2*pi*alpha/(n*d); alpha, n, d
III.17.37; beta*(1 + alpha*cos(theta)); beta, alpha, theta
III.19.51; -m*q**4/(2*(4*pi*epsilon)**2*(h/(2*pi))**2*n**2); m, q, h, n, epsilon
III.21.20; -rho*q*A/m; rho, q, A, m
Rutherford; (Z1*Z2*alpha*h*c/(2*pi*4*E*sin(theta/2)**2))**2; Z1 1 2, Z2 1 2, alpha 1 2, h 1 2, c 1 2, E 1 3, theta 1 3
Friedmann; sqrt(8*pi*G*rho/3 - k*c**2/a**2); G 1 3, rho 1 3, k 1 2, c 1 2, a 1 3
Compton; E/(1 + E/(m*c**2)*(1 - cos(theta))); E 1 3, m 1 3, c 1 3, theta 1 3
gravitational waves; -32*G**4/(5*c**5)*(m1*m2)**2*(m1 + m2)/r**5; G 1 2, c 1 2, m1, m2, r 1 2
aberration; acos((cos(theta) - v/c)/(1 - v/c*cos(theta))); c 4 6, v 1 3, theta 1 3
N slits; I0*(sin(alpha/2)*sin(n*delta/2)/(alpha/2*sin(delta/2)))**2; I0 1 3, alpha 1 3, delta 1 3, n 1 2
Goldstein 3.16; sqrt(2/m*(E - U - L**2/(2*m*r**2))); m 1 3, E 8 12, U 1 3, L 1 3, r 1 3
Goldstein 3.55; m*k/L**2*(1 + sqrt(1 + 2*E*L**2/(m*k**2))*cos(theta1 - theta2)); \
m 1 3, k 1 3, L 1 3, E 1 3, theta1 0 6, theta2 0 6
Goldstein 3.64; d*(1 - alpha**2)/(1 + alpha*cos(theta1 - theta2)); d 1 3, alpha 0.1 0.9, theta1 0 6, theta2 0 6
Goldstein 3.74; 2*pi*d**(3/2)/sqrt(G*(m1 + m2)); d 1 3, G 1 3, m1 1 3, m2 1 3
Goldstein 3.99; sqrt(1 + 2*epsilon**2*E*L**2/(m*(Z1*Z2*q**2)**2)); \
epsilon 1 3, E 1 3, L 1 3, m 1 3, Z1 1 3, Z2 1 3, q 1 3
Goldstein 8.56; sqrt((p - q*A)**2*c**2 + m**2*c**4) + q*V; p, q, A, c, m, V
Goldstein 12.80; (p**2 + m**2*omega**2*x**2*(1 + alpha*x/y))/(2*m); m, p, omega, x, alpha, y
Jackson 2.11; q/(4*pi*epsilon*y**2)*(4*pi*epsilon*V*d - q*d*y**3/(y**2 - d**2)**2); q, epsilon, y 1 3, V, d 4 6
Jackson 3.45; q/sqrt(r**2 + d**2 - 2*r*d*cos(alpha)); q, r 1 3, d 4 6, alpha 0 6
Jackson 4.60; E*cos(theta)*((alpha - 1)/(alpha + 2)*d**3/r**2 - r); E, theta 0 6, alpha, d, r
Jackson 11.38; sqrt(1 - v**2/c**2)/(1 + v/c*cos(theta))*omega; c 5 20, v 1 3, omega, theta 0 6
Weinberg 15.2.1; 3/(8*pi*G)*(c**2*k/a**2 + H**2); G, c, k, a, H
Weinberg 15.2.2; -1/(8*pi*G)*(c**4*k/a**2 + c**2*H**2*(1 - 2*alpha)); G, c 1 2, k, a, H, alpha
Klein-Nishina; pi*alpha**2*(h/(2*pi))**2/m**2/c**2*(omega0/omega)**2*(omega0/omega + omega/omega0 - sin(theta)**2); \
alpha, h, m, c, omega0, omega, theta 0 6
""")
"""The 120 equations of AI Feynman, by name."""

_DIMENSIONLESS = {
    "I.6.2": "exp(-x1**2/(2*x2**2))/sqrt(2*pi*x2**2)",
    "I.6.2b": "exp(-(x1-x2)**2/(2*x3**2))/sqrt(2*pi*x3**2)",
    "I.9.18": "x1/((x2-1)**2+(x3-x4)**2+(x5-x6)**2)",
    "I.12.11": "1+x1*sin(x2)",
    "I.13.12": "x1*(1/x2-1)",
    "I.15.3x": "(1-x1)/sqrt(1-x2**2)",
    "I.16.6": "(x1+x2)/(1+x1*x2)",
    "I.18.4": "(1+x1*x2)/(1+x1)",
    "I.26.2": "asin(x1*sin(x2))",
    "I.27.6": "1/(1+x1*x2)",
    "I.29.16": "sqrt(1+x1**2-2*x1*cos(x2-x3))",
    "I.30.3": "sin(x1*x2/2)**2/sin(x2/2)**2",
    "I.30.5": "asin(x1/x2)",
    "I.37.4": "1+x1+2*sqrt(x1)*cos(x2)",
    "I.40.1": "x1*exp(-x2)",
    "I.44.4": "x1*log(x2)",
    "I.50.26": "cos(x1)+x2*cos(x1)**2",
    "II.2.42": "(x1-1)*x2",
    "II.6.15a": "x3*sqrt(x1**2+x2**2)/(4*pi)",
    "II.11.7": "x1*(1+x2*cos(x3))",
    "II.11.27": "x1*x2/(1-x1*x2/3)",
    "II.35.18": "x1/(exp(x2)+exp(-x2))",
    "II.36.38": "x1+x2*x3",
    "II.38.3": "x1/x2",
    "III.9.52": "x1*sin((x2-x3)/2)**2/((x2-x3)/2)**2",
    "III.10.19": "sqrt(1+x1**2+x2**2)",
    "III.17.37": "x1*(1+x2*cos(x3))",
}


def _paper(name: str, text: str) -> Equation:
    target = FUNCTIONS[name]
    ranges = target.ranges * target.variables if len(target.ranges) == 1 else target.ranges
    return Equation(name, text, {f"x{j + 1}": r for j, r in enumerate(ranges)})


KAN_PAPER: dict[str, Equation] = {name: _paper(name, text) for name, text in _DIMENSIONLESS.items()}
"""The 27 dimensionless equations of the KAN paper, in variables x1, x2, ..."""

TUTORIALS: dict[str, Equation] = _parsed("""
hello; exp(sin(pi*x) + y**2); x -1 1, y -1 1
rapidity; tanh(atanh(x) + atanh(y)); x -0.9 0.9, y -0.9 0.9
product; x*y; x -1 1, y -1 1
radius; sqrt(x**2 + y**2); x -1 1, y -1 1
logarithms; sin(2*(log(x) + log(y))); x 0.2 5, y 0.2 5
phase transition; tanh(5*(x**4 + y**4 + z**4 - 1)); x -1 1, y -1 1, z -1 1
distance; sqrt((a - b)**2 + (c - d)**2); a -1 1, b -1 1, c -1 1, d -1 1
relativistic mass; m/sqrt(1 - v**2/c**2); m 0 1, v 0 0.9, c 1.1 2
oscillator; (p**2 + x**2)/2; x -2 2, p -2 2
angular momentum; x*q - y*p; x -1 1, y -1 1, p -1 1, q -1 1
neo-Hookean; 21*(a**2 + b**2 + c**2)/50 + 7*log(5*d/2)/25; a -1 1, b -1 1, c -1 1, d 0.5 2
free fall; 1 - sqrt(1 - v**2); v 0 0.95
""")
"""Laws that the tutorials of pykan search for."""
