"""Kolmogorov-Arnold networks: neural networks whose edges carry learnable functions.

Every name is imported when it is first used, so that the command line starts without torch.
"""

from typing import TYPE_CHECKING, Any

from edgewise._version import __version__ as __version__

if TYPE_CHECKING:
    from edgewise import (
        adapters as adapters,
        bases as bases,
        callbacks as callbacks,
        compare as compare,
        discovery as discovery,
        display as display,
        exporting as exporting,
        expressions as expressions,
        functional as functional,
        io as io,
        jets as jets,
        kernels as kernels,
        models as models,
        nn as nn,
        optim as optim,
        pde as pde,
        penalties as penalties,
        progress as progress,
        stored as stored,
        surgery as surgery,
        symbolic as symbolic,
        tables as tables,
        testing as testing,
        tracebacks as tracebacks,
        tracing as tracing,
        training as training,
        viz as viz,
        workbench as workbench,
    )
    from edgewise.adapters import add_lotra as add_lotra
    from edgewise.bases import BSpline as BSpline
    from edgewise.discovery import discover as discover, discover_dynamics as discover_dynamics
    from edgewise.exporting import export as export
    from edgewise.io import (
        from_efficient_kan as from_efficient_kan,
        from_fastkan as from_fastkan,
        from_flashkan as from_flashkan,
        from_inkan as from_inkan,
        from_jaxkan as from_jaxkan,
        from_pykan as from_pykan,
        load as load,
        save as save,
    )
    from edgewise.kernels import use_backend as use_backend
    from edgewise.nn import KAN as KAN, KANLinear as KANLinear, Library as Library, SymbolicFn as SymbolicFn
    from edgewise.penalties import Entropy as Entropy, Smoothness as Smoothness, Sparsity as Sparsity
    from edgewise.surgery import (
        adapt_grid_ as adapt_grid_,
        compact as compact,
        prune as prune,
        quantize as quantize,
        refine as refine,
        swap_linear as swap_linear,
    )
    from edgewise.symbolic import formula as formula, from_formula as from_formula, symbolify as symbolify
    from edgewise.tables.estimators import (
        KANAdditive as KANAdditive,
        KANAdditiveClassifier as KANAdditiveClassifier,
        KANClassifier as KANClassifier,
        KANRegressor as KANRegressor,
    )
    from edgewise.tables.table_relations import discover_relations as discover_relations
    from edgewise.tracing import edge_scores as edge_scores, trace as trace
    from edgewise.training import (
        Auto as Auto,
        FirstOrder as FirstOrder,
        FitResult as FitResult,
        LevenbergMarquardt as LevenbergMarquardt,
        fit as fit,
    )
    from edgewise.viz import diagram as diagram, plot as plot
    from edgewise.workbench import studio as studio

_LAZY = {  # the imports above, by module, for the interpreter
    "adapters": "add_lotra",
    "bases": "BSpline",
    "discovery": "discover discover_dynamics",
    "exporting": "export",
    "io": "from_efficient_kan from_fastkan from_flashkan from_inkan from_jaxkan from_pykan load save",
    "kernels": "use_backend",
    "nn": "KAN KANLinear Library SymbolicFn",
    "penalties": "Entropy Smoothness Sparsity",
    "surgery": "adapt_grid_ compact prune quantize refine swap_linear",
    "symbolic": "formula from_formula symbolify",
    "tables.estimators": "KANAdditive KANAdditiveClassifier KANClassifier KANRegressor",
    "tables.table_relations": "discover_relations",
    "tracing": "edge_scores trace",
    "training": "Auto FirstOrder FitResult LevenbergMarquardt fit",
    "viz": "diagram plot",
    "workbench": "studio",
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
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_elsewhere(name)}")
    globals()[name] = value
    return value


def _elsewhere(name: str) -> str:
    """Where the package has a public name that is not at the top; nothing is imported."""
    import re
    from pathlib import Path

    root = Path(__path__[0])
    export = re.compile(rf"\b{re.escape(name)} as {re.escape(name)}\b|^(def|class) {re.escape(name)}\b", re.MULTILINE)
    for file in () if name.startswith("_") else sorted({*root.glob("[!_]*.py"), *root.rglob("*/__init__.py")}):
        if export.search(file.read_text(encoding="utf-8")):
            module = file.parent if file.name == "__init__.py" else file.with_suffix("")
            return f"; it is edgewise.{'.'.join(module.relative_to(root).parts)}.{name}"
    return ""


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *_HOME, *(module.name for module in pkgutil.iter_modules(__path__))})
