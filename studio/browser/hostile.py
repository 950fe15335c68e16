"""Serves a studio whose names would be markup, for `session.mjs` and `look.mjs`: python studio/browser/hostile.py."""

import torch

import edgewise as ew
from edgewise.workbench import Workspace, serve

INPUTS = ['<img src=x onerror="window.pwned=1">', "</script><script>window.pwned=2</script>&amp; \"b'`${1}\\"]

generator = torch.Generator().manual_seed(0)
x = torch.rand(400, 2, generator=generator, dtype=torch.float64) * 2 - 1
y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
model = ew.KAN(
    [2, 3, 1],
    dtype=torch.float64,
    generator=generator,
    input_names=INPUTS,
    output_names=["<svg onload=window.pwned=3>"],
)
model = ew.fit(model, (x, y), "lm").model
assert isinstance(model, ew.KAN)
serve(Workspace(model, x, y, held=(x[:50], y[:50]), title=INPUTS[1]), browser=False)
