"""A directive that lists the public names of a package, each with its summary and a link to its reference."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from markdown_docstrings import to_rst
from sphinx.util.docutils import SphinxDirective


class PublicNames(SphinxDirective):
    """`.. public-names:: edgewise`."""

    required_arguments = 1

    def run(self):
        lines = [".. list-table::", "   :widths: 30 70", ""]
        for name, place, summary in public_names(self.arguments[0]):
            lines += [f"   * - :py:obj:`{name} <{place}.{name}>`", f"     - {summary}"]
        return self.parse_text_to_nodes("\n".join(lines))


def public_names(package: str) -> list[tuple[str, str, str]]:
    """(name, module that documents it, first sentence of its docstring) of every public name, in alphabetical order."""
    top = importlib.import_module(package)
    places = [module for module in modules_with_all(package) if module is not top]
    return [(name, place_of(getattr(top, name), name, places), summary(getattr(top, name))) for name in exported(top)]


def exported(module: ModuleType) -> list[str]:
    """The names in `__all__`, in alphabetical order."""
    return sorted(module.__all__, key=str.lower)


def modules_with_all(package: str) -> list[ModuleType]:
    """The public modules below a package that have `__all__`, by name."""
    top = importlib.import_module(package)
    found = []
    for info in pkgutil.walk_packages(top.__path__, f"{package}."):
        source = inspect.getsource(module) if (module := imported(info.name)) else ""
        if module and "\n__all__" in source and not any(part.startswith("_") for part in info.name.split(".")):
            found.append(module)
    return found


def imported(name: str) -> ModuleType | None:
    """The module, or None where it needs an optional package that is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def place_of(value: object, name: str, places: list[ModuleType]) -> str:
    """The module whose `__all__` has this name for this object, else the one that defines it."""
    for module in places:
        if name in module.__all__ and getattr(module, name, None) is value:
            return module.__name__
    return value.__module__


def summary(value: object) -> str:
    """The first line of a docstring, as reStructuredText."""
    return to_rst((inspect.getdoc(value) or "").split("\n")[0]) if callable(value) else ""


def setup(app):
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
