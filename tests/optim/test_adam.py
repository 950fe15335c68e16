"""`edgewise.optim.Adam` does what torch's AdamW does, for every kind of tensor."""

import copy

import pytest
import torch

import edgewise as ew
from edgewise.optim import Adam

SETTINGS = {"lr": 3e-2, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.2}


def tensors(dtype=torch.float64):
    """A large one that threads share, a transposed one, a scalar, an empty one, one without a gradient."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
    values = [draw(200, 131), draw(5, 7).T, draw(()), draw(0, 3), draw(4)]
    return [torch.nn.Parameter(v) for v in values]


def walk(optimizer, parameters, steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        for p in parameters[:-1]:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
        optimizer.step()


def assert_equal(ours, theirs, dtype):
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_is_adamw(dtype, threads):
    ours, theirs = tensors(dtype), tensors(dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        walk(Adam(ours, **SETTINGS), ours, 12)
        walk(torch.optim.AdamW(theirs, **SETTINGS), theirs, 12)
    finally:
        torch.set_num_threads(before)
    assert_equal(ours, theirs, dtype)
    assert torch.equal(ours[-1], tensors(dtype)[-1])


def test_state_is_that_of_torch_and_moves_either_way():
    ours, theirs = tensors(), tensors()
    mine, torchs = Adam(ours, **SETTINGS), torch.optim.AdamW(theirs, **SETTINGS)
    walk(mine, ours, 5)
    walk(torchs, theirs, 5)
    back = Adam(ours, **SETTINGS)
    back.load_state_dict({**mine.state_dict(), "state": torchs.state_dict()["state"]})
    forth = torch.optim.AdamW(theirs, **SETTINGS)
    forth.load_state_dict({**torchs.state_dict(), "state": mine.state_dict()["state"]})
    walk(back, ours, 5, seed=2)
    walk(forth, theirs, 5, seed=2)
    assert_equal(ours, theirs, torch.float64)
    assert all(float(state["step"]) == 10 for state in back.state.values())


def test_follows_what_happens_between_steps():
    """Groups with settings of their own, a schedule, new numbers, moved data, a forgotten state, copies."""
    ours, theirs = tensors(), tensors()

    def train(make, parameters):
        optimizer = make([{"params": parameters[:1], "lr": 1e-3}, {"params": parameters[1:]}], **SETTINGS)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for n in range(4):
            walk(optimizer, parameters, 2, seed=n)
            schedule.step()
        parameters[0].data = parameters[0].data * 0.5
        walk(optimizer, parameters, 2, seed=8)
        optimizer.state.clear()
        walk(optimizer, parameters, 2, seed=9)
        again = copy.deepcopy(optimizer)
        walk(again, [p for group in again.param_groups for p in group["params"]], 2, seed=10)
        walk(optimizer, parameters, 2, seed=10)
        return again

    mine, torchs = train(Adam, ours), train(torch.optim.AdamW, theirs)
    assert_equal(ours, theirs, torch.float64)
    for a, b in zip(mine.param_groups, torchs.param_groups, strict=True):
        assert_equal(a["params"], b["params"], torch.float64)
        assert_equal(a["params"], ours[:1] if len(a["params"]) == 1 else ours[1:], torch.float64)


def test_closures_hooks_and_versions():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer, seen = Adam([p]), []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert seen == ["before", "after"]
    y = (p**2).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_trains_a_network_as_torch_does():
    x = torch.rand(50, 2, dtype=torch.float64)
    models = [ew.KAN([2, 3, 1], dtype=torch.float64, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    for model, make in zip(models, (Adam, torch.optim.Adam), strict=True):
        optimizer = make(model.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            ((model(x) - x.prod(1, keepdim=True)) ** 2).mean().backward()
            optimizer.step()
    assert_equal(models[0].parameters(), models[1].parameters(), torch.float64)


def test_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="betas in"):
        Adam(tensors(), betas=(0.9, 1.0))
    table = torch.nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="SparseAdam"):
        Adam(table.parameters()).step()
