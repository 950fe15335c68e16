"""The registry of shipped tables, with what is known about them: published rules and symbols of the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.tables.cells import DataFrame


@dataclass(frozen=True)
class Reference:
    """A published rule for a target, shown beside the network.

    Args:
        name: of the rule.
        target: the column that it predicts.
        expression: the rule as a formula of the columns, as `edgewise.expressions.parse_formula` reads it.
        source: where it comes from.
    """

    name: str
    target: str
    expression: str
    source: str


@dataclass(frozen=True)
class ShippedTable:
    """A table inside the package, by the name that `edgewise fit NAME` takes.

    Args:
        name: the name in the registry.
        file: its file in this folder, whose README notes the origin.
        description: one line for listings.
        references: published rules.
        symbols: LaTeX of the columns, for rendered formulas.
    """

    name: str
    file: str
    description: str
    references: tuple[Reference, ...] = ()
    symbols: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(__file__).with_name(self.file)

    def load(self) -> DataFrame:
        """The table as a pandas DataFrame."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("tables need pandas: pip install edgewise[sklearn]") from error
        return pd.read_csv(self.path)


KNOTS = ShippedTable(
    name="knots",
    file="knots_ht14.csv.gz",
    description="geometry and signature of 9,996 hyperbolic knots with up to 14 crossings",
    references=(
        Reference(
            name="slope rule",
            target="signature",
            expression=(
                "-longitudinal_translation * meridional_translation_real"
                " / (2 * (meridional_translation_real**2 + meridional_translation_imag**2))"
            ),
            source="Davies et al., Nature 600 (2021): signature = -Re(lambda / mu) / 2, rounded to an even number",
        ),
    ),
    symbols={
        "longitudinal_translation": r"\lambda",
        "meridional_translation_real": r"\mu_r",
        "meridional_translation_imag": r"\mu_i",
    },
)


def shipped_tables() -> dict[str, ShippedTable]:
    """Every shipped table by name."""
    return {table.name: table for table in (KNOTS,)}


def load_knots() -> DataFrame:
    """9,996 hyperbolic knots: cusp geometry, volumes, symmetry and the signature (see `README.md` in this folder)."""
    return KNOTS.load()
