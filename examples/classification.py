"""Classifies a table with one curve per feature, an MLP of equal size, gradient boosting and a linear model."""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from edgewise import KANAdditiveClassifier
from edgewise.compare import count_parameters, fit_baselines


def main(quick: bool = False) -> dict[str, float]:
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    if quick:
        x = x.iloc[:, :3]
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    kan = KANAdditiveClassifier().fit(train_x, train_y)
    size = count_parameters(kan.model_)
    scores = {f"KAN, additive, {size} parameters": float(kan.score(test_x, test_y))}

    a, b, c, d = train_test_split(train_x.to_numpy(), train_y.to_numpy(), test_size=0.2, random_state=0)
    baselines = fit_baselines((a, c), (b, d), "classification", parameters=size, steps=30 if quick else 2000)
    for baseline in baselines:
        scores[baseline.name] = float((baseline.predict(test_x.to_numpy()).argmax(1) == test_y).mean())
    for name, score in scores.items():
        print(f"{name:32} {100 * score:5.1f} %")
    top = sorted(zip(kan.feature_importances_, x.columns, strict=True), reverse=True)[:3]
    print("most important:", ", ".join(f"{name} {share:.2f}" for share, name in top))
    draw(kan, [name for _, name in top])
    return scores


def draw(kan: KANAdditiveClassifier, names: list[str]) -> None:
    """The curves of the most important columns, with their bands."""
    axes = plt.subplots(1, len(names), figsize=(8, 2.6), layout="constrained")[1]
    for ax, name in zip(axes, names, strict=True):
        band = kan.band(name)
        ax.fill_between(band.arguments[0], band.low, band.high, alpha=0.25)
        ax.plot(band.arguments[0], band.values)
        ax.set(title=name, ylabel="log-odds of benign")


if __name__ == "__main__":
    main()
