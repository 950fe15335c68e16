"""Models that are not layers in turn, as C programs from their graphs: compiled, run and compared."""

import shutil

import pytest
import torch
from torch import nn
from zoo import rng

import edgewise as ew
from edgewise.bases import BSpline, Chebyshev
from edgewise.exporting.index_maps import index_expression, strides_of
from edgewise.nn import TKAN, KANAttention, KANConv1d, KANConv2d, KANConv3d, KANLinear

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def evaluated(text, count):
    """An index expression of C in Python."""
    return [eval(text.replace("/", "//"), {"o": o}) for o in range(count)]


@pytest.mark.parametrize(
    "move",
    [
        lambda t: t,
        lambda t: t.permute(2, 0, 1),
        lambda t: t[1:, :, ::2],
        lambda t: t[:, :1].expand(3, 7, 5),
        lambda t: t.flip(1),
        lambda t: t[2:, 3:, 4:],
        lambda t: t.unsqueeze(1).transpose(-1, -2),
        lambda t: t[:, :, :1].permute(1, 0, 2),
    ],
)
def test_movements_are_expressions(move):
    index = move(torch.arange(60).reshape(3, 4, 5))
    text = index_expression(index, "o")
    assert text is not None
    assert evaluated(text, index.numel()) == index.flatten().tolist()


def test_irregular_places_need_a_table():
    index = torch.tensor([0, 1, 3])
    assert strides_of(index) is None
    assert index_expression(index, "o") is None


class Several(nn.Module):
    """Moves, reductions, comparisons and several outputs."""

    def forward(self, x):
        first, rest = x.split([1, 3], -1)
        high = torch.where(rest > 0.25, rest.clamp(max=1.5), rest.abs().sqrt())
        kept = (rest.sum(-1, keepdim=True) - rest.mean(-1, keepdim=True)) * torch.maximum(first, rest).amax(-1, True)
        return {"a": torch.cat([high, kept], -1).flip(-1), "b": [x.pow(2).sum(), nn.functional.gelu(x)[:, ::2]]}


BLOCKS = {
    "conv1d": (lambda: KANConv1d(2, 4, 3, padding=2, dilation=2, stride=2, generator=rng()), (2, 9)),
    "conv2d in groups": (lambda: KANConv2d(4, 4, (3, 2), padding=1, groups=2, generator=rng()), (4, 5, 6)),
    "conv3d": (lambda: KANConv3d(1, 2, 2, basis=Chebyshev(3), generator=rng()), (1, 3, 4, 3)),
    "conv of torch": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.GELU(), nn.Flatten()), (2, 4, 4)),
    "attention": (lambda: KANAttention(8, 2, BSpline(4, 3), generator=rng()), (5, 8)),
    "recurrent": (lambda: TKAN(3, 4, sublayers=2, generator=rng()), (3, 3)),
    "many intervals": (lambda: nn.Sequential(KANLinear(3, 2, BSpline(20, 3), generator=rng()), nn.Softplus()), (3,)),
    "norm": (lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3), nn.SiLU(), nn.Softmax(-1)), (4,)),
}


@needs_compiler
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name, tmp_path):
    make, shape = BLOCKS[name]
    model = make()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * torch.randn(p.shape, generator=rng(1))
    report = ew.export(model, tmp_path / "net.h", format="c", example=torch.randn(2, *shape, generator=rng(2)))
    assert report.forward_error < 1e-5
    assert report.inputs == 1000


@needs_compiler
def test_several_outputs_and_operations(tmp_path):
    class Rows(Several):
        def forward(self, x):
            found = super().forward(x)
            return {"a": found["a"], "b": found["b"][1:]}

    ew.export(Rows(), tmp_path / "net.h", format="c", example=torch.randn(3, 4))
    text = (tmp_path / "net.h").read_text()
    assert "4 inputs and 6 outputs, row by row" in text
    assert "malloc" not in text
