r"""Scikit-learn estimators: tables or arrays in, feature names kept, inputs and targets scaled inside.

`KANRegressor` and `KANClassifier` train a network of any widths. `KANAdditive` and `KANAdditiveClassifier` are networks
of one layer,

$$ f(x) = b + \sum_j \phi_j(x_j), $$

generalised additive models, with levels, missing cells and surfaces of pairs, and smoothing strengths by evidence.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("the estimators need scikit-learn: pip install edgewise[sklearn]") from error

from edgewise.tables.estimators.additive import KANAdditive as KANAdditive
from edgewise.tables.estimators.additive_classifier import KANAdditiveClassifier as KANAdditiveClassifier
from edgewise.tables.estimators.deep import KANClassifier as KANClassifier, KANRegressor as KANRegressor
