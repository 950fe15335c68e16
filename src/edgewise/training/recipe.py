r"""The recipe of `optimizer="auto"`: a search over starts, then higher degrees and finer grids, by Levenberg-Marquardt.

1. Scale the data; hold a part out to choose by.
2. Many starts, every edge a random line, on three intervals; after a few steps the better part goes on, and again
   (successive halving).
3. Refit every hidden grid to the present range of its inputs every few steps.
4. From the winner, raise the degree, then the number of intervals, while the error held out falls and the samples
   allow it.
5. At every rung try to smooth, with the strength of greatest evidence; the error held out decides.
6. Polish the chosen network on all samples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN
from edgewise.optim import Loss
from edgewise.optim.flat import Network
from edgewise.optim.smoothing import Smoothing
from edgewise.training.callbacks import Callback
from edgewise.training.data import Samples
from edgewise.training.initial import random_lines
from edgewise.training.progress import Progress
from edgewise.training.result import FitResult
from edgewise.training.scaling import Units
from edgewise.training.stages import WORTH_IT, Candidate, Recipe, Run, first_layer

SEARCH_SAMPLES = 600
SEARCH_WORK = 1e10  # multiplications of the first round of the search: about a second
RUNG_WORK = 2.5e11  # of one rung of the extension
STARTS = 32
SPARE = 1 / 3  # parameters per sample, without smoothing
SPARE_SMOOTH = 0.95  # parameters per sample, with smoothing
CLEAN_ORDER = 4  # the derivative that smoothing penalises where there is no noise
UNLEARNT = 0.25  # relative loss held out above which the next grid begins anew, and four may bring nothing
FEW = 10
EXACT = 1e-15  # relative error below which nothing is left to gain


def auto(
    model: KAN,
    train: Samples,
    held: Samples | None,
    loss: Loss,
    recipe: Recipe,
    callbacks: Sequence[Callback],
    progress: Progress,
) -> FitResult:
    """Run the recipe on a float64 model and data; `held` None holds a part of `train` out and polishes on all."""
    warm = recipe.starts == 0
    if warm:
        units = Units.of_model(model)
    else:
        units = Units.of_data(train.x, train.y, model.out_features, scale_outputs=loss.units)
    part, chosen_by = _hold_out(train, recipe.seed) if held is None else (train, held)
    run = Run.of(recipe, model, units, loss, callbacks, progress, (part, chosen_by, train))
    try:
        if warm:
            at = _descend_from_given(run)
            if recipe.extend:
                _extend(run, at)
        else:
            _extend(run, _search(run))
        if held is None and run.stopped == "finished" and recipe.rungs is None:
            _polish(run)
    except KeyboardInterrupt:
        run.stopped = "interrupted"
    if run.best is None:
        if run.stopped == "interrupted":
            raise KeyboardInterrupt("fit was interrupted before its first stage ended")
        raise ValueError(f"no start has a finite {loss.name} loss; check the data, or give the model a wider grid")
    if run.late and run.stopped == "finished":
        run.stopped = "time"
    return run.result(train, held)


def _search(run: Run) -> Candidate:
    """Successive halving over random starts; one network is left, on ten intervals."""
    recipe = run.recipe
    basis = BSpline(3, recipe.degrees[0], extrapolation=_extrapolation(run.model))
    network = Network.of(run.model)[0].with_bases([basis] * len(Network.of(run.model)[0].edges), None)
    samples = min(len(run.train), max(SEARCH_SAMPLES, 3 * network.parameters))
    work = 15.0 * samples * network.parameters**2
    starts = recipe.starts or int(min(STARTS, max(2, SEARCH_WORK / work)))
    generator = torch.Generator().manual_seed(recipe.seed)
    numbers = random_lines(network, starts, generator)
    at = Candidate(network, numbers, prior=_first_prior(run, network, starts))
    some = run.samples(samples)
    at = run.stage(at, some, basis, 15, every=5, name=f"search, {starts} starts")
    at = run.halve(at, math.ceil(starts * 0.3))
    at = run.stage(at, some, basis, 30, every=10, name=f"search, {len(at.numbers)} starts")
    at = run.halve(at, math.ceil(starts / 8))
    for intervals, steps in ((5, 60), (10, 40)):
        finer = basis.resized(intervals)
        if not _affordable(run, at.network, finer, steps, SPARE) or run.late:
            break
        at = run.stage(at, run.train, finer, steps, every=15, name=f"search, {len(at.numbers)} starts")
        at = run.halve(at, max(1, len(at.numbers) // 2))
    return run.halve(at, 1)


def _extend(run: Run, at: Candidate) -> None:
    """Rung after rung from the searched network, smoothed and not, while the loss held out falls."""
    worse = 0
    spare = SPARE if run.recipe.smoothing is False else SPARE_SMOOTH
    for basis in _rungs(run, at)[: run.recipe.rungs]:
        patience = 4 if _unlearnt(run) else 2
        if run.best is not None and (run.late or run.stopped != "finished" or worse >= patience):
            break  # a given basis is reached even when the time is up: without it there is nothing to return
        if run.final_basis is None and not _affordable(run, at.network, basis, run.recipe.steps, spare):
            break
        before = math.inf if run.best is None else run.best.value
        at = _rung(run, at, basis)
        worse = worse + 1 if run.best is not None and run.best.value >= 0.9 * before else 0
        if run.best is not None and run.best.value < EXACT**2:
            break


def _rung(run: Run, at: Candidate, basis: Basis) -> Candidate:
    """One basis: with smoothing and without, as asked for; the better one goes on."""
    wanted = run.recipe.smoothing
    name = f"{type(basis).__name__}({getattr(basis, 'intervals', basis.size)}, {getattr(basis, 'degree', '-')})"
    ends: list[Candidate] = []
    if wanted is not False:
        if _unlearnt(run) or (run.clean and at.prior is not None and at.prior.order == 2):
            network = at.network.with_bases([basis] * len(at.network.edges), None)
            at = dataclasses.replace(at, prior=_first_prior(run, network, len(at.numbers)))
        ends.append(run.stage(at, run.train, basis, run.recipe.steps, every=10, name=f"{name}, smoothed"))
    if (wanted is None or wanted is False) and (not ends or run.clean or _affordable(run, at.network, basis, 1, SPARE)):
        plain = dataclasses.replace(ends[-1] if ends else at, prior=None)
        ends.append(run.stage(plain, run.train, basis, run.recipe.steps, every=10, name=name))
    values = [float(run.held_loss(end)[0]) for end in ends]
    end = ends[-1]
    if len(ends) == 2 and not values[1] < WORTH_IT * values[0]:
        end = ends[0]
    return end if end.prior is not None else dataclasses.replace(end, prior=ends[0].prior)


def _first_prior(run: Run, network: Network, starts: int) -> Smoothing | None:
    """The smoothing asked for; where the data shall decide, one so weak that they can."""
    wanted = run.recipe.smoothing
    if wanted is False:
        return None
    if not isinstance(wanted, bool | None):
        return Smoothing.constant(network, starts, wanted)
    return Smoothing.weak(network, starts, len(run.train), order=CLEAN_ORDER if run.clean else 2)


def _unlearnt(run: Run) -> bool:
    """So little is explained that smoothing may have hidden all there is: the evidence has a maximum there, too."""
    return run.best is None or (run.loss.units and run.best.value > UNLEARNT)


def _rungs(run: Run, at: Candidate) -> list[Basis]:
    """The bases to try, in order: higher degrees on the intervals reached, then twice the intervals again and again."""
    given = first_layer(run.model).basis
    if run.final_basis is not None:
        return [run.final_basis]
    assert isinstance(given, BSpline)
    top = max(run.recipe.degrees)
    reached = at.network.edges[0].basis
    intervals = reached.intervals if isinstance(reached, BSpline) else 10
    base = dataclasses.replace(given, knots="clamped", degree=top, intervals=intervals)
    middle = [d for d in run.recipe.degrees if run.recipe.degrees[0] < d < top]
    first = [dataclasses.replace(base, degree=d) for d in middle]
    return [*first, *(dataclasses.replace(base, intervals=intervals * 2**n) for n in range(8))]


def _descend_from_given(run: Run) -> Candidate:
    """From the model's own numbers, on its own grids; on finer ones afterwards if the recipe extends.

    Without smoothing where there is no noise to smooth away: from the start if the model comes so near as it is, else
    in a second stage.
    """
    network, numbers = Network.of(run.model)
    at = Candidate(network, numbers, prior=_first_prior(run, network, 1))
    determined = run.recipe.smoothing is None and network.parameters < SPARE_SMOOTH * len(run.train)
    run.clean = bool(run.held_loss(at)[0] < run.noiseless)
    if not (determined and run.clean):
        at = run.stage(at, run.train, None, run.recipe.steps, every=10, name="given numbers")
    if not (determined and run.clean) or run.late:
        return at
    plain = dataclasses.replace(at, prior=None)
    plain = run.stage(plain, run.train, None, run.recipe.steps, every=10, name="given numbers, not smoothed")
    better = bool(run.held_loss(plain)[0] < WORTH_IT * run.held_loss(at)[0])
    return dataclasses.replace(plain, prior=at.prior) if better else at


def _polish(run: Run) -> None:
    """The chosen network once more, on all samples."""
    assert run.best is not None
    chosen, run.best = run.best, None
    at = run.stage(chosen.candidate, run.whole, chosen.basis, 20, every=20, name="polish on all samples")
    run.best = dataclasses.replace(chosen, candidate=at)


def _affordable(run: Run, network: Network, basis: Basis, steps: int, spare: float) -> bool:
    """There are at most `spare` parameters per sample, no more than asked for, and the work is bounded."""
    parameters = network.with_bases([basis] * len(network.edges), None).parameters
    outputs = run.model.out_features
    count = len(run.train) * (1 if run.loss.labels else outputs)
    work = steps * parameters**2 * (len(run.train) * outputs + parameters / 3)
    most = min(spare * count, math.inf if run.recipe.max_parameters is None else run.recipe.max_parameters)
    return parameters <= most and work <= RUNG_WORK


def _hold_out(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """A fifth of the samples to choose by; all of them twice where there are too few to split."""
    if len(samples) < FEW:
        return samples, samples
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples), generator=generator)
    center = (samples.x.amax(0) + samples.x.amin(0)) / 2
    signs = 2.0 * torch.randint(2, (64, samples.x.shape[1]), generator=generator).to(samples.x.dtype) - 1
    outer = torch.cat([signs, torch.eye(len(center)).to(signs), -torch.eye(len(center)).to(signs)])
    extreme = ((samples.x - center) @ outer.T).argmax(0).unique()
    inner = order[~torch.isin(order, extreme)]
    held = inner[: len(samples) // 5]
    return samples[order[~torch.isin(order, held)]], samples[held]


def _extrapolation(model: KAN) -> Any:
    basis = first_layer(model).basis
    return basis.extrapolation if isinstance(basis, BSpline) else "linear"
