"""What every method of `fit` receives, and its data, checked: shapes that match exactly, finite values, one dtype."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgewise._columns import as_tensor
from edgewise.callbacks import Callback
from edgewise.optim import Loss
from edgewise.optim.losses import LEAST_POSITIVE
from edgewise.progress import Listener

Batch = tuple[Tensor, Tensor, Tensor | None]

PAIRS = (("x", "y"), ("train_input", "train_label"))
EVALUATED = 65_536  # samples per forward pass in evaluation
HELD_OUT = (("x_val", "y_val"), ("test_input", "test_label"))


@dataclass(frozen=True)
class Run:
    """What a method receives: the model and the data as they were given, the loss, and who is told what happens."""

    model: nn.Module
    data: Any
    loss: Loss
    validation: Any
    sample_weight: Any
    callbacks: Sequence[Callback]
    seed: int
    tell: Listener

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise TypeError(f"model must be a module such as edgewise.KAN([2, 5, 1]), got {self.model!r}")

    @property
    def in_batches(self) -> bool:
        """True for a DataLoader or another iterable of batches, False for data in memory."""
        return not isinstance(self.data, tuple | list | Mapping)

    @property
    def inputs(self) -> Any:
        """The inputs of data in memory as they were given; None where a mapping has none."""
        return self._part(0)

    @property
    def targets(self) -> Any:
        """The targets likewise."""
        return self._part(1)

    def _part(self, n: int) -> Any:
        if isinstance(self.data, Mapping):
            return next((self.data[pair[n]] for pair in PAIRS if pair[n] in self.data), None)
        return self.data[n]

    def read(self, model: nn.Module, batch_size: int | None = None) -> tuple[Source, Source | None]:
        """The training and the held-out data for this model, checked."""
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            return read(self.data, self.validation, self.sample_weight, model, self.loss, batch_size, generator)

    def read_in_memory(self, model: nn.Module) -> tuple[Samples, Samples | None]:
        """The same where all samples are in memory."""
        train, held = self.read(model)
        assert train.samples is not None
        return train.samples, None if held is None else held.samples


@dataclass(frozen=True)
class Samples:
    """Inputs, targets and weights (None for ones) of all samples."""

    x: Tensor
    y: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor | slice) -> Samples:
        return Samples(self.x[index], self.y[index], None if self.weights is None else self.weights[index])

    def batch(self) -> Batch:
        """The three as a tuple."""
        return self.x, self.y, self.weights


@dataclass(frozen=True)
class Source:
    """Where batches come from: samples in memory, shuffled every epoch, or a DataLoader as it is."""

    samples: Samples | None
    loader: Iterable[Any] | None
    batch_size: int | None
    model: nn.Module
    loss: Loss

    def batches(self) -> Iterator[Batch]:
        """Every sample once, in order, for evaluation."""
        if self.samples is None:
            yield from self.epoch()
        else:
            for part in range(0, len(self.samples), EVALUATED):
                yield self.samples[part : part + EVALUATED].batch()

    def epoch(self) -> Iterator[Batch]:
        """The batches of one pass; the order is drawn from torch's generator, which `fit` has forked and seeded."""
        if self.samples is None:
            for n, item in enumerate(self.loader or ()):
                yield checked(unpack(item, f"batch {n}"), self.model, self.loss, f"batch {n}").batch()
        elif self.batch_size is None or self.batch_size >= len(self.samples):
            yield self.samples.batch()
        else:
            order = torch.randperm(len(self.samples)).to(self.samples.x.device)
            for index in order.split(self.batch_size):
                yield self.samples[index].batch()


@torch.no_grad()
def evaluate(model: nn.Module, source: Source, loss: Loss) -> float:
    """The loss over all samples, the model in evaluation mode; a joint loss of a DataLoader batch by batch."""
    model.eval()
    if loss.joint and source.samples is not None:
        x, y, weights = source.samples.batch()
        return loss(torch.cat([model(part) for part in x.split(EVALUATED)]), y, weights).item()
    total = count = 0.0
    for x, y, weights in source.batches():
        n = len(x) if weights is None else float(weights.sum())
        total += n * loss(model(x), y, weights).item()
        count += n
    return total / count


def read(
    data: Any,
    validation: Any,
    weights: Any,
    model: nn.Module,
    loss: Loss,
    batch_size: int | None,
    generator: torch.Generator,
) -> tuple[Source, Source | None]:
    """The training and the held-out data of `fit`, checked."""
    if isinstance(data, Mapping):
        if validation is None:
            validation = next(((data[x], data[y]) for x, y in HELD_OUT if x in data), None)
        weights = _given_once(data.get("weights"), weights)
        pair = next(((data[x], data[y]) for x, y in PAIRS if x in data and y in data), None)
        if pair is None:
            raise ValueError(f"data needs the keys 'x' and 'y', got {sorted(map(str, data))}")
        data = pair
    if isinstance(data, DataLoader) or not isinstance(data, tuple | list):
        if weights is not None:
            raise ValueError("sample weights of a DataLoader come with its batches: let it yield (x, y, weights)")
        if batch_size is not None:
            raise ValueError("a DataLoader makes its own batches; leave out batch_size, or give the data as (x, y)")
        if isinstance(validation, float):
            raise ValueError("a DataLoader cannot be split; give the held-out data as validation=(x, y)")
        held = None if validation is None else _source(validation, None, model, loss, "validation", None)
        return _source(data, None, model, loss, "data", None), held
    if isinstance(validation, float):
        train, held = _split(checked(unpack(data, "data", weights), model, loss, "data"), validation, generator)
        return Source(train, None, batch_size, model, loss), Source(held, None, None, model, loss)
    train = _source(data, weights, model, loss, "data", batch_size)
    held = None if validation is None else _source(validation, None, model, loss, "validation", None)
    return train, held


def unpack(item: Any, where: str, weights: Any = None) -> Samples:
    """(x, y) or (x, y, weights) as tensors."""
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise ValueError(f"{where}: expected (x, y) or (x, y, weights), got {type(item).__name__}")
    x, y = as_tensor(item[0]), as_tensor(item[1])
    w = _given_once(item[2] if len(item) == 3 else None, weights)
    return Samples(x, y, None if w is None else as_tensor(w))


def _given_once(own: Any, weights: Any) -> Any:
    if own is not None and weights is not None:
        raise ValueError("the data have weights and sample_weight is given, too; leave one of the two out")
    return weights if own is None else own


def checked(samples: Samples, model: nn.Module, loss: Loss, where: str) -> Samples:
    """The samples in the model's dtype and device, or an error that says what is wrong with them.

    A target of shape (n,) of a model with one output becomes (n, 1); nothing is ever broadcast.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    x = samples.x.to(like.device) if samples.x.dtype == torch.long and _reads_tokens(model) else samples.x.to(like)
    y, w = samples.y.to(like.device), samples.weights
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"{where}: there are no samples (x has shape {tuple(x.shape)})")
    features = getattr(model, "in_features", None)
    if features is not None and x.shape[-1] != features:
        raise ValueError(
            f"{where}: x has shape {tuple(x.shape)} and the model takes {features} features in the last dimension"
        )
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(f"{where}: x has shape {tuple(x.shape)} and y has shape {tuple(y.shape)}; the rows must match")
    _check_finite(x, "x", where)
    _check_finite(y, "y", where)
    y = _labels(y, where) if loss.labels else _in_range(y.to(like.dtype), loss, where)
    if w is not None:
        w = w.to(like)
        if w.shape != (len(x),) or not bool((w >= 0).all()) or not 0 < float(w.sum()) < math.inf:
            least = f" and a least value of {float(w.min())}" if w.numel() else ""
            raise ValueError(
                f"{where}: weights must be {len(x)} finite values >= 0 that are not all 0, got shape "
                f"{tuple(w.shape)}{least}"
            )
    return Samples(x, _matched(y, x, model, loss, where), w)


def _source(data: Any, weights: Any, model: nn.Module, loss: Loss, where: str, batch_size: int | None) -> Source:
    if isinstance(data, tuple | list):
        return Source(checked(unpack(data, where, weights), model, loss, where), None, batch_size, model, loss)
    if not isinstance(data, Iterable) or hasattr(data, "shape"):  # an array is iterable, too
        raise TypeError(f"{where} must be (x, y), a DataLoader or a mapping, got {type(data).__name__}")
    return Source(None, data, None, model, loss)


def _split(samples: Samples, share: float, generator: torch.Generator) -> tuple[Samples, Samples]:
    if not 0 < share < 1:
        raise ValueError(f"validation must be a share between 0 and 1 or (x, y), got {share}")
    held = round(share * len(samples))
    if not 0 < held < len(samples):
        raise ValueError(f"validation={share} of {len(samples)} samples leaves one part empty; give more samples")
    order = torch.randperm(len(samples), generator=generator).to(samples.x.device)
    return samples[order[held:]], samples[order[:held]]


def _matched(y: Tensor, x: Tensor, model: nn.Module, loss: Loss, where: str) -> Tensor:
    training = model.training
    with torch.no_grad():
        model.eval()
        try:
            shape = (len(x), *model(x[:2]).shape[1:])
        finally:
            model.train(training)
    if loss.labels:
        if y.shape != shape[:-1]:
            raise ValueError(
                f"{where}: the model's output has shape {shape}, so the labels need {shape[:-1]}, got {tuple(y.shape)}"
            )
        if int(y.min()) < 0 or int(y.max()) >= shape[-1]:
            raise ValueError(
                f"{where}: labels run from {int(y.min())} to {int(y.max())}, but the model has "
                f"{shape[-1]} outputs: classes 0 to {shape[-1] - 1}"
            )
        return y
    if y.ndim == 1 and shape[1:] == (1,):
        y = y[:, None]
    if y.shape != shape:
        raise ValueError(
            f"{where}: y has shape {tuple(y.shape)} and the model's output has shape {shape}; they must be equal"
        )
    return y


def _reads_tokens(model: nn.Module) -> bool:
    """Whether whole numbers are positions in a table for this model, and not values."""
    return any(isinstance(m, nn.Embedding | nn.EmbeddingBag) for m in model.modules())


def _labels(y: Tensor, where: str) -> Tensor:
    if not bool((y == y.round()).all() if y.is_floating_point() else True):
        raise ValueError(f"{where}: y must hold the numbers of classes 0, 1, 2, ..., got {float(y[y != y.round()][0])}")
    return y.long()


def _in_range(y: Tensor, loss: Loss, where: str) -> Tensor:
    low, high = loss.targets
    outside = y[(y < low) | (y > high)]
    if outside.numel():
        least = "above 0" if low == LEAST_POSITIVE else f"{low:g} or more"
        allowed = f"between {low:g} and {high:g}" if high < math.inf else least
        raise ValueError(
            f"{where}: the loss {loss.name!r} has no minimum for targets that are not {allowed}, and "
            f"{outside.numel()} of {y.numel()} are not, the first is {float(outside[0]):g}; "
            "scale them, or use loss='mse'"
        )
    return y


def _check_finite(t: Tensor, name: str, where: str) -> None:
    if not t.is_floating_point():
        return
    bad = (~t.isfinite()).flatten(1).any(1) if t.ndim > 1 else ~t.isfinite()
    rows = bad.nonzero()[:, 0].tolist()
    if rows:
        some = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise ValueError(
            f"{where}: {name} is NaN or infinite in {len(rows)} of {len(t)} rows (rows {some}); drop or fill them"
        )
