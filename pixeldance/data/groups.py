"""Clips of several sizes, every batch of one size: which clips meet in a batch, as a function of (seed, number).

A size's own clips come in an `Order` of their own, and which size a batch has is an order of batches (order.py). Kept
in memory is one table of the whole set, 5 bytes a clip (9 from 2^32 clips on); none is made for an epoch.
"""

import numpy as np
from jaxtyping import Int, UInt8

from pixeldance.data.buckets import Buckets
from pixeldance.data.order import Batches, Order, replacement, seed_of
from pixeldance.data.source import Size


class Alike:
    """`count` clips, any of which may share a batch."""

    def __init__(self, count: int) -> None:
        self.count = count

    def batch(self, number: int, places: range, *, batch: int, seed: int) -> list[tuple[int, int]]:
        """(epoch, index) of the clips at `places` of batch `number`, which has `batch` clips."""
        order = Order(count=self.count, seed=seed)
        return [order.at(number * batch + place) for place in places]

    def instead(self, seed: int, epoch: int, index: int, attempt: int) -> int:
        """The clip to take where `index` cannot be read: one for each attempt, counted from 1."""
        return replacement(self.count, seed, epoch, index, attempt)

    def size(self, index: int) -> Size | None:
        """The size that a clip must come in: any."""
        return None


class Grouped:
    """Clips that share a batch with those of their size alone. kinds: for each clip the number of its size."""

    def __init__(self, sizes: tuple[Size, ...], kinds: UInt8[np.ndarray, " clips"]) -> None:
        self.sizes, self.kinds = sizes, kinds
        self.counts = tuple(np.bincount(kinds, minlength=len(sizes)).tolist())
        self.begins = np.cumsum([0, *self.counts])
        number = np.uint32 if len(kinds) < 2**32 else np.int64
        self.members = np.argsort(kinds, kind="stable").astype(number)

    @classmethod
    def by_shape(cls, sizes: tuple[Size, ...], seen: Int[np.ndarray, "clips 2"]) -> "Grouped":
        """Each clip in the size nearest to the shape that it has; (0, 0), which cannot be read, in the commonest,
        where its reading fails and is reported."""
        kinds = Buckets(sizes=sizes).of_each(seen)
        known = seen[:, 0] > 0
        kinds[~known] = np.bincount(kinds[known], minlength=1).argmax()
        return cls(sizes, kinds)

    def batch(self, number: int, places: range, *, batch: int, seed: int) -> list[tuple[int, int]]:
        """(epoch, index) of the clips at `places` of batch `number`, which has `batch` clips."""
        kind, own = Batches(counts=self.counts, batch=batch, seed=seed).at(number)
        order = Order(count=self.counts[kind], seed=seed_of(seed, kind))
        found = [order.at(own * batch + place) for place in places]
        return [(epoch, self._member(kind, place)) for epoch, place in found]

    def instead(self, seed: int, epoch: int, index: int, attempt: int) -> int:
        """The clip to take where `index` cannot be read, one of its size for each attempt, counted from 1."""
        kind = int(self.kinds[index])
        return self._member(kind, replacement(self.counts[kind], seed, epoch, index, attempt))

    def size(self, index: int) -> Size | None:
        """The size that a clip must come in."""
        return self.sizes[self.kinds[index]]

    def _member(self, kind: int, place: int) -> int:
        return int(self.members[self.begins[kind] + place])


Grouping = Alike | Grouped
