"""The house: its rooms, their sizes, their names, and what only one of them may do."""

import ast
import inspect
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import edgewise as ew

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "edgewise"
FILES = sorted(SRC.rglob("*.py"))
MODULES = [file for file in FILES if file.name not in ("__init__.py", "__main__.py")]

FILE_LINES = 400
BODY_LINES = 75
TOP_LEVEL_NAMES = 45


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Every function with the lines of its body, without the docstring."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                yield (
                    f"{file.relative_to(ROOT)}:{node.lineno} {node.name}",
                    (body[-1].end_lineno or 0) - body[0].lineno + 1,
                )


def lines_with(pattern: str, *, outside: tuple[str, ...] = ()) -> list[str]:
    """The code lines of the package that match, as file:line text; comments and docstrings do not count."""
    found = []
    for file in FILES:
        if module_name(file).startswith(outside):
            continue
        prose = {n for node in ast.walk(parsed(file)) for n in _prose(node)}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if number not in prose and re.search(pattern, line.split("  #")[0]):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def _prose(node: ast.AST) -> range:
    """The lines of an expression statement that is a string."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return range(node.lineno, (node.end_lineno or 0) + 1) if text else range(0)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ sizes


def test_no_file_is_long():
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in FILES}
    assert {name: n for name, n in lengths.items() if n > FILE_LINES} == {}


def test_no_function_is_long():
    long = [(n, name) for file in FILES for name, n in functions(file) if n > BODY_LINES]
    assert sorted(long, reverse=True) == []


def test_half_of_all_functions_have_at_most_five_lines():
    lengths = sorted(n for file in FILES for _, n in functions(file))
    assert lengths[len(lengths) // 2] <= 5
    assert lengths[len(lengths) * 9 // 10] <= 20


# ------------------------------------------------------------------------------------------------ names


def test_no_two_files_have_one_name():
    names = Counter(file.name for file in MODULES)
    assert [name for name, n in names.items() if n > 1] == []


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for file in FILES:
        for node in parsed(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module_name(file))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_package_has_few_names_and_each_is_there():
    assert len(ew.__all__) <= TOP_LEVEL_NAMES
    assert [name for name in ew.__all__ if not hasattr(ew, name)] == []


def test_no_name_of_the_package_hides_a_module():
    modules = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert sorted(modules & set(ew.__all__)) == []


@pytest.mark.parametrize(("call", "most"), [("edgewise.fit", 10), ("edgewise.pde.solve", 8)])
def test_the_two_main_calls_have_few_arguments(call, most):
    from edgewise import pde

    assert len(inspect.signature({"edgewise.fit": ew.fit, "edgewise.pde.solve": pde.solve}[call]).parameters) <= most


# ------------------------------------------------------------------------------------------------ who may what


def test_only_kernels_know_devices():
    asks = r"\.device\.type|is_cuda|is_cpu|[=!]=\s*\"(cpu|cuda)\"|edgewise\.kernels\.(cpu|triton)|kernels\.cpu import"
    assert lines_with(asks, outside=("edgewise.kernels",)) == []


def test_only_one_function_writes_files():
    writes = r"\.write_(text|bytes)\(|os\.(replace|rename)\(|open\([^)]*[\"'][wax]b?\+?[\"']|mkstemp|NamedTemporaryFile"
    # A build must not need torch, a folder is renamed as a whole, and /proc is no file.
    apart = ("edgewise.io.whole", "edgewise.kernels.cpu.build", "edgewise.tables.job.rundir", "edgewise.compare.timing")
    assert lines_with(writes, outside=apart) == []


def test_time_is_told_by_budgets():
    clocks = r"time\.(monotonic|perf_counter|process_time|time)\("
    assert lines_with(clocks, outside=("edgewise.progress", "edgewise.compare.timing")) == []


def test_least_squares_has_one_home():
    """The default driver of torch's is wrong where columns depend on one another: see `functional.least_squares`."""
    assert lines_with(r"\blstsq\(", outside=("edgewise.functional",)) == []
    assert len(lines_with(r"\blstsq\(")) == 1


def test_data_never_becomes_code():
    runs = r"(?<![.\w])(eval|exec|compile|__import__)\(|sympify|parse_expr(?!ession)|lambdify|(?<!\w)S\([\"'\w]"
    loads = r"(pickle|dill|joblib|marshal|shelve)\.(load|Unpickler\()|torch\.load\((?!.*weights_only=True)"
    assert lines_with(f"{runs}|{loads}|allow_pickle=True|(?<!tag:)yaml\\.(?!SafeLoader)") == []
    imports = {module_name(file) for file in FILES if "exec_module(" in file.read_text(encoding="utf-8")}
    assert imports == {"edgewise.pde.problem_file"}  # `edgewise solve FILE.py` is documented to run its file


def test_modules_do_not_import_in_circles():
    graph = {module_name(file): _imports(file) for file in FILES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            visit(target, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def _imports(file: Path) -> set[str]:
    """The modules of this package that a file imports when it is loaded; names are followed home."""
    found: set[str] = set()
    for node in parsed(file).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edgewise"):
            found |= {home for alias in node.names for home in _homes(node.module, alias.name)}
    return found - {module_name(file)}


def _homes(module: str, name: str) -> set[str]:
    path = SRC.parent.joinpath(*module.split("."))
    if (path / f"{name}.py").is_file() or (path / name / "__init__.py").is_file():
        return {f"{module}.{name}"}
    if not (path / "__init__.py").is_file():
        return {module}
    for node in parsed(path / "__init__.py").body:
        if isinstance(node, ast.ImportFrom) and node.module and name in {a.asname or a.name for a in node.names}:
            return _homes(node.module, name)
    return {module}


# ------------------------------------------------------------------------------------------------ the map


def rooms() -> dict[str, Path]:
    """The packages and the modules of the top floor, by the name that the map must list."""
    packages = {f"{p.name}/": p for p in sorted(SRC.rglob("*")) if (p / "__init__.py").is_file()}
    return {**packages, **{file.name: file for file in SRC.glob("*.py") if not file.name.startswith("_")}}


def test_the_map_lists_every_room_with_its_purpose():
    tree = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    purpose = dict(re.findall(r"^[│├└─ ]*([\w./]+)  +(\S.*)$", tree, re.MULTILINE))
    assert sorted(set(rooms()) - set(purpose)) == []
    listed = [
        name
        for name in purpose
        if name.endswith("/") and not name.startswith(("src", "studio", "studies", "tests", "docs", "findings"))
    ]
    assert [name for name in listed if name not in rooms()] == []


def test_tests_mirror_the_package():
    folders = {p.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("*") if any(p.glob("test_*.py"))}
    apart = {Path("laws"), Path("studies")}
    assert sorted(str(f) for f in folders - apart if not (SRC / f).is_dir()) == []


def test_names_written_in_code_and_pages_exist():
    """Such as `edgewise.surgery.widen`: in messages, docstrings and prose too, which nothing else checks."""
    dotted = re.compile(r"(?<![\w./-])(?:ew|edgewise)((?:\.[A-Za-z]\w*)+)")
    found = {(name[1:], file) for file in TEXTS for name in dotted.findall(file.read_text(encoding="utf-8"))}
    missing = {name: str(file.relative_to(ROOT)) for name, file in found if name != "NAME" and not _exists(name)}
    assert missing == {}


@cache
def _exists(name: str) -> bool:
    here: object = ew
    for part in name.split("."):
        if not hasattr(here, part):
            return find_spec(f"edgewise.{name}") is not None  # a module that needs an optional package
        here = getattr(here, part)
    return True


# ------------------------------------------------------------------------------------------------ words

PLAIN = {
    r"\bperceptrons?\b": "MLP",
    r"\brivals?\b": "baseline",
    r"\byardsticks?\b": "baseline",
    r"\bcontestants?\b": "model",
    r"\b(go|goes|went) on\b": "resume, continue",
    r"manners of": "(name what is meant)",
    r"\bhonest question\b": "(say what is compared)",
    r"in the place of": "replaces",
    r"\bwatched\b": "has hooks, monitored",
    r"\bno stranger\b|\bthe seat of\b|\bwhat stands\b": "(plain words)",
    r"\blooks? for\b|\blooking for\b": "searches for",
}
TEXTS = [
    *FILES,
    *(ROOT / "studies").rglob("*.py"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "examples").glob("*.py"),
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "Makefile")),
]


@pytest.mark.parametrize("pattern", PLAIN)
def test_the_words_are_those_of_the_field(pattern):
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in TEXTS
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line, re.IGNORECASE)
    ]
    assert found == [], f"write {PLAIN[pattern]!r}"
