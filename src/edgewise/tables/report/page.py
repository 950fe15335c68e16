"""The page: what was found first, then how good it is, then where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float, Num

from edgewise.expressions import Formula
from edgewise.nn import KAN
from edgewise.viz import Diagram, Edge, diagram, svg
from edgewise.viz.inline import confusion, curve, scatter

Array = np.ndarray
MEASURES = {"accuracy": "accuracy", "r2": "R²", "rmse": "RMSE", "mae": "MAE", "log_loss": "log loss"}
SMALLER_IS_BETTER = {"rmse", "mae", "log_loss"}
LONG = 40
MOST_CURVES, MOST_EDGES = 60, 60
FULL_TABLE = 12


@dataclass(frozen=True)
class Report:
    """What a page is made of.

    Args:
        metrics: everything that was measured, as in metrics.json.
        model: the network.
        formula: the formula, None where there is none.
        inputs: rows that were held out.
        outcome: their outcome: numbers, or class indices.
        prediction: the network's answer: numbers, or class probabilities.
        symbols: LaTeX of some inputs.
    """

    metrics: Mapping[str, Any]
    model: KAN
    formula: Formula | None
    inputs: Float[Array, "rows features"]
    outcome: Num[Array, " rows"]
    prediction: Array
    symbols: Mapping[str, str]


def page(report: Report) -> str:
    """The HTML of the report, complete in itself."""
    metrics = report.metrics
    picture = diagram(report.model, torch.as_tensor(report.inputs), max_edges=MOST_EDGES)
    sections = [
        _header(metrics),
        _formula(report),
        _scores(metrics),
        _importance(metrics),
        _network(metrics, picture),
        _predictions(report),
        _curves(report.model, torch.as_tensor(report.inputs)),
        _front(metrics),
        _warnings(metrics),
        _settings(metrics),
    ]
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    title = escape(f"{metrics['target']} from {metrics['table']}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + f"\n<footer>edgewise {escape(metrics['version'])}</footer>\n</main>\n</body>\n</html>\n"
    )


def mathml(formula: Formula, symbols: Mapping[str, str]) -> list[str]:
    """Every equation as presentation MathML, which browsers render without help."""
    table = {s: sympy.Symbol(symbols[str(s)].replace("\\", "")) for s in formula.inputs if str(s) in symbols}
    return [
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mrow>'
        f"<mtext>{escape(name)}</mtext><mo>=</mo>"
        f"{_presentation(e.xreplace(table))}</mrow></math>"
        for name, e in zip(formula.names, formula.rounded(), strict=True)
    ]


def _header(metrics: Mapping[str, Any]) -> str:
    rows = metrics["rows"]
    kind = {"regression": "a number", "classification": f"{len(metrics['classes'])} classes"}[metrics["task"]]
    return (
        f"<h1>{escape(metrics['target'])}</h1>"
        f'<p class="lead">{kind}, predicted from {len(metrics["importance"])} inputs of {escape(metrics["table"])}. '
        f"Trained on {rows['train']:,} rows and chosen by {rows['choose']:,} more; every score below is measured on "
        f"{rows['judge']:,} rows that had no part in that.</p>"
    )


def _formula(report: Report) -> str:
    metrics, formula = report.metrics, report.formula
    if formula is None:
        return (
            '<div class="law"><p>No formula: no function of the library explains some of the curves. '
            "The curves below are the model.</p></div>" + _tiles(metrics)
        )
    facts = metrics["formula"]
    long = " long" if facts["complexity"] > LONG or len(formula.expressions) > 1 else ""
    meanings = [
        f"{_small_math(latex)} is {escape(name)}" for name, latex in report.symbols.items() if name in facts["inputs"]
    ]
    legend = f'<p class="note">{", ".join(meanings)}</p>' if meanings else ""
    python, latex = escape(facts["python"]), escape(facts["latex"])
    return (
        f'<div class="law{long}">{"".join(mathml(formula, report.symbols))}{legend}</div>'
        + _tiles(metrics)
        + f'<p class="note">{_closeness(facts)}</p>'
        + f"<details><summary>LaTeX</summary><pre>{latex}</pre></details>"
        + f"<details><summary>Python, with the exact numbers</summary><pre>{python}</pre></details>"
    )


def _closeness(facts: Mapping[str, Any]) -> str:
    """How far the formula and the network are apart."""
    gap = facts["error_against_network"]
    if "same_class" in gap:
        return f"Formula and network name the same class in {gap['same_class']:.1%} of the rows."
    text = (
        f"Between formula and network there is a root mean square difference of {gap['rmse']:.3g} "
        f"({gap['relative']:.1%} of the spread of the network's predictions)"
    )
    return text + (
        f"; after rounding they agree in {gap['same_value']:.1%} of the rows." if "same_value" in gap else "."
    )


def _tiles(metrics: Mapping[str, Any]) -> str:
    """The leading measure of the formula, the network, and the best of the rest."""
    measure = _leading(metrics)
    own = [row for row in metrics["scores"] if row["kind"] in ("formula", "network")]
    rivals = [row for row in metrics["scores"] if row["kind"] == "rival"]
    best = (min if measure in SMALLER_IS_BETTER else max)(rivals, key=lambda row: row[measure])
    known = [row for row in metrics["scores"] if row["kind"] == "reference"]
    shown = [*sorted(own, key=lambda row: row["kind"]), *known, best]
    tiles = [
        f'<div class="tile{" first" if n == 0 else ""}"><b>{_value(measure, row[measure])}</b>'
        f"<span>{MEASURES[measure]} of {_article(row)}</span></div>"
        for n, row in enumerate(shown)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _article(row: Mapping[str, Any]) -> str:
    name = row["name"].partition(" [")[0]
    return escape(name if name == "gradient boosting" else f"the {name}")


def _scores(metrics: Mapping[str, Any]) -> str:
    measures = [measure for measure in MEASURES if measure in metrics["scores"][0]]
    leading = _leading(metrics)
    head = "".join(f'<th class="number">{MEASURES[m]}</th>' for m in measures)
    body = []
    for row in metrics["scores"]:
        css = {"network": "own", "formula": "own", "reference": "reference"}.get(row["kind"], "")
        cells = "".join(f'<td class="number">{_value(m, row[m])}</td>' for m in measures)
        size = "" if row["parameters"] is None else f"{row['parameters']:,}"
        note = f'<div class="note">{escape(row["note"])}</div>' if row["note"] else ""
        body.append(
            f'<tr class="{css}"><td>{escape(row["name"])}{note}</td>{cells}<td class="number">{size}</td>'
            f'<td class="meter"><div class="bar" style="width:{_length(metrics, row, leading):.1f}%"></div></td></tr>'
        )
    return (
        "<h2>How good it is</h2>"
        f'<div class="scroll"><table><thead><tr><th></th>{head}<th class="number">parameters</th><th></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
        '<p class="note">The perceptron (MLP) has as many parameters as the '
        f"network, and all were trained on the same rows. Bars: {MEASURES[leading]}.</p>"
    )


def _importance(metrics: Mapping[str, Any]) -> str:
    ranked = sorted(metrics["importance"].items(), key=lambda item: -item[1])
    most = max(ranked[0][1], 1e-12)
    used = set() if metrics["formula"] is None else set(metrics["formula"]["inputs"])
    unused = set(metrics["network"]["unused_inputs"])
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
        "knowing nothing. Inputs that say the same share their importance.</p>"
    )


def _network(metrics: Mapping[str, Any], picture: Diagram) -> str:
    facts = metrics["network"]
    gone = facts["edges_before"] - facts["edges"]
    unused = facts["unused_inputs"]
    text = (
        f"{facts['edges']} edges and {facts['parameters']:,} parameters. "
        + (f"Pruning removed {gone} of {facts['edges_before']} edges" if gone else "Pruning found no edge to remove")
        + (f" and with them the inputs {escape(', '.join(unused))}." if unused else ".")
    )
    return f'<h2>The network</h2><figure class="wide">{svg(picture)}<figcaption>{text}</figcaption></figure>'


def _predictions(report: Report) -> str:
    metrics = report.metrics
    if metrics["task"] == "classification":
        labels, chosen = list(map(str, metrics["classes"])), report.prediction.argmax(1)
        outcome = report.outcome.astype(int)
    elif metrics["rounded_to"]:
        values = np.asarray(metrics["rounded_to"])
        labels = [f"{value:g}" for value in values]
        chosen, outcome = (np.abs(v[:, None] - values).argmin(1) for v in (report.prediction, report.outcome))
    else:
        return '<h2>Predictions</h2><figure class="wide" style="max-width:32rem">' + (
            scatter(report.outcome, report.prediction)
            + "<figcaption>The network on the rows held out.</figcaption></figure>"
        )
    if len(labels) > FULL_TABLE:
        return ""
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (outcome, chosen), 1)
    return (
        f'<h2>Predictions</h2><figure class="wide">{confusion(labels, counts)}'
        "<figcaption>Rows: what was true. Columns: what the network predicted.</figcaption></figure>"
    )


def _curves(model: KAN, inputs: torch.Tensor) -> str:
    """Every curve in the order of the layers, the important ones first."""
    picture = diagram(model, inputs, max_edges=10_000)
    edges = sorted(picture.edges, key=lambda edge: (edge.layer, -edge.score))[:MOST_CURVES]
    figures = "".join(
        f"<figure>{curve(edge.x, edge.y, symbol=edge.kind == 'symbol', title=_edge_name(picture, edge))}"
        f"<figcaption>{escape(_edge_name(picture, edge))}</figcaption></figure>"
        for edge in edges
    )
    more = f" The {MOST_CURVES} first of {len(picture.edges)} are shown." if len(picture.edges) > MOST_CURVES else ""
    return (
        f'<h2>Every curve</h2><div class="curves">{figures}</div>'
        f'<p class="note">Below each curve: the range of its argument at the two ends, the range of its values '
        f"between them.{more}</p>"
    )


def _front(metrics: Mapping[str, Any]) -> str:
    if len(metrics["front"]) < 2:
        return ""
    chosen = metrics["formula"]["text"]
    unit = "error (share of variance)" if metrics["task"] == "regression" else "log loss"
    rows = "".join(
        f'<tr class="{"own" if finding["text"] == chosen else ""}"><td class="number">{finding["error"]:.3g}</td>'
        f'<td class="number">{finding["complexity"]}</td><td><code>{escape(finding["text"])}</code>'
        f'<div class="note">{escape(finding["origin"])}</div></td></tr>'
        for finding in metrics["front"]
        if finding["complexity"] <= 3 * metrics["formula"]["complexity"] + 20
    )
    return (
        "<h2>Shorter and longer formulas</h2>"
        f'<div class="scroll"><table><thead><tr><th class="number">{unit}</th><th class="number">length</th>'
        f"<th></th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="note">Each is the best of its length on the rows that choose. '
        "The shortest within a tenth of the least error was taken.</p>"
    )


def _warnings(metrics: Mapping[str, Any]) -> str:
    if not metrics["warnings"]:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in metrics["warnings"])
    return f"<h2>To know</h2><ul>{items}</ul>"


def _settings(metrics: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in metrics["settings"].items()
    )
    return f"<details><summary>Settings of the run</summary><table><tbody>{rows}</tbody></table></details>"


def _edge_name(picture: Diagram, edge: Edge) -> str:
    source, target = picture.source(edge), picture.target(edge)
    names = (
        source.name or f"node {edge.layer}.{source.index + 1}",
        target.name or f"node {edge.layer + 1}.{target.index + 1}",
    )
    return " → ".join(names) + (f": {edge.symbol}" if edge.symbol else "")


def _leading(metrics: Mapping[str, Any]) -> str:
    return "accuracy" if "accuracy" in metrics["scores"][0] else "r2"


def _length(metrics: Mapping[str, Any], row: Mapping[str, Any], measure: str) -> float:
    best: float = max(other[measure] for other in metrics["scores"])
    return 100 * max(row[measure], 0) / best if best > 0 else 0


def _value(measure: str, value: float) -> str:
    return f"{value:.1%}" if measure == "accuracy" else f"{value:.4g}".replace("-", "−")


def _small_math(latex: str) -> str:
    symbol = sympy.Symbol(latex.replace("\\", ""))
    return f"<math>{_presentation(symbol)}</math>"


def _presentation(expression: sympy.Basic) -> str:
    """MathML with real minus signs: browsers show sympy's hyphens too short."""
    return sympy.printing.mathml(expression, printer="presentation").replace("<mo>-</mo>", "<mo>−</mo>")
