"""The job of `edgewise fit`: from a table to a network, its baselines and a formula, in stages that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from edgewise._shown import shown
from edgewise._version import __version__
from edgewise.compare import fit_baselines
from edgewise.discovery.noisy import Finding, Front, search_class_formula, search_formula
from edgewise.display import shows_progress
from edgewise.expressions import Formula, parse_formula
from edgewise.io import save
from edgewise.io.reading import reading
from edgewise.io.sealed import digest_of
from edgewise.nn import KAN
from edgewise.progress import Budget, Event, Listener
from edgewise.tables.cells import require_columns
from edgewise.tables.encode import Encoding
from edgewise.tables.job.formula_worth import worth_showing
from edgewise.tables.job.record import (
    FORMAT,
    Disagreement,
    FormulaFacts,
    FrontEntry,
    JobSettings,
    RowCounts,
    RunRecord,
    Score,
)
from edgewise.tables.job.report import Evidence, report_page
from edgewise.tables.job.rundir import MODEL, RECORD, RunDirectory
from edgewise.tables.job.table_network import (
    Array,
    Rows,
    active_parameters,
    cautions,
    importance,
    loss_name,
    network_facts,
    output_names,
    predict,
    prune_while_good,
    scores,
    simple_models,
    simplest_of,
    split,
    train,
)
from edgewise.tables.prepare import Prepared, prepare
from edgewise.tables.read_table import find_table, read_table
from edgewise.tables.shipped import ShippedTable

STAGES = (
    "read the table",
    "train the network",
    "prune",
    "train the baselines",
    "search for the formula",
    "write the report",
)
SHARES = {"train the network": 0.35, "prune": 0.25, "train the baselines": 0.5, "search for the formula": 0.8}
"""The part of the time that is left which a stage may take; the report gets the rest.

Baselines come before the formula, which takes all the time that it gets: a network without baselines says little."""


@shown
@dataclass(frozen=True)
class RunResult:
    """What a run found: the network, the formulas, the record of all that was measured, test rows, additive model."""

    model: KAN
    front: Front | None
    record: RunRecord
    test: Rows
    encoding: Encoding
    additive: KAN | None = None

    def __str__(self) -> str:
        formula = [] if self.front is None else [str(self.front.chosen.formula)]
        return "\n".join([str(self.record), *formula])


@shows_progress
def fit_table(
    table: str,
    settings: JobSettings,
    out: Path,
    *,
    force: bool = False,
    progress: bool | Listener | None = None,
    budget: Budget | None = None,
) -> RunResult:
    """Do the job and write the folder `out`; after an interruption the same call resumes.

    All stages share one time limit. What cannot begin within it is left out, and the warnings of the record say so.

    Args:
        table: a CSV or Parquet file, or the name of a shipped table.
        settings: what to do.
        out: the folder, which must not exist unless `force`.
        force: replace the folder of an earlier run.
        progress: True to show it; or called with an `Event` when a stage of `STAGES` begins, and inside it.
        budget: the time limit; `settings.seconds` from now by default.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    budget = Budget(settings.seconds) if budget is None else budget
    report = _Reporter(progress or (lambda event: None))
    report.begin("read the table")
    path, shipped = find_table(table)
    renamed = settings.renamed
    frame = read_table(path, settings.column_names, na_values=settings.na_values, decimal=settings.decimal)
    require_columns(frame, renamed)
    frame = frame.rename(columns=renamed)
    prepared = prepare(
        frame,
        settings.target,
        settings.task,
        inputs=settings.inputs,
        exclude=settings.exclude,
        missing=settings.missing,
        decimal=settings.decimal,
    )
    del frame  # a large table is not needed twice
    fingerprint = {"version": __version__, "table": digest_of(path), "settings": asdict(settings)}
    with RunDirectory(out, fingerprint, force=force) as folder:
        if folder.resumed:
            report.tell(f"resuming the interrupted run in {folder.partial}")
        result = _compute(Path(table).name, prepared, settings, folder, shipped, report, budget)
        report.begin("write the report")
        _write(folder, result, shipped)
    return result


def formula_text(result: RunResult) -> str:
    """The formula for reading, its LaTeX, and Python source with the exact constants."""
    if result.front is None:
        return "No formula was found. See report.html for the reason and the curves.\n"
    formula = result.front.chosen.formula
    return f"{formula}\n\nLaTeX:\n{formula.latex()}\n\nPython:\n{formula.python()}"


@dataclass
class _Reporter:
    """Sends `Event`s about the stages of the job."""

    progress: Listener
    stage: str = STAGES[0]

    def begin(self, stage: str) -> None:
        self.stage = stage
        self.tell("")

    def tell(self, text: str) -> None:
        self.progress(Event(self.stage, STAGES.index(self.stage) / len(STAGES), text))


@dataclass(frozen=True)
class _Job:
    """The rows of a run, what its stages need, and what came too late for the time limit."""

    settings: JobSettings
    encoding: Encoding
    train: Rows
    validation: Rows
    test: Rows
    folder: RunDirectory = field(repr=False)
    report: _Reporter = field(repr=False)
    budget: Budget = field(repr=False)
    late: list[str] = field(default_factory=list)

    def simple(self) -> dict[str, KAN]:
        """The linear and the additive model, beside a network with hidden nodes and where the time allows them."""
        found: dict[str, KAN] = {}
        for name, make in simple_models(self.encoding, self.train).items() if self.settings.hidden else ():
            if not self.budget.over or self.folder.has(name):
                self.report.tell(f"{name} model")
                found[name] = self.folder.model(name, make)
        return found

    def networks(self) -> tuple[KAN, KAN]:
        """The trained network, and the pruned one."""
        rows, settings = (self.encoding, self.train, self.validation), self.settings
        part = self._begin("train the network")
        full = self.folder.model("network", lambda: train(*rows, settings.hidden, part, settings.seed))
        if part.over:
            self.late.append("the training of the network")
        part = self._begin("prune")
        if part.over and not self.folder.has("pruned"):
            self.late.append("pruning")
            return full, full
        return full, self.folder.model("pruned", lambda: prune_while_good(full, *rows, part, settings.seed))

    def importance(self, model: KAN) -> list[float]:
        """Of every input, by the validation rows."""
        return self.folder.json(
            "importance", lambda: importance(model, self.encoding, self.validation, self.settings.seed)
        )

    def baselines(self, size: int) -> tuple[Score, ...]:
        """The scores of the baselines; the MLP has about `size` parameters."""
        part = self._begin("train the baselines")
        stored = self.folder.json("baselines", lambda: [asdict(score) for score in self._fit_baselines(size, part)])
        found = tuple(Score(**score) for score in stored)
        trained = {score.name.split(" [")[0] for score in found}
        self.late.extend(name for name in ("linear model", "gradient boosting", "MLP") if name not in trained)
        return found

    def formulas(self, weights: Sequence[float]) -> Front | None:
        """The formulas, stored with their exact constants; None where the time or the functions do not suffice."""
        part = self._begin("search for the formula")
        known = self.folder.has("formulas")
        if part.over and not known:
            self.late.append("the search for a formula")
            return None
        stored = self.folder.json("formulas", lambda: self._search(weights, part.left))
        if part.over and not known:
            self.late.append("a part of the search for a formula")
        with reading(self.folder.partial, "; delete it to start afresh"):
            return None if stored is None else Front.from_json(stored)

    def score(self, name: str, kind: Any, prediction: Array, parameters: int | None, note: str = "") -> Score:
        """A prediction of the test rows, scored."""
        return Score(name, kind, scores(self.encoding, self.test.outcome, prediction), parameters, note)

    def predict(self, model: Any) -> Array:
        """The prediction of a function of tensors for the test rows."""
        return predict(model, self.encoding, self.test.inputs)

    def too_late(self) -> list[str]:
        """A warning about what the time limit ended or left out."""
        limit, what = f"the time limit of {self.budget.seconds:g} s", ", ".join(self.late)
        return [f"{limit} ended or left out {what}; --seconds sets it"] if what else []

    def _begin(self, stage: str) -> Budget:
        """Tell that a stage begins; its part of the time."""
        self.report.begin(stage)
        return self.budget.share(SHARES[stage])

    def _search(self, weights: Sequence[float], seconds: float) -> dict[str, Any] | None:
        common: dict[str, Any] = {
            "importance": weights,
            "seconds": seconds,
            "seed": self.settings.seed,
            "progress": lambda event: self.report.tell(event.text),
        }
        names, encoding = self.encoding.names, self.encoding
        if encoding.task == "regression":
            data, held = ((rows.inputs, rows.outcome) for rows in (self.train, self.validation))
            found = search_formula(data, held, names, encoding.target, **common)
        else:
            data, held = (rows.tensors(encoding) for rows in (self.train, self.validation))
            found = search_class_formula(data, held, names, output_names(encoding), loss=loss_name(encoding), **common)
        return None if found is None else found.to_json()

    def _fit_baselines(self, size: int, budget: Budget) -> Iterator[Score]:
        data, held = ((rows.inputs, rows.outcome) for rows in (self.train, self.validation))
        common: dict[str, Any] = {"parameters": size, "seed": self.settings.seed, "budget": budget}
        for baseline in fit_baselines(data, held, self.encoding.task, **common):
            self.report.tell(baseline.name)
            prediction = baseline.predict(self.test.inputs)
            missing = len(self.encoding.classes) - prediction.shape[-1]
            if self.encoding.task == "classification" and missing > 0:
                prediction = np.pad(prediction, ((0, 0), (0, missing)))
            yield self.score(baseline.name, "baseline", prediction, baseline.parameters)


def _compute(
    table: str,
    prepared: Prepared,
    settings: JobSettings,
    folder: RunDirectory,
    shipped: ShippedTable | None,
    report: _Reporter,
    budget: Budget,
) -> RunResult:
    """All stages, and the record of them."""
    encoding, training, validation, test, notes = split(prepared, settings.rows, settings.seed)
    report.tell(
        f"{len(training)} training, {len(validation)} validation, {len(test)} test rows; {len(encoding.names)} inputs"
    )
    job = _Job(settings, encoding, training, validation, test, folder, report, budget)
    full, model = job.networks()
    simple = job.simple()
    chosen = simplest_of({**simple, "network": model}, encoding, validation)
    if chosen != "network":
        notes.append(
            f"hidden nodes bring nothing: on the validation rows the {chosen} model is within one standard error of "
            "the network, so that it is the network of this run"
        )
        full = model = simple[chosen]
    weights = job.importance(model)
    size = active_parameters(model)
    terms = [m for name, m in simple.items() if name == "additive"]
    baselines = job.baselines(size)
    front = job.formulas(weights)
    said = None if front is None else job.predict(front.chosen.formula.torch())
    front, poor = worth_showing(front, said, encoding, training, test)
    record = RunRecord(
        table=table,
        settings=settings,
        target=encoding.target,
        task=encoding.task,
        classes=encoding.classes,
        rounded_to=encoding.values,
        rows=RowCounts(len(training), len(validation), len(test)),
        scores=(
            job.score("KAN", "network", job.predict(model), size),
            *(job.score("additive model", "additive", job.predict(m), active_parameters(m)) for m in terms),
            *_formula_scores(job, front),
            *_reference_scores(job, shipped),
            *baselines,
        ),
        importance=dict(zip(encoding.names, weights, strict=True)),
        network=network_facts(full, model, encoding),
        formula=_formula_facts(job, front, model),
        front=() if front is None else tuple(map(_entry, front.front)),
        warnings=(*prepared.warnings, *notes, *poor, *cautions(model, test), *job.too_late()),
    )
    return RunResult(model, front, record, test, encoding, simple.get("additive"))


def _write(folder: RunDirectory, result: RunResult, shipped: ShippedTable | None) -> None:
    """The files of the result; then the folder appears."""
    save(result.model, folder.result / MODEL, extra={"format": FORMAT, "encoding": result.encoding.to_json()})
    folder.write(RECORD, json.dumps(result.record.to_json(), indent=2) + "\n")
    folder.write("formula.txt", formula_text(result))
    evidence = Evidence(
        model=result.model,
        formula=None if result.front is None else result.front.chosen.formula,
        inputs=result.test.inputs,
        outcome=result.test.outcome,
        prediction=predict(result.model, result.encoding, result.test.inputs),
        symbols={} if shipped is None else shipped.symbols,
        additive=result.additive,
    )
    folder.write("report.html", report_page(result.record, evidence))
    folder.commit()


def _formula_scores(job: _Job, front: Front | None) -> list[Score]:
    if front is None:
        return []
    formula = front.chosen.formula
    constants = sum(len(e.atoms(sympy.Float)) for e in formula.expressions)
    return [job.score("formula", "formula", job.predict(formula.torch()), constants)]


def _reference_scores(job: _Job, shipped: ShippedTable | None) -> list[Score]:
    """Known rules of a shipped table."""
    found, encoding, test = [], job.encoding, job.test
    for reference in shipped.references if shipped else ():
        expression = parse_formula(reference.expression)
        needed: list[Any] = sorted(expression.free_symbols, key=str)
        applies = reference.target == encoding.target and encoding.task == "regression"
        if not applies or not set(map(str, needed)) <= set(encoding.names):
            continue
        columns = test.inputs[:, [encoding.names.index(str(symbol)) for symbol in needed]]
        values = Formula((expression,), tuple(needed), (reference.target,))(columns)[:, 0]
        found.append(job.score(reference.name, "reference", values, None, reference.source))
    return found


def _formula_facts(job: _Job, front: Front | None, model: KAN) -> FormulaFacts | None:
    """The formula in several notations, the inputs that it needs, and how far it is from the network."""
    if front is None:
        return None
    formula = front.chosen.formula
    used = {str(symbol) for e in formula.expressions for symbol in e.free_symbols}
    return FormulaFacts(
        text=str(formula),
        latex=formula.latex(),
        python=formula.python(),
        exact=formula.to_json(),
        inputs=tuple(name for name in job.encoding.names if name in used),
        origin=front.chosen.origin,
        complexity=front.chosen.complexity,
        error_against_network=_disagreement(job.encoding, job.predict(formula.torch()), job.predict(model)),
        constants=tuple(map(str, front.chosen.constants)),
    )


def _disagreement(encoding: Encoding, formula: Array, network: Array) -> Disagreement:
    if encoding.task == "classification":
        return Disagreement(same_class=float(np.mean(formula.argmax(1) == network.argmax(1))))
    rmse = float(np.mean((formula - network) ** 2) ** 0.5)
    same = float(np.mean(encoding.round(formula) == encoding.round(network))) if encoding.values else None
    return Disagreement(rmse=rmse, relative=rmse / (float(network.std()) or 1.0), same_value=same)


def _entry(finding: Finding) -> FrontEntry:
    return FrontEntry(str(finding.formula), finding.error, finding.complexity, finding.origin)
