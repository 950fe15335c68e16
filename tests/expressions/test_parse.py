"""Expressions from text: parse_expression(srepr(e)) == e, and a text that is anything else ends in ValueError."""

import contextlib

import pytest
import sympy
from hypothesis import given, settings, strategies as st

from edgewise.expressions import parse_expression, parse_formula, quoted
from edgewise.expressions.operations import MAX_BITS, MAX_DEPTH, OPERATIONS
from edgewise.expressions.parse import MAX_LETTERS
from edgewise.progress import Budget

NAMES = st.sampled_from(
    ["a", "x-1", "a b", "", "2", "pi", "it's \"\\\n`", "lambda", "µ", "temp_%", "</script>", "__class__"]
)
SYMBOLS = st.one_of(NAMES, st.text()).map(lambda name: sympy.Symbol(name, real=True))
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(sympy.Integer),
    st.fractions().map(lambda f: sympy.Rational(f.numerator, f.denominator)),
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).map(lambda v: sympy.Float(v, 17)),
    st.tuples(st.floats(-1e3, 1e3), st.integers(1, 40)).map(lambda pair: sympy.Float(*pair)),
    st.sampled_from([sympy.pi, sympy.E]),
)
FUNCTIONS = [
    "sin",
    "cos",
    "tan",
    "asin",
    "atan",
    "sinh",
    "tanh",
    "exp",
    "log",
    "sqrt",
    "sign",
    "erf",
    "Abs",
    "Heaviside",
]
POWERS = [
    sympy.Integer(2),
    sympy.Integer(-1),
    sympy.Rational(-3, 2),
    sympy.Float(2.5, 17),
    sympy.Symbol("n", real=True),
]


def _grown(parts):
    """Larger expressions; those of constants alone are left to sympy's own tests."""
    inner = parts.filter(lambda e: e.free_symbols)
    return st.one_of(
        st.lists(parts, min_size=2, max_size=4).map(lambda p: sympy.Add(*p)),
        st.lists(parts, min_size=2, max_size=3).map(lambda p: sympy.Mul(*p)),
        st.tuples(inner, st.sampled_from(POWERS)).map(lambda p: sympy.Pow(*p)),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda p: getattr(sympy, p[0])(p[1])),
        st.tuples(SYMBOLS, SYMBOLS).map(lambda p: sympy.Max(*p)),
        inner.map(sympy.Function("curve 1")),
    )


def _moderate(e) -> bool:
    """Numbers inside the range of floats and of few digits, as fits give them."""
    numbers = e.atoms(sympy.Number)
    floats = [abs(n) for n in numbers if n.is_Float and n != 0]
    whole = [max(abs(int(n.p)), int(n.q)).bit_length() for n in numbers if n.is_Rational]
    return all(1e-300 < n < 1e300 for n in floats) and max(whole, default=0) <= MAX_BITS


EXPRESSIONS = st.recursive(SYMBOLS | NUMBERS, _grown, max_leaves=8).filter(_moderate)


@settings(max_examples=300)
@given(EXPRESSIONS)
def test_what_srepr_writes_is_read_back(e):
    assert parse_expression(sympy.srepr(e)) == e


@pytest.mark.parametrize("name", sorted({name for name in OPERATIONS if name not in ("ln", "abs")}))
def test_every_function_is_read_back(name):
    a, b = sympy.symbols("a b", real=True)
    e = getattr(sympy, name)(a, b) if name in ("atan2", "Min", "Max") else getattr(sympy, name)(a)
    assert parse_expression(sympy.srepr(e)) == e
    assert parse_formula(str(e)) == e


@pytest.mark.parametrize("value", [sympy.oo, -sympy.oo, sympy.zoo, sympy.nan, sympy.I])
def test_values_that_are_no_numbers_are_read_back(value):
    assert parse_expression(sympy.srepr(value)) is value


HOSTILE = [
    "", " ", "1 +", "\0", "\ud800", "()", "[]", "{}", "(1, 2)", "...", "None", "True", "'text'", "b'text'", "1j",
    "Symbol", "Symbol('a').name", "Symbol('a').__class__", "Symbol.__subclasses__()", "().__class__.__bases__",
    "print('run')", "open('run', 'w')", "eval('run()')", "exec('run()')", "__import__('os')", "getattr(1, 'real')",
    "lambda: 1", "(lambda: 1)()", "[1 for a in (1,)]", "(a := 1)", "1 if 1 else 2", "1 and 2", "1 < 2", "not 1",
    "'%s' % 1", "'{0.real}'.format(1)", "f'{1}'", "'a' * 10**9", "Symbol('a')[0]", "Add(*[1])", "sin(**{})",
    "Symbol('a', evil=True)", "Symbol('a', real=1)", "Symbol(1)", "Symbol('a', 'b')", "Function('f')", "Function(1)(1)",
    "Function('f', real=True)(Integer(1))", "Function('f').eval(1)", "Lambda(1, 2)", "sympify('1')", "S('1')",
    "Integer('1')", "Integer(True)", "Integer(1.5)", "Integer(" + "9" * 5000 + ")", "Rational(1, 0)", "Rational('1/2')",
    "Float('1e999999999')", "Float('-1e-999999999')", "Float('nan')", "Float('1', precision=10**9)", "Float(1.0)",
    "Float('1', precision=1000000000)", "Float('1', 15)",
    "Pow(Integer(2), Integer(1000000000))", "Pow(Integer(2), Integer(-1000000000))",
    "Pow(Mul(Integer(2), Symbol('a', real=True)), Integer(1000000000))",
    "Pow(Add(Integer(1), Rational(1, 100000000000000000)), Integer(1000000000))",
    "Pow(Float('10.0'), Float('1e300'))", "exp(exp(exp(Integer(100))))",
    "exp(Mul(Integer(1000000000), log(Integer(2))))",
    "exp(Mul(Integer(1000000000), log(Mul(Integer(2), Symbol('a', real=True)))))", "gamma(Integer(10000000))",
    "floor(exp(Integer(1000000000)))", "sinh(Integer(1000000000))", "Max(I, Integer(1))", "1and 2",
    "ceiling(sinh(erf(gamma(I))))", "tan(gamma(log(Add(I, E))))",
    "Add(" * 90 + "Integer(1)" + ")" * 90 + ".real", "sin(" * (MAX_DEPTH + 2) + "pi" + ")" * (MAX_DEPTH + 2),
    "(" * 300 + "pi" + ")" * 300, "-" * 5000 + "pi", "-" * 100_000 + "1", "1" + "+1" * 100_000, " " * (MAX_LETTERS + 1),
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:40]))
@pytest.mark.parametrize("read", [parse_expression, parse_formula])
def test_hostile_texts_are_refused(text, read, tmp_path, monkeypatch):
    if read is parse_formula and text in FORMULAS:
        return
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expression"):
        read(text)
    assert not any(tmp_path.iterdir())


FORMULAS = {"Symbol", "None", "True"}
"""Words that are names in plain notation."""


@given(st.text(alphabet="abeIE019.+-*/()[]`'\\ ,=_xπ\n\0", max_size=40))
def test_a_plain_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_formula(text), sympy.Expr)


@pytest.mark.parametrize("value", [None, 1, b"pi", ["pi"], {"pi": 1}])
def test_only_texts_are_read(value, as_a_user):
    for read in (parse_expression, parse_formula):
        with pytest.raises(ValueError, match="a text, got"):
            read(value)


def test_plain_notation_is_sympys():
    a, b = sympy.symbols("a b", real=True)
    texts = [
        "2*a*sin(b) - b**2/3",
        "-a**2",
        "a - b - 1",
        "a/b/2",
        "sqrt(a)*exp(-b)",
        "2**-a",
        "ln(abs(a)) + pi*E",
        "+a*1.5",
    ]
    for text in texts:
        assert parse_formula(text, (a, b)) == sympy.sympify(text, {"a": a, "b": b}), text
    assert len(parse_formula(" + ".join(f"x{n}" for n in range(500))).args) == 500


@given(st.lists(NAMES | st.text(), min_size=2, max_size=2, unique=True))
def test_a_quoted_name_is_a_name(names):
    a, b = (sympy.Symbol(name, real=True) for name in names)
    text = f"2*{quoted(a.name)} - {quoted(b.name)}**3"
    assert parse_formula(text, (a, b)) == 2 * a - b**3
    assert parse_formula(text) == 2 * a - b**3
    assert text.isprintable()


def test_a_given_name_wins_over_a_function():
    e = sympy.Symbol("E", real=True)
    assert parse_formula("E + 1", [e]) == e + 1
    with pytest.raises(ValueError, match="'c' is not among the names a, `a b`"):
        parse_formula("c", sympy.symbols("a a\\ b"))


COSTLY = {
    "a long sum": "+".join(f"x{n}" for n in range(3300)),
    "a long product": "*".join(f"x{n}**{n % 900}" for n in range(1500)),
    "a product of sums": "*".join(f"(x{n} + y{n})" for n in range(1300)),
    "all pairs": f"Max({','.join(f'x{n}' for n in range(300))})",
    "all pairs, nested": "Max(" * 60 + "x" + "".join(f", x{n})" for n in range(60)),
    "sines of fractions of pi": "+".join(f"sin(pi*{n}/{n + 1})" for n in range(1, 700)),
    "roots of fractions": "*".join(f"({n}/{n + 1})**(x/{n})" for n in range(2, 300)),
    "a number to be factorised": f"sqrt({'9' * 1200})",
    "digits": f"Add({', '.join(f'gamma(Float({chr(39)}101.{n}{chr(39)}, precision=4096))' for n in range(300))})",
    "roots": f"Add({', '.join(f'Pow(Integer({10**40 + n}), Rational(1, 2))' for n in range(9000))})",
    "deep and wide": "Add(Mul(" * 45 + "Symbol('a'), " * 5000 + "Integer(2)), Integer(1))" * 45,
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_text_is_read_or_refused_at_once(what):
    """Each took from two seconds to minutes."""
    clock = Budget(6.0)
    for read in (parse_expression, parse_formula):
        with contextlib.suppress(ValueError):
            read(COSTLY[what])
    assert not clock.over


def test_what_makes_sympy_wait_for_ever_is_refused():
    for text in ("(2.67*3**(45/44))**(1/100)", "(x*2.67*sqrt(3))**(1/3)"):
        with pytest.raises(ValueError, match="a root of a decimal number"):
            parse_formula(text)
    for text in ("sqrt(x, y)", "(x + 1)**(1/3)*2.5"):
        with contextlib.suppress(ValueError):
            parse_formula(text)
    with pytest.raises(ValueError, match="takes 2 arguments"):
        parse_expression("Pow(Symbol('a'), Integer(2), Integer(1))")


def test_long_formulas_of_networks_are_read():
    a = sympy.symbols("a0:5", real=True)
    e = sympy.Add(*(sympy.Float(n + 0.1, 17) * sympy.sin(sympy.Float(1.5 + n, 17) * a[n % 5]) for n in range(100)))
    assert parse_expression(sympy.srepr(e)) == e
    assert parse_formula("2*(a0 + 1)*a1") == sympy.Mul(2, a[0] + 1, a[1])
