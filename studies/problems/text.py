"""Text as classes: one for each character."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from studies.problems.download import data_folder, fetch

_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Characters:
    """A text cut in two, as indices into its alphabet.

    Args:
        symbols: the alphabet, sorted.
        train: the first part of the text.
        validation: the rest.
    """

    symbols: str
    train: Int[Tensor, " characters"]
    validation: Int[Tensor, " rest"]

    def encode(self, text: str) -> Int[Tensor, " characters"]:
        """The indices of the characters. Raises `ValueError` for one that the alphabet lacks."""
        index = {symbol: n for n, symbol in enumerate(self.symbols)}
        unknown = sorted(set(text) - set(index))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not among the {len(index)} symbols {self.symbols!r}")
        return torch.tensor([index[symbol] for symbol in text], dtype=torch.long)

    def decode(self, indices: Int[Tensor, " characters"]) -> str:
        """The text of indices."""
        return "".join(self.symbols[n] for n in indices.tolist())


def load_characters(path: str | Path, train: float = 0.9) -> Characters:
    """Any UTF-8 text, its first `train` part for training."""
    text = Path(path).read_text(encoding="utf-8")
    if len(text) < 2 or not 0 < train < 1:
        raise ValueError(f"{path} has {len(text)} characters: two at least, and 0 < train < 1, got train={train}")
    characters = Characters("".join(sorted(set(text))), torch.empty(0).long(), torch.empty(0).long())
    indices, cut = characters.encode(text), int(len(text) * train)
    return Characters(characters.symbols, indices[:cut], indices[cut:])


def load_shakespeare(path: str | Path | None = None) -> Characters:
    """Tiny Shakespeare: 1,115,394 characters of 65 kinds, the first 1,003,854 for training.

    The text is in the public domain; it is downloaded and checked unless `path` names a local copy.
    """
    if path is None:
        path = fetch(_URL, data_folder() / "tinyshakespeare.txt", f"sha256:{_SHA256}")
    return load_characters(path)
