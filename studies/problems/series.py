"""Time series with their usual split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from studies.problems.download import data_folder, fetch

_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv"
_SHA256 = "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"
_PARTS = (8640, 2880, 2880)


@dataclass(frozen=True)
class Series:
    """A series of several channels, in units of the training part: mean 0, standard deviation 1 there.

    Args:
        names: of the channels.
        values: (time, channels).
        parts: the numbers of rows for training, validation and test, in this order from the start.
    """

    names: tuple[str, ...]
    values: Float[Tensor, "time channels"]
    parts: tuple[int, int, int]

    def windows(
        self, part: str, length: int, horizon: int
    ) -> tuple[Float[Tensor, "windows length channels"], Float[Tensor, "windows horizon channels"]]:
        """Every window of a part ("train", "validation" or "test") and what follows it, as views without a copy.

        What is forecast lies in the part; the window before it may reach back into the part before, as is usual.
        """
        place = ("train", "validation", "test").index(part)
        begin, end = sum(self.parts[:place]), sum(self.parts[: place + 1])
        rows = self.values[max(begin - length, 0) : end]
        if len(rows) < length + horizon:
            raise ValueError(f"the {part} part has {len(rows)} rows, fewer than length + horizon = {length + horizon}")
        both = rows.unfold(0, length + horizon, 1).movedim(-1, 1)
        return both[:, :length], both[:, length:]


def load_etth1(path: str | Path | None = None) -> Series:
    """ETTh1 (Zhou et al., arXiv 2012.07436): 7 hourly channels of a transformer station, 12 + 4 + 4 months.

    Licence CC BY-ND 4.0: downloaded unmodified and checked unless `path` names a local copy; never shipped.
    """
    path = fetch(_URL, data_folder() / "ETTh1.csv", f"sha256:{_SHA256}") if path is None else Path(path)
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")[1:]
        raw = np.loadtxt(file, delimiter=",", usecols=range(1, len(names) + 1))
    train = raw[: _PARTS[0]]
    values = (raw - train.mean(0)) / train.std(0)
    return Series(tuple(names), torch.from_numpy(values).float(), _PARTS)
