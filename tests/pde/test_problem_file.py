"""`edgewise solve`: a problem file becomes a folder, and mistakes in a file are reported in one line."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from edgewise import load
from edgewise.cli import main
from edgewise.io import FileFormatError
from edgewise.pde import (
    AdamDescent,
    Box,
    Collocation,
    GaussNewton,
    Problem,
    ProblemError,
    SolutionRecord,
    dirichlet,
    initial,
    read_solution,
    run_problem_file,
)

HEAD = "import math, torch\nfrom edgewise.pde import *\n"
STRING = (
    HEAD + "problem = Problem(Box(x=(0, 1)), lambda u, x: u.dxx + torch.sin(math.pi * x), [dirichlet(0.0)])\n"
    "model = [3]\n"
    "settings = {'method': BySize(starts=2, steps=4, intervals=()), 'collocation': Collocation(points=40)}\n"
    "reference = lambda x: torch.sin(math.pi * x[:, 0]) / math.pi**2\n"
)
ONE_START = GaussNewton(starts=1, steps=4, intervals=())
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "string.py"
    path.write_text(STRING)
    return path


def test_a_problem_file_is_solved_into_a_folder(file, tmp_path):
    solution = run_problem_file(file, out=tmp_path / "out", method=ONE_START)
    written = json.loads((tmp_path / "out" / "solution.json").read_text())
    assert len(written["history"]) == len(solution.history) == 2
    assert written["residuals"].keys() == {"equation", "u on boundary"}
    assert dataclasses.replace(SolutionRecord.from_json(written), relative_error=None) == solution.record()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "solution.json",
        "model.safetensors",
        *(f"{what}.png" for what in ("field", "residual", "error", "history")),
    }
    x = torch.tensor([[0.3]], dtype=torch.float64)
    torch.testing.assert_close(load(tmp_path / "out" / "model.safetensors")(x), solution(x))


def test_the_command_prints_progress_and_errors(file, capsys):
    assert main(["solve", "string.py", "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert "search, 2 starts: loss" in printed.err
    for words in ("relative L2 error against the reference", "u on boundary", "written to string-solution"):
        assert words in printed.out
    assert main(["solve", "string.py"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["solve", "string.py", "--force", "--seconds", "0"]) == 0
    assert json.loads(Path("string-solution/solution.json").read_text())["message"].startswith("time is up")


def test_a_solve_that_diverges_says_so_with_its_status(file, capsys):
    start = "model = edgewise.KAN([1, 3, 1], dtype=torch.float64)\nmodel.layers[0].coef.data.fill_(math.nan)\n"
    file.write_text(STRING + "import edgewise\n" + start + "settings['method'] = BySize(starts=1, steps=4)\n")
    assert main(["solve", "string.py"]) == 1
    assert "not solved: diverged" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("problem = 3\n", r"string.py must define `problem`, an edgewise.pde.Problem; found int"),
        ("problem = Problem(\n", r"SyntaxError: .*line 3"),
        ("x = 1\ny = x.missing\n", r"string.py, line 4: AttributeError"),
        ("problem = Problem(Box(x=(0, 1)), lambda x: x)\n", r"line 3: the equation '<lambda>' does not use any"),
        ("problem = Problem(Box(x=(1, 0)), lambda u: u.dx)\n", r"line 3: the domain has no interior"),
        ("problem = Problem(Box(x=(0, 1)), lambda u: math.nan * u)\n", r"line 3: .* check its coefficients for NaN"),
        (STRING[len(HEAD) :] + "settings['step'] = 3\n", r"`settings` has 'step', which solve does not know; it knows"),
        (STRING[len(HEAD) :] + "settings = 3\n", r"`settings` must be a dict"),
        (STRING[len(HEAD) :] + "import edgewise\nmodel = edgewise.KAN([2, 1])\n", r"the problem needs 1 inputs"),
    ],
    ids=lambda text: text[:25].strip(),
)
def test_mistakes_are_reported_in_one_line(file, capsys, text, message):
    file.write_text(HEAD + text)
    assert main(["solve", "string.py"]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert re.search(message, err), err
    assert "Traceback" not in err
    assert not Path("string-solution").exists()


def test_a_missing_file_and_a_file_instead_of_a_folder_are_refused(file):
    with pytest.raises(ProblemError, match="there is no file"):
        run_problem_file("nothing.py")
    with pytest.raises(ProblemError, match="is a file; name a folder"):
        run_problem_file(file, out=file)


def test_the_shipped_example_is_a_problem(tmp_path):
    method = GaussNewton(starts=1, steps=4, intervals=())
    solution = run_problem_file(EXAMPLES / "pde_heat.py", method=method, collocation=Collocation(points=60))
    assert solution.problem.domain.coordinates == ("x", "t")


def test_a_name_of_a_method_keeps_the_schedule_of_the_file(file):
    file.write_text(STRING.replace("steps=4", "steps=1").replace("points=40", "points=10"))
    solution = run_problem_file(file, method="adam")
    assert [stage.name for stage in solution.history[:3]] == ["search, 2 starts"] * 2 + ["search, 1 start"]
    assert len(solution.history) == 4
    assert len(run_problem_file(file, method=AdamDescent(starts=1, steps=1, intervals=())).history) == 2


def test_a_surface_replaces_model_and_points_of_a_file(file, tmp_path):
    solution = run_problem_file(file, method="surface", out=tmp_path / "out")
    assert solution.error(lambda x: torch.sin(torch.pi * x[:, 0]) / torch.pi**2, solution.sample(100)) < 1e-6
    assert json.loads((tmp_path / "out" / "solution.json").read_text())["converged"]


HEAT = """
import torch
from edgewise.pde import Box, Problem, Surfaces, dirichlet, initial
equation = lambda u: u.dt - u.dxx / 10
start = lambda x: torch.sin(torch.pi * x)
problem = Problem(Box(x=(0, 1), t=(0, 1)), equation, [initial(start), dirichlet(0.0)])
settings = {"method": Surfaces(tolerance=1e-2, degree=3, intervals=4)}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heat")
    (folder / "heat.py").write_text(HEAT)
    return run_problem_file(folder / "heat.py", out=folder / "out"), folder / "out"


def test_a_solution_is_read_again_with_all_its_windows(written):
    solution, folder = written
    again = read_solution(folder, solution.problem)
    x = solution.sample(200)
    assert len(again.models) == len(solution.models) > 1
    assert torch.equal(again(x), solution(x))
    assert str(again) == str(solution)


def test_a_damaged_network_of_a_solution_is_refused(written, tmp_path):
    solution, folder = written
    shutil.copytree(folder, tmp_path / "out")
    path = tmp_path / "out" / "model-1.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FileFormatError, match="digest"):
        read_solution(tmp_path / "out", solution.problem)


def test_a_solution_of_another_problem_is_refused(written):
    _, folder = written
    line = Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(0.0)])
    two = Problem(
        Box(x=(0, 1), t=(0, 1)), lambda u, v: (u.dt, v.dt), [initial(0.0), initial(0.0, field="v")], fields=("u", "v")
    )
    for other in (line, two):
        with pytest.raises(ProblemError, match=r"do not fit|the problem that was solved"):
            read_solution(folder, other)
