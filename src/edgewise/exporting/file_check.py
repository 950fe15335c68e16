r"""Compares what a file computes with the model: forward errors, and errors in view of how sensitive the model is.

A file in single precision cannot do better than the model at inputs that differ by a rounding. So the error that has to
keep the tolerance is, with y from the file and m from the model in float64, n the rows and i the outputs,

$$ \eta = \max_{ni} \frac{|y_{ni} - m_{ni}|}
   {\min(1, M_i) + \min\big( \max_k |m_{nk}| + \max_k s_{nk},\; M_i + S_i \big)}, \qquad
   M_i = \max_n |m_{ni}|, \quad S_i = \max_n s_{ni}, $$

$$ s_{ni} = \max_\sigma \frac{|m_i(x_n (1 + h \sigma)) - m_i(x_n)|}{h}, \quad h = 2^{-23}, $$

over two vectors of random signs $\sigma$: up to $\eta$, the file computes the model at inputs that are wrong by $\eta$
relatively (mixed stability in the sense of Higham, Accuracy and Stability of Numerical Algorithms, section 1.5). By M
and S a small output is compared on its own scale, also beside a large one. The forward error has no s and is reported
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from edgewise.exporting.check_inputs import check_inputs
from edgewise.exporting.export_report import ExportError
from edgewise.exporting.file_format import Format
from edgewise.exporting.subject import Subject, cast

ULP = 2.0**-23
SIGNS = 2


class Errors(NamedTuple):
    """The largest errors over all outputs, and the number of inputs."""

    mixed: float
    forward: float
    inputs: int


def compared(chosen: Format, path: Path, subject: Subject) -> Errors | None:
    """The errors of a written file; None where nothing runs it.

    Raises `ExportError` where the file has other outputs than the model, or the model none that is finite.
    """
    if chosen.load is None:
        return None
    inputs = tuple(cast(x, subject.dtype) for x in check_inputs(subject))
    run, rows = chosen.load(path, subject), len(inputs[0])
    step = min(rows, chosen.most_rows or rows) if subject.any_batch else len(subject.example[0])
    # The file sees the inputs as its own precision has them, and so does the model.
    expected, moved = subject.reference(*inputs), sensitivity(subject, inputs)
    for m in expected:
        if m.numel() and not torch.isfinite(m).any():
            raise ExportError(
                "the model gives no finite output at any input of the check; nothing was compared or written"
            )
    scales = [scale_of(m, s) for m, s in zip(expected, moved, strict=True)]
    forward_scales = [scale_of(m) for m in expected]
    mixed = forward = 0.0
    for start in range(0, rows, step):
        chosen_rows = torch.arange(start, start + step) % rows  # from the beginning again behind the last one
        got = run(*(x[chosen_rows] for x in inputs))
        if len(got) != len(expected):
            raise ExportError(f"the file has {len(got)} outputs, the model {len(expected)}; nothing was written")
        for y, m, scale, forward_scale in zip(got, expected, scales, forward_scales, strict=True):
            mixed = max(mixed, error_of(y, m[chosen_rows], scale[chosen_rows]))
            forward = max(forward, error_of(y, m[chosen_rows], forward_scale[chosen_rows]))
    return Errors(mixed, forward, rows)


def sensitivity(subject: Subject, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """How much every output moves per relative change of all inputs: the s of this file, zero where it is not finite.

    Integers do not change.
    """
    generator = torch.Generator().manual_seed(0)
    expected = subject.reference(*inputs)
    largest = [torch.zeros_like(m) for m in expected]
    for _ in range(SIGNS):
        signs = [torch.randint(0, 2, x.shape, generator=generator).double() * 2 - 1 for x in inputs]
        changed = [
            x.double() * (1 + ULP * sign) if x.is_floating_point() else x for x, sign in zip(inputs, signs, strict=True)
        ]
        moved = subject.reference(*changed)
        rates = [((a - m).abs() / ULP).nan_to_num(0, 0, 0) for a, m in zip(moved, expected, strict=True)]
        largest = [torch.maximum(old, new) for old, new in zip(largest, rates, strict=True)]
    return tuple(largest)


def scale_of(m: Tensor, s: Tensor | None = None) -> Tensor:
    """What an error is relative to: the denominator of the equation of this file. Without s that of the forward error.

    Numbers that are not finite count as 0.
    """
    sizes = m.detach().cpu().double().nan_to_num(0, 0, 0).abs()
    if m.numel() == 0:
        return sizes
    moves = torch.zeros_like(sizes) if s is None else s.cpu()
    most = sizes.amax(0, keepdim=True)
    row = _row_maximum(sizes) + _row_maximum(moves)
    return most.clamp(max=1) + torch.minimum(row, most + moves.amax(0, keepdim=True))


def error_of(y: Tensor, m: Tensor, scale: Tensor | None = None) -> float:
    """The equation of this file, the forward one without a scale; infinite where only one of y and m is finite."""
    y, m = y.detach().cpu().double(), m.detach().cpu().double()
    if y.shape != m.shape:
        raise ExportError(f"the file has outputs of shape {tuple(y.shape)}, the model {tuple(m.shape)}")
    if m.numel() == 0:
        return 0.0
    same = (y == m) | (y.isnan() & m.isnan())
    error = torch.where(same, 0.0, (y - m).abs() / (scale_of(m) if scale is None else scale))
    return float(error.nan_to_num(torch.inf).max())


def _row_maximum(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).amax(1).reshape(-1, *[1] * (values.ndim - 1))
