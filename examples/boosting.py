r"""Boosting of networks of curves: $F_t = F_{t-1} + \nu\,\mathrm{KAN}_t$, each fitted to what is still missing."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edgewise import KANAdditive
from edgewise.bench import mlp_widths


def boosted(x: np.ndarray, y: np.ndarray, rounds: int, features: int = 4, rate: float = 0.1) -> list:
    """Additive models of a few features each, drawn at random, on a random half of the rows."""
    draw, missing, terms = np.random.default_rng(0), y - y.mean(), []
    for _ in range(rounds):
        columns = draw.choice(x.shape[1], min(features, x.shape[1]), replace=False)
        rows = draw.random(len(x)) < 0.5
        term = KANAdditive(5).fit(x[rows][:, columns], missing[rows])
        missing = missing - rate * term.predict(x[:, columns])
        terms.append((columns, term))
    return terms


def main(quick: bool = False, rate: float = 0.1) -> dict[str, float]:
    x, y = load_diabetes(return_X_y=True)
    a, b, c, d = train_test_split(x, y, test_size=0.3, random_state=0)
    terms = boosted(a, c, rounds=5 if quick else 60, rate=rate)
    predicted = c.mean() + rate * sum(term.predict(b[:, columns]) for columns, term in terms)
    additive = KANAdditive().fit(a, c)
    size = sum(p.numel() for p in additive.model_.parameters())
    hidden = mlp_widths(x.shape[1], 1, size)[1:-1]
    mlp = MLPRegressor(hidden, max_iter=20 if quick else 1000, tol=0, random_state=0)
    scores = {"boosted KANs": r2_score(d, predicted), "KANAdditive": additive.score(b, d)}
    for name, model in {
        f"MLP {hidden}": make_pipeline(StandardScaler(), mlp),
        "boosted trees": HistGradientBoostingRegressor(max_iter=10 if quick else 100, random_state=0),
        "ridge": RidgeCV(),
    }.items():
        scores[name] = model.fit(a, c).score(b, d)
    for name, score in scores.items():
        print(f"{name:16} R2 {score:6.3f}")
    return scores


if __name__ == "__main__":
    main()
