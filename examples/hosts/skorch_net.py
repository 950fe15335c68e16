"""skorch puts a KAN into scikit-learn's cross-validation, beside an MLP of equal size: pip install edgewise skorch.

`edgewise.KANClassifier` needs no host; skorch is for networks and training loops of your own.
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

import edgewise as ew


def main(quick: bool = False) -> dict[str, float]:
    x, y = load_breast_cancer(return_X_y=True)
    kan = ew.KAN([x.shape[1], 2], ew.BSpline(3, 3), grid_range=(-3, 3), generator=torch.Generator().manual_seed(0))
    scores = {}
    for name, model in {"KAN": kan, "MLP": ew.compare.matched_mlp(kan)}.items():
        net = NeuralNetClassifier(
            model,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=1e-2,
            max_epochs=3 if quick else 60,
            train_split=None,
            verbose=0,
        )
        found = cross_val_score(make_pipeline(StandardScaler(), net), x.astype("float32"), y, cv=5)
        scores[name] = float(found.mean())
        print(f"{name}, {ew.compare.count_parameters(model)} parameters: {100 * scores[name]:.1f} %")
    return scores


if __name__ == "__main__":
    main()
