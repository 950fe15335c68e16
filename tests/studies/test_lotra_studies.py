"""The studies measure what they say: exact fields, Laplacians by Taylor mode, and a run of the small ones."""

import json
import logging
import math

import pytest
import torch

import edgewise as ew
from edgewise.compare import count_parameters
from studies.lotra import common, equations, expressiveness, images, rates, run, sequential, step, table, transfer
from studies.lotra.__main__ import main
from studies.lotra.journal import Journal, TimeSpentError


def test_the_jet_of_a_network_is_that_of_nested_autograd():
    model = ew.KAN([2, 4, 3, 1], generator=common.rng(0))
    x = common.uniform(6, 2, common.rng(1)) * 0.9
    u, *derivatives = equations.jet_of(model, x)
    torch.testing.assert_close(u, model(x))
    for n, point in enumerate(x):
        slope = torch.func.jacrev(lambda p: model(p)[0])(point)
        hessian = torch.func.hessian(lambda p: model(p)[0])(point)
        found = torch.cat([d[n] for d in derivatives])
        torch.testing.assert_close(found, torch.cat([slope, hessian.diagonal()]), rtol=1e-3, atol=1e-4)


def test_the_exact_fields_have_the_jets_that_they_say():
    case = equations.Case(equations.poisson, {(1, 1): 1.0, (2, 1): 0.5}, 0.3)
    x = common.uniform(5, 2, common.rng(0)).double()
    at = lambda p: equations.field(p[None], case)[0][0, 0]
    for n, point in enumerate(x):
        found = torch.cat([part[n] for part in equations.field(x, case)])
        slope, hessian = torch.func.jacrev(at)(point), torch.func.hessian(at)(point)
        torch.testing.assert_close(found, torch.cat([at(point)[None], slope, hessian.diagonal()]))


def test_small_studies_run_and_are_written(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rates, "WIDTHS", (8,))
    monkeypatch.setattr(rates, "STEPS", 2)
    monkeypatch.setattr(rates, "LRS", {"mup": (0.1,), "calibrated": (0.1,)})
    monkeypatch.setattr(transfer, "STEPS", 2)
    monkeypatch.setattr(transfer, "WIDTHS", [2, 12, 12, 1])
    monkeypatch.setattr(transfer, "SOURCES", {"Burgers": transfer.SOURCES["Burgers"]})
    monkeypatch.setattr(expressiveness, "RANKS", ((4, 3, 4),))
    monkeypatch.setattr(step, "SIZES", ((8, 16),))
    pictures = torch.randint(256, (5000, 28, 28), dtype=torch.uint8, generator=common.rng(0))
    monkeypatch.setattr(images, "load_mnist_5000", lambda: (pictures, torch.arange(5000) % 10))
    quick = common.train
    for module in (common, rates, transfer, expressiveness, sequential, images):
        monkeypatch.setattr(module, "train", lambda m, g, loss, n: quick(m, g, loss, min(n, 2)))
    with caplog.at_level(logging.INFO):
        done = run(
            ["rates", "transfer", "expressiveness", "sequential", "digits", "mnist", "functions", "step"],
            tmp_path,
            seeds=1,
        )
    assert {path.name for path in tmp_path.iterdir()} == {
        f"lotra-{name}.{kind}" for name in done for kind in ("json", "png")
    }
    for name in done:
        saved = json.loads((tmp_path / f"lotra-{name}.json").read_text())
        assert saved["rows"] == json.loads(json.dumps(done[name]["rows"]))
        numbers = [v for row in saved["rows"] for v in row.values() if isinstance(v, float)]
        assert all(math.isfinite(v) for v in numbers)
        assert table(done[name]["rows"]).splitlines()[2] in caplog.text


def test_what_was_measured_is_kept(tmp_path):
    path = tmp_path / "results.json"
    first = Journal(path)
    assert first("a", lambda: {"error": 1.0})["error"] == 1.0
    again = Journal(path)  # interrupted: the file of results was never written
    assert again("a", pytest.fail)["error"] == 1.0
    again("b", lambda: {"error": 2.0})
    path.write_text(json.dumps({"outcomes": again.asked}))
    again.close()
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    late = Journal(path, minutes=0)
    assert late("b", pytest.fail)["error"] == 2.0
    with pytest.raises(TimeSpentError, match="before 'c'"):
        late("c", pytest.fail)
    assert late.asked.keys() == {"b"}


def test_the_transfer_study_reports_what_it_has_when_the_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "STEPS", 1)
    monkeypatch.setattr(transfer, "PRETRAINING", 1)
    monkeypatch.setattr(transfer, "WIDTHS", [2, 3, 1])
    monkeypatch.setattr(transfer, "METHODS", {name: transfer.METHODS[name] for name in ("full", "untouched")})
    monkeypatch.setattr(transfer, "EVERY_SEED", ("full",))
    journal = Journal(tmp_path / "results.json")
    monkeypatch.setitem(transfer.METHODS, "full", transfer.Method(transfer._scratch, common.everything, (0.01,)))
    rows = transfer.study([0, 1], journal)
    counts = {(row["target"], row["method"]): row["seeds"] for row in rows if row["equation"] == "Poisson"}
    assert counts["near, source", "full"] == 2
    assert counts["near, source", "untouched"] == counts["far, source", "full"] == 1
    assert transfer.study([0], Journal(tmp_path / "results.json", minutes=0)) == transfer.study([0], journal)
    assert transfer.study([5], Journal(minutes=0)) == []


def test_the_perceptrons_have_the_size_asked_for():
    for make in (images._perceptron, images._low_rank):
        numel = count_parameters(make([64, 64, 10], 4000, 0))
        assert 3500 < numel <= 4000


def test_an_unknown_study_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["tables"])
    assert "choose from rates" in capsys.readouterr().err
