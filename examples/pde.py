"""Solves Poisson's equation with a KAN, an MLP of equal size by the same method, and finite differences."""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

import edgewise as ew
from edgewise.compare import count_parameters, matched_mlp
from edgewise.pde import Box, Collocation, GaussNewton, Problem, dirichlet, solve

PI = torch.pi


def exact(x: Tensor) -> Tensor:
    return torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1])


def finite_differences(n: int) -> float:
    """The relative error of the five-point scheme with n x n unknowns."""
    h = 2 / (n + 1)
    line = np.linspace(-1 + h, 1 - h, n)
    second = (np.diag(np.full(n, -2.0)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)) / h**2
    truth = np.outer(np.sin(np.pi * line), np.sin(np.pi * line))
    matrix = np.kron(second, np.eye(n)) + np.kron(np.eye(n), second)
    found = np.linalg.solve(matrix, -2 * np.pi**2 * truth.ravel())
    return float(np.linalg.norm(found - truth.ravel()) / np.linalg.norm(truth))


def main(quick: bool = False) -> dict[str, float]:
    square = Box(x=(-1, 1), y=(-1, 1))
    load = 2 * PI**2
    problem = Problem(
        square, lambda u, x, y: u.dxx + u.dyy + load * torch.sin(PI * x) * torch.sin(PI * y), [dirichlet(0.0)]
    )
    generator = torch.Generator().manual_seed(0)
    kan = ew.KAN([2, 3 if quick else 6, 1], ew.BSpline(5, 5), generator=generator, dtype=torch.float64)
    mlp = matched_mlp(kan, activation=nn.Tanh)
    points = square.sample(2000, torch.Generator().manual_seed(1))
    errors, solutions = {}, {}
    for name, model in (("KAN", kan), ("MLP", mlp)):
        begun = time.perf_counter()
        method = GaussNewton(starts=1, steps=10, intervals=()) if quick else GaussNewton(starts=2, intervals=())
        solution = solve(problem, model, method, collocation=Collocation(points=100 if quick else 600))
        errors[name], solutions[name] = solution.error(exact, points), solution
        seconds = time.perf_counter() - begun
        print(f"{name}, {count_parameters(model)} parameters: relative error {errors[name]:.1e}, {seconds:.1f} s")
    n = round(count_parameters(kan) ** 0.5)
    errors["finite differences"] = finite_differences(n)
    print(f"finite differences, {n * n} unknowns: relative error {errors['finite differences']:.1e}")
    draw(solutions)
    return errors


def draw(solutions: dict) -> None:
    """The error of either network over the square."""
    line = torch.linspace(-1, 1, 61, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    axes = plt.subplots(1, len(solutions), figsize=(8, 3.2), layout="constrained")[1]
    for ax, (name, solution) in zip(axes, solutions.items(), strict=True):
        error = (solution(grid)[:, 0] - exact(grid)).detach().reshape(61, 61).T.numpy()
        largest = abs(error).max()
        drawn = ax.pcolormesh(line.numpy(), line.numpy(), error, cmap="RdBu", vmin=-largest, vmax=largest)
        ax.set(title=f"error of the {name}", xlabel="x", ylabel="y", aspect="equal")
        ax.figure.colorbar(drawn, ax=ax, format="%.0e")


if __name__ == "__main__":
    main()
