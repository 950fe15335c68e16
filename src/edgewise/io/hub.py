"""Save and load models as folders of the Hugging Face hub: config.json, model.safetensors and a model card.

A KAN or a KANLinear is one file of `edgewise.save`, structure included. Any other module is the settings of its
constructor as JSON and its parameters; a class of your own needs `Pretrained` as its base.
Only `push_to_hub`, and `from_pretrained` of a name that is no folder, need a network; they import huggingface_hub.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from edgewise._version import __version__
from edgewise.bases import Basis, basis_from_json
from edgewise.io.container import read_file, write_file
from edgewise.io.files import load, save
from edgewise.io.outline import filled
from edgewise.io.reading import FileFormatError, read_json, reading, require
from edgewise.io.whole import write_whole
from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import count_parameters

P = TypeVar("P", bound="Pretrained")
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MAX_CONFIG = 1 << 20


class Pretrained(nn.Module):
    """A module that stores the arguments of its constructor, so that a folder can rebuild it.

    The arguments of the constructor must be JSON, bases or None; the argument `generator` is not stored.
    """

    settings: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" not in cls.__dict__:
            return
        build: Any = cls.__init__
        signature = inspect.signature(build)

        @functools.wraps(build)
        def remembering(self: Pretrained, *args: Any, **more: Any) -> None:
            outermost = "settings" not in self.__dict__
            if outermost:
                bound = signature.bind(self, *args, **more)
                bound.apply_defaults()
                named = dict(list(bound.arguments.items())[1:])
                self.__dict__["settings"] = {k: v for k, v in named.items() if k != "generator"}
            build(self, *args, **more)

        cls.__init__ = remembering

    def save_pretrained(self, folder: str | os.PathLike[str], *, results: Sequence[Mapping[str, Any]] = ()) -> None:
        """See `edgewise.io.save_pretrained`."""
        save_pretrained(self, folder, results=results)

    @classmethod
    def from_pretrained(cls: type[P], name: str | os.PathLike[str], *, revision: str | None = None) -> P:
        """See `edgewise.io.from_pretrained`; the model in the folder must be of this class."""
        model = from_pretrained(name, revision=revision, kind=cls)
        assert isinstance(model, cls)
        return model


def save_pretrained(
    model: nn.Module, folder: str | os.PathLike[str], *, results: Sequence[Mapping[str, Any]] = (), about: str = ""
) -> None:
    """Write the model into a folder, made where it is missing.

    Args:
        model: a KAN, a KANLinear or a `Pretrained`.
        folder: where config.json, model.safetensors and README.md are written.
        results: rows for the card, such as `compare(...).rows` of `edgewise.compare`: the model and its baselines.
        about: what the model does, for the card.
    """
    if not isinstance(model, KAN | KANLinear | Pretrained):
        raise TypeError(
            f"{type(model).__name__} is not a KAN; derive it from edgewise.io.Pretrained to save its settings"
        )
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    kind = type(model)
    config: dict[str, Any] = {
        "library": "edgewise",
        "version": __version__,
        "class": f"{kind.__module__}.{kind.__name__}",
    }
    if isinstance(model, Pretrained):
        config["settings"] = {name: _to_json(name, value) for name, value in model.settings.items()}
        write_file(place / WEIGHTS, {"kind": kind.__name__, "extra": {}}, model.state_dict())
    else:
        save(model, place / WEIGHTS)
    write_whole(place / CONFIG, json.dumps(config, indent=2) + "\n")
    write_whole(place / CARD, model_card(model, results, about))


def from_pretrained(
    name: str | os.PathLike[str], *, revision: str | None = None, kind: type[nn.Module] | None = None
) -> nn.Module:
    """The model in a folder, or in a repository of the hub where `name` is no folder; in evaluation mode, on the CPU.

    A repository names the class of its model. Only classes of edgewise and `kind` are accepted: loading a model imports
    no code that you did not name. The weights are read first; settings that ask for more than they hold are refused.

    Args:
        name: a folder, or "owner/name".
        revision: branch, tag or commit of the repository.
        kind: the class the model must be of.
    """
    folder = Path(name) if Path(name).is_dir() else _download(str(name), revision)
    config_path, weights = folder / CONFIG, folder / WEIGHTS
    with reading(config_path):
        config = read_json(config_path, MAX_CONFIG)
        found, settings = config["class"], config.get("settings")
        if settings is None:
            model = load(weights)
        else:
            cls = _class(found, kind)
            header, tensors = read_file(weights)
            named = header["kind"] == cls.__name__
            require(named, f"{WEIGHTS} holds a {header['kind']}, {CONFIG} names a {cls.__name__}")
            model = filled(cls, {key: _from_json(value) for key, value in settings.items()}, tensors)
    if kind is not None and not isinstance(model, kind):
        raise FileFormatError(f"{folder} holds a {type(model).__name__}, not a {kind.__name__}")
    return model.eval()


def push_to_hub(
    model: nn.Module, repository: str, *, results: Sequence[Mapping[str, Any]] = (), private: bool = False
) -> str:
    """Save the model into a repository of the hub; returns the address of the commit."""
    import tempfile

    api = _hub().HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, results=results)
        return str(api.upload_folder(repo_id=repository, folder_path=folder))


def model_card(model: nn.Module, results: Sequence[Mapping[str, Any]] = (), about: str = "") -> str:
    """The card: the model, and its scores beside those of the baselines."""
    kind = type(model).__name__
    size = count_parameters(model)
    lines = [
        "---",
        "library_name: edgewise",
        "tags: [kan, kolmogorov-arnold-network]",
        "---",
        f"# {kind}",
        "",
        about or "A Kolmogorov-Arnold network: its edges carry learnable functions.",
        "",
        f"{size:,} parameters. Load it with `edgewise.io.from_pretrained(...)`.",
    ]
    if results:
        known = ("name", "budget", "parameters", "mean", "sd", "worst", "seconds", "memory_mib")
        columns = [name for name in known if any(name in row for row in results)]
        lines += [
            "",
            "## Compared with models of equal size",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
        ]
        lines += [f"| {' | '.join(_cell(row.get(name, '')) for name in columns)} |" for row in results]
    else:
        lines += ["", "Not yet compared with a baseline of equal size: `edgewise.compare.compare` does that."]
    return "\n".join(lines) + "\n"


def _class(path: str, kind: type[nn.Module] | None) -> type[nn.Module]:
    module, _, name = path.rpartition(".")
    if kind is not None and kind.__name__ == name:
        return kind
    if module.split(".")[0] != "edgewise":
        raise ValueError(f"it holds a {path}; import that class and call its own from_pretrained")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("edgewise"):  # an optional package
            raise
        found = None
    if not (isinstance(found, type) and issubclass(found, Pretrained)):
        raise ValueError(f"{path} is not a model that a folder can store")
    return found


def _to_json(name: str, value: Any) -> Any:
    if isinstance(value, Basis):
        return {"basis": value.to_json()}
    if isinstance(value, tuple | list):
        return [_to_json(name, v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"the setting {name!r} is a {type(value).__name__}; a folder stores numbers, strings, lists, bases")


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return basis_from_json(value["basis"])
    return [_from_json(v) for v in value] if isinstance(value, list) else value


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _download(name: str, revision: str | None) -> Path:
    return Path(_hub().snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError("repositories of the hub need huggingface_hub: pip install edgewise[hub]") from error
