"""What the commands show: results on standard output, progress and mistakes on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from edgewise.discovery import Discovery

STAGES = 6
"""How many stages `edgewise.tables.job.run` announces."""


class Display:
    """A progress bar over the stages on a terminal, plain lines elsewhere; all of it on standard error.

    Args:
        stages: how many there will be; None where nobody knows.
    """

    def __init__(self, stages: int | None = STAGES) -> None:
        self.console, self.stages = errors(), stages
        self.bar: Progress | None = None
        if self.console.is_terminal:
            columns = (
                SpinnerColumn(),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
        self.begun = time.monotonic()
        self.done = -1

    def __enter__(self) -> Display:
        if self.bar is not None:
            self.bar.start()
            self.row = self.bar.add_task("", total=self.stages)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def stage(self, name: str) -> None:
        """The next stage begins."""
        self.done += 1
        self.name = name
        if self.bar is not None:
            self.bar.update(self.row, completed=self.done, description=f"[bold]{escape(name)}[/]")
        else:
            self.console.print(f"{time.monotonic() - self.begun:6.1f} s  {name}", highlight=False, markup=False)

    def tell(self, text: str) -> None:
        """Something happens inside the stage."""
        if self.bar is not None:
            self.bar.update(self.row, description=f"[bold]{escape(self.name)}[/] [dim]{escape(text)}[/]")
        else:
            self.console.print(f"          {text}", highlight=False, markup=False, soft_wrap=True)


def print_summary(metrics: dict[str, Any]) -> None:
    """The scores, what matters, and the formula."""
    console = output()
    measures = [m for m in ("accuracy", "r2", "rmse", "log_loss") if m in metrics["scores"][0]]
    titles = {"accuracy": "accuracy", "r2": "R²", "rmse": "RMSE", "log_loss": "log loss"}
    rows = metrics["rows"]
    console.print(
        f"\n[bold]{escape(metrics['target'])}[/] from {escape(metrics['table'])}: {metrics['task']}, "
        f"trained on {rows['train'] + rows['choose']} rows, scores on {rows['judge']} others\n",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for measure in measures:
        table.add_column(titles[measure], justify="right")
    table.add_column("parameters", justify="right")
    for row in metrics["scores"]:
        style = {"network": "bold", "formula": "bold", "reference": "cyan"}.get(row["kind"], "")
        values = [f"{row[m]:.1%}" if m == "accuracy" else f"{row[m]:.4g}" for m in measures]
        table.add_row(
            escape(row["name"]), *values, "" if row["parameters"] is None else str(row["parameters"]), style=style
        )
    console.print(table)
    ranked = sorted(metrics["importance"].items(), key=lambda item: -item[1])
    needed = set() if metrics["formula"] is None else set(metrics["formula"]["inputs"])
    shown = [f"{name} {value:.2f}" for name, value in ranked[:5] if value > 0]
    console.print(f"\n[dim]error when shuffled:[/] {escape(', '.join(shown))}", highlight=False, soft_wrap=True)
    if metrics["formula"] is None:
        console.print("\nno formula: no function explains some of the curves; see the report")
    else:
        console.print(
            f"[dim]the formula needs {len(needed)} of {len(ranked)} inputs:[/] "
            f"{escape(', '.join(metrics['formula']['inputs']))}\n",
            highlight=False,
            soft_wrap=True,
        )
        console.print(escape(metrics["formula"]["text"]), highlight=False, soft_wrap=True, style="bold")
    for warning in metrics["warnings"]:
        console.print(f"\n[yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


def print_solution(record: dict[str, Any]) -> None:
    """How a solve ended: residuals of the best round, unknowns, errors."""
    console = output()
    if not record["converged"]:
        console.print(f"[bold red]not solved:[/] {escape(record['message'])}; this is the best state", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("root mean square, fresh points")
    table.add_column("", justify="right")
    for name, value in record["residuals"].items():
        table.add_row(escape(name), _number(value))
    console.print(table)
    for name, value in record["unknowns"].items():
        shown = "not finite" if value is None else f"{value:.8g}"
        console.print(f"{escape(name)} = {shown}", highlight=False, style="bold")
    if record["error_estimate"] is not None:
        console.print(f"relative distance to the next coarser grid: {record['error_estimate']:.1e}", highlight=False)
    if "relative_error" in record:
        console.print(f"relative L2 error against the reference: {_number(record['relative_error'])}", highlight=False)


def print_law(found: Discovery) -> None:
    """The law, how sure it is, and the front of error against length."""
    console = output()
    if found.law is None:
        console.print("\n[bold]no law[/]")
    else:
        console.print(f"\n[bold]{escape(str(found.formula))}[/]", highlight=False, soft_wrap=True)
    style = "green" if found.exact else "yellow"
    console.print(f"[{style}]{escape(found.reason)}[/]\n", highlight=False, soft_wrap=True)
    if found.alternatives:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("length", "error", "outside"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("formula")
        for law in found.alternatives:
            row = [str(law.complexity), f"{law.error:.2g}", f"{law.extrapolation_error:.2g}", escape(str(law.formula))]
            table.add_row(*row, style="bold" if law is found.law else "")
        console.print(table)
    console.print(
        f"[dim]errors in standard deviations of the target, held out inside and outside the region searched; "
        f"curves leave {found.curves_error:.2g}; {found.seconds:.1f} s[/]",
        highlight=False,
        soft_wrap=True,
    )


def output() -> Console:
    """Where results go."""
    return Console(file=sys.stdout)


def errors() -> Console:
    """Where everything else goes."""
    return Console(file=sys.stderr)
