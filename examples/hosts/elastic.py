"""Trains a KAN on several processes and resumes after one was killed: `torchrun --nproc-per-node 2 FILE FOLDER`.

Parameters and the optimiser's state are divided among the processes (FSDP2). Every few steps each process writes its
part of a checkpoint (torch.distributed.checkpoint), which any number of processes can read. When a process dies,
`torchrun --max-restarts 3` starts all of them again, and they continue from the last whole checkpoint: the result is
that of one process that was never interrupted. `python FILE FOLDER` is that one process.
"""

import gc
import os
import shutil
import signal
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

import edgewise as ew

STEPS, EVERY, BATCH = int(os.environ.get("STEPS", "60")), 10, 64
DIE_AT = int(os.environ.get("DIE_AT", "0"))  # the step after which one process kills itself, for a trial


def data() -> tuple[Tensor, Tensor]:
    x = torch.rand(512, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return x, (3 * x[:, :1]).sin() * x[:, 1:]


def batch(step: int, rank: int, world: int) -> Tensor:
    """The rows of one process: those of a step depend on neither the number of processes nor the steps before."""
    order = torch.Generator().manual_seed(step)
    return torch.randint(512, (BATCH,), generator=order)[rank::world]


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> dict:
    parameters, moments = get_state_dict(model, optimizer)
    return {"model": parameters, "optimizer": moments, "step": torch.tensor(step)}


def save(state: dict, folder: Path, rank: int) -> None:
    """Written beside and renamed, so that a process that dies here leaves the last checkpoint whole."""
    part = folder / "part"
    dcp.save(state, checkpoint_id=part)
    if rank == 0:
        shutil.rmtree(folder / "old", ignore_errors=True)
        if (folder / "last").exists():
            (folder / "last").rename(folder / "old")
        part.rename(folder / "last")
    if dist.is_initialized():
        dist.barrier()


def load(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    """The number of steps done; 0 where there is no checkpoint."""
    found = next((place for place in (folder / "last", folder / "old") if (place / ".metadata").exists()), None)
    if found is None:
        return 0
    state = state_of(model, optimizer, 0)
    dcp.load(state, checkpoint_id=found)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    return int(state["step"])


def train(folder: Path, rank: int, world: int) -> nn.Module:
    x, y = data()
    model: nn.Module = ew.KAN([2, 8, 1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if world > 1:
        for layer in model.layers:
            fully_shard(layer)
        fully_shard(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(load(model, optimizer, folder), STEPS):
        rows = batch(step, rank, world)
        optimizer.zero_grad()
        (model(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
        if (step + 1) % EVERY == 0:
            save(state_of(model, optimizer, step + 1), folder, rank)
        if rank == 1 and step + 1 == DIE_AT and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
    return model


def join(rank: int, world: int) -> None:
    """Enter the process group of this attempt.

    torchrun (2.13) hands every attempt the store of the first one, where the processes would find the addresses of
    those that died: a name for each attempt keeps them apart. With GPUs, use "nccl" and move model and rows to
    cuda:LOCAL_RANK.
    """
    agent = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    store = dist.PrefixStore(f"attempt {agreed_name(agent, rank, world)}", agent)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)


def agreed_name(store: dist.Store, rank: int, world: int) -> str:
    """A name of this attempt that all its processes have, and none of an earlier one.

    TORCHELASTIC_RESTART_COUNT is no such name: hosts that were not the first to see the failure may count another
    number. Every process asks under a name of its own, and the first one answers until all have heard it.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"asks {rank}", own)
        store.wait([f"answer to {own}"], timedelta(minutes=5))
        name = store.get(f"answer to {own}").decode()
        store.set(f"{name} heard by {rank}", "")
        return name
    waiting = set(range(1, world))
    while waiting:
        for other in [r for r in waiting if store.check([f"asks {r}"])]:
            store.set(f"answer to {store.get(f'asks {other}').decode()}", own)
        waiting = {r for r in waiting if not store.check([f"{own} heard by {r}"])}
        time.sleep(0.05)
    return own


def main() -> None:
    folder = Path(sys.argv[1])
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        join(rank, world)
    model = train(folder, rank, world)
    state = {k: t.full_tensor() if hasattr(t, "full_tensor") else t for k, t in model.state_dict().items()}
    if rank == 0:
        torch.save(state, folder / "state.pt")
        print(f"{world} processes, {STEPS} steps")
    if world > 1:
        del model
        gc.collect()
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
