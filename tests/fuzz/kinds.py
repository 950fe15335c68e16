"""The kinds of files that the package reads: how a good one is made, damaged and read, and the list of all kinds."""

import contextlib
import copy
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import answers
import hostile
import numpy as np
import pandas as pd
import peers
import places
import sessions
import torch
from damage import changed, damaged
from kind import Kind, any_file, other_tensor
from safetensors.torch import save_file

import edgewise as ew
from edgewise.adapters import add_lotra, load_adapter, save_adapter
from edgewise.cli.output import print_summary
from edgewise.expressions import Formula, parse_formula
from edgewise.io import container, from_pretrained, save_pretrained
from edgewise.io.sealed import read_sealed, write_sealed, write_sums
from edgewise.models.kan_nerf import KANNeRF
from edgewise.surgery import fix
from edgewise.tables.job import RunDirectory, read_record
from edgewise.tables.job.answers import predict_table
from edgewise.tables.prepare import prepare
from edgewise.tables.read_table import read_table
from edgewise.training.keep import Checkpoint


def network() -> ew.KAN:
    model = ew.KAN([2, (2, 1), 1], generator=torch.Generator().manual_seed(0))
    return fix(model, (0, 0, 0), "sin")


# ------------------------------------------------------------------------------------------------ models


def make_model(folder: Path) -> None:
    ew.save(network(), folder / "model", extra={"note": "x", "list": [1, 2.5]})


def forge_model(folder: Path, _: Any, rng: random.Random) -> str:
    """Another header or other tensors, with a right digest."""
    (path,) = folder.iterdir()
    header, tensors = container.read_file(path)
    if rng.random() < 0.5:
        header = changed(header, rng)
        if not isinstance(header, dict):
            header = {"format": 1}
    else:
        name = rng.choice(sorted(tensors))
        tensors[name] = other_tensor(tensors[name], rng)
    if rng.random() < 0.9:
        header["tensors"] = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()}
    text = json.dumps(header, sort_keys=True)
    digest = container._digest(text, tensors)
    save_file(tensors, path, {"edgewise": json.dumps(header | {"sha256": digest}, sort_keys=True)})
    return "forged"


def read_model(folder: Path, _: Any) -> Any:
    model = ew.load(folder / "model")
    return [p.detach().tolist() for p in model.parameters()], model(torch.linspace(-1, 1, 6).reshape(3, 2)).tolist()


def run_forged(folder: Path, _: Any) -> Any:
    """Shapes, dtypes and grids of a forged file may be served or refused; they never crash."""
    model = ew.load(folder / "model")
    with contextlib.suppress(RuntimeError, ValueError):  # the tensors have several dtypes, or a grid is none
        model(torch.linspace(-1, 1, 3 * model.in_features).reshape(3, -1))


def make_adapter(folder: Path) -> None:
    torch.manual_seed(0)
    save_adapter(add_lotra(network(), ranks=1), folder / "adapter", extra={"note": "x"})


def read_adapter(folder: Path, _: Any) -> Any:
    model = load_adapter(network(), folder / "adapter")
    return [p.tolist() for p in model.parameters()]


class Saved(ew.io.Pretrained):
    """A module with settings of several types."""

    def __init__(
        self, width: int, basis: Any = None, deep: int = 2, share: float = 0.5, names: Any = ("a", "b")
    ) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(*(ew.KANLinear(width, width, basis) for _ in range(deep)))
        self.register_buffer("mean", torch.full((width,), share))


def make_hub(folder: Path) -> None:
    for name, model in (("kan", network()), ("own", Saved(3, ew.BSpline(4, 2))), ("nerf", KANNeRF(2, 3, 3, 4))):
        save_pretrained(model, folder / name)


def damage_hub(folder: Path, made: Any, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return any_file(folder, made, rng)
    path = folder / rng.choice(["kan", "own", "nerf"]) / "config.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), rng)))
    return "another setting, config.json"


def read_hub(folder: Path, _: Any) -> Any:
    return [len(from_pretrained(folder / name, kind=kind).state_dict()) for name, kind in HUB.items()]


HUB = {"kan": None, "own": Saved, "nerf": None}


def make_pykan(folder: Path) -> None:
    import yaml

    state = {"act_fun.0.grid": torch.linspace(-2, 2, 11).repeat(2, 1), "act_fun.0.coef": torch.randn(2, 1, 7)}
    state |= {f"act_fun.0.{name}": torch.ones(2, 1) for name in ("mask", "scale_base", "scale_sp")}
    state |= {"symbolic_fun.0.mask": torch.zeros(1, 2), "symbolic_fun.0.affine": torch.zeros(1, 2, 4)}
    state |= {f"{kind}_{part}_0": torch.ones(1) for kind in ("subnode", "node") for part in ("scale", "bias")}
    config = {"width": [[2, 0], [1, 0]], "mult_arity": 2, "base_fun_name": "silu", "symbolic_enabled": True}
    config |= {"symbolic.funs_name.0": [["0", "0"]], "grid_range": [-1, 1], "k": 3}
    (folder / "old_config.yml").write_text(yaml.safe_dump(config))
    torch.save(state, folder / "old_state")


def damage_pykan(folder: Path, made: Any, rng: random.Random) -> str:
    if rng.random() < 0.6:
        return any_file(folder, made, rng)
    state = torch.load(folder / "old_state", weights_only=True)
    name = rng.choice(sorted(state))
    if rng.random() < 0.2:
        del state[name]
    else:
        state[name] = other_tensor(state[name], rng)
    torch.save(state, folder / "old_state")
    return "another tensor, old_state"


def read_pykan(folder: Path, _: Any) -> Any:
    return ew.from_pykan(folder / "old")(torch.zeros(2, 2)).shape


# ------------------------------------------------------------------------------------------------ training


ROWS = torch.linspace(-1, 1, 40).reshape(20, 2)
METHOD = ew.FirstOrder("adam", steps=4, ema=0.5, batch_size=10)


def make_checkpoint(folder: Path) -> None:
    fitted(folder, 4)


def fitted(folder: Path, steps: int) -> ew.training.FitResult:
    method = ew.FirstOrder("adam", steps=steps, checkpoint=Checkpoint(folder / "state", every=1))
    return ew.fit(ew.KAN([2, 1], generator=torch.Generator().manual_seed(0)), (ROWS, ROWS[:, :1]), method)


def forge_checkpoint(folder: Path, _: Any, rng: random.Random) -> str:
    """Other tensors, numbers or keys anywhere in the state, with a right digest."""
    state = torch.load(io.BytesIO(read_sealed(folder / "state")), weights_only=True)
    state = copy.deepcopy(state)
    holder: Any = state
    key: Any = None
    while isinstance(holder, dict | list) and holder:
        outer = holder
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder = outer[key]
    if rng.random() < 0.15:
        del outer[key]
    elif isinstance(holder, torch.Tensor):
        outer[key] = other_tensor(holder, rng)
    else:
        outer[key] = rng.choice([None, -1, 0, 10**12, 0.5, "x", float("nan"), torch.zeros(2), [], {}])
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_sealed(folder / "state", buffer.getvalue())
    return "forged"


def read_checkpoint(folder: Path, _: Any) -> Any:
    result = fitted(folder, 6)
    return [p.tolist() for p in result.model.parameters()], result.history


# ------------------------------------------------------------------------------------------------ runs


def make_run(folder: Path) -> Path:
    """A finished run, and one that was interrupted after two stages."""
    from quick import fit

    table(40).to_csv(folder / "table.csv", index=False)
    assert fit(folder / "table.csv", folder / "run", "--seconds", "300") == 0
    assert read_record(folder / "run").formula is not None
    return folder


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b c": rng.uniform(size=rows), "kind": ["u", "v"] * (rows // 2)})
    return frame.assign(y=lambda t: 2 * t["a"] - t["b c"])


def damage_run(folder: Path, made: Any, rng: random.Random) -> str:
    return any_file(folder / "run", made, rng)


def forge_run(folder: Path, _: Any, rng: random.Random) -> str:
    """Another record, with right digests."""
    path = folder / "run" / "metrics.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), rng)))
    write_sums(folder / "run")
    return "forged, metrics.json"


def read_run(folder: Path, _: Any) -> Any:
    record = read_record(folder / "run")
    print_summary(record)
    frames = [predict_table(folder / "run", str(folder / "table.csv"), formula=formula)[0] for formula in (False, True)]
    return [frame.iloc[:, -1].tolist() for frame in frames]


def make_stages(folder: Path) -> None:
    run = RunDirectory(folder / "out", {"seed": 1})
    run.json("numbers", lambda: {"a": [1.5, 2.0]})
    run.model("network", network)


def read_stages(folder: Path, _: Any) -> Any:
    run = RunDirectory(folder / "out", {"seed": 1})
    fresh = {"a": [1.5, 2.0]}
    return run.json("numbers", lambda: fresh), len(run.model("network", network).state_dict())


def make_formula(folder: Path) -> None:
    names = ["a", "b c", "x-1"]
    formula = Formula.from_json(
        {"inputs": names, "outputs": {"y": "Mul(Float('2.5', precision=53), sin(Symbol('a', real=True)))"}}
    )
    (folder / "formula.json").write_text(json.dumps(formula.to_json()))
    (folder / "formula.txt").write_text("2.5*sin(a)**2 - `b c`/3 + Max(a, 0.5)*sqrt(pi)")


def damage_formula(folder: Path, made: Any, rng: random.Random) -> str:
    if rng.random() < 0.6:
        return any_file(folder, made, rng)
    path = folder / "formula.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), rng)))
    return "another value, formula.json"


def read_formula(folder: Path, _: Any) -> Any:
    formula = Formula.from_json(ew.io.reading.read_json(folder / "formula.json"))
    return str(formula), str(parse_formula((folder / "formula.txt").read_bytes().decode("utf-8", "replace")))


# ------------------------------------------------------------------------------------------------ tables


def make_tables(folder: Path) -> list[str]:
    frame = table(30).assign(day=pd.date_range("2024-01-01", periods=30), none=1.0)
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.tsv", index=False, sep="\t")
    for ending in ("gz", "bz2", "xz", "zip"):
        frame.to_csv(folder / f"t.csv.{ending}", index=False)
    frame.to_parquet(folder / "t.parquet")
    frame.to_parquet(folder / "packed.parquet", compression="gzip")
    nested = frame.assign(list=[[1, 2]] * 30, map=[{"a": 1}] * 30, bytes=[b"x"] * 30)
    nested.to_parquet(folder / "nested.parquet")
    return sorted(path.name for path in folder.iterdir())


def damage_table(folder: Path, names: list[str], rng: random.Random) -> str:
    name = rng.choice(names)
    for other in names:
        if other != name:
            (folder / other).unlink()
    what, data = damaged((folder / name).read_bytes(), rng)
    (folder / name).write_bytes(data)
    return f"{what}, {name}"


def read_tables(folder: Path, _: Any) -> Any:
    return [
        prepare(read_table(path), "y", missing="drop", exclude=["none"]).inputs.shape
        for path in sorted(folder.iterdir())
    ]


KINDS = {
    "network": Kind(make_model, read_model, any_file, sealed=True),
    "network, forged": Kind(make_model, run_forged, forge_model),
    "adapter": Kind(make_adapter, read_adapter, any_file, sealed=True),
    "adapter, forged": Kind(make_adapter, read_adapter, forge_model),
    "checkpoint": Kind(make_checkpoint, read_checkpoint, any_file, sealed=True),
    "checkpoint, forged": Kind(make_checkpoint, read_checkpoint, forge_checkpoint),
    "hub folder": Kind(make_hub, read_hub, damage_hub),
    "pykan": Kind(make_pykan, read_pykan, damage_pykan),
    "run folder": Kind(make_run, read_run, damage_run, sealed=True),
    "run folder, forged": Kind(make_run, read_run, forge_run),
    "stages of a run": Kind(make_stages, read_stages, any_file, sealed=True),
    "formula": Kind(make_formula, read_formula, damage_formula),
    "table": Kind(make_tables, read_tables, damage_table),
    **answers.KINDS,
    **sessions.KINDS,
    **places.KINDS,
    **peers.KINDS,
    **hostile.KINDS,
}


def fresh(made: Path, place: Path) -> None:
    """A copy of the good files."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(made, place)
