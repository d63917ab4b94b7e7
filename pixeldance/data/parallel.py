"""A function of numbers computed by several processes, its results in order."""

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

T = TypeVar("T")


def mapped(function: Callable[[int], T], numbers: Sequence[int], workers: int = 0) -> Iterator[T]:
    """function(number) for each of `numbers`, in their order, a few ahead of what is taken; 0 workers compute here.

    Neither the number of workers nor their speed changes what comes.
    """
    if workers == 0 or len(numbers) < 2:
        return map(function, numbers)
    items = _Function(function)
    loader = DataLoader(
        items,
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_leave_interrupts_to_the_parent,
    )
    return iter(loader)


class _Function(Dataset[Any]):
    """A function in the form that a DataLoader takes."""

    def __init__(self, function: Callable[[int], Any]) -> None:
        self.function = function

    def __getitem__(self, number: int) -> Any:
        return self.function(number)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(result: Any) -> Any:
    return result
