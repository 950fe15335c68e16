"""Defines `Formula`: one sympy expression per output, evaluated, checked, printed, simplified and snapped."""

from __future__ import annotations

import dataclasses
import keyword
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor, nn

from edgewise._shown import LETTERS, brief
from edgewise.expressions import printers
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.names import heading, quoted, visible
from edgewise.expressions.parse import parse_expression


@dataclasses.dataclass(frozen=True)
class Check:
    """How far a formula and a model differ on some inputs, over all outputs."""

    max_abs: float
    rms: float
    scale: float
    samples: int

    @property
    def relative(self) -> float:
        """`rms` in units of the standard deviation of the model's output."""
        return self.rms / self.scale if self.scale > 0 else self.rms

    def to_json(self) -> dict[str, float]:
        """The differences as a JSON object."""
        return {**dataclasses.asdict(self), "relative": self.relative}


@dataclasses.dataclass(frozen=True)
class Formula:
    """One sympy expression per output.

    `expressions` hold the exact constants; `str`, `latex` and `rounded` shorten them for reading.

    Attributes:
        expressions: one per output.
        inputs: the symbols of the inputs, in order.
        names: the names of the outputs.
        functions: torch forms of the functions that sympy does not know, by name.
    """

    expressions: tuple[sympy.Expr, ...]
    inputs: tuple[sympy.Symbol, ...]
    names: tuple[str, ...]
    functions: Mapping[str, Callable[[Tensor], Tensor]] = dataclasses.field(default_factory=dict, compare=False)

    def __call__(self, x: Any) -> Any:
        """The outputs at x of shape (*batch, in): a tensor for a tensor, else a numpy array; float64 inside."""
        if isinstance(x, Tensor):
            return self.torch()(x)
        values = self.torch()(torch.as_tensor(np.asarray(x, dtype=np.float64)))
        return values.numpy()

    def torch(self) -> Callable[[Tensor], Tensor]:
        """A differentiable function of tensors (*batch, in) -> (*batch, out), computed in float64."""
        return lambda x: evaluate(self.expressions, self.inputs, x, self.functions)

    def check(self, model: nn.Module, x: Tensor) -> Check:
        """How far the formula and the model differ on x, over all outputs."""
        with torch.no_grad():
            expected = model(x).double()
            got = self(x.double())
        if got.shape != expected.shape:
            raise ValueError(f"the formula returns {tuple(got.shape)} and the model {tuple(expected.shape)}")
        difference = (got - expected).abs()
        return Check(
            max_abs=difference.amax().item() if difference.numel() else 0.0,
            rms=difference.square().mean().sqrt().item() if difference.numel() else 0.0,
            scale=expected.std(correction=0).item() if difference.numel() else 0.0,
            samples=len(x.reshape(-1, x.shape[-1])),
        )

    def rounded(self, digits: int = 4) -> tuple[sympy.Expr, ...]:
        """The expressions with their constants rounded to some digits, for reading only."""
        return tuple(_rounded(e, digits) for e in self.expressions)

    def latex(self, digits: int = 4) -> str:
        """One LaTeX equation per output, constants rounded for reading; odd names need amsmath."""
        return " \\\\\n".join(
            f"{printers.latex_name(name)} = {printers.latex(e)}"
            for name, e in zip(self.names, self.rounded(digits), strict=True)
        )

    def python(self, name: str = "formula") -> str:
        """Python source of a numpy function with the exact constants; scipy only where numpy has no such function."""
        from sympy.core.function import AppliedUndef
        from sympy.printing.numpy import SciPyPrinter

        called = {type(f).__name__ for e in self.expressions for f in e.atoms(AppliedUndef)}
        for word in (name, *sorted(called)):
            if not word.isidentifier() or keyword.iskeyword(word):
                raise ValueError(f"{word!r} cannot be the name of a function in Python; choose a word")
        arguments = sympy.symbols([f"x{n}" for n in range(len(self.inputs))])
        swap = dict(zip(self.inputs, arguments, strict=True))
        shared, results = sympy.cse([e.xreplace(swap) for e in self.expressions], sympy.numbered_symbols("t"))
        printer = SciPyPrinter({"fully_qualified_modules": True})
        printer.known_constants = {**printer.known_constants, "Pi": "numpy.pi"}  # else of a module that is not imported
        body = [f"    {target} = {printer.doprint(value)}" for target, value in shared]
        values = ", ".join(str(printer.doprint(e)) for e in results)
        imports = ["import numpy"]
        text = "".join([*body, values])
        imports += [f"import {module}" for module in ("scipy.constants", "scipy.special") if f"{module}." in text]
        notes = [f"    # {a} = {quoted(symbol.name)}" for a, symbol in zip(arguments, self.inputs, strict=True)]
        signature = f"def {name}({', '.join(map(str, arguments))}):"
        return "\n".join([*imports, "", "", signature, *notes, *body, f"    return {values}", ""])

    def simplified(self) -> Formula:
        """An equal formula with fewer operations, where sympy finds one; equality is checked numerically."""
        from edgewise.expressions.simplify import simplify

        return dataclasses.replace(
            self, expressions=tuple(simplify(e, self.inputs, self.functions) for e in self.expressions)
        )

    def snapped(self, x: Tensor, y: Tensor) -> Formula:
        """The formula with its constants refitted to the data and, where the data single them out, named exactly.

        Integers, rationals, multiples of pi, e and roots are tried; see `edgewise.expressions.constants`.
        """
        from edgewise.expressions.constants import snap

        y = y[:, None] if y.ndim == 1 else y
        if y.shape != (len(x), len(self.expressions)):
            raise ValueError(f"y has shape {tuple(y.shape)}; the formula returns {(len(x), len(self.expressions))}")
        return dataclasses.replace(self, expressions=snap(self.expressions, self.inputs, x, y, self.functions))

    def to_json(self) -> dict[str, Any]:
        """The exact expressions as texts that `from_json` reads, with their names."""
        return {
            "inputs": [str(s) for s in self.inputs],
            "outputs": {name: sympy.srepr(e) for name, e in zip(self.names, self.expressions, strict=True)},
            "text": str(self),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Formula:
        """The formula that `to_json` described; nothing in it is run, and anything else is a `ValueError`."""
        if not isinstance(fields, Mapping):
            raise ValueError("a stored formula has inputs and outputs")
        names, outputs = fields.get("inputs"), fields.get("outputs")
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError("the inputs of a stored formula are a list of names")
        if not isinstance(outputs, Mapping) or not outputs:
            raise ValueError("the outputs of a stored formula are expressions by name")
        inputs = tuple(sympy.Symbol(name, real=True) for name in names)
        expressions = tuple(map(parse_expression, outputs.values()))
        unknown = set[Any]().union(*(e.free_symbols for e in expressions)) - set(inputs)
        if unknown:
            raise ValueError(f"a stored formula has no input {', '.join(sorted(map(ascii, map(str, unknown))))}")
        return cls(expressions, inputs, tuple(outputs))

    def mathml(self, symbols: Mapping[str, str] | None = None) -> list[str]:
        r"""Every equation in presentation MathML, constants rounded; browsers render it without help.

        Args:
            symbols: trusted LaTeX of some inputs, such as `\mu_r`.
        """
        from html import escape

        return [
            '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mrow>'
            f"<mtext>{escape(visible(name))}</mtext><mo>=</mo>{printers.mathml(e, symbols)}</mrow></math>"
            for name, e in zip(self.names, self.rounded(), strict=True)
        ]

    def __repr__(self) -> str:
        return brief(str(self))

    def _repr_latex_(self) -> str | None:
        """What a notebook shows; nothing where it is too long to be read, so that the text is shown."""
        text = self.latex()
        return f"$$\\begin{{gathered}}\n{text}\n\\end{{gathered}}$$" if len(text) <= LETTERS else None

    def __str__(self) -> str:
        pairs = zip(self.names, self.rounded(), strict=True)
        return "\n".join(f"{heading(name)} = {printers.text(e)}" for name, e in pairs)


def _rounded(expression: sympy.Expr, digits: int) -> Any:
    return expression.xreplace({f: sympy.Float(f, digits) for f in expression.atoms(sympy.Float)})
