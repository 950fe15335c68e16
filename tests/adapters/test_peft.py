"""The plug-in under PEFT's own functions. Runs where PEFT is installed: pip install edgewise[peft]."""

import pytest
import torch
from later import later
from lotra_zoo import shaken
from torch import nn

import edgewise as ew

peft, plugin = later("peft"), later("edgewise.adapters.peft")

pytestmark = pytest.mark.filterwarnings("ignore")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), ew.KANLinear(6, 6), nn.LayerNorm(6), ew.KANLinear(6, 2)).double()


def x() -> torch.Tensor:
    return torch.randn(9, 3, generator=torch.Generator().manual_seed(1)).double()


def adapted(seed=2, **options) -> nn.Module:
    return shaken(peft.get_peft_model(network(), plugin.LotraConfig(**options)), seed=seed)


@pytest.mark.parametrize("form", ["tucker", "tucker2", "cp", "tt", "lora", "full"])
def test_a_new_adapter_changes_nothing_and_alone_learns(form):
    model = peft.get_peft_model(network(), plugin.LotraConfig(form=form, ranks=0.6))
    torch.testing.assert_close(model(x()), network()(x()), rtol=0, atol=0)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lotra_updates.default" in name for name in trained)
    assert {name.split(".lotra")[0] for name in trained} == {"base_model.model.1", "base_model.model.3"}


def test_targets_can_be_named():
    model = peft.get_peft_model(network(), plugin.LotraConfig(target_modules=["3"], ranks=(2, 2, 2)))
    assert {name.split(".lotra")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "base_model.model.3"
    }
    with pytest.raises(ValueError, match="LoTRA adapts KANLinear"):
        peft.get_peft_model(network(), plugin.LotraConfig(target_modules=["0"]))


def test_saved_is_loaded(tmp_path):
    model = adapted()
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(network(), tmp_path)
    torch.testing.assert_close(loaded(x()), model(x()), rtol=1e-12, atol=1e-12)
    for name, p in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), p)
    assert isinstance(peft.PeftConfig.from_pretrained(tmp_path), plugin.LotraConfig)


def test_the_status_names_method_layers_and_adapters():
    model = adapted()
    model.add_adapter("second", plugin.LotraConfig(ranks=2))
    model.base_model.set_adapter(["default", "second"])
    status = peft.get_model_status(model)
    assert status.peft_types == {"default": "LOTRA", "second": "LOTRA"}
    assert status.active_adapters == ["default", "second"]
    assert status.num_adapter_layers == 2
    assert {layer.module_type for layer in peft.get_layer_status(model)} == {"LotraLayer"}
    assert status.trainable_params == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_merged_is_adapted():
    model = adapted()
    expected = model(x()).detach()
    model.merge_adapter()
    torch.testing.assert_close(model(x()), expected, rtol=1e-10, atol=1e-10)
    model.unmerge_adapter()
    torch.testing.assert_close(model(x()), expected, rtol=1e-10, atol=1e-10)
    plain = model.merge_and_unload()
    assert type(plain[1]) is ew.KANLinear
    torch.testing.assert_close(plain(x()), expected, rtol=1e-10, atol=1e-10)


def test_several_adapters():
    model = adapted()
    first = model(x()).detach()
    model.add_adapter("second", plugin.LotraConfig(ranks=2))
    torch.testing.assert_close(model(x()), first, rtol=0, atol=0)
    model.set_adapter("second")
    torch.testing.assert_close(model(x()), network()(x()), rtol=0, atol=0)
    shaken(model, seed=5)
    assert (model(x()) - first).abs().max() > 1e-3
    with model.disable_adapter():
        torch.testing.assert_close(model(x()), network()(x()), rtol=0, atol=0)
    model.set_adapter("default")
    torch.testing.assert_close(model(x()), first, rtol=0, atol=0)
    model.delete_adapter("second")
    torch.testing.assert_close(model(x()), first, rtol=0, atol=0)


def test_injected_without_a_wrapper_into_a_kan():
    base = ew.KAN([3, 6, 2], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = base(x())
    model = peft.inject_adapter_in_model(plugin.LotraConfig(), base)
    torch.testing.assert_close(model(x()), expected, rtol=1e-12, atol=1e-12)
    shaken(model)
    hessian = torch.func.hessian(lambda x: model(x).sum())(x()[0])
    assert torch.isfinite(hessian).all()
    assert hessian.abs().max() > 0


def test_adapters_of_two_methods_learn_in_one_model():
    """LoRA on the linear layer beside LoTRA on the curves; PEFT's `mixed=True` knows a closed list of methods."""
    model = peft.inject_adapter_in_model(plugin.LotraConfig(target_modules=["1", "3"]), network())
    curves = [p for p in model.parameters() if p.requires_grad]
    model = peft.get_peft_model(model, peft.LoraConfig(target_modules=["0"], r=2))
    for p in curves:
        p.requires_grad_(True)
    torch.testing.assert_close(model(x()), network()(x()), rtol=0, atol=0)
    shaken(model)
    both = model(x()).detach()
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert {"lora_A", "lotra_updates"} <= {part for name in learning for part in name.split(".")}
    with model.disable_adapter():
        assert (model(x()) - both).abs().max() > 1e-3
    torch.testing.assert_close(model(x()), both, rtol=0, atol=0)
    with pytest.raises(ValueError, match="not compatible with the `PeftMixedModel`"):
        peft.get_peft_model(network(), plugin.LotraConfig(), mixed=True)
