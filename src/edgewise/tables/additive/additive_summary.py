r"""What an additive model says, on a page: every term with its size, its degrees of freedom and a p-value.

The p-value of a term tests f = 0 (Wood, Biometrika 100, 2013): with the values $f = Bc$ of the term on the training
rows, their posterior covariance $V_f = BVB^T$ and r, the effective degrees of freedom rounded to a whole number of 1 or
more, $T = f^T V_f^{r-} f$ with the pseudo-inverse of rank r is compared with $\chi^2_r$ where the scale of the noise is
known, and $T/r$ with an F distribution of r and n - edf degrees of freedom where it is estimated. It is approximate: it
takes the smoothing strengths as known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from edgewise._shown import shown
from edgewise.stored import read_fields
from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.deviance import KeptRows, deviance_explained
from edgewise.tables.additive.term_bands import require_covariance

SHOWN_TERMS = 16
SHOWN_NOTES = 3


@dataclass(frozen=True)
class TermSummary:
    """A term in a summary; the numbers have one entry per output.

    Args:
        name: of the term.
        kind: "curve", "cyclic", "levels" or "surface".
        spread: the standard deviation of its contributions over the kept training rows.
        edf: the effective degrees of freedom.
        strengths: the smoothing strengths by part.
        statistic: T.
        rank: r.
        p_value: approximate.
    """

    name: str
    kind: str
    spread: tuple[float, ...]
    edf: tuple[float, ...]
    strengths: Mapping[str, tuple[float, ...]]
    statistic: tuple[float, ...]
    rank: tuple[int, ...]
    p_value: tuple[float, ...]


@shown
@dataclass(frozen=True)
class AdditiveSummary:
    """The summary of a model; its text has at most 25 lines.

    Args:
        family: of the outcome.
        outputs: their names.
        rows: of positive weight in the training table.
        kept: of them, which the numbers below are computed from.
        explained: the share of the deviance that is explained.
        scale: of the noise, per output.
        edf: the effective degrees of freedom of all terms and the intercepts.
        terms: of the model, in its order.
        notes: of the model.
    """

    family: str
    outputs: tuple[str, ...]
    rows: int
    kept: int
    explained: float
    scale: tuple[float, ...]
    edf: float
    terms: tuple[TermSummary, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object, read back by `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> AdditiveSummary:
        """The summary that `to_json` described."""
        return read_fields(cls, record, "the summary of an additive model")

    def __str__(self) -> str:
        shown = sorted(self.terms, key=lambda term: -max(term.spread))[:SHOWN_TERMS]
        width = max([4, *(min(len(term.name), 32) for term in shown)])
        which = "" if self.kept == self.rows else f" of {self.kept:,} of them"
        lines = [
            f"{self.family}, {', '.join(self.outputs)[:60]}: {len(self.terms)} terms, {self.rows:,} rows",
            f"deviance explained{which} {self.explained:.1%}, effective degrees of freedom {self.edf:.1f}"
            + ("" if set(self.scale) == {1.0} else f", scale {max(self.scale):.4g}"),
            f"{'term':{width}}  {'kind':7}  {'spread':>9}  {'edf':>6}  {'p':>8}  strengths",
            *(_line(term, width) for term in shown),
        ]
        if len(self.terms) > len(shown):
            lines.append(f"and {len(self.terms) - len(shown)} terms of smaller spread")
        lines += [note[:110] for note in self.notes[:SHOWN_NOTES]]
        return "\n".join([*lines, "p: approximate, of the hypothesis that the term is 0 (Wood 2013)"])


def summarised(model: AdditiveModel, rows: KeptRows) -> AdditiveSummary:
    """The summary of a model, from the rows that were kept of its training."""
    total = float(len(model.intercept) + np.sum([term.edf for term in model.terms]))
    return AdditiveSummary(
        family=model.family.name,
        outputs=tuple(map(str, model.outputs)),
        rows=rows.total,
        kept=len(rows.weights),
        explained=float(deviance_explained(model, rows)),
        scale=tuple(map(float, model.scale)),
        edf=total,
        terms=tuple(_term(model, number, rows) for number in range(len(model.terms))),
        notes=tuple(model.notes),
    )


def _term(model: AdditiveModel, number: int, rows: KeptRows) -> TermSummary:
    term, where = model.terms[number], model.slices()[number]
    matrix = term.matrix(rows.columns)
    gram = (matrix.T @ matrix).toarray()
    free = max(rows.total - sum(float(np.max(t.edf)) for t in model.terms) - 1, 1.0)
    found = []
    for output, v in enumerate(require_covariance(model)):
        c, rank = term.coef[output].ravel(), max(1, round(term.edf[output]))
        statistic, rank = wald(gram, c, v[where, where], rank)
        tail = stats.chi2.sf(statistic, rank) if model.family.known_scale else stats.f.sf(statistic / rank, rank, free)
        found.append((float((matrix @ c).std()), statistic, rank, float(tail)))
    spread, statistics, ranks, tails = zip(*found, strict=True)
    edf, strengths = tuple(map(float, term.edf)), {name: tuple(s) for name, s in term.strengths.items()}
    return TermSummary(term.name, term.kind, spread, edf, strengths, statistics, ranks, tails)


def wald(gram: np.ndarray, coef: np.ndarray, covariance: np.ndarray, rank: int) -> tuple[float, int]:
    """The statistic T with a pseudo-inverse of this rank, or of the largest that there is, and the rank.

    Args:
        gram: $B^T B$ of the functions on the rows.
        coef: of the term.
        covariance: of the coefficients.
        rank: r.
    """
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T  # root^T root is the Gram matrix
    variances, directions = np.linalg.eigh(root @ covariance @ root.T)
    largest = np.argsort(variances)[::-1][:rank]
    largest = largest[variances[largest] > 1e-12 * max(float(variances.max()), 1e-300)]
    if len(largest) == 0:
        return 0.0, rank
    along = directions[:, largest].T @ (root @ coef)
    return float((along**2 / variances[largest]).sum()), len(largest)


def _line(term: TermSummary, width: int) -> str:
    name = term.name if len(term.name) <= width else f"{term.name[: width - 1]}…"
    p = min(1.0, len(term.p_value) * min(term.p_value))
    strengths = ", ".join(f"{part} {max(numbers):.1e}" for part, numbers in term.strengths.items())
    tail = "< 1e-16" if p < 1e-16 else f"{p:.2g}"
    return f"{name:{width}}  {term.kind:7}  {max(term.spread):9.4g}  {max(term.edf):6.2f}  {tail:>8}  {strengths[:60]}"
