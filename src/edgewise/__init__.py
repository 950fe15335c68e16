"""Kolmogorov-Arnold networks: neural networks whose edges carry learnable functions.

Every name is imported when it is first used, so that the command line starts without torch.
"""

from typing import TYPE_CHECKING, Any

from edgewise._version import __version__ as __version__

if TYPE_CHECKING:
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
    from edgewise.io import from_pykan as from_pykan, load as load, read_header as read_header, save as save
    from edgewise.kernels import use_backend as use_backend
    from edgewise.nn import (
        DEFAULT_LIBRARY as DEFAULT_LIBRARY,
        KAN as KAN,
        KANLinear as KANLinear,
        Library as Library,
        SymbolicFn as SymbolicFn,
        which_kernels as which_kernels,
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
        compile as compile,
        formula as formula,
        suggest as suggest,
        symbolify as symbolify,
    )
    from edgewise.tables.estimators import (
        KANAdditive as KANAdditive,
        KANClassifier as KANClassifier,
        KANRegressor as KANRegressor,
    )
    from edgewise.tracing import (
        Trace as Trace,
        edge_scores as edge_scores,
        input_scores as input_scores,
        node_scores as node_scores,
        outside_grid as outside_grid,
        trace as trace,
    )
    from edgewise.training import (
        Auto as Auto,
        FirstOrder as FirstOrder,
        FitReport as FitReport,
        FitResult as FitResult,
        LevenbergMarquardt as LevenbergMarquardt,
        fit as fit,
    )
    from edgewise.viz import (
        Diagram as Diagram,
        diagram as diagram,
        plot as plot,
        plot_edge as plot_edge,
        plot_history as plot_history,
    )

_LAZY = {  # the imports above, by module, for the interpreter
    "adapters": "add_lotra expand load_adapter lotra_groups merge save_adapter slim unmerge use_adapters_",
    "bases": "BSpline Basis",
    "discovery": "Discovery discover",
    "expressions": "Formula",
    "io": "from_pykan load read_header save",
    "kernels": "use_backend",
    "nn": "DEFAULT_LIBRARY KAN KANLinear Library SymbolicFn which_kernels",
    "penalties": "Entropy Smoothness Sparsity",
    "surgery": "adapt_grid_ change_basis compact fix freeze_ prune refine release remove_edge select_inputs"
    " swap_linear widen",
    "symbolic": "compile formula suggest symbolify",
    "tables.estimators": "KANAdditive KANClassifier KANRegressor",
    "tracing": "Trace edge_scores input_scores node_scores outside_grid trace",
    "training": "Auto FirstOrder FitReport FitResult LevenbergMarquardt fit",
    "viz": "Diagram diagram plot plot_edge plot_history",
}
_HOME = {name: f"edgewise.{module}" for module, names in _LAZY.items() for name in names.split()}
if not TYPE_CHECKING:
    __all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name, or a package such as `edgewise.pde`, when it is first used."""
    import importlib.util

    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif not name.startswith("_") and importlib.util.find_spec(f"edgewise.{name}") is not None:
        value = importlib.import_module(f"edgewise.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *_HOME, *(module.name for module in pkgutil.iter_modules(__path__))})
