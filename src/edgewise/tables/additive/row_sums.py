"""Sums over the rows of a table, parts of which several processes may hold.

Inside `over_processes(group)` a fit takes the rows of its process for a part of one table: whatever is summed over rows
is summed over the processes of the group too (all-reduce), and knots are chosen from the whole column, which every
process sees, one column at a time. All processes end with the same model, that of one process with all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

_GROUP: ContextVar[Any] = ContextVar("group", default=None)


@contextmanager
def over_processes(group: Any = None) -> Iterator[None]:
    """Additive fits inside sum over the processes of a group, each of which gives its own rows.

    >>> with over_processes():  # after torch.distributed.init_process_group("gloo"), under torchrun
    ...     KANAdditive().fit(rows_of_this_process, targets_of_these_rows)  # doctest: +SKIP

    Args:
        group: of `torch.distributed`, with a backend for the CPU such as gloo; None for all processes.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            'there is no group of processes; call torch.distributed.init_process_group("gloo") first, and start the '
            "script with torchrun"
        )
    token = _GROUP.set(dist.group.WORLD if group is None else group)
    try:
        yield
    finally:
        _GROUP.reset(token)


def summed(found: Any) -> Any:
    """The sum over all processes of a number or an array that is a sum over own rows."""
    return _reduced(found, dist.ReduceOp.SUM)


def greatest(found: Any) -> Any:
    """The largest over all processes."""
    return _reduced(found, dist.ReduceOp.MAX)


def joined(values: np.ndarray) -> np.ndarray:
    """The rows of all processes, in the order of these."""
    group = _GROUP.get()
    if group is None:
        return values
    parts: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(parts, values, group=group)
    return np.concatenate(parts)


def own_rows(rows: int) -> slice:
    """Where the own rows are among those of all processes."""
    group = _GROUP.get()
    if group is None:
        return slice(0, rows)
    counts: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(counts, rows, group=group)
    before = sum(counts[: dist.get_rank(group)])
    return slice(before, before + rows)


def many_processes() -> bool:
    """Whether rows are shared with other processes."""
    return _GROUP.get() is not None


def _reduced(found: Any, operation: Any) -> Any:
    group = _GROUP.get()
    if group is None:
        return found
    sums = torch.tensor(np.atleast_1d(np.asarray(found, float)))
    dist.all_reduce(sums, operation, group=group)
    return type(found)(sums[0]) if isinstance(found, int | float) else sums.numpy().reshape(np.shape(found))
