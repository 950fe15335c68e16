"""A table with classes: curves per feature, the perceptron of equal size, and gradient boosting."""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edgewise import KANClassifier
from edgewise.bench import mlp_widths


def main(quick: bool = False) -> dict[str, float]:
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    if quick:
        x = x.iloc[:, :4]
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    kan = KANClassifier(hidden=(), random_state=0).fit(train_x, train_y)
    size = sum(p.numel() for p in kan.model_.parameters())
    hidden = mlp_widths(x.shape[1], 1, size)[1:-1]
    rivals = {
        f"MLP {hidden}": make_pipeline(
            StandardScaler(), MLPClassifier(hidden, max_iter=100 if quick else 1000, tol=0, random_state=0)
        ),
        "boosting": HistGradientBoostingClassifier(max_iter=10 if quick else 100, random_state=0),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    }
    scores = {f"KAN, additive, {size} parameters": kan.score(test_x, test_y)}
    scores |= {name: model.fit(train_x, train_y).score(test_x, test_y) for name, model in rivals.items()}
    for name, score in scores.items():
        print(f"{name:32} {100 * score:5.1f} %")
    top = sorted(zip(kan.feature_importances_, x.columns, strict=True), reverse=True)[:3]
    print("most important:", ", ".join(f"{name} {share:.2f}" for share, name in top))
    return scores


if __name__ == "__main__":
    main()
