"""Triton kernels of the three contractions, by local support: `degree + 1` functions and the residual per input.

Every (sample, input) has an interval s and the values w of the functions that do not vanish there, computed in plain
torch; the last value belongs to the residual function. The kernels gather coefficient rows s, ..., s + degree. The
gradient of the coefficients is a product of matrices instead, with the local values spread over a tile of functions: no
atomics, so that results repeat.

Checked in Triton's interpreter; not measured on a GPU (`studies/speed/gpu.py` does that).
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import triton
import triton.language as tl


@triton.jit
def sum_kernel(
    w, s, coef, y, batch, features, out, rows, LOCAL: tl.constexpr, RESIDUAL: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """y[b, i] = sum_j sum_m w[b, j, m] coef[j, s[b, j] + m, i]."""
    b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    o = tl.program_id(1) * BLOCK_O + tl.arange(0, BLOCK_O)
    in_batch, in_out = b < batch, o < out
    inside = in_batch[:, None] & in_out[None, :]
    total = tl.zeros((BLOCK_B, BLOCK_O), dtype=coef.dtype.element_ty)
    for j in range(features):
        first = tl.load(s + b * features + j, mask=in_batch, other=0)
        for m in tl.static_range(LOCAL + RESIDUAL):  # pyright: ignore[reportGeneralTypeIssues]
            row = first + m if m < LOCAL else first * 0 + rows - 1
            value = tl.load(w + (b * features + j) * (LOCAL + RESIDUAL) + m, mask=in_batch, other=0.0)
            c = tl.load(coef + (j * rows + row)[:, None] * out + o[None, :], mask=inside, other=0.0)
            total += value[:, None] * c
    tl.store(y + b[:, None] * out + o[None, :], total, mask=inside)


@triton.jit
def pull_kernel(
    g, w, s, coef, pulled, batch, features, out, rows, LOCAL: tl.constexpr, RESIDUAL: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """pulled[b, j] = sum_i g[b, i] sum_m w[b, j, m] coef[j, s[b, j] + m, i]."""
    b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    j = tl.program_id(1)
    in_batch = b < batch
    first = tl.load(s + b * features + j, mask=in_batch, other=0)
    total = tl.zeros((BLOCK_B,), dtype=coef.dtype.element_ty)
    for start in range(0, out, BLOCK_O):
        o = start + tl.arange(0, BLOCK_O)
        inside = in_batch[:, None] & (o < out)[None, :]
        slope = tl.load(g + b[:, None] * out + o[None, :], mask=inside, other=0.0)
        for m in tl.static_range(LOCAL + RESIDUAL):  # pyright: ignore[reportGeneralTypeIssues]
            row = first + m if m < LOCAL else first * 0 + rows - 1
            value = tl.load(w + (b * features + j) * (LOCAL + RESIDUAL) + m, mask=in_batch, other=0.0)
            c = tl.load(coef + (j * rows + row)[:, None] * out + o[None, :], mask=inside, other=0.0)
            total += value * tl.sum(slope * c, axis=1)
    tl.store(pulled + b * features + j, total, mask=in_batch)


@triton.jit
def outer_kernel(
    g, w, s, outer, batch, features, out, rows, LOCAL: tl.constexpr, RESIDUAL: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """outer[j, k, i] = sum_b B_k(x[b, j]) g[b, i], the functions of one input spread over a tile."""
    j = tl.program_id(0)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    o = tl.program_id(2) * BLOCK_O + tl.arange(0, BLOCK_O)
    total = tl.zeros((BLOCK_K, BLOCK_O), dtype=outer.dtype.element_ty)
    for start in range(0, batch, BLOCK_B):
        b = start + tl.arange(0, BLOCK_B)
        in_batch = b < batch
        first = tl.load(s + b * features + j, mask=in_batch, other=0)
        phi = tl.zeros((BLOCK_K, BLOCK_B), dtype=outer.dtype.element_ty)
        for m in tl.static_range(LOCAL + RESIDUAL):  # pyright: ignore[reportGeneralTypeIssues]
            row = first + m if m < LOCAL else first * 0 + rows - 1
            value = tl.load(w + (b * features + j) * (LOCAL + RESIDUAL) + m, mask=in_batch, other=0.0)
            phi += tl.where(k[:, None] == row[None, :], value[None, :], 0.0)
        slope = tl.load(g + b[:, None] * out + o[None, :], mask=in_batch[:, None] & (o < out)[None, :], other=0.0)
        total += tl.dot(phi, slope, input_precision="ieee")
    place = (j * rows + k)[:, None] * out + o[None, :]
    tl.store(outer + place, total, mask=(k < rows)[:, None] & (o < out)[None, :])
