"""The output of the commands: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from edgewise.discovery import Discovery
    from edgewise.tables.job import RunRecord

MEASURES = {"accuracy": "accuracy", "r2": "R²", "rmse": "RMSE", "log_loss": "log loss"}


def print_summary(record: RunRecord) -> None:
    """The scores, the important inputs, and the formula."""
    console = output()
    rows = record.rows
    console.print(
        f"\n[bold]{plain(record.target)}[/] from {plain(record.table)}: {record.task}, "
        f"trained on {rows.train} rows and chosen by {rows.validation} more, scores on {rows.test} others\n",
        highlight=False,
    )
    console.print(_score_table(record))
    ranked = sorted(record.importance.items(), key=lambda item: -item[1])
    shown = [f"{name} {value:.2f}" for name, value in ranked[:5] if value > 0]
    console.print(f"\n[dim]error when shuffled:[/] {plain(', '.join(shown))}", highlight=False, soft_wrap=True)
    if record.formula is None:
        console.print("\nno formula was found; the report has the reason and the curves")
    else:
        needed = record.formula.inputs
        console.print(
            f"[dim]the formula needs {len(needed)} of {len(ranked)} inputs:[/] {plain(', '.join(needed))}\n",
            highlight=False,
            soft_wrap=True,
        )
        if not needed:
            console.print("no formula of the inputs is surely better than a constant:", highlight=False)
        if not record.formula.short:
            near = (
                f"no short formula; the curves are the model. This one of {record.formula.complexity} symbols is near:"
            )
            console.print(near, highlight=False, soft_wrap=True)
        console.print(plain(record.formula.text), highlight=False, soft_wrap=True, style="bold")
        for constant in record.formula.constants:
            console.print(f"  {plain(constant)}", highlight=False, soft_wrap=True)
    for warning in record.warnings:
        console.print(f"\n[yellow]note:[/] {plain(warning)}", highlight=False, soft_wrap=True)


def print_notes(notes: Sequence[str]) -> None:
    """Notes about a table, on standard error."""
    for note in notes:
        errors().print(f"[yellow]note:[/] {plain(note)}", highlight=False)


def _score_table(record: RunRecord) -> Table:
    measures = [m for m in MEASURES if m in record.measures]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for measure in measures:
        table.add_column(MEASURES[measure], justify="right")
    table.add_column("parameters", justify="right")
    for score in record.scores:
        style = {"network": "bold", "formula": "bold", "reference": "cyan"}.get(score.kind, "")
        found = {m: score.measures.get(m, math.nan) for m in measures}
        values = [f"{value:.1%}" if m == "accuracy" else f"{value:.4g}" for m, value in found.items()]
        parameters = "" if score.parameters is None else str(score.parameters)
        table.add_row(plain(score.name), *values, parameters, style=style)
    return table


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


def print_solution(record: Mapping[str, Any]) -> None:
    """How a solve ended: residuals of the best round, unknowns, errors."""
    console = output()
    if not record["converged"]:
        console.print(f"[bold red]not solved:[/] {plain(record['message'])}; this is the best state", highlight=False)
    else:
        style = "yellow" if record["doubts"] else "green"
        console.print(f"[{style}]{plain(record['message'])}[/]", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("root mean square, fresh points")
    for title in ("", "of its terms"):
        table.add_column(title, justify="right")
    relative = {name: f"{value:.1%}" for name, value in record["relative_residuals"].items() if value is not None}
    for name, value in record["residuals"].items():
        table.add_row(plain(name), _number(value), relative.get(name, ""))
    console.print(table)
    for name, value in record["unknowns"].items():
        error = record["standard_errors"].get(name)
        shown = "not finite" if value is None else f"{value:.8g}" + (f" ± {error:.2g}" if error else "")
        console.print(f"{plain(name)} = {shown}", highlight=False, style="bold")
    if record["error_estimate"] is not None:
        console.print(f"estimated relative error: {record['error_estimate']:.1e}", highlight=False)
    if "relative_error" in record:
        console.print(f"relative L2 error against the reference: {_number(record['relative_error'])}", highlight=False)


def print_law(found: Discovery) -> None:
    """The law, how sure it is, and the front of error against length."""
    console = output()
    if found.law is None:
        console.print("\n[bold]no law[/]")
    else:
        console.print(f"\n[bold]{plain(str(found.formula))}[/]", highlight=False, soft_wrap=True)
        for constant in found.law.constants:
            console.print(f"  {plain(str(constant))}", highlight=False, soft_wrap=True)
    style = "green" if found.exact else "yellow"
    console.print(f"[{style}]{plain(found.reason)}[/]\n", highlight=False, soft_wrap=True)
    curves = f"curves leave {found.curves_error:.2g}; " if math.isfinite(found.curves_error) else ""
    if found.alternatives:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("length", "error", "outside"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("formula")
        for law in found.alternatives:
            row = [str(law.complexity), f"{law.error:.2g}", f"{law.extrapolation_error:.2g}", plain(str(law.formula))]
            table.add_row(*row, style="bold" if law is found.law else "")
        console.print(table)
    console.print(
        f"[dim]errors in standard deviations of the target, held out inside and outside the region searched; "
        f"{curves}{found.seconds:.1f} s[/]",
        highlight=False,
        soft_wrap=True,
    )


def output() -> Console:
    """Where results go."""
    return Console(file=sys.stdout)


def errors() -> Console:
    """Where everything else goes."""
    return Console(file=sys.stderr)


def plain(text: str) -> str:
    """The text for a console: no markup of rich, and control characters, as of columns, as escapes that can be seen."""
    return escape("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text))
