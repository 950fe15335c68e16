"""Names in formulas: printed as they are, escaped, and never read as operators, accents, elements or code."""

import ast
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import sympy
import torch
from hypothesis import given, strategies as st

from edgewise.expressions import Formula, parse_formula, quoted
from edgewise.expressions.names import heading, unquoted, visible
from edgewise.expressions.printers import latex, latex_name, mathml, text

ODD = [
    "temp_%", "x-1", "a b", "2", "", "x^2", "a*b", "pi", "E", "sin", "lambda", "mu_imag", "x_bar", "x_1", "bar",
    "</script>", "</math><b>bold</b>", "<b>", "a & b", "&amp;", "it's \"quoted\"",
    "two\nlines", "a\rb", "a\u2028b", "\0", "hat",
        "`", "a\\", "\\`", "$a$", "#{~^}", "\\input{a}", "kind=u", "größe", "µ", "x²", "質量", "\ud800", "\u202eb",
]  # fmt: skip
NAMES = st.sampled_from(ODD) | st.text()
PAIRS = st.lists(NAMES, min_size=2, max_size=2, unique=True)


def formula(names, output="y") -> Formula:
    a, b = (sympy.Symbol(name, real=True) for name in names)
    return Formula((2 * a - sympy.sin(b) ** 2 / a + b**a,), (a, b), (output,))


@given(NAMES)
def test_a_quoted_name_is_one_line_and_is_read_back(name):
    shown = quoted(name)
    assert shown.isprintable()
    assert shown == name or unquoted(shown[1:-1]) == name
    assert parse_formula(shown) == sympy.Symbol(name, real=True)


@given(PAIRS, NAMES)
def test_the_text_of_a_formula_is_read_back(names, output):
    made = formula(names, output)
    head, _, body = str(made).partition(f"{heading(output)} = ")
    assert (head, parse_formula(body, made.inputs)) == ("", made.expressions[0])
    assert text(made.expressions[0]) == body


@given(PAIRS, NAMES)
def test_python_source_is_one_function_whatever_the_names(names, output):
    source = formula(names, output).python()
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.Import, ast.FunctionDef]
    assert [type(node) for node in tree.body[1].body] == [ast.Return]
    source.encode()


@pytest.mark.parametrize("name", ["", "a b", "f(): pass\ndef g", "lambda"])
def test_python_functions_have_words_as_names(name):
    with pytest.raises(ValueError, match="cannot be the name of a function"):
        formula("ab").python(name)
    called = Formula((sympy.Function(name or "f\n")(sympy.Symbol("a")),), (sympy.Symbol("a"),), ("y",))
    with pytest.raises(ValueError, match="cannot be the name of a function"):
        called.python()


@given(PAIRS, NAMES)
def test_latex_has_balanced_braces_and_known_commands_only(names, output):
    shown = formula(names, output).latex()
    plain = re.sub(r"\\[#$%&_{}]", "", shown)
    assert not set(plain) & set("#$%&~`<>|")
    assert plain.count("{") == plain.count("}")
    commands = set(re.findall(r"\\([A-Za-z]+)", plain))
    assert commands <= {"frac", "sin", "left", "right", "mathrm", "text"} | {
        f"text{word}" for word in ("backslash", "asciitilde", "asciicircum", "asciigrave", "less", "greater", "bar")
    } | {"textquotedbl"}  # fmt: skip
    assert len(shown.splitlines()) == 1


@given(PAIRS)
def test_different_names_have_different_latex(names):
    seen = {latex_name(name) for name in names if name.isprintable()}
    assert len(seen) == sum(name.isprintable() for name in names)


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.words = set(), ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.words += data


@given(PAIRS)
def test_mathml_has_no_element_of_a_name(names):
    made = formula(names)
    shown = mathml(made.expressions[0] + sympy.Function("f</mi><b>")(made.inputs[1]))
    page = Elements(shown)
    assert page.tags <= {"mrow", "mi", "mo", "mn", "msup", "msub", "mfrac", "mfenced"}
    for name in names:
        assert re.fullmatch(r"[A-Za-z]_[0-9]+", name) or visible(name) in page.words
    assert "f</mi><b>" in page.words
    ElementTree.fromstring(shown.replace("&InvisibleTimes;", " "))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x", "x"),
        ("x_1", "x_{1}"),
        ("x1", r"\mathrm{x1}"),
        ("mu_imag", r"\mathrm{mu\_imag}"),
        ("x_bar", r"\mathrm{x\_bar}"),
        ("alpha", r"\mathrm{alpha}"),
        ("temp_%", r"\text{temp\_\%}"),
        ("x-1", r"\text{x-1}"),
        ("two\nlines", r"\text{two\textbackslash{}nlines}"),
    ],
)
def test_names_are_upright_as_they_are(name, wanted):
    assert latex(sympy.Symbol(name)) == wanted


def test_symbols_of_shipped_tables_are_letters_with_indices():
    shown = mathml(sympy.Symbol("long_name") ** 2, {"long_name": r"\mu_r"})
    assert shown == "<msup><msub><mi>&#956;</mi><mi>r</mi></msub><mn>2</mn></msup>"


@given(PAIRS, NAMES)
def test_json_keeps_every_name(names, output):
    made = formula(names, output)
    assert Formula.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_named_formula_still_computes():
    made = formula(["a b", "</script>"])
    x = torch.rand(5, 2, dtype=torch.float64) + 1
    space: dict = {}
    exec(made.python(), space)
    torch.testing.assert_close(torch.as_tensor(space["formula"](*x.numpy().T)), made(x)[:, 0])
