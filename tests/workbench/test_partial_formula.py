"""The formula that still has curves in it is the network, once its f_1, f_2, ... are the curves."""

import dataclasses

import pytest
import torch

import edgewise as ew
from edgewise.nn import Affine
from edgewise.nn.layers import kan_layers
from edgewise.surgery import fix
from edgewise.workbench.partial_formula import curve_names, partial_formula


@pytest.mark.parametrize("widths", [[2, 1], [2, 3, 2], [2, (1, 1), 1]], ids=str)
def test_the_formula_with_its_curves_is_the_network(widths):
    generator = torch.Generator().manual_seed(2)
    plain = ew.KAN(widths, ew.BSpline(4, 3), generator=generator, dtype=torch.float64)
    row = torch.tensor([0.7, 1.3], dtype=torch.float64)
    model = ew.KAN.assemble(
        list(plain.layers),
        input_affine=Affine(row, row - 1),
        output_affine=Affine(2 * row[:1].expand(plain.out_features), row[:1].expand(plain.out_features)),
    )
    model = fix(model, (0, 1, 0), "sin", (1.5, 0.2, 0.8, -0.1))
    names = curve_names(model)
    assert (0, 1, 0) not in names
    assert sorted(names.values()) == sorted(f"f_{n + 1}" for n in range(len(names)))
    layers = list(kan_layers(model).values())

    def curve(key):
        l, j, i = key

        def value(u: torch.Tensor) -> torch.Tensor:
            inputs = u.new_zeros(len(u), layers[l].in_features)
            inputs[:, j] = u * row[j] + row[j] - 1 if l == 0 else u
            return layers[l].edge_values(inputs)[:, j, i].detach()

        return value

    found = partial_formula(model, ["a b", "c"])
    assert [symbol.name for symbol in found.inputs] == ["a b", "c"]
    assert "f_1(`a b`)" in str(found)
    read = dataclasses.replace(found, functions={name: curve(key) for key, name in names.items()})
    x = torch.rand(30, 2, generator=generator, dtype=torch.float64) * 2 - 1
    assert torch.allclose(read(x), model(x), atol=1e-10)


def test_a_network_of_symbols_has_its_formula():
    model = fix(ew.KAN([1, 1], dtype=torch.float64), (0, 0, 0), "sin", (2.0, 0.0, 1.0, 0.0))
    assert partial_formula(model, ["x"]).expressions == ew.formula(model, ["x"]).expressions
