"""Networks of other libraries, as files of their tensors."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kind import Kind, any_file, keep_one, other_tensor
from safetensors import safe_open
from safetensors.torch import save_file

from edgewise import io

ORACLES = Path(__file__).parent.parent / "io" / "peers" / "oracles"
Told = dict[str, tuple[str, dict[str, Any]]]


def make(folder: Path) -> Told:
    """The networks that the real libraries wrote, as `torch.save`, safetensors or npz write them."""
    told: Told = {}
    for path in sorted(ORACLES.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            oracle = json.loads(file.metadata()["oracle"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        grids = [tensors[key] for key in sorted(tensors) if key.startswith("extra.")]
        state = {key.removeprefix("state."): t for key, t in tensors.items() if key.startswith("state.")}
        peer = oracle["peer"].split()[0]
        if path.stem == "jaxkan_rbf":  # needs the model itself
            continue
        told[path.stem] = peer, oracle["settings"] | ({"grids": grids} if grids else {})
        write(folder / path.stem, state, peer, len(told) % 2 == 0)
    return told


def write(path: Path, state: dict[str, torch.Tensor], peer: str, plain: bool) -> None:
    if peer == "jaxkan":
        arrays = {key.replace(".", "/"): t.numpy() for key, t in state.items()}
        with path.open("wb") as file:
            (np.savez if plain else np.savez_compressed)(file, **arrays)
    elif plain:
        save_file({key: t.contiguous() for key, t in state.items()}, path)
    else:
        torch.save(state, path)


def damage(folder: Path, made: Told, rng: random.Random) -> str:
    """The bytes, or another tensor in a file that is whole."""
    path = keep_one(folder, rng)
    if rng.random() < 0.5:
        return any_file(folder, made, rng)
    peer, plain = made[path.stem][0], rng.random() < 0.5
    state = {key: torch.from_numpy(a) for key, a in np.load(path).items()} if peer == "jaxkan" else _state(path)
    name = rng.choice(sorted(state))
    if rng.random() < 0.2:
        del state[name]
    elif rng.random() < 0.1:
        state[rng.choice(["x", "layers.7.weight", "", "layers.99999999999.grid"])] = state.pop(name)
    else:
        state[name] = other_tensor(state[name], rng)
    write(path, state, peer, plain)
    return f"another tensor, {path.name}"


def _state(path: Path) -> dict[str, torch.Tensor]:
    from edgewise.io.tensor_file import read_tensors

    return {key: t.clone() for key, t in read_tensors(path).items()}  # not mapped: the file is written again


def read(folder: Path, made: Told) -> Any:
    shapes = []
    for path in sorted(folder.iterdir()):
        peer, settings = made[path.stem]
        model = io.PEERS[peer](path, **settings)
        first = next(m for m in model.modules() if hasattr(m, "in_features"))
        shapes.append(tuple(model(torch.zeros(2, first.in_features, dtype=next(model.parameters()).dtype)).shape))
    return shapes


KINDS = {"network of another library": Kind(make, read, damage)}
