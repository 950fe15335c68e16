"""Characters of Shakespeare: one small GPT with two kinds of feed-forward block, both of one size.

Two blocks, width 64, context 64, some 108 thousand parameters, 16 windows per step. The measure is the mean
cross-entropy over the validation tenth of the text, in nats per character. Learning rates are chosen by the end of the
training part, with the same tries for every model, at half the steps. Layers of curves are left out of the race: there,
one seed, at rate 0.01, the perceptron has 2.20, rational units 2.19, cubic polynomials 2.38; and after all steps 1.95,
1.92, 2.04, and B-splines 2.08.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgewise.compare import race
from edgewise.models.kan_gpt import KANGPT, GPTConfig
from studies import timing
from studies.problems import Characters, load_shakespeare

CONTEXT = 64
BATCH = 16
STEPS = 700
MEASURE = "nats per character"
RATES = (5e-3, 1e-2, 2e-2)


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce gpt`: the race, `gpt.json` with samples of text, and a table."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce gpt", description=main.__doc__)
    parser.add_argument("--path", type=Path, help="tinyshakespeare.txt; downloaded where it is not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    timing.begin_study()
    text = load_shakespeare(options.path)
    found = study(text, steps=options.steps, seeds=options.seeds)
    path = timing.write_rows("gpt", MEASURE, **found)
    print(race.table(found["rows"], MEASURE))
    for row in found["rows"]:
        if row["budget"] == "steps":
            print(f"\n{row['name']}:\n{row['kept'][0]}")
    print(f"\nwrote {path}")


def study(text: Characters, *, steps: int = STEPS, seeds: int = 3) -> dict[str, Any]:
    """Learning rates, the race, and whole training steps side by side."""
    cut = len(text.train) - len(text.validation)
    rehearsal = writing(Characters(text.symbols, text.train[:cut], text.train[cut:]))
    runners, task = race.tuned(entries(len(text.symbols)), rehearsal, RATES, steps=steps // 2), writing(text)
    times = race.step_times(runners, task)
    return {"rows": race.race(runners, task, steps=steps, seeds=seeds, times=times), "step_times": times}


def entries(symbols: int) -> list[race.Entry]:
    """Both kinds of block at the size of the perceptron."""

    def entry(name: str, feed_forward: str) -> race.Entry:
        def build(seed: int) -> KANGPT:
            config = GPTConfig(symbols, context=CONTEXT, feed_forward=feed_forward)
            return KANGPT(config, generator=torch.Generator().manual_seed(seed))

        return race.Entry(name, build, weight_decay=0.1)

    return [
        entry("MLP", "mlp"),
        entry("GR-KAN", "rational"),
    ]


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
