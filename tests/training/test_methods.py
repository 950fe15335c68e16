"""Laws of the methods as values: what does not apply cannot be said, or raises."""

import dataclasses
import functools
import inspect

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt
from edgewise.training.methods import METHODS, OPTIMIZERS, get_method

SETTINGS = {  # every setting of any method, with a value that is not its default
    "optimizer": "sgd",
    "lr": 0.1,
    "schedule": "cosine",
    "steps": 3,
    "batch_size": 10,
    "penalties": [ew.Sparsity(1e-3)],
    "refine": {2: 8},
    "early_stopping": 3,
    "checkpoint": "run.pt",
    "accumulate": 2,
    "precision": torch.bfloat16,
    "ema": 0.9,
    "seconds": 5.0,
    "starts": 2,
    "extend": False,
    "degrees": (3,),
    "max_parameters": 60,
    "widths": "auto",
    "smoothing": True,
}
APPLIES = {
    Auto: {"seconds", "starts", "steps", "extend", "degrees", "max_parameters", "widths", "smoothing"},
    LevenbergMarquardt: {"steps", "seconds", "smoothing"},
    FirstOrder: {"optimizer", "lr", "schedule", "steps", "batch_size", "penalties", "refine", "early_stopping"}
    | {"checkpoint", "accumulate", "precision", "ema", "seconds"},
}
COMMON = {"model", "data", "method", "loss", "validation", "sample_weight", "callbacks", "seed", "progress"}


def data(n=60):
    x = 2 * torch.rand(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    return x, x[:, :1] * x[:, 1:]


def few():
    return data(9)


def kan(widths=(2, 1, 1)):
    return ew.KAN(widths, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def loader():
    return DataLoader(TensorDataset(*data()), batch_size=20)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("method", APPLIES)
def test_a_method_takes_its_own_settings_and_no_others(method, name):
    if name in APPLIES[method]:
        value = method(**{name: SETTINGS[name]})
        assert getattr(value, name) == SETTINGS[name]
        assert get_method(value) is value
        assert value != method()
    else:
        with pytest.raises(TypeError, match=name):
            method(**{name: SETTINGS[name]})


def test_the_table_of_settings_is_whole():
    for method, names in APPLIES.items():
        assert {field.name for field in dataclasses.fields(method)} == names
    assert set(inspect.signature(ew.fit).parameters) == COMMON


@pytest.mark.parametrize("name", SETTINGS)
def test_fit_takes_no_setting_of_a_method(name):
    with pytest.raises(TypeError, match=name):
        ew.fit(kan(), data(), **{name: SETTINGS[name]})


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_methods_are_frozen_values(method):
    assert method == dataclasses.replace(method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.steps = 3


def test_names_stand_for_default_values():
    assert METHODS["auto"] == Auto()
    assert METHODS["lm"] == LevenbergMarquardt()
    assert {name: METHODS[name] for name in OPTIMIZERS} == {name: FirstOrder(name) for name in OPTIMIZERS}
    assert set(METHODS) == {"auto", "lm", *OPTIMIZERS}


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: get_method("adm"), ValueError, "unknown method 'adm'; choose one of auto, lm, lbfgs"),
        (lambda: get_method(torch.optim.Adam), TypeError, r"FirstOrder\(factory\)"),
        (lambda: get_method(None), TypeError, "method must be a name"),
        (lambda: get_method(FirstOrder), TypeError, r"write FirstOrder\(\)"),
        (lambda: ew.fit(kan(), *data()), TypeError, r"got a Tensor; .* one argument, fit\(model, \(x, y\)\)"),
        (lambda: ew.fit(kan(), data()[0]), TypeError, "data must be .x, y., a DataLoader or a mapping, got Tensor"),
        (lambda: ew.fit([2, 5, 1], data()), TypeError, r"must be a module such as edgewise.KAN\(\[2, 5, 1\]\)"),
        (lambda: ew.fit(kan(), data(), seconds=5), TypeError, r"setting of Auto\(seconds=...\) or Levenberg"),
        (lambda: ew.fit(kan(), data(), optimizer="adam"), TypeError, r"a setting of FirstOrder\(optimizer=...\)"),
        (lambda: ew.fit(kan(), data(), epochs=5), TypeError, "no argument 'epochs'; it has model, data, method"),
        (lambda: Auto(lr=1), TypeError, r"Auto has no argument 'lr'; it is a setting of FirstOrder\(lr=...\)"),
        (lambda: Auto(30), TypeError, "write seconds=..., starts=..."),
        (lambda: FirstOrder(steps="many"), TypeError, "steps must be an integer, got 'many'"),
        (lambda: FirstOrder("auto"), ValueError, "unknown optimizer 'auto'"),
        (lambda: FirstOrder(torch.optim.Adam(kan().parameters())), TypeError, r"partial\(torch.optim.Adam, lr=...\)"),
        (lambda: FirstOrder(3), TypeError, "a name or a factory"),
        (lambda: FirstOrder(torch.optim.Adam, lr=0.1), ValueError, "inside the factory"),
        (lambda: FirstOrder(accumulate=2, penalties=[ew.Sparsity(1e-3)]), ValueError, "cannot be accumulated"),
        (lambda: FirstOrder(accumulate=0), ValueError, "accumulate must be at least 1"),
        (lambda: FirstOrder(batch_size=0), ValueError, "batch_size must be at least 1"),
        (lambda: FirstOrder(steps=-1), ValueError, "steps must be at least 0"),
        (lambda: FirstOrder(early_stopping=0), ValueError, "early_stopping must be at least 1"),
        (lambda: FirstOrder(ema=1.0), ValueError, r"\[0, 1\)"),
        (lambda: FirstOrder(seconds=-1.0), ValueError, "time limit >= 0"),
        (lambda: Auto(seconds=float("nan")), ValueError, "time limit >= 0"),
        (lambda: Auto(widths="best"), ValueError, "None or 'auto', got 'best'"),
        (lambda: Auto(widths="auto", starts=0), ValueError, "leave out starts=0"),
        (lambda: Auto(starts=-1), ValueError, "starts must be at least 0"),
        (lambda: Auto(steps=0), ValueError, "steps must be at least 1"),
        (lambda: Auto(degrees=()), ValueError, "at least one degree"),
        (lambda: Auto(max_parameters=0), ValueError, "max_parameters must be at least 1"),
        (lambda: Auto(starts=0, extend=False, degrees=(3,)), ValueError, "degrees cannot be applied"),
        (lambda: Auto(starts=0, extend=False, max_parameters=9), ValueError, "max_parameters cannot be applied"),
        (lambda: LevenbergMarquardt(steps=0), ValueError, "steps must be at least 1"),
    ],
)
def test_mistakes_are_explained(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("method", [Auto, LevenbergMarquardt])
@pytest.mark.parametrize("strength", [0, -1.0, float("nan"), float("inf")])
def test_smoothing_is_a_number_above_zero(method, strength):
    with pytest.raises(ValueError, match="smoothing"):
        method(smoothing=strength)


def absolute(f, y):
    return (f - y).abs().mean()


@pytest.mark.parametrize(
    ("model", "samples", "loss", "reason", "instead"),
    [
        (kan, loader, "mse", "the data come in batches", "adam"),
        (kan, data, absolute, "the curvature of the loss 'absolute' is not known", "lbfgs"),
        (lambda: kan((2, 400, 1)), few, "mse", "7200 parameters on the coarsest grid are more than 4000", "lbfgs"),
        (lambda: nn.Linear(2, 1).double(), data, "mse", "Linear is not a KAN", "lbfgs"),
        (lambda: ew.add_lotra(kan((2, 3, 1)), 1), few, "mse", "a layer has an adapter", "lbfgs"),
    ],
    ids=["batches", "curvature", "size", "module", "adapter"],
)
def test_auto_says_what_replaces_the_search_and_why(model, samples, loss, reason, instead):
    result = ew.fit(model(), samples(), Auto(steps=2), loss=loss)
    assert result.report.method == instead
    assert result.report.steps == 2
    assert result.report.notes == (f"trained with {instead} instead of Levenberg-Marquardt: {reason}",)
    for name in ("starts", "degrees", "max_parameters", "widths", "smoothing"):
        with pytest.raises(ValueError, match=rf"{name} cannot be applied, because {reason}.*FirstOrder\('{instead}'\)"):
            ew.fit(model(), samples(), Auto(**{name: SETTINGS[name]}), loss=loss)
    ew.fit(model(), samples(), Auto(steps=1, extend=False, starts=0, smoothing=False, seconds=5.0), loss=loss)


@pytest.mark.parametrize(
    ("model", "samples", "validation", "loss", "message"),
    [
        (kan, loader, None, "mse", r"in batches; use method=FirstOrder\('adam'\)"),
        (kan, data, loader, "mse", r"validation data come in batches; use method=FirstOrder\('lbfgs'\)"),
        (kan, data, None, absolute, r"'absolute' is not known; use method=FirstOrder\('lbfgs'\)"),
        (lambda: kan((2, 400, 1)), data, None, "mse", r"more than 2000; use method=FirstOrder\('lbfgs'\)"),
        (lambda: kan().requires_grad_(False), data, None, "mse", "no parameter is trained"),
    ],
    ids=["batches", "validation", "curvature", "size", "frozen"],
)
def test_levenberg_marquardt_names_the_method_to_use_instead(model, samples, validation, loss, message):
    held = None if validation is None else validation()
    with pytest.raises(ValueError, match=message):
        ew.fit(model(), samples(), "lm", loss=loss, validation=held)


def test_smoothing_needs_the_curves_of_a_whole_kan():
    with pytest.raises(ValueError, match="smoothing cannot be applied, because Linear is not a KAN"):
        ew.fit(nn.Linear(2, 1).double(), data(), LevenbergMarquardt(smoothing=True))


def test_a_model_with_a_past_has_no_search_to_set():
    pruned = ew.surgery.remove_edge(kan((2, 2, 1)), ("layers.0", 1, 0))
    with pytest.raises(ValueError, match="degrees cannot be applied"):
        ew.fit(pruned, data(), Auto(extend=False, degrees=(3,)))


@pytest.mark.parametrize("method", ["auto", "lm", "adam"])
def test_without_trained_parameters_no_method_begins(method):
    with pytest.raises(ValueError, match="no parameter is trained"):
        ew.fit(kan().requires_grad_(False), data(), method)


def test_a_factory_gives_the_name():
    method = FirstOrder(functools.partial(torch.optim.RMSprop, lr=1e-3), steps=1)
    assert ew.fit(kan(), data(), method).report.method == "RMSprop"
    assert FirstOrder(torch.optim.RMSprop).name == "RMSprop"
