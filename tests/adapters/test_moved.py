"""A grid may be refined under an adapter: the function, the update and what learns stay."""

import pytest
import torch

import edgewise as ew
from edgewise.adapters import add_lotra, merge, reparametrised, use_adapters_
from edgewise.nn.factors import FORMS


def adapted(form="tucker", *, generator=None, **settings):
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    model = ew.KAN([3, 4, 2], ew.BSpline(4, 3), generator=generator, dtype=torch.float64)
    new = add_lotra(model, 0.6, form=form, generator=generator, **settings)
    with torch.no_grad():
        for parameter in new.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return new


def points(n=200):
    return 3 * torch.rand(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1.5


@pytest.mark.parametrize("form", FORMS)
def test_refining_keeps_the_function_and_the_adapter(form):
    model, x = adapted(form), points()
    fine = ew.refine(model, 12)
    torch.testing.assert_close(fine(x), model(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(merge(fine)(x), ew.refine(merge(model), 12)(x), rtol=0, atol=1e-12)
    learns = lambda net: [name for name, p in net.named_parameters() if p.requires_grad]
    assert learns(fine) == learns(model)
    torch.testing.assert_close(use_adapters_(fine, ())(x), ew.refine(use_adapters_(model, ()), 12)(x))


def test_the_least_squares_fit_of_a_sum_is_the_sum_of_the_fits():
    model, x = adapted(), points()
    basis = ew.BSpline(7, 4)
    expected = ew.surgery.change_basis(merge(model), basis)(x)
    torch.testing.assert_close(ew.surgery.change_basis(model, basis)(x), expected, rtol=0, atol=1e-12)


def test_rates_stay():
    model, x = reparametrised(adapted()), points()
    fine = ew.refine(model, 8)
    torch.testing.assert_close(fine(x), model(x), rtol=0, atol=1e-12)
    before, after = (net.layers[0].adapter["default"].multipliers for net in (model, fine))
    assert before == after


@pytest.mark.parametrize("form", ["tucker", "lora"])
def test_grids_of_their_own_shape(form):
    plain = ew.KAN([3, 4, 2], ew.BSpline(4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ew.adapt_grid_(plain, points() ** 3, adaptive=1.0)
    model = add_lotra(plain, 0.6, form=form)
    if form == "lora":
        torch.testing.assert_close(ew.refine(model, 8)(points()), model(points()), rtol=0, atol=1e-12)
        return
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"'layers\.0'.*different shape.*form='lora'"):
        ew.refine(model, 8)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
