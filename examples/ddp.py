"""Trains one network on several processes: `torchrun --nproc-per-node 2 examples/ddp.py [--replicate] [--shard]`.

Every process computes its rows of each batch. Gradients are averaged, so the result is that of one process on the whole
batch. With --shard the parameters and the optimiser's state are divided among the processes as well (FSDP2).
"""

import gc
import os
import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import edgewise as ew


def data() -> tuple[Tensor, Tensor]:
    x = torch.rand(512, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return x, (3 * x[:, :1]).sin() * x[:, 1:]


def network() -> ew.KAN:
    return ew.KAN([2, 8, 1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def train(model: nn.Module, steps: int, rank: int = 0, world: int = 1, batch: int = 64) -> list[float]:
    """The batches do not depend on the number of processes; each process takes its part of every batch."""
    x, y = data()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    order = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,), generator=order)[rank::world]
        optimizer.zero_grad()
        loss = (model(x[rows]) - y[rows]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def wrapped(model: ew.KAN, shard: bool) -> nn.Module:
    if not shard:
        return DistributedDataParallel(model)
    # Gloo cannot average: with float32 parameters, call set_force_sum_reduction_for_comms(True) on every part.
    for layer in model.layers:
        fully_shard(layer)
    return fully_shard(model)


def whole(model: nn.Module) -> dict[str, Tensor]:
    """The state of the unwrapped model: complete tensors on every process."""
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    return {k: t.full_tensor() if hasattr(t, "full_tensor") else t for k, t in inner.state_dict().items()}


def run(shard: bool) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    model = wrapped(network(), shard)
    losses = train(model, int(os.environ.get("STEPS", "200")), rank, world)
    state = whole(model)
    if rank == 0:
        print(f"{world} processes: loss {losses[0]:.4f} -> {losses[-1]:.2e}")
        if "SAVE" in os.environ:
            torch.save(state, os.path.join(os.environ["SAVE"], "sharded.pt" if shard else "replicated.pt"))


def main() -> None:
    # With GPUs, use backend="nccl" and move model and rows to cuda:LOCAL_RANK.
    dist.init_process_group("gloo")
    for way in sys.argv[1:] or ["--replicate"]:
        run(way == "--shard")
    # The wrapped model holds the process group through a circle of references, and torch aborts now and then where one
    # process ends while another still uses the group: the model goes first, and all leave together.
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
