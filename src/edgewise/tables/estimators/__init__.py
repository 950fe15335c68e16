r"""Scikit-learn estimators: tables or arrays in, feature names kept, inputs and targets scaled inside.

`KANRegressor` and `KANClassifier` train a network of any widths. `KANAdditive` is the network of one layer,

$$ f(x) = b + \sum_j \phi_j(x_j), $$

a generalised additive model; its coefficients solve a penalised linear system.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("the estimators need scikit-learn: pip install edgewise[sklearn]") from error

from edgewise.tables.estimators.additive import KANAdditive as KANAdditive
from edgewise.tables.estimators.additive_classifier import KANAdditiveClassifier as KANAdditiveClassifier
from edgewise.tables.estimators.deep import KANClassifier as KANClassifier, KANRegressor as KANRegressor
