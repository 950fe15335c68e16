r"""The search of `Auto`: random starts, then higher degrees and finer grids, by Levenberg-Marquardt.

1. Scale the data; hold a part out to choose by.
2. Many starts, every edge a random line, on three intervals; after a few steps the better part continues, and again
   (successive halving).
3. Refit every hidden grid to the present range of its inputs every few steps.
4. Where a sum of curves on a finer grid explains more, as in data that oscillate, begin there.
5. From the winner, raise the degree, then the number of intervals, while the held-out error falls and the samples
   allow it.
6. At every rung try to smooth, with the strength of greatest evidence; the held-out error decides.
7. Where a sum of curves on a grid that the network cannot have leaves less, as in data that jump, return that.
8. Polish the chosen network on all samples.
"""

from __future__ import annotations

import dataclasses
import math

import torch

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN
from edgewise.optim import Network, Smoothing
from edgewise.progress import Budget
from edgewise.training.keep import Best
from edgewise.training.methods import Auto
from edgewise.training.result import FitResult
from edgewise.training.samples import Run, Samples
from edgewise.training.search_additive import additive_fits, additive_start, neighbours_error, or_the_sum, sum_of_all
from edgewise.training.search_stages import WORTH_IT, Search, Starts, first_layer
from edgewise.training.search_starts import Units, random_lines

SEARCH_SAMPLES = 600
SEARCH_WORK = 1e10  # multiplications of the first round of the search: about a second
RUNG_WORK = 2.5e11  # of one rung of the extension
STARTS = 32
SPARE = 1 / 3  # parameters per sample, without smoothing
SPARE_SMOOTH = 0.95  # parameters per sample, with smoothing
CLEAN_ORDER = 4  # the derivative that smoothing penalises where there is no noise
UNLEARNT = 0.25  # relative held-out loss above which the next grid begins anew, and four may bring nothing
FEW = 10
POLISH = "polish on all samples"  # the stage that sees the held-out samples
EXACT = 1e-15  # relative error below which nothing is left to gain


def search(
    run: Run, method: Auto, train: Samples, held: Samples | None, budget: Budget, rungs: int | None = None
) -> FitResult:
    """Search and extend on a float64 model and data; `held` None holds a part of `train` out and polishes on all.

    `rungs` bounds the number of bases that are tried, and leaves out the polish.
    """
    assert isinstance(run.model, KAN)
    warm = method.starts == 0
    if warm:
        units = Units.of_model(run.model)
    else:
        units = Units.of_data(train.x, train.y, run.model.out_features, scale_outputs=run.loss.units)
    part, chosen_by = hold_out(train, run.seed) if held is None else (train, held)
    at = Search(run, method, units, (part, chosen_by, train), budget, rungs)
    try:
        if warm:
            starts = _descend_from_given(at)
            if method.extend:
                _extend(at, starts)
        else:
            starts = _following_oscillations(at, _from_random_starts(at))
            _extend(at, starts)
            if rungs is None:
                or_the_sum(at, starts)
        if held is None and at.stopped == "finished" and rungs is None:
            _polish(at)
        _note_what_is_missed(at)
    except KeyboardInterrupt:
        at.stopped = "interrupted"
    if at.best.state is None:
        if at.stopped == "interrupted":
            raise KeyboardInterrupt("fit was interrupted before its first stage ended")
        raise ValueError(f"no start has a finite {run.loss.name} loss; check the data, or give the model a wider grid")
    if budget.over and at.stopped == "finished":
        at.stopped = "time"
    return at.result(train, held)


def _from_random_starts(search: Search) -> Starts:
    """Successive halving over random starts; one network is left, on ten intervals."""
    method = search.method
    basis = BSpline(3, method.degrees[0], extrapolation=search.extrapolation)
    network = Network.of(search.model)[0].with_bases([basis] * len(Network.of(search.model)[0].edges), None)
    samples = min(len(search.train), max(SEARCH_SAMPLES, 3 * network.parameters))
    work = 15.0 * samples * network.parameters**2
    starts = method.starts or int(min(STARTS, max(2, SEARCH_WORK / work)))
    generator = torch.Generator().manual_seed(search.run.seed)
    parameters = random_lines(network, starts, generator)
    at = Starts(network, parameters, prior=_first_prior(search, network, starts))
    some = search.train[:samples] if samples < len(search.train) else search.train  # their order is random
    at = search.stage(at, some, basis, 15, every=5, name=f"search, {starts} starts")
    at = search.halve(at, math.ceil(starts * 0.3))
    at = search.stage(at, some, basis, 30, every=10, name=f"search, {len(at.parameters)} starts")
    at = search.halve(at, math.ceil(starts / 8))
    for intervals, steps in ((5, 60), (10, 40)):
        finer = basis.resized(intervals)
        if not _affordable(search, at.network, finer, steps, SPARE) or search.budget.over:
            break
        at = search.stage(at, search.train, finer, steps, every=15, name=f"search, {len(at.parameters)} starts")
        at = search.halve(at, max(1, len(at.parameters) // 2))
    return search.halve(at, 1)


def _following_oscillations(search: Search, at: Starts) -> Starts:
    """The network that begins at a sum of curves on a finer grid, where that explains what the starts cannot see."""
    if search.clean or search.final_basis is not None or search.budget.over:
        return at
    fits = [
        fit for fit in additive_fits(search) if _affordable(search, at.network, fit.basis, search.count, SPARE_SMOOTH)
    ]
    begun = additive_start(search, at, fits)
    if begun is None:
        return at
    basis = begun.network.edges[0].basis
    begun = search.stage(begun, search.train, basis, search.count, every=10, name="sum of curves")
    return begun if bool(search.held_loss(begun)[0] < search.held_loss(at)[0]) else at


def _note_what_is_missed(search: Search) -> None:
    """Say so where a simple fit has much less error than the network."""
    error = search.best.value
    if search.best.state is None or not search.loss.units or search.clean or not bool(search.held.y.std() > 0):
        return
    if not search.sums and error > UNLEARNT * search.variance:
        additive_fits(search)
    simple = {
        "a sum of one curve per input": search.least_sum,
        "the mean of the 5 nearest samples": neighbours_error(search.whole.x, search.whole.y),
    }
    name = min(simple, key=lambda name: simple[name])
    if simple[name] < error / 2:
        search.notes.append(
            f"the error is {search.share(error):.2g} of the spread of the targets, where {name} has "
            f"{search.share(simple[name]):.2g}: the network misses what the data show; give it a finer grid, such "
            "as KAN(widths, BSpline(100)), more nodes or more time"
        )


def _extend(search: Search, at: Starts) -> None:
    """Rung after rung from the searched network, smoothed and not, while the held-out loss falls."""
    worse = 0
    spare = SPARE if search.method.smoothing is False else SPARE_SMOOTH
    for basis in _rungs(search, at)[: search.rungs]:
        patience = 4 if _unlearnt(search) else 2
        if search.best.state is not None and (search.budget.over or search.stopped != "finished" or worse >= patience):
            break  # a given basis is reached even when the time is up: without it there is nothing to return
        if search.final_basis is None and not _affordable(search, at.network, basis, search.count, spare):
            break
        before = search.best.value
        at = _rung(search, at, basis)
        worse = worse + 1 if search.best.state is not None and search.best.value >= 0.9 * before else 0
        if worse and search.is_hopeless(at) and not _unlearnt(search):
            break
        if search.best.value < EXACT**2:
            break


def _rung(search: Search, at: Starts, basis: Basis) -> Starts:
    """One basis: with smoothing and without, as asked for; the better one continues."""
    wanted = search.method.smoothing
    name = f"{type(basis).__name__}({getattr(basis, 'intervals', basis.size)}, {getattr(basis, 'degree', '-')})"
    ends: list[Starts] = []
    if wanted is not False:
        if _unlearnt(search) or (search.clean and at.prior is not None and at.prior.order == 2):
            network = at.network.with_bases([basis] * len(at.network.edges), None)
            at = dataclasses.replace(at, prior=_first_prior(search, network, len(at.parameters)))
        ends.append(search.stage(at, search.train, basis, search.count, every=10, name=f"{name}, smoothed"))
    if (
        (wanted is None or wanted is False)
        and (not ends or search.clean or _affordable(search, at.network, basis, 1, SPARE))
        and not (ends and search.is_hopeless(ends[0]))
    ):
        plain = dataclasses.replace(ends[-1] if ends else at, prior=None)
        ends.append(search.stage(plain, search.train, basis, search.count, every=10, name=name))
    values = [float(search.held_loss(end)[0]) for end in ends]
    end = ends[-1]
    if len(ends) == 2 and not values[1] < WORTH_IT * values[0]:
        end = ends[0]
    return end if end.prior is not None else dataclasses.replace(end, prior=ends[0].prior)


def _first_prior(search: Search, network: Network, starts: int) -> Smoothing | None:
    """The smoothing asked for; where the data shall decide, one so weak that they can."""
    wanted = search.method.smoothing
    if wanted is False:
        return None
    if not isinstance(wanted, bool | None):
        return Smoothing.constant(network, starts, wanted)
    return Smoothing.weak(network, starts, len(search.train), order=CLEAN_ORDER if search.clean else 2)


def _unlearnt(search: Search) -> bool:
    """So little is explained that smoothing may have hidden all there is: the evidence has a maximum there, too."""
    return search.best.state is None or (search.loss.units and search.best.value > UNLEARNT)


def _rungs(search: Search, at: Starts) -> list[Basis]:
    """The bases to try, in order: higher degrees on the intervals reached, then twice the intervals again and again."""
    given = first_layer(search.model).basis
    if search.final_basis is not None:
        return [search.final_basis]
    assert isinstance(given, BSpline)
    top = max(search.method.degrees)
    reached = at.network.edges[0].basis
    intervals = reached.intervals if isinstance(reached, BSpline) else 10
    base = dataclasses.replace(given, knots="clamped", degree=top, intervals=intervals)
    middle = [d for d in search.method.degrees if search.method.degrees[0] < d < top]
    first = [dataclasses.replace(base, degree=d) for d in middle]
    return [*first, *(dataclasses.replace(base, intervals=intervals * 2**n) for n in range(8))]


def _descend_from_given(search: Search) -> Starts:
    """From the model's own parameters, on its own grids; on finer ones afterwards if the method extends.

    Without smoothing where there is no noise to smooth away: from the start if the model comes so near as it is, else
    in a second stage.
    """
    network, parameters = Network.of(search.model)
    at = Starts(network, parameters, prior=_first_prior(search, network, 1))
    determined = search.method.smoothing is None and network.parameters < SPARE_SMOOTH * len(search.train)
    search.clean = bool(search.held_loss(at)[0] < search.noiseless)
    if not (determined and search.clean):
        at = search.stage(at, search.train, None, search.count, every=10, name="given parameters")
    if not (determined and search.clean) or (search.budget.over and search.best.state is not None):
        return at
    plain = dataclasses.replace(at, prior=None)
    plain = search.stage(plain, search.train, None, search.count, every=10, name="given parameters, not smoothed")
    better = bool(search.held_loss(plain)[0] < WORTH_IT * search.held_loss(at)[0])
    return dataclasses.replace(plain, prior=at.prior) if better else at


def _polish(search: Search) -> None:
    """The chosen network once more, on all samples; its held-out loss is that of before."""
    chosen, kept = search.fix_error(), search.best
    if chosen.starts.sum is not None:
        kept.keep(kept.value, dataclasses.replace(chosen, starts=sum_of_all(search, chosen.starts)))
        return
    search.best = Best()
    try:
        at = search.stage(chosen.starts, search.whole, chosen.basis, 20, every=20, name=POLISH)
    finally:
        search.best = kept
    kept.keep(kept.value, dataclasses.replace(chosen, starts=at))


def _affordable(search: Search, network: Network, basis: Basis, steps: int, spare: float) -> bool:
    """There are at most `spare` parameters per sample, no more than asked for, and the work is bounded."""
    parameters = network.with_bases([basis] * len(network.edges), None).parameters
    outputs = search.model.out_features
    count = len(search.train) * (1 if search.loss.labels else outputs)
    work = steps * parameters**2 * (len(search.train) * outputs + parameters / 3)
    most = min(spare * count, math.inf if search.method.max_parameters is None else search.method.max_parameters)
    return parameters <= most and work <= RUNG_WORK


def hold_out(samples: Samples, seed: int) -> tuple[Samples, Samples]:
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
