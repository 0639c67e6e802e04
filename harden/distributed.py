"""Several processes that train one network: all hold the same weights, and each a slice of every batch.

Inside :func:`together`, what depends on the batch as a whole (batch statistics, means, gradients) is that of all slices
taken together, so N processes with B / N examples each do what one process with B examples does, up to rounding.
Outside of it, and in a process by itself, nothing is shared and nothing here costs anything.

The convention behind it: every process calls ``backward`` on the loss of its slice; a quantity summed over the
processes passes the sum of the gradients back; then gradients are averaged. That is the gradient of the mean over
processes of their losses, also where a loss is no mean over examples.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from harden.memory import OutOfMemoryError, out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
J = TypeVar("J")

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells each process
_PATIENCE_DAYS = 7
_sharing: ContextVar[bool] = ContextVar("sharing", default=False)


class ShortElsewhereError(OutOfMemoryError):
    """Memory did not suffice in another of the processes that train together."""


def size() -> int:
    """How many processes train together; 1 for a process by itself."""
    return _group().get_world_size() if _grouped() else 1


def rank() -> int:
    """The number of this process, from 0; known from the launcher before the processes have met."""
    if _grouped():
        return _group().get_rank()
    return int(os.environ["RANK"]) if launched() else 0


def is_leader() -> bool:
    """Whether this process is the one that writes, selects and tells."""
    return rank() == 0


def launched() -> bool:
    """Whether a launcher such as torchrun has started this process as one of several."""
    return all(name in os.environ for name in _LAUNCHED) and int(os.environ["WORLD_SIZE"]) > 1


def neighbours() -> int:
    """How many of the launched processes run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if launched() else 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes for the length of a block, if a launcher has started several and they have not met."""
    if _grouped() or not launched():
        yield
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    # gloo for tensors on the CPU, NCCL for those on a GPU. The others wait while the first one evaluates.
    _group().init_process_group(timeout=datetime.timedelta(days=_PATIENCE_DAYS))
    try:
        yield
    finally:
        _group().destroy_process_group()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """In this block, processes hold slices of one batch."""
    token = _sharing.set(True)
    try:
        yield
    finally:
        _sharing.reset(token)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """In this block, the process is by itself again."""
    token = _sharing.set(False)
    try:
        yield
    finally:
        _sharing.reset(token)


@contextlib.contextmanager
def short_together() -> Iterator[None]:
    """A block that ends for lack of memory in all processes where it does so in one.

    The others learn it where they next exchange something, or :func:`confirm`.
    """
    try:
        yield
    except ShortElsewhereError:
        raise
    except Exception as error:
        if size() > 1 and out_of_memory(error):
            _shortages(1)
        raise


def confirm() -> None:
    """Agree with the other processes that memory has sufficed in all of them so far.

    Raises:
        ShortElsewhereError: In one of them it did not.
    """
    if size() > 1 and _shortages(0):
        raise ShortElsewhereError("not enough memory in another process")


def _shortages(own: int) -> int:
    """How many processes are short of memory. On the CPU, so that none waits for a GPU."""
    import torch

    found = torch.tensor([own])
    _group().all_reduce(found)
    return int(found)


def slices() -> int:
    """Into how many slices a batch is cut here: 1 outside of :func:`together`."""
    return size() if _sharing.get() else 1


def own(items: Any) -> Any:
    """This process's slice of something with an entry for each example of the whole batch."""
    count = len(items) // slices()
    return items[rank() * count : (rank() + 1) * count] if slices() > 1 else items


def total(tensor: Tensor) -> Tensor:
    """The sum over the slices, without a gradient; a new tensor, equal bit for bit in all processes."""
    if slices() == 1:
        return tensor.detach()
    confirm()
    found = tensor.detach().clone()
    _group().all_reduce(found)
    return found


def mean(tensor: Tensor) -> Tensor:
    """The mean over the slices, without a gradient."""
    return total(tensor) / slices()


def gathered(tensor: Tensor) -> Tensor:
    """[R, *shape]: the tensor of every slice, without a gradient."""
    import torch

    if slices() == 1:
        return tensor.detach()[None]
    confirm()
    parts = [torch.empty_like(tensor) for _ in range(size())]
    _group().all_gather(parts, tensor.detach().contiguous())
    return torch.stack(parts)


def averaged(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients by name, each the mean over the slices; one exchange for each type of number."""
    if slices() == 1:
        return dict(gradients)
    import torch

    kinds: dict[Any, list[str]] = {}
    for name, tensor in gradients.items():
        kinds.setdefault((tensor.dtype, tensor.device), []).append(name)
    found = {}
    for names in kinds.values():
        flat = mean(torch.cat([gradients[name].detach().reshape(-1) for name in names]))
        parts = flat.split([gradients[name].numel() for name in names])
        found |= {name: part.view_as(gradients[name]) for name, part in zip(names, parts, strict=True)}
    return {name: found[name] for name in gradients}


def averages(numbers: Mapping[str, float]) -> dict[str, float]:
    """Numbers by name, each the mean over the slices."""
    if slices() == 1:
        return dict(numbers)
    import torch

    found = mean(torch.tensor(list(numbers.values()), dtype=torch.float64))
    return dict(zip(numbers, found.tolist(), strict=True))


def from_leader(make: Callable[[], T]) -> T:
    """What the first process makes, in all processes; if that fails, it fails in all."""
    if size() == 1:
        return make()
    box: list[Any] = [None, None]
    if is_leader():
        try:
            box[0] = make()
        except Exception as error:  # whatever it is, the others wait for it
            box[1] = error
    _group().broadcast_object_list(box)
    if box[1] is not None:
        raise box[1]
    return box[0]


def divided(jobs: Sequence[J], work: Callable[[J], float]) -> list[float]:
    """The results of all jobs in their order, each worked out by one of the processes."""
    if size() == 1:
        return [work(job) for job in jobs]
    import torch

    mine = {number: work(job) for number, job in enumerate(jobs) if number % size() == rank()}
    found = torch.zeros(len(jobs), dtype=torch.float64)
    for number, value in mine.items():
        found[number] = value
    confirm()
    _group().all_reduce(found)  # one process adds a number, the others nothing
    return found.tolist()


def _group() -> Any:
    import torch.distributed

    return torch.distributed


def _grouped() -> bool:
    import sys

    group = sys.modules.get("torch.distributed")  # not imported: then nobody has met
    return group is not None and group.is_available() and group.is_initialized()
