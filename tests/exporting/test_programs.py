"""Programs in C, JavaScript, Python and SQL: every basis, symbol and rule for outside, run and compared."""

import math
import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from zoo import BASES, mixed, network, rng, samples

import edgewise as ew
from edgewise.bases import Hinge
from edgewise.exporting import ExportError, formats
from edgewise.exporting.c_header import compiled
from edgewise.exporting.file_check import error_of
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.exporting.subject import subject_of
from edgewise.nn import DEFAULT_LIBRARY, Affine, GroupRational, KANFeedForward, SymbolicEdges
from edgewise.surgery import quantize

NEEDS = {"c": "gcc", "js": "node", "python": "python3", "sql": "python3"}
PROGRAMS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(needs) is None, reason=f"needs {needs}"))
    for name, needs in NEEDS.items()
]
LOOPS = PROGRAMS[:2]
EXACT = {"c": 1e-5, "js": 1e-12, "python": 1e-12, "sql": 1e-12}


def additive(**settings):
    return network([3, 2], **settings)


def exported(model, tmp_path, name, **settings):
    return ew.export(model, tmp_path / f"net{formats()[name].suffix}", format=name, **settings)


class Sorted(torch.nn.Module):
    def forward(self, x):
        return x.sort(-1).values


def run(model, path, name, x):
    """The outputs of a written program."""
    return formats()[name].load(Path(path), subject_of(model))(x)[0]


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("basis", [*BASES, Hinge()], ids=lambda basis: basis.name)
def test_every_basis(basis, name, tmp_path):
    report = exported(network([3, 4, 2], basis=basis), tmp_path, name, tolerance=EXACT[name])
    assert report.inputs == 1000
    assert report.runtime


def every_spline():
    """A layer for every rule for outside, of different degrees and knots."""
    rules = [("linear", 3, "clamped"), ("constant", 4, "uniform"), ("polynomial", 1, "clamped"), ("zero", 2, "uniform")]
    bases = [ew.BSpline(4, degree, knots, outside) for outside, degree, knots in rules]
    return [layer for n, basis in enumerate(bases) for layer in network([3, 3], seed=n, basis=basis).layers]


@pytest.mark.parametrize("name", PROGRAMS)
def test_splines_outside_their_grid(name, tmp_path):
    layers = every_spline()
    for model in [ew.KAN.assemble([layer]) for layer in layers] if name == "sql" else [ew.KAN.assemble(layers)]:
        exported(model, tmp_path, name, tolerance=EXACT[name])


@pytest.mark.parametrize("name", ["js", "python", "sql"])
def test_steps_jump_at_the_same_numbers(name, tmp_path):
    """Of degree 0 a curve jumps on its knots: the programs in double precision do it where the model does."""
    if shutil.which(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}")
    exported(additive(basis=ew.BSpline(5, 0)), tmp_path, name, tolerance=EXACT[name])


def symbols(residual="silu"):
    """Every function of the library on an edge of its own, where it is defined or not, beside curves."""
    library = list(DEFAULT_LIBRARY.values())
    model = network([2, len(library)], residual=residual)
    layer = model.layers[0]
    mask = layer.mask.clone()
    mask[0] = False
    targets = torch.arange(len(library))
    affine = torch.tensor([0.7, 0.2, 1.3, -0.4], dtype=torch.float64).repeat(len(library), 1)
    symbolic = SymbolicEdges(library, torch.zeros_like(targets), targets, affine)
    return ew.KAN.assemble(
        [
            ew.KANLinear.assemble(
                layer.basis,
                layer.residual,
                coef=layer.coef,
                grid=layer.grid,
                mask=mask,
                bias=layer.bias,
                symbolic=symbolic,
            )
        ]
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_symbol_where_it_is_defined_and_where_not(name, tmp_path):
    model = symbols()
    if name == "sql":
        model = ew.surgery.remove_edge(model, (0, 0, list(DEFAULT_LIBRARY).index("erf")))
    # Near its poles the tangent loses digits in float32.
    exported(model, tmp_path, name, tolerance=1e-2 if name == "c" else EXACT[name])


@pytest.mark.parametrize("name", LOOPS)
def test_products_symbols_units_and_absent_edges_at_once(name, tmp_path):
    report = exported(mixed(), tmp_path, name, tolerance=5e-5 if name == "c" else 1e-12)  # products of float32 tables
    assert report.error < report.tolerance
    exported(mixed(), tmp_path, "python", tolerance=1e-12)


@pytest.mark.parametrize("name", PROGRAMS[:3])
def test_a_classifier_gives_probabilities(name, tmp_path):
    for classes in (2, 3):
        model = ClassProbabilities(network([3, 2, 1 if classes == 2 else classes]), "abc"[:classes])
        example = samples(4, 3)
        report = ew.export(model, tmp_path / "net", format=name, example=example, tolerance=EXACT[name])
        assert report.inputs == 1000


@pytest.mark.parametrize("name", PROGRAMS[:3])
def test_layers_one_after_the_other(name, tmp_path):
    """Linear ones, curves, rational units and a network inside another."""
    parts = [torch.nn.Linear(3, 4), GroupRational(4, 2, start="gelu"), network([4, 2]), torch.nn.Identity()]
    parts += [KANFeedForward(2, 4, groups=2, generator=rng(1))]
    model = torch.nn.Sequential(*parts).double()
    exported(model, tmp_path, name, tolerance=1e-4 if name == "c" else 1e-10, example=samples(4, 3))


def test_a_linear_layer_is_one_line_of_sql(tmp_path):
    exported(torch.nn.Linear(3, 1).double(), tmp_path, "sql", tolerance=1e-12, example=samples(4, 3))


@pytest.mark.parametrize("name", PROGRAMS)
def test_missing_numbers_stay_missing(name, tmp_path):
    model = additive()
    x = samples(4, 3)
    x[1, 2], x[3, 0] = torch.nan, torch.nan
    report = exported(model, tmp_path, name)
    got = run(model, report.path, name, x)
    assert got.isnan().all(-1).tolist() == [False, True, False, True]
    torch.testing.assert_close(got[::2].double(), model(x[::2]).detach(), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ formulas

u, v = sympy.symbols("u v", real=True)
EXPRESSIONS = [
    u**3 / v - sympy.Rational(2, 3) * u * v,
    sympy.sqrt(u) + sympy.log(v) + 1 / sympy.sqrt(u + 3),
    sympy.sin(u) * sympy.cos(v) + sympy.tan(u / 3) + sympy.atan(v) + sympy.asin(u / 3),
    sympy.exp(-(u**2)) + sympy.tanh(v) + sympy.cosh(u / 2) + sympy.Abs(u - v),
    sympy.Max(u, v, 0.25) - sympy.Min(u, v) + sympy.sign(u) + sympy.Heaviside(v),
    u**20 / 10**6 + (u**2 + 1) ** sympy.Float(0.3) + sympy.atan2(u, v) + sympy.floor(u) + sympy.ceiling(v),
    sympy.acosh(u + 2) + sympy.asinh(v) + sympy.sec(u / 4) + sympy.pi,
]


def formula(*expressions, names=("u", "v")):
    symbols = sympy.symbols(list(names), real=True)
    swap = dict(zip((u, v), symbols, strict=True))
    parts = tuple(sympy.sympify(e).xreplace(swap) for e in expressions)
    return ew.expressions.Formula(parts, tuple(symbols), tuple(f"y{n}" for n in range(len(expressions))))


@pytest.mark.parametrize("name", PROGRAMS)
def test_formulas(name, tmp_path):
    tolerance = 1e-6 if name == "c" else 1e-11  # the inputs of C are float32, and so are its outputs
    report = exported(formula(*EXPRESSIONS), tmp_path, name, tolerance=tolerance)
    assert report.inputs == 1000


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sign_of_what_is_missing_is_missing(name, tmp_path):
    model = ew.surgery.fix(additive(), (0, 0, 0), "sign", (1.0, 0.0, 1.0, 0.0))
    steps = formula(sympy.sign(u) + 0 * v, sympy.Heaviside(v))
    x = torch.tensor([[math.nan, 0.5, 0.5], [-0.2, 0.5, 0.5], [0.2, 0.5, 0.5]], dtype=torch.float64)
    for n, (what, given) in enumerate(((model, x), (steps, x[:, [0, 0]]))):
        path = tmp_path / f"net{n}"
        ew.export(what, path, format=name, tolerance=EXACT[name])
        got, (expected,) = run(what, path, name, given), subject_of(what).reference(given)
        assert bool(got[0].isnan().all())
        torch.testing.assert_close(got[1:].double(), expected[1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PROGRAMS[:3])
def test_poles_and_overflows_of_formulas_have_the_right_sign(name, tmp_path):
    wide = formula(sympy.atanh(u), sympy.sinh(1000 * u), u**17, sympy.floor(u) + v, sympy.log(u + 1))
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1e30, 0.0], [-1e30, 0.0]], dtype=torch.float64)
    ew.export(wide, tmp_path / "net", format=name, tolerance=math.inf)
    got, (expected,) = run(wide, tmp_path / "net", name, x), subject_of(wide).reference(x)
    infinite = expected.abs() > 3e38
    torch.testing.assert_close(got.sign()[infinite], expected.sign()[infinite], check_dtype=False)
    assert bool((got.isnan() == expected.isnan()).all())


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_language_has_no_function_for_is_named(name, tmp_path):
    with pytest.raises(ValueError, match="gamma"):
        exported(formula(sympy.gamma(u) + v), tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_deep_network_is_no_sql_and_a_rare_basis_no_python(tmp_path):
    with pytest.raises(ValueError, match="one layer of edges"):
        exported(network([2, 2, 1]), tmp_path, "sql")
    for name in ("sql", "python"):
        with pytest.raises(ValueError, match="takes B-splines, not Chebyshev"):
            exported(additive(basis=ew.bases.Chebyshev(3)), tmp_path, name)
    mine = ew.SymbolicFn("mine", torch.sin, sympy.sin)
    model = ew.surgery.fix(additive(), (0, 0, 0), mine, (1.0, 0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="no function 'mine'"):
        exported(model, tmp_path, "c")
    with pytest.raises(TypeError, match="no program for a GELU; it takes a KAN, linear layers"):
        ew.export(torch.nn.GELU(), tmp_path / "a.mjs", format="js", example=torch.ones(2, 2))
    with pytest.raises(ValueError, match="no program for transposed convolutions"):
        ew.export(torch.nn.ConvTranspose1d(1, 1, 2), tmp_path / "a.h", format="c", example=torch.ones(2, 1, 3))
    with pytest.raises(ValueError, match="no program for the operation sort"):
        ew.export(Sorted(), tmp_path / "a.h", format="c", example=torch.ones(2, 3))
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ names

ODD = [
    '*/ int x; /* "',
    "`${process.exit(1)}`",
    '"); DROP TABLE net; --',
    "line\nbreak\r\u2028\u2029",
    "\\",
    "'''",
    '"""',
    "??/",
    "größe",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "#include <x>",
    "*\\/",
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_name_breaks_out_of_a_program(name, tmp_path):
    model = network([len(ODD), 2], input_names=ODD, output_names=[ODD[0], ODD[2]])
    ew.export(model, tmp_path / "a-b 1", format=name, units=dict.fromkeys(ODD, ODD[3]), metadata={ODD[0]: ODD[2]})
    words = sympy.symbols(["x'y", '"*/--'], real=True)
    odd = ew.expressions.Formula((words[0] * words[1],), tuple(words), (ODD[0],))
    ew.export(odd, tmp_path / "int", format=name)


@pytest.mark.parametrize("stem", ["max", "round", "fmaxf", "y0", "NAN", "tuple", "default", "-"])
def test_a_file_may_have_the_name_of_a_function(stem, tmp_path):
    for name in [name for name, needs in NEEDS.items() if shutil.which(needs)]:
        path = tmp_path / f"{stem}{formats()[name].suffix}"
        assert ew.export(network([2, 1]), path, format=name).inputs == 1000


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_fit_the_model_or_are_refused(name, tmp_path):
    for setting, given in (("input_names", ["a"]), ("input_names", "ab"), ("output_names", ["y", "z"])):
        with pytest.raises(ValueError, match=f"{setting} must be . names"):
            exported(network([2, 1]), tmp_path, name, **{setting: given})
    for shape in ((2,), (4, 3)):
        with pytest.raises(ValueError, match=r"example must be rows of 2 numbers, got the shape"):
            exported(network([2, 1]), tmp_path, name, example=torch.zeros(shape))
    broken = network([2, 1])
    broken.layers[0].coef.data[0, 0, 0] = math.nan
    with pytest.raises(ValueError, match=r"a number of the model is nan|a number that is none"):
        exported(broken, tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_two_columns_of_one_name_are_no_sql(tmp_path):
    for names in (["a", "a"], ["a", "A"]):
        with pytest.raises(ValueError, match="two columns are named 'a'"):
            exported(network([2, 1]), tmp_path, "sql", input_names=names)


def test_a_classifier_of_two_classes_is_sql_and_one_of_three_is_refused(tmp_path):
    two, three = (ClassProbabilities(network([3, n]), "abc"[: max(n, 2)]) for n in (1, 3))
    exported(two, tmp_path, "sql", tolerance=EXACT["sql"])
    with pytest.raises(ValueError, match="classifiers of two classes"):
        exported(three, tmp_path, "sql")


def test_names_and_units_travel(tmp_path):
    model = network([2, 1], input_names=["mass", "speed"], output_names=["energy"])
    for name in [name for name, needs in NEEDS.items() if shutil.which(needs)]:
        report = exported(model, tmp_path, name, units={"mass": "kg"})
        text = (tmp_path / f"net{formats()[name].suffix}").read_text()
        assert all(word in text for word in ("mass", "speed", "energy", "kg", "model_sha256"))
        assert report.size == len(text.encode())


def test_sql_reads_columns_of_whole_numbers_and_missing_cells(tmp_path):
    model = network([2, 1], input_names=["a", "b"], output_names=["y"])
    exported(model, tmp_path, "sql")
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE net (b INTEGER, other TEXT, a REAL)")
    base.executemany("INSERT INTO net VALUES (?, 'x', ?)", [(1, 0.5), (2, None), (-3, 0.0)])
    found = [row[0] for row in base.execute((tmp_path / "net.sql").read_text())]
    base.close()
    expected = model(torch.tensor([[0.5, 1.0], [0.0, -3.0]]).double())[:, 0].tolist()
    assert found[1] is None
    np.testing.assert_allclose([found[0], found[2]], expected, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ C

STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wno-unused-function", "-Werror", "-pedantic")
gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def far(features):
    """Inside, outside, at the largest numbers, and what is none."""
    rows = [samples(300, features, spread=s) for s in (1.0, 4.0, 100.0)]
    odd = torch.tensor([0.0, -0.0, 1e-40, 3e38, -3e38, math.inf, -math.inf, math.nan])
    return torch.cat([*rows, odd[:, None].expand(-1, features).double()]).float()


@gcc
@pytest.mark.parametrize(
    ("build", "settings"),
    [
        (lambda: network([4, 8, 1]), {}),
        (lambda: network([4, 8, 1]), {"bits": 12, "segments": 100}),
        (lambda: network([9, 12, 2]), {"codebook": 20}),
        (mixed, {}),
        (mixed, {"codebook": 4, "bits": 3}),
    ],
    ids=["dense", "12 bits", "codebook", "mixed", "mixed, codebook"],
)
def test_the_program_of_integers_gives_the_same_bits(build, settings, tmp_path):
    """Also where the compiler may join products and sums, which changes roundings of floating-point numbers."""
    model = build()
    quantized = quantize(model, samples(200, model.in_features), **settings).model
    report = ew.export(
        quantized, tmp_path / "net.h", format="c", tolerance=0.0, example=torch.ones(1, model.in_features)
    )
    assert report.error == 0.0
    x = far(model.in_features)
    expected = quantized(x)
    for flags in ((), ("-O3", "-march=native", "-ffp-contract=fast", "-std=gnu99")):
        (got,) = compiled(tmp_path / "net.h", model.in_features, model.out_features, *flags)(x)
        assert torch.equal(got.isnan(), expected.isnan())
        assert torch.equal(got.nan_to_num(), expected.nan_to_num())


@gcc
@pytest.mark.parametrize("build", [mixed, lambda: quantize(mixed(), samples(100, 3)).model], ids=["float", "integers"])
def test_a_header_compiles_without_a_warning_beside_another(build, tmp_path):
    model = build()
    for name in ("first", "second"):
        ew.export(model, tmp_path / f"{name}.h", format="c", tolerance=1e-3, example=torch.ones(1, 3))
    program = '#include "first.h"\n#include "second.h"\n#include "first.h"\n'
    program += (
        "int main(void) { float x[3] = {0, 0, 0}, y[2], z[2]; first(x, y); second(x, z); return y[0] != z[0]; }\n"
    )
    (tmp_path / "main.c").write_text(program)
    flags = [flag for flag in STRICT if flag != "-Wconversion" or model.__class__.__name__ == "KAN"]
    command = ["gcc", "-std=c99", *flags, "main.c", "-o", "main", "-lm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0
    text = (tmp_path / "first.h").read_text()
    assert "malloc" not in text
    assert "static const" in text


@gcc
def test_a_step_that_float32_moves_is_refused(tmp_path):
    """Of degree 0, a hidden value at a jump falls on the other side in float32: the check sees it."""
    with pytest.raises(ExportError, match="differs from the model"):
        exported(network([3, 6, 2], basis=ew.BSpline(5, 0)), tmp_path, "c")


# ------------------------------------------------------------------------------------------------ digits


@pytest.mark.parametrize("name", PROGRAMS[1:])
def test_programs_in_double_precision_keep_all_digits_of_a_model_in_float32(name, tmp_path):
    """What float32 rounds in the model itself is no error of a program that does not round."""
    model = additive(basis=ew.BSpline(30, 3), dtype=torch.float32)
    assert exported(model, tmp_path, name, tolerance=1e-11).error < 1e-11


@gcc
def test_a_header_computes_in_float_where_it_is_told_to(tmp_path):
    model, x = network([3, 8, 2]), samples(200, 3).float()
    exported(model, tmp_path, "c", tolerance=5e-5)
    y = model(x.double()).detach()
    (wide,), (narrow,) = (compiled(tmp_path / "net.h", 3, 2, *f)(x) for f in ((), ("-DNET_REAL=float",)))
    assert error_of(wide, y) < 0.5 * error_of(narrow, y) < 1e-5


@gcc
def test_units_with_large_numbers_lose_no_digits_in_c(tmp_path):
    """Such as years: their change of units is computed in double precision."""
    model = network([2, 3, 1])
    model.input_affine = Affine(torch.tensor([0.1, 1.0]).double(), torch.tensor([-200.0, 0.0]).double())
    exported(model, tmp_path, "c", tolerance=3e-6)
