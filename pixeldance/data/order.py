"""The order of training: position in an endless stream -> (epoch, index), without a table.

Each epoch is a permutation of all indices: a Feistel network of `ROUNDS` rounds keyed by (seed, epoch), walked on
until it lands inside (cycle walking: Black and Rogaway, CT-RSA 2002). Any process can ask for any position at once, in
microseconds and without memory, be there forty clips or four hundred million.
"""

import sys
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ENDLESS = sys.maxsize
"""The length of a source that makes its clips: their numbers are counted straight on, and no epoch ever ends."""

ROUNDS = 6
LEAST_BITS = 3  # of a half: on fewer, a network of few rounds reaches only a part of all permutations
WORD = 2**64 - 1


@dataclass(frozen=True, kw_only=True)
class Order:
    """The endless stream over `count` indices; `seed` is any whole number from 0."""

    count: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= ENDLESS or self.seed < 0:
            raise ValueError(
                f"got {self.count} clips and seed {self.seed}; wanted at least one clip to train on, and a seed of 0 "
                "or more"
            )

    def at(self, position: int) -> tuple[int, int]:
        """(epoch, index) at a position, both from 0; the same in any process. ValueError below 0."""
        if position < 0:
            raise ValueError(f"got position {position} of a stream; wanted 0 or more")
        epoch, place = divmod(position, self.count)
        return epoch, place if self.count == ENDLESS else _shuffled(place, self.count, self.seed, epoch)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The endless stream of batches over kinds of clip, of which there are `counts`, every batch of one kind.

    Epoch e has floor((e + 1) n / batch) - floor(e n / batch) batches of a kind with n clips, in a permutation of its
    own. So each kind comes as often as it has clips, however few, and what is left over in an epoch is not lost.
    """

    counts: tuple[int, ...]
    batch: int
    seed: int

    def at(self, number: int) -> tuple[int, int]:
        """(kind, number among the batches of this kind) of batch `number`, all from 0."""
        # Before epoch e there are between e n / batch - (number of kinds) and e n / batch of them, n being all clips.
        everything = sum(self.counts)
        least, most = (each * self.batch // everything for each in (number, number + len(self.counts)))
        epoch = least - 1 + bisect_right(range(least, most + 2), number, key=lambda e: sum(self._before(e)))
        before, behind = self._before(epoch), self._before(epoch + 1)
        place = _shuffled(number - sum(before), sum(behind) - sum(before), self.seed, epoch)
        for kind, (first, end) in enumerate(zip(before, behind, strict=True)):
            if place < end - first:
                return kind, first + place
            place -= end - first
        raise AssertionError("a place lies within its epoch")

    def _before(self, epoch: int) -> list[int]:
        """How many batches of each kind there are before an epoch."""
        return [epoch * count // self.batch for count in self.counts]


def seed_of(seed: int, kind: int) -> int:
    """A seed of its own for each kind of clip of a stream with `seed`."""
    return _mixed(_mixed(seed) + 1 + kind)


def share(batch: int, part: int, parts: int) -> range:
    """The places in a batch that one of `parts` equal parts takes, parts being numbered from 0.

    Processes are parts, and the pieces of each process's share in gradient accumulation are parts of those. Raises
    ValueError where the batch does not divide, naming the nearest one that does.
    """
    if batch % parts:
        near = max(1, round(batch / parts)) * parts
        raise ValueError(f"got a batch of {batch} for {parts} parts (processes x accumulate); take {near}")
    size = batch // parts
    return range(part * size, (part + 1) * size)


def reading_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """All that is random about a reading of clip `index` in an epoch."""
    return np.random.default_rng((seed, epoch, index))


def replacement(count: int, seed: int, epoch: int, index: int, attempt: int) -> int:
    """The clip to take where `index` cannot be read: another one for each attempt, counted from 1."""
    return int(np.random.default_rng((seed, epoch, index, attempt)).integers(count))


def _shuffled(place: int, count: int, seed: int, epoch: int) -> int:
    """Where `place` goes in the permutation of 0..count-1 of an epoch."""
    bits = max(LEAST_BITS, -(-(count - 1).bit_length() // 2))
    low = (1 << bits) - 1
    keys = _keys(seed, epoch)
    while True:
        left, right = place >> bits, place & low
        for each in keys:
            left, right = right, left ^ (_mixed(right ^ each) & low)
        place = left << bits | right
        if place < count:
            return place


@lru_cache(maxsize=16)
def _keys(seed: int, epoch: int) -> list[int]:
    """Of the rounds."""
    key = _mixed(_mixed(seed) ^ epoch)
    return [_mixed(key + number) for number in range(ROUNDS)]


def _mixed(word: int) -> int:
    """A well-spread 64-bit function of a word (the output function of splitmix64)."""
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & WORD
    return word ^ word >> 31
