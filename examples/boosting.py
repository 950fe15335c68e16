r"""Boosts additive KANs, each fitted to what the sum of the others leaves.

$F_t = F_{t-1} + \nu\,\mathrm{KAN}_t$, with a KAN of one layer on a few random columns and rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from edgewise import KANAdditive
from edgewise.compare import count_parameters, fit_baselines


def boosted(x: np.ndarray, y: np.ndarray, rounds: int, features: int = 4, rate: float = 0.1) -> list:
    """Additive models, each of a few random features and fitted to a random half of the rows."""
    draw, residual, terms = np.random.default_rng(0), y - y.mean(), []
    for _ in range(rounds):
        columns = draw.choice(x.shape[1], features, replace=False)
        rows = draw.random(len(x)) < 0.5
        term = KANAdditive(5).fit(x[rows][:, columns], residual[rows])
        residual = residual - rate * term.predict(x[:, columns])
        terms.append((columns, term))
    return terms


def main(quick: bool = False, rate: float = 0.1) -> dict[str, float]:
    x, y = load_diabetes(return_X_y=True)
    a, b, c, d = train_test_split(x, y, test_size=0.3, random_state=0)
    terms = boosted(a, c, rounds=5 if quick else 60, rate=rate)
    additive = KANAdditive().fit(a, c)
    found = {
        "boosted KANs": c.mean() + rate * sum(term.predict(b[:, columns]) for columns, term in terms),
        "KANAdditive": additive.predict(b),
    }
    e, f, g, h = train_test_split(a, c, test_size=0.2, random_state=0)
    size = count_parameters(additive.model_)
    baselines = fit_baselines((e, g), (f, h), "regression", parameters=size, steps=30 if quick else 2000)
    found |= {baseline.name: baseline.predict(b) for baseline in baselines}
    scores = {name: float(r2_score(d, predicted)) for name, predicted in found.items()}
    for name, score in scores.items():
        print(f"{name:20} R2 {score:6.3f}")
    draw(rate, c.mean(), [term.predict(b[:, columns]) for columns, term in terms], d, scores)
    return scores


def draw(rate: float, start: float, predictions: list, truth: np.ndarray, scores: dict[str, float]) -> None:
    """The score after every round, beside those of the others."""
    rounds = [r2_score(truth, start + rate * total) for total in np.cumsum(predictions, 0)]
    axes = plt.subplots(figsize=(5.5, 3.2))[1]
    axes.plot(range(1, len(rounds) + 1), rounds, label="boosted KANs")
    for colour, (name, score) in enumerate(list(scores.items())[1:], 1):
        axes.axhline(score, color=f"C{colour}", ls="--", lw=1, label=name)
    axes.set(xlabel="rounds", ylabel="R2 on held-out rows")
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
