"""Characters of Shakespeare: a small GPT with two kinds of feed-forward block, both of one size.

Two blocks, width 64, context 64, some 108 thousand parameters, 16 windows per step. The measure is the mean
cross-entropy over the validation tenth of the text, in nats per character. Learning rates are chosen by the end of the
training part, with the same tries for every model, at half the steps. Layers of curves are left out of the race: there,
one seed, at rate 0.01, the MLP has 2.20, rational units 2.19, cubic polynomials 2.38; and after all steps 1.95, 1.92,
2.04, and B-splines 2.08.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgewise.compare import race
from edgewise.models.kan_gpt import KANGPT, GPTConfig
from studies.problems import Characters, load_shakespeare
from studies.races import Race, race_study
from studies.study import Settings, option

CONTEXT = 64
BATCH = 16
MEASURE = "nats per character"
FEED_FORWARD = {"MLP": "mlp", "GR-KAN": "rational"}


@dataclass(frozen=True)
class TextSettings(Settings):
    """Settings of the race of text."""

    steps: int = option(700, "training steps")
    rates: tuple[float, ...] = option((5e-3, 1e-2, 2e-2), "learning rates that are tried")


def shakespeare(settings: TextSettings) -> Race:
    """The race on the text of Shakespeare."""
    return race_of(load_shakespeare(), settings)


def race_of(text: Characters, settings: TextSettings) -> Race:
    """The race on this text."""
    cut = len(text.train) - len(text.validation)
    rehearsal = writing(Characters(text.symbols, text.train[:cut], text.train[cut:]))
    tries = {e.name: [replace(e, lr=rate) for rate in settings.rates] for e in entries(len(text.symbols))}
    return Race(tries, writing(text), rehearsal, settings.steps)


def entries(symbols: int) -> list[race.Entry]:
    """Both kinds of block at the size of the MLP."""

    def entry(name: str, feed_forward: str) -> race.Entry:
        def build(seed: int) -> KANGPT:
            config = GPTConfig(symbols, context=CONTEXT, feed_forward=feed_forward)
            return KANGPT(config, generator=torch.Generator().manual_seed(seed))

        return race.Entry(name, build, weight_decay=0.1)

    return [entry(name, kind) for name, kind in FEED_FORWARD.items()]


def writing(text: Characters) -> race.Task:
    """Random windows of the training part; scored by all windows of the validation part."""
    offsets = torch.arange(CONTEXT + 1)

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        begins = torch.randint(len(text.train) - CONTEXT, (BATCH, 1), generator=generator)
        return _nats(model, text.train[begins + offsets])

    def score(model: nn.Module) -> float:
        windows = text.validation.unfold(0, CONTEXT + 1, CONTEXT)
        return sum(_nats(model, part).item() * len(part) for part in windows.split(64)) / len(windows)

    def keep(model: nn.Module) -> str:
        start, generator = text.encode("\n")[None], torch.Generator().manual_seed(0)
        written = cast(KANGPT, model).generate(start, 300, temperature=0.8, top_k=20, generator=generator)
        return text.decode(written[0]).strip()

    return race.Task(loss, score, MEASURE, higher_is_better=False, keep=keep)


def _nats(model: nn.Module, windows: Tensor) -> Tensor:
    """The mean cross-entropy of every next character."""
    return cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


STUDY = race_study(
    "gpt",
    "A small GPT with rational units against one with MLPs of equal size: nats per character",
    FEED_FORWARD,
    shakespeare,
    TextSettings(),
    higher_is_better=False,
)
