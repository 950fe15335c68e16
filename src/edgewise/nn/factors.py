r"""A coefficient tensor as a product of small factors: Tucker and its relatives, one einsum each.

With j the inputs, k the functions of the basis, i the outputs and p, q, r the ranks:

| form | $\Delta_{jki}$ | |
|---|---|---|
| `tucker` | $\sum_{pqr} G_{pqr} U_{jp} V_{kq} W_{ir}$ | Tucker; LoTRA is Gao, Ng, Tan, arXiv 2502.06153 |
| `tucker2` | $\sum_{pr} G_{pkr} U_{jp} W_{ir}$ | the basis mode is kept |
| `cp` | $\sum_r g_r U_{jr} V_{kr} W_{ir}$ | a diagonal core |
| `tt` | $\sum_{qr} G_{qjr} V_{kq} W_{ir}$ | tensor train |
| `lora` | $\sum_r U_{jkr} W_{ir}$ | the matrix (in · size, out) of rank r; Hu et al., arXiv 2106.09685 |
| `full` | $G_{jki}$ | no factors: for layers so thin that factors save nothing |

Every other form ends in $W$, so that $\Delta_{jki} = \sum_r B_{jkr} W_{ir}$: a layer of $r$ outputs and a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

MODES = "jki"
FULL_SPREAD = 0.1  # new curves have a tenth of the spread of a linear layer: see `KANLinear.reset_parameters`
Ranks = int | float | Sequence[int | float]


@dataclass(frozen=True)
class Form:
    """The factors of a decomposition by name, in the order in which an input meets them, each with its indices.

    `core` names the factor that is zero at the start; `ranks` are the default sizes of the rank indices.
    """

    factors: Mapping[str, str]
    ranks: Mapping[str, int]
    core: str = "core"


FORMS: Mapping[str, Form] = {
    "tucker": Form({"basis": "kq", "source": "jp", "core": "pqr", "target": "ir"}, {"p": 8, "q": 4, "r": 8}),
    "tucker2": Form({"source": "jp", "core": "pkr", "target": "ir"}, {"p": 8, "r": 8}),
    "cp": Form({"basis": "kr", "source": "jr", "core": "r", "target": "ir"}, {"r": 8}),
    "tt": Form({"basis": "kq", "core": "qjr", "target": "ir"}, {"q": 4, "r": 8}),
    "lora": Form({"source": "jkr", "target": "ir"}, {"r": 4}, core="target"),
    "full": Form({"core": "jki"}, {}),
}


class Factors(nn.Module):
    r"""The trainable factors of one tensor of shape (in, size, out); calling it forms the tensor.

    The factors start with orthonormal columns, scaled so that their entries have RMS 1 ($V$, $W$), $n_{in}^{-1/2}$
    ($U$) and the inverse root of the number of products summed ($G$): every index then passes a signal of order 1.

    Args:
        shape: (in, size, out).
        form: a name in `FORMS`.
        ranks: see `clamped_ranks`.
        zero: the factor that starts at zero, so that the tensor does: "core", "target", or None.
        generator: source of randomness of the initial values.
        device: where the factors live.
        dtype: their type.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        form: str = "tucker",
        ranks: Ranks | None = None,
        *,
        zero: Literal["core", "target"] | None = "core",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._set(shape, form, clamped_ranks(shape, form, ranks))
        for name, indices in self.form.factors.items():
            size = tuple(self.sizes[index] for index in indices)
            value = _draw(size, self.spread(name), generator).to(
                device=device, dtype=dtype or torch.get_default_dtype()
            )
            self.register_parameter(name, nn.Parameter(value))
        if zero is not None:
            nn.init.zeros_(getattr(self, zero if zero in self.form.factors else self.form.core))

    @classmethod
    def assemble(cls, shape: tuple[int, int, int], form: str, values: Mapping[str, Tensor]) -> Factors:
        """Factors of these values, which are copied. Raises `ValueError` where they do not fit together."""
        sizes = dict(zip(MODES, shape, strict=True))
        for name, indices in find_form(form).factors.items():
            value = values.get(name)
            if value is None or value.ndim != len(indices) or 0 in value.shape:
                shown = None if value is None else tuple(value.shape)
                raise ValueError(f"the factor {name!r} of {form!r} needs {len(indices)} axes, got the shape {shown}")
            for index, size in zip(indices, value.shape, strict=True):
                if sizes.setdefault(index, size) != size:
                    raise ValueError(
                        f"the factor {name!r} of {form!r} has {size} entries along {index!r}, others have "
                        f"{sizes[index]}"
                    )
            if not torch.isfinite(value).all():
                raise ValueError(f"the factor {name!r} of {form!r} has values that are not finite")
        factors = cls.__new__(cls)
        nn.Module.__init__(factors)
        factors._set(shape, form, {index: sizes[index] for index in find_form(form).ranks})
        for name in factors.form.factors:
            value = values[name].detach().clone(memory_format=torch.contiguous_format)
            factors.register_parameter(name, nn.Parameter(value))
        return factors

    @property
    def sizes(self) -> dict[str, int]:
        """The range of every index."""
        return dict(zip(MODES, self.shape, strict=True)) | self.ranks

    def factor(self, name: str) -> Tensor:
        """The value of a factor: its parameter times its multiplier (1 unless the factors are reparametrised)."""
        multiplier = self.multipliers[name]
        parameter = getattr(self, name)
        return parameter if multiplier == 1.0 else multiplier * parameter

    def inner(self) -> Float[Tensor, "in size rank"]:
        r"""$B_{jkr}$: every factor but the last, multiplied from the core towards the inputs."""
        names = [name for name in reversed(list(self.form.factors)) if name != "target"]
        equation = ",".join(self.form.factors[name] for name in names) + "->jkr"
        return torch.einsum(equation, *(self.factor(name) for name in names))

    def forward(self) -> Float[Tensor, "in size out"]:
        return self.inner() @ self.factor("target").T if self.splits else self.factor("core")

    @property
    def splits(self) -> bool:
        """Whether the tensor is a layer of few outputs and a matrix; "full" is not."""
        return "target" in self.form.factors

    def fan_in(self, name: str, activity: float = 1.0) -> float:
        r"""The number of products that a factor sums on the way from the input to the output.

        The basis mode counts as `activity`, the mean of $\sum_k |B_k(x)|$, and not as its size: a row of B-splines sums
        to 1 however many functions there are.
        """
        later = {"i"}.union(*list(self.form.factors.values())[list(self.form.factors).index(name) + 1 :])
        summed = set(self.form.factors[name]) - later
        return math.prod(activity if index == "k" else self.sizes[index] for index in summed)

    def spread(self, name: str) -> float:
        """The RMS of the entries of a factor at the start."""
        if name == "target":
            return 1.0
        return self.fan_in(name) ** -0.5 * (1.0 if self.splits else FULL_SPREAD)

    def numel(self) -> int:
        """The number of parameters."""
        return sum(p.numel() for p in self.parameters())

    @torch.no_grad()
    def moved(self, maps: Float[Tensor, "in new_size size"]) -> Factors:
        r"""The factors of $\sum_k M_{jmk} \Delta_{jki}$: the maps act on the one factor that has the basis mode.

        Exact where that factor has the input mode too (`lora`) or the maps of all inputs agree, as on one uniform grid;
        else `ValueError`.
        """
        part = next(name for name, indices in self.form.factors.items() if "k" in indices)
        indices = self.form.factors[part]
        values = {name: self.factor(name) for name in self.form.factors}
        each = maps.to(values[part])
        if "j" in indices:
            values[part] = torch.einsum(f"jmk,{indices}->{indices.replace('k', 'm')}", each, values[part])
        else:
            if not torch.allclose(each, each[:1].expand_as(each), rtol=0, atol=1e-6 * each.abs().max().item()):
                raise ValueError(
                    f"the inputs of the layer have grids of different shape, and the factor {part!r} of {self.name!r} "
                    "is shared by all of them; use form='lora', or merge the adapter first"
                )
            values[part] = torch.einsum(f"mk,{indices}->{indices.replace('k', 'm')}", each[0], values[part])
        new = Factors.assemble((self.shape[0], maps.shape[1], self.shape[2]), self.name, values)
        new.reparametrise_(self.multipliers)
        return new.requires_grad_(all(p.requires_grad for p in self.parameters()))

    @torch.no_grad()
    def reparametrise_(self, multipliers: Mapping[str, float]) -> None:
        """Store every factor divided by its multiplier: the value stays, a step on the parameter counts for more."""
        for name, multiplier in multipliers.items():
            getattr(self, name).mul_(self.multipliers[name] / multiplier)
            self.multipliers[name] = float(multiplier)

    @torch.no_grad()
    def scale_to_(self, norm: float) -> None:
        """Scale the core so that the tensor has this norm."""
        getattr(self, self.form.core).mul_(norm / self().norm())

    def _set(self, shape: tuple[int, int, int], form: str, ranks: dict[str, int]) -> None:
        self.form, self.name, self.shape, self.ranks = find_form(form), form, shape, ranks
        self.multipliers = dict.fromkeys(self.form.factors, 1.0)

    def extra_repr(self) -> str:
        ranks = ", ".join(f"{index}={size}" for index, size in self.ranks.items())
        return f"{self.shape}, {self.name!r}, {ranks}"


def find_form(name: str) -> Form:
    """The form of that name. Raises `ValueError` for an unknown one."""
    if name not in FORMS:
        raise ValueError(f"unknown decomposition {name!r}; choose one of {', '.join(FORMS)}")
    return FORMS[name]


def clamped_ranks(shape: Sequence[int], form: str = "tucker", ranks: Ranks | None = None) -> dict[str, int]:
    """The ranks by index, none larger than what it can use.

    Args:
        shape: (in, size, out).
        form: a name in `FORMS`.
        ranks: one value for every rank index, or one for each in the order of `FORMS[form].ranks` (for Tucker that
            of the axes: in, basis, out). An integer is a size, a float in (0, 1] a share of the mode. None takes the
            default of the form.

    A rank is useful up to the size of its mode and up to the product of the ranks that it is coupled to: with one
    output Tucker's r is 1, and p and q are equal.
    """
    decomposition, largest = find_form(form), largest_ranks(shape, form)
    wanted = requested_ranks(form, ranks)
    sizes = dict(zip(MODES, shape, strict=True))
    for letter, rank in wanted.items():
        sizes[letter] = min(rank, largest[letter]) if isinstance(rank, int) else max(1, round(rank * largest[letter]))
    changed = True
    while changed:
        changed = False
        for letter in wanted:
            bound = _bound(decomposition, letter, sizes)
            if sizes[letter] > bound:
                sizes[letter], changed = bound, True
    return {letter: sizes[letter] for letter in wanted}


def factored_numel(shape: Sequence[int], form: str = "tucker", ranks: Ranks | None = None) -> int:
    """The number of parameters in the factors of a tensor of that shape, at ranks as `clamped_ranks` takes them."""
    sizes = dict(zip(MODES, shape, strict=True)) | clamped_ranks(shape, form, ranks)
    return sum(math.prod(sizes[index] for index in indices) for indices in find_form(form).factors.values())


def largest_ranks(shape: Sequence[int], form: str = "tucker") -> dict[str, int]:
    """The size that every rank index needs to reach any tensor of that shape while the others are free."""
    decomposition, modes = find_form(form), dict(zip(MODES, shape, strict=True))
    return {letter: _bound(decomposition, letter, modes) for letter in decomposition.ranks}


def requested_ranks(form: str, ranks: Ranks | None) -> dict[str, int | float]:
    """The ranks as they were asked for, by index. Raises `ValueError` for a value that is no rank."""
    default = find_form(form).ranks
    if ranks is None:
        return dict(default)
    values = [ranks] * len(default) if isinstance(ranks, int | float) else list(ranks)
    if len(values) != len(default):
        raise ValueError(f"{form!r} has {len(default)} ranks ({', '.join(default)}), got {values}")
    for value in values:
        if isinstance(value, bool) or (value < 1 if isinstance(value, int) else not 0 < value <= 1):
            raise ValueError(
                "ranks must be positive integers, or floats in (0, 1] for a share of the mode; "
                f"got {value!r} in {values}"
            )
    return dict(zip(default, values, strict=True))


def _bound(form: Form, letter: str, sizes: Mapping[str, int]) -> int:
    """The largest useful size of a rank index beside the indices of known size."""
    factors = [indices.replace(letter, "") for indices in form.factors.values() if letter in indices]
    if len(factors) > 2:  # CP: a sum of that many products of vectors reaches every tensor
        modes = [sizes[mode] for mode in MODES]
        return math.prod(modes) // max(modes)
    return min(math.prod(sizes[i] for i in indices) for indices in factors if set(indices) <= set(sizes))


def _draw(size: tuple[int, ...], spread: float, generator: torch.Generator | None) -> Tensor:
    """A normal sample with that spread; a tall matrix has orthogonal columns of that RMS."""
    value = torch.randn(size, generator=generator, dtype=torch.float64)
    if value.ndim == 2 and size[0] >= size[1]:
        return torch.linalg.qr(value).Q.contiguous() * (spread * math.sqrt(size[0]))
    return value * spread
