"""The numbers in the guides are those of the stored results."""

from pathlib import Path
from typing import Any

import pytest

from studies.result import StudyResult

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STEPS, TIME = {"budget": "steps"}, {"budget": "time"}

# the guide, the text around the number, the study, the row of its summary, the column
HEADLINES: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("vision", "rational units reach {:.1f} %", "conv", {"name": "rational units"} | STEPS, "score_mean"),
    ("vision", "a CNN with GELU {:.1f} %", "conv", {"name": "CNN"} | STEPS, "score_mean"),
    ("vision", "with {:.1f} %: a function more", "conv", {"name": "curves on taps"} | STEPS, "score_mean"),
    ("vision", "rational units {:.1f} %, an MLP", "vit", {"name": "ViT, rational units"} | STEPS, "score_mean"),
    ("vision", "an MLP {:.1f} %", "vit", {"name": "ViT, MLP"} | STEPS, "score_mean"),
    ("vision", "an mIoU of {:.3f}", "segmentation", {"name": "U-KAN"} | STEPS, "score_mean"),
    ("vision", "a U-Net {:.3f}", "segmentation", {"name": "U-Net"} | STEPS, "score_mean"),
    ("sequences", "rational units reach {:.3f} nats", "gpt", {"name": "GR-KAN"} | STEPS, "score_mean"),
    ("sequences", "an MLP of equal size {:.3f}", "gpt", {"name": "MLP"} | STEPS, "score_mean"),
    ("sequences", "in the time of the MLP they reach {:.3f}", "gpt", {"name": "GR-KAN"} | TIME, "score_mean"),
    ("sequences", "a test MSE of {:.3f}", "forecast-96", {"name": "B-spline KAN"} | STEPS, "score_mean"),
    ("sequences", "an MLP {:.3f}", "forecast-96", {"name": "MLP"} | STEPS, "score_mean"),
    ("sequences", "a linear model {:.3f}", "forecast-96", {"name": "RLinear"} | STEPS, "score_mean"),
    ("sequences", "the linear model, {:.3f}", "forecast-336", {"name": "RLinear"} | STEPS, "score_mean"),
    ("applications", "ahead on {:.0f} of 10", "tabular", {"table": "all"}, "above_the_MLP"),
    ("applications", "a point on {:.0f} of 10", "tabular", {"table": "all"}, "within_1_point_of_boosting"),
    ("discovery", "with 1 % noise {:.0f}", "symbolic", {"noise": 0.01}, "median_recovered"),
    ("discovery", "{:.0f} of 120", "feynman", {"noise": 0.0}, "median_recovered"),
    ("discovery", "{:.0f} of 11", "tutorials", {"noise": 0.0}, "median_recovered"),
    ("README", "{:.0f} of 120 recovered", "feynman", {"noise": 0.0}, "median_recovered"),
    ("README", "| {:.1e} | an MLP of equal size", "pde", {"equation": "helmholtz", "network": "kan"}, "error_median"),
    ("README", "same solver: {:.1e}", "pde", {"equation": "helmholtz", "network": "tanh MLP"}, "error_median"),
    ("README", "equal size on {:.0f} of 10", "tabular", {"table": "all"}, "above_the_MLP"),
    ("README", "boosting on {:.0f} of 10", "tabular", {"table": "all"}, "within_1_point_of_boosting"),
    ("speed", "to {:.0f} times for 64-64", "layers", {"training_step": "64-64 G=64 B=1024"}, "edgewise"),
    ("speed", "from {:.1f} times", "layers", {"training_step": "2-5-1 G=5 B=1000"}, "edgewise"),
]


def summary(study: str) -> list[dict[str, Any]]:
    result = StudyResult.read(study)
    assert result is not None, study
    return result.summary


def text(guide: str) -> str:
    path = ROOT / "README.md" if guide == "README" else DOCS / "guides" / f"{guide}.md"
    return " ".join(path.read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("guide", "words", "study", "row", "column"), HEADLINES, ids=lambda value: str(value)[:40])
def test_a_number_in_a_guide_is_that_of_the_study(guide, words, study, row, column) -> None:
    found = [r for r in summary(study) if all(r.get(key) == value for key, value in row.items())]
    assert len(found) == 1, f"{study} has {len(found)} rows {row}: {summary(study)[:3]}"
    assert words.format(found[0][column]) in text(guide)


@pytest.mark.parametrize(("study", "count"), [("special", "14 of 15"), ("feynman", "25 of 27")])
def test_the_functions_below_the_best_of_the_paper(study: str, count: str) -> None:
    rows = summary(f"kan-functions-{study}")
    below = sum(float(r["rmse_median"]) <= float(r["paper"]) for r in rows)
    assert f"{below} of {len(rows)}" == count
    assert count in text("fitting")
    assert count in text("README")


def test_the_errors_of_lotra_over_those_of_full_tuning() -> None:
    rows = [r for r in summary("lotra-transfer") if r["method"] == "LoTRA (6, 4, 6)" and r["target"].startswith("near")]
    ratios = [r["error_over_full_median"] for r in rows]
    assert f"{min(ratios):.2f} to {max(ratios):.2f} times" in text("lotra")


def test_the_accuracy_on_knots() -> None:
    accuracy = {r["formula"]: f"{100 * r['accuracy']:.1f} %" for r in summary("knots")}
    assert f"right for {accuracy['found']} of the held-out knots" in text("tables")
    assert f"the slope rule for {accuracy['slope rule']}" in text("tables")
    assert f"found: {accuracy['found']} | the published slope rule: {accuracy['slope rule']}" in text("README")
