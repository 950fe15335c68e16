"""Kolmogorov-Arnold networks: neural networks whose edges carry learnable functions."""

from typing import TYPE_CHECKING, Any

from edgewise._version import __version__ as __version__
from edgewise.adapters import (
    add_lotra as add_lotra,
    expand as expand,
    load_adapter as load_adapter,
    lotra_groups as lotra_groups,
    merge as merge,
    save_adapter as save_adapter,
    slim as slim,
    unmerge as unmerge,
    use_adapters_ as use_adapters_,
)
from edgewise.bases import Basis as Basis, BSpline as BSpline
from edgewise.discovery import Discovery as Discovery, discover as discover
from edgewise.expressions import Formula as Formula
from edgewise.io import load as load, read_header as read_header, save as save
from edgewise.io.pykan import from_pykan as from_pykan
from edgewise.kernels import use_backend as use_backend
from edgewise.nn import (
    DEFAULT_LIBRARY as DEFAULT_LIBRARY,
    KAN as KAN,
    KANLinear as KANLinear,
    Library as Library,
    SymbolicFn as SymbolicFn,
    explain as explain,
)
from edgewise.penalties import Entropy as Entropy, Smoothness as Smoothness, Sparsity as Sparsity
from edgewise.surgery import (
    adapt_grid_ as adapt_grid_,
    change_basis as change_basis,
    compact as compact,
    fix as fix,
    freeze_ as freeze_,
    prune as prune,
    refine as refine,
    release as release,
    remove_edge as remove_edge,
    select_inputs as select_inputs,
    swap_linear as swap_linear,
    widen as widen,
)
from edgewise.symbolic import (
    formula as formula,
    from_formula as from_formula,
    suggest as suggest,
    symbolify as symbolify,
)
from edgewise.tracing import (
    Trace as Trace,
    edge_scores as edge_scores,
    input_scores as input_scores,
    node_scores as node_scores,
    outside_grid as outside_grid,
    trace as trace,
)
from edgewise.training import FitResult as FitResult, fit as fit
from edgewise.viz import (
    Diagram as Diagram,
    diagram as diagram,
    plot as plot,
    plot_edge as plot_edge,
    plot_history as plot_history,
)

if TYPE_CHECKING:
    from edgewise.tables.estimators import (
        KANAdditive as KANAdditive,
        KANClassifier as KANClassifier,
        KANRegressor as KANRegressor,
    )

_LAZY = {name: "edgewise.tables.estimators" for name in ("KANAdditive", "KANClassifier", "KANRegressor")}


def __getattr__(name: str) -> Any:
    """The estimators are imported when first asked for, because scikit-learn is optional."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
