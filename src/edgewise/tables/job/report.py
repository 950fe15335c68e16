"""The report of a run: one self-contained HTML page, without scripts or network, readable in print and in the dark.

It shows what was found first, then how good it is, then where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np
import sympy
import torch
from jaxtyping import Float, Num

from edgewise.expressions import Formula
from edgewise.expressions.printers import mathml
from edgewise.nn import KAN
from edgewise.tables.job.record import HIGHER_IS_BETTER, Disagreement, FormulaFacts, RunRecord, Score
from edgewise.viz import Diagram, Edge, diagram, svg
from edgewise.viz.inline import confusion, curve, scatter

Array = np.ndarray
MEASURES = {"accuracy": "accuracy", "r2": "R²", "rmse": "RMSE", "mae": "MAE", "log_loss": "log loss"}
LONG = 40
MAX_CURVES, MAX_EDGES = 60, 60
FULL_TABLE = 12


@dataclass(frozen=True)
class Evidence:
    """The model and the test rows of a run, which a page shows besides its record.

    Args:
        model: the network.
        formula: the formula, None where there is none.
        inputs: the test rows.
        outcome: their outcome: amounts, or class indices.
        prediction: of the network: amounts, or class probabilities.
        symbols: LaTeX of some inputs.
        additive: the additive model beside the network; None where there is none.
    """

    model: KAN
    formula: Formula | None
    inputs: Float[Array, "rows features"]
    outcome: Num[Array, " rows"]
    prediction: Array
    symbols: Mapping[str, str]
    additive: KAN | None = None


def report_page(record: RunRecord, evidence: Evidence) -> str:
    """The HTML of the report, complete in itself."""
    inputs = torch.as_tensor(evidence.inputs)
    sections = [
        _header(record),
        _formula(record, evidence),
        _scores(record),
        _importance(record),
        _terms(evidence, inputs),
        _network(record, diagram(evidence.model, inputs, max_edges=MAX_EDGES)),
        _predictions(record, evidence),
        _curves(evidence.model, inputs),
        _front(record),
        _warnings(record),
        _settings(record),
    ]
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    title = escape(f"{record.target} from {record.table}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + f"\n<footer>edgewise {escape(record.version)}</footer>\n</main>\n</body>\n</html>\n"
    )


def equations(formula: Formula, symbols: Mapping[str, str]) -> list[str]:
    """Every equation as presentation MathML, which browsers render without help."""
    return formula.mathml(symbols)


def _header(record: RunRecord) -> str:
    rows = record.rows
    kind = "a number" if record.task == "regression" else f"{len(record.classes)} classes"
    return (
        f"<h1>{escape(record.target)}</h1>"
        f'<p class="lead">{kind}, predicted from {len(record.importance)} inputs of {escape(record.table)}. '
        f"Trained on {rows.train:,} rows and chosen by {rows.validation:,} more; every score below is measured on "
        f"{rows.test:,} other rows.</p>"
    )


def _formula(record: RunRecord, evidence: Evidence) -> str:
    facts, formula = record.formula, evidence.formula
    if formula is None or facts is None:
        return (
            '<div class="law"><p>No formula was found: the time ended first, as the notes then say, or no function of '
            "the library explains some of the curves. The curves below are the model.</p></div>" + _tiles(record)
        )
    long = " long" if facts.complexity > LONG or len(formula.expressions) > 1 else ""
    meanings = [
        f"{_small_math(latex)} is {escape(name)}" for name, latex in evidence.symbols.items() if name in facts.inputs
    ]
    legend = f'<p class="note">{", ".join(meanings)}</p>' if meanings else ""
    python, latex = escape(facts.python), escape(facts.latex)
    return (
        f'<div class="law{long}">{_length_note(facts)}{"".join(equations(formula, evidence.symbols))}{legend}</div>'
        + _tiles(record)
        + _constants(facts)
        + f'<p class="note">{_closeness(facts.error_against_network)}</p>'
        + f"<details><summary>LaTeX</summary><pre>{latex}</pre></details>"
        + f"<details><summary>Python, with the exact constants</summary><pre>{python}</pre></details>"
    )


def _length_note(facts: FormulaFacts) -> str:
    """What is written above a formula that is too long to be read."""
    if facts.short:
        return ""
    size = f"This one of {facts.complexity} symbols is near."
    return f'<p class="note">No short formula; the curves are the model. {size}</p>'


def _constants(facts: FormulaFacts) -> str:
    """The numbers of the formula with their standard errors."""
    if not facts.constants:
        return ""
    items = "".join(f"<li>{escape(constant)}</li>" for constant in facts.constants)
    return f'<h3>Its numbers</h3><ul>{items}</ul><p class="note">Estimate ± standard error, from all rows fitted.</p>'


def _closeness(gap: Disagreement) -> str:
    """How far the formula and the network are apart."""
    if gap.same_class is not None:
        return f"Formula and network predict the same class in {gap.same_class:.1%} of the rows."
    text = (
        f"The root mean square difference of formula and network is {gap.rmse:.3g} "
        f"({gap.relative:.1%} of the standard deviation of the network's predictions)"
    )
    if gap.same_value is None:
        return f"{text}."
    return f"{text}; after rounding they agree in {gap.same_value:.1%} of the rows."


def _tiles(record: RunRecord) -> str:
    """The leading measure of the formula, the network, published rules and the best baseline."""
    measure = record.leading
    by_kind = {kind: [s for s in record.scores if s.kind == kind] for kind in ("formula", "network", "reference")}
    baselines = [score for score in record.scores if score.kind == "baseline"]
    best = (max if HIGHER_IS_BETTER[measure] else min)(baselines, key=lambda score: score.measures[measure])
    shown = [*(score for scores in by_kind.values() for score in scores), best]
    tiles = [
        f'<div class="tile{" first" if n == 0 else ""}"><b>{_value(measure, score.measures[measure])}</b>'
        f"<span>{MEASURES[measure]} of {_article(score)}</span></div>"
        for n, score in enumerate(shown)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _article(score: Score) -> str:
    name = score.name.partition(" [")[0]
    return escape(name if name == "gradient boosting" else f"the {name}")


def _scores(record: RunRecord) -> str:
    head = "".join(f'<th class="number">{MEASURES[m]}</th>' for m in record.measures)
    body = []
    for score in record.scores:
        css = {"network": "own", "formula": "own", "reference": "reference"}.get(score.kind, "")
        cells = "".join(f'<td class="number">{_value(m, score.measures[m])}</td>' for m in record.measures)
        size = "" if score.parameters is None else f"{score.parameters:,}"
        note = f'<div class="note">{escape(score.note)}</div>' if score.note else ""
        body.append(
            f'<tr class="{css}"><td>{escape(score.name)}{note}</td>{cells}<td class="number">{size}</td>'
            f'<td class="meter"><div class="bar" style="width:{_length(record, score):.1f}%"></div></td></tr>'
        )
    return (
        "<h2>How good it is</h2>"
        f'<div class="scroll"><table><thead><tr><th></th>{head}<th class="number">parameters</th><th></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
        '<p class="note">The MLP has as many parameters as the network, and all models were trained on the same rows. '
        f"Bars: {MEASURES[record.leading]}.</p>"
    )


def _importance(record: RunRecord) -> str:
    ranked = sorted(record.importance.items(), key=lambda item: -item[1])
    most = max(ranked[0][1], 1e-12)
    used = set() if record.formula is None else set(record.formula.inputs)
    unused = set(record.network.unused_inputs)
    rows = "".join(
        f'<tr class="{"used" if name in used else ""}"><td>{escape(name)}</td><td class="number">{value:.3f}</td>'
        f'<td class="meter"><div class="bar" style="width:{100 * max(value, 0) / most:.1f}%"></div></td>'
        f'<td class="note">{"in the formula" if name in used else "pruned" if name in unused else ""}</td></tr>'
        for name, value in ranked
    )
    return (
        "<h2>What matters</h2>"
        f"<table><tbody>{rows}</tbody></table>"
        '<p class="note">By how much the network\'s error rises when one column is shuffled, in units of the error of '
        "the constant model. Inputs that say the same share their importance.</p>"
    )


def _network(record: RunRecord, drawing: Diagram) -> str:
    facts = record.network
    gone, unused = facts.edges_before - facts.edges, facts.unused_inputs
    text = (
        f"{facts.edges} edges and {facts.parameters:,} parameters. "
        + (f"Pruning removed {gone} of {facts.edges_before} edges" if gone else "Pruning found no edge to remove")
        + (f" and with them the inputs {escape(', '.join(unused))}." if unused else ".")
    )
    return f'<h2>The network</h2><figure class="wide">{svg(drawing)}<figcaption>{text}</figcaption></figure>'


def _predictions(record: RunRecord, evidence: Evidence) -> str:
    if record.task == "classification":
        labels, chosen = list(map(str, record.classes)), evidence.prediction.argmax(1)
        outcome = evidence.outcome.astype(int)
    elif record.rounded_to:
        values = np.asarray(record.rounded_to)
        labels = [f"{value:g}" for value in values]
        chosen, outcome = (np.abs(v[:, None] - values).argmin(1) for v in (evidence.prediction, evidence.outcome))
    else:
        return '<h2>Predictions</h2><figure class="wide" style="max-width:32rem">' + (
            scatter(evidence.outcome, evidence.prediction)
            + "<figcaption>The network on the test rows.</figcaption></figure>"
        )
    if len(labels) > FULL_TABLE:
        return ""
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (outcome, chosen), 1)
    return (
        f'<h2>Predictions</h2><figure class="wide">{confusion(labels, counts)}'
        "<figcaption>Rows: true. Columns: predicted by the network.</figcaption></figure>"
    )


def _terms(evidence: Evidence, inputs: torch.Tensor) -> str:
    """Every term of the additive model, the important ones first."""
    if evidence.additive is None:
        return ""
    figures, more = _figures(evidence.additive, inputs, one_scale=True)
    return (
        f'<h2>The additive model</h2><div class="curves">{figures}</div>'
        '<p class="note">The sum of one curve per input, smoothed by the evidence of the training rows: what every '
        "input does, whatever the others are. All have one scale. Its scores are above. The network below may join "
        f"inputs.{more}</p>"
    )


def _curves(model: KAN, inputs: torch.Tensor) -> str:
    """Every curve of the network."""
    figures, more = _figures(model, inputs)
    return (
        f'<h2>Every curve</h2><div class="curves">{figures}</div>'
        '<p class="note">Below each curve: the range of its argument at the two ends, and under it the range of its '
        f"values.{more}</p>"
    )


def _range(values: Sequence[float | None]) -> float:
    finite = [v for v in values if v is not None]
    return max(finite) - min(finite) if finite else 0.0


def _figures(model: KAN, inputs: torch.Tensor, *, one_scale: bool = False) -> tuple[str, str]:
    """The curves in the order of the layers, the important ones first, and how many are left out, in words."""
    drawing = diagram(model, inputs, max_edges=10_000)
    edges = sorted(drawing.edges, key=lambda edge: (edge.layer, -edge.score))[:MAX_CURVES]
    height = max((_range(edge.y) for edge in edges), default=0.0) if one_scale else None
    figures = "".join(
        f"<figure>{curve(e.x, e.y, symbol=e.kind == 'symbol', title=_edge_name(drawing, e), height=height)}"
        f"<figcaption>{escape(_edge_name(drawing, e))}</figcaption></figure>"
        for e in edges
    )
    more = f" The {MAX_CURVES} first of {len(drawing.edges)} are shown." if len(drawing.edges) > MAX_CURVES else ""
    return figures, more


def _front(record: RunRecord) -> str:
    if len(record.front) < 2 or record.formula is None:
        return ""
    unit = "error (share of variance)" if record.task == "regression" else "log loss"
    rows = "".join(
        f'<tr class="{"own" if entry.text == record.formula.text else ""}"><td class="number">{entry.error:.3g}</td>'
        f'<td class="number">{entry.complexity}</td><td><code>{escape(entry.text)}</code>'
        f'<div class="note">{escape(entry.origin)}</div></td></tr>'
        for entry in record.front
        if entry.complexity <= 3 * record.formula.complexity + 20
    )
    return (
        "<h2>Shorter and longer formulas</h2>"
        f'<div class="scroll"><table><thead><tr><th class="number">{unit}</th><th class="number">length</th>'
        f"<th></th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="note">Each is the best of its length on the validation rows. '
        "A law was chosen where one leaves noise alone, else the shortest within a tenth of the least error.</p>"
    )


def _warnings(record: RunRecord) -> str:
    if not record.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in record.warnings)
    return f"<h2>Notes</h2><ul>{items}</ul>"


def _settings(record: RunRecord) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in asdict(record.settings).items()
    )
    return f"<details><summary>Settings of the run</summary><table><tbody>{rows}</tbody></table></details>"


def _edge_name(drawing: Diagram, edge: Edge) -> str:
    source, target = drawing.source(edge), drawing.target(edge)
    names = (
        source.name or f"node {edge.layer}.{source.index + 1}",
        target.name or f"node {edge.layer + 1}.{target.index + 1}",
    )
    return " → ".join(names) + (f": {edge.symbol}" if edge.symbol else "")


def _length(record: RunRecord, score: Score) -> float:
    """The length of a bar in per cent: the leading measure over its largest value."""
    best = max(other.measures[record.leading] for other in record.scores)
    return 100 * max(score.measures[record.leading], 0) / best if best > 0 else 0


def _value(measure: str, value: float) -> str:
    return f"{value:.1%}" if measure == "accuracy" else f"{value:.4g}".replace("-", "−")


def _small_math(latex: str) -> str:
    return f"<math>{mathml(sympy.Symbol('s'), {'s': latex})}</math>"
