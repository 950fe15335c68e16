"""Comparisons: models of other kinds on the same rows, with the same number of parameters where they have any."""

from collections.abc import Callable

from edgewise.bench.baselines import Baseline as Baseline, fit_baselines as fit_baselines, mlp_widths as mlp_widths


def _lotra() -> None:
    from edgewise.bench.lotra.__main__ import main

    main([])


def _symbolic() -> None:
    from edgewise.bench.symbolic import main

    main()


COMMANDS: dict[str, dict[str, Callable[[], None]]] = {
    "bench": {},
    "reproduce": {"lotra": _lotra, "symbolic": _symbolic},
}
"""What `edgewise bench` and `edgewise reproduce` can run, by name."""

__all__ = ["COMMANDS", "Baseline", "fit_baselines", "mlp_widths"]
