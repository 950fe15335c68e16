"""Laws of the learning rates: the fan-in of every factor, one step at every width, reparametrised == grouped."""

import pytest
import torch
from lotra_zoo import FORM_NAMES, SOME, adapted, inputs, network, same, state

import edgewise as ew
from edgewise.adapters import adapter_state, add_lotra, lotra_groups, lotra_ratios, merge, reparametrised
from edgewise.bases import BSpline, Chebyshev

FIRST = "layers.0.adapter.updates.default"


def loss(model):
    return (model(inputs(30)) - inputs(30, 2, seed=5)).square().mean()


def test_mup_is_one_over_the_fan_in():
    model = add_lotra(ew.KANLinear(6, 9, BSpline(5, 3), residual=None), (4, 3, 2))
    (ratios,) = lotra_ratios(model).values()
    assert ratios == pytest.approx({"basis": 1.0, "source": 1 / 6, "core": 1 / 12, "target": 1 / 2}, rel=1e-5)
    (lora,) = lotra_ratios(add_lotra(ew.KANLinear(6, 9, residual=None), 3, form="lora")).values()
    assert lora == pytest.approx({"source": 1 / 6, "target": 1 / 3}, rel=1e-5)


def test_a_full_update_has_a_tenth_of_the_rate_of_a_factor():
    model = add_lotra(ew.KANLinear(6, 9, BSpline(5, 3), residual=None), "full")
    for rule, expected in (("mup", 0.1 / 6), ("relative", 0.1 / 6**0.5), ("identical", 1.0)):
        (ratios,) = lotra_ratios(model, rule).values()
        assert ratios == pytest.approx({"core": expected}, rel=1e-5)


def test_a_dense_basis_counts_by_its_activity():
    layer = ew.KANLinear(6, 9, Chebyshev(8), residual=None, dtype=torch.float64)
    x = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    activity = sum(torch.cos(k * torch.acos(x)).abs() for k in range(layer.basis.size)).mean().item()
    (ratios,) = lotra_ratios(add_lotra(layer, SOME)).values()
    assert ratios["basis"] == pytest.approx(1 / activity, rel=0.2)


def test_relative_is_the_size_of_the_entries():
    model = add_lotra(ew.KANLinear(6, 9), (4, 3, 2), zero="target", generator=torch.Generator().manual_seed(0))
    factors = model.adapter["default"]
    (ratios,) = lotra_ratios(model, "relative").values()
    for part in ("basis", "source"):
        assert getattr(factors, part).square().mean().sqrt().item() == pytest.approx(ratios[part], rel=1e-5)
    assert ratios["core"] == pytest.approx(12**-0.5)
    assert ratios["target"] == 1


@pytest.mark.parametrize("form", FORM_NAMES)
def test_calibrated_steps_lower_the_loss_equally(form):
    """Away from zero the ratios are those of the gradients: rate times the 1-norm is constant in a layer."""
    model = adapted(form)
    for name, ratios in lotra_ratios(model, "calibrated", loss=loss).items():
        factors = model.get_submodule(name)
        gradients = torch.autograd.grad(loss(model), [getattr(factors, part) for part in ratios])
        decreases = [ratio * g.abs().sum().item() for ratio, g in zip(ratios.values(), gradients, strict=True)]
        assert decreases == pytest.approx([decreases[0]] * len(decreases), rel=1e-6)


@pytest.mark.parametrize("form", FORM_NAMES)
def test_calibrated_works_from_zero_and_changes_nothing(form):
    model = add_lotra(network(), SOME, form=form)
    before = state(model)
    ratios = lotra_ratios(model, "calibrated", loss=loss)
    assert all(ratio > 0 for parts in ratios.values() for ratio in parts.values())
    assert same(state(model), before)


def test_groups_hold_every_trained_parameter_once():
    model = add_lotra(network(), SOME, also_train=["*.bias"])
    groups = lotra_groups(model, 0.3, rest=0.02)
    grouped = [p for group in groups for p in group["params"]]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sorted(map(id, grouped)) == sorted(map(id, trained))
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates[f"{FIRST}.source"] == pytest.approx(0.3 / 3)
    assert rates["rest"] == 0.02
    squared = {group["name"]: group["lr"] for group in lotra_groups(model, 0.3, optimizer="sgd")}
    assert squared[f"{FIRST}.source"] == pytest.approx(0.3 / 9)
    torch.optim.Adam(groups)


@pytest.mark.parametrize("rule", ["mup", "relative", "identical"])
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_one_rate_on_the_reparametrised_model_is_the_groups(kind, rule):
    grouped = add_lotra(network(), SOME, generator=torch.Generator().manual_seed(0))
    single = reparametrised(grouped, rule)
    optimizers = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, eps=1e-30),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    }
    steps = (
        (grouped, optimizers[kind](lotra_groups(grouped, 0.05, rule=rule, optimizer=kind))),
        (single, optimizers[kind]([p for p in single.parameters() if p.requires_grad])),
    )
    for model, optimizer in steps:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model).backward()
            optimizer.step()
    torch.testing.assert_close(single(inputs()), grouped(inputs()), rtol=1e-8, atol=1e-8)


def test_reparametrising_keeps_function_files_and_merge():
    model, x = adapted(), inputs()
    twin = reparametrised(model)
    torch.testing.assert_close(twin(x), model(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(merge(twin)(x), model(x), rtol=1e-12, atol=1e-12)
    for name, tensor in adapter_state(twin).tensors.items():
        torch.testing.assert_close(tensor, adapter_state(model).tensors[name], rtol=1e-12, atol=1e-12)
    again = reparametrised(twin, "identical")
    assert again.layers[0].adapter["default"].multipliers == dict.fromkeys(("basis", "source", "core", "target"), 1.0)


@pytest.mark.parametrize("part", ["basis", "source", "core", "target"])
def test_a_step_moves_the_output_as_much_at_every_width(part):
    """The claim behind `mup`, with Adam's first step: RMS of the change over widths 16 to 256 within a factor of 3."""
    moves = []
    for n in (16, 64, 256):
        layer = ew.KANLinear(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
        generator = torch.Generator().manual_seed(n + 1)
        model = add_lotra(layer, (6, 4, 6), zero="target", generator=generator)
        factors = model.adapter["default"]
        with torch.no_grad():
            factors.target.normal_(generator=generator)
        # hidden features of a network move together: the inputs share one latent variable
        x = torch.tanh(torch.randn(256, 1, generator=generator) * torch.randn(1, n, generator=generator)).double()
        direction = torch.randn(1, n, generator=generator, dtype=torch.float64) * x[:, :1]
        before = model(x)
        (gradient,) = torch.autograd.grad((before * direction).sum(), [getattr(factors, part)])
        rate = lotra_ratios(model)[next(iter(lotra_ratios(model)))][part]
        with torch.no_grad():
            getattr(factors, part).sub_(1e-3 * rate * gradient.sign())
            moves.append((model(x) - before).square().mean().sqrt().item())
    assert max(moves) < 3 * min(moves), moves


def test_bad_requests():
    model = add_lotra(network(), SOME)
    with pytest.raises(ValueError, match="mup, relative, calibrated, identical"):
        lotra_groups(model, rule="paper")
    with pytest.raises(ValueError, match="adam, sgd"):
        lotra_groups(model, optimizer="lion")
    with pytest.raises(ValueError, match="give loss="):
        lotra_groups(model, rule="calibrated")
    with pytest.raises(ValueError, match="no finite gradient"):
        lotra_groups(model, rule="calibrated", loss=lambda m: 0 * m(inputs()).sum())
    with pytest.raises(ValueError, match="has no adapters"):
        lotra_groups(network())
    with pytest.raises(ValueError, match="all frozen"):
        lotra_groups(model.requires_grad_(False))


@pytest.mark.parametrize("width", [16, 64, 192])
def test_one_rate_serves_narrow_and_wide_networks(width):
    base = ew.KAN([3, width, width, 2], generator=torch.Generator().manual_seed(width))
    model = add_lotra(base, generator=torch.Generator().manual_seed(0))
    x, y = inputs(64).float(), inputs(64, 2, seed=5).float().sin()
    optimizer = torch.optim.Adam(lotra_groups(model))
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        value = (model(x) - y).square().mean()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]
