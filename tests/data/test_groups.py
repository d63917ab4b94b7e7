"""Batches of one size: the same for any number of processes, every clip as often as any other, from any step on."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeldance.data.clip import Example
from pixeldance.data.groups import Grouped
from pixeldance.data.order import Batches
from pixeldance.data.source import Unreadable
from pixeldance.data.stream import Stream, Taken

SIZES = ((64, 64), (48, 80), (80, 48))


class Shapes:
    """Clips in the size that `kinds` says; those in `bad` cannot be read, those in `changed` come in another."""

    def __init__(self, kinds: list[int], bad: frozenset[int] = frozenset(), changed: frozenset[int] = frozenset()):
        self.kinds, self.bad, self.changed = kinds, bad, changed

    def __len__(self) -> int:
        return len(self.kinds)

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int, rng: np.random.Generator) -> Example:
        if index in self.bad:
            raise Unreadable("torn")
        size = (8, 8) if index in self.changed else SIZES[self.kinds[index]]
        return Example(text=f"{index} {rng.random()}", latents=torch.zeros(1, 1, 1, 1), size=size)


def streamed(shapes: Shapes, batch: int, image_every: int = 0, seed: int = 0) -> Stream:
    groups = Grouped(SIZES, np.array(shapes.kinds, np.uint8))
    return Stream(clips=shapes, groups=groups, batch=batch, image_batch=batch, image_every=image_every, seed=seed)


def texts(pieces: list[list[Taken]]) -> list[str]:
    return [each.clip.text for each in chain(*pieces)]


@settings(max_examples=15)
@given(
    kinds=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    ranks=st.sampled_from([1, 2, 4]),
    accumulate=st.sampled_from([1, 2]),
    image_every=st.integers(0, 3),
    start=st.integers(0, 5),
    seed=st.integers(0, 2**32),
)
def test_every_split_reads_the_same_batches_of_one_size_from_any_step(
    kinds: list[int], ranks: int, accumulate: int, image_every: int, start: int, seed: int
):
    stream = streamed(Shapes(kinds), 8, image_every, seed)
    whole = list(stream.batches(0, 6))
    assert all(len({taken.clip.size for taken in batch}) == 1 for batch in whole)
    split = [list(stream.batches(start, 6, rank=r, ranks=ranks, accumulate=accumulate)) for r in range(ranks)]
    for step in range(start, 6):
        at = (step - start) * accumulate
        assert texts(list(chain(*(each[at : at + accumulate] for each in split)))) == texts([whole[step]])


@settings(max_examples=25)
@given(kinds=st.lists(st.integers(0, 2), min_size=1, max_size=30), batch=st.integers(1, 7), seed=st.integers(0, 99))
def test_every_clip_is_read_as_often_as_any_other(kinds: list[int], batch: int, seed: int):
    """In B epochs, N batches, each of N clips is read B times, however few there are of its size."""
    stream = streamed(Shapes(kinds), batch, seed=seed)
    asks = [ask for step in range(len(kinds)) for ask in stream.asks(step)]
    assert Counter(ask.index for ask in asks) == dict.fromkeys(range(len(kinds)), batch)
    assert len({(ask.epoch, ask.index) for ask in asks}) == len(asks), "and every time anew"


@given(
    counts=st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any),
    batch=st.integers(1, 512),
    number=st.integers(0, 10**15),
    seed=st.integers(0, 2**32),
)
def test_any_batch_of_any_set_is_had_at_once(counts: list[int], batch: int, number: int, seed: int):
    kind, own = Batches(counts=tuple(counts), batch=batch, seed=seed).at(number)
    assert counts[kind] > 0
    share = number * counts[kind] / sum(counts)
    assert abs(own - share) <= sum(counts) / batch + len(counts) + 1 + share * 1e-9, "within an epoch of its share"


def test_sizes_come_mixed_and_epochs_differ():
    stream = streamed(Shapes([0] * 60 + [1] * 30 + [2] * 30), 5)
    sizes = [stream.groups.kinds[stream.asks(step)[0].index] for step in range(48)]
    assert sizes[:24] != sizes[24:]
    assert Counter(sizes[:24]) == Counter(sizes[24:]) == {0: 12, 1: 6, 2: 6}
    assert sum(one != other for one, other in pairwise(sizes)) > 15, "not one size after the other"
    assert [ask.index for ask in stream.asks(0)] != sorted(ask.index for ask in stream.asks(0))


def test_workers_change_nothing():
    stream = streamed(Shapes([0, 1, 2, 0, 1, 0, 0], bad=frozenset({3})), 2, image_every=3)
    assert texts(list(stream.batches(2, 9, workers=2))) == texts(list(stream.batches(2, 9)))


def test_what_cannot_be_read_or_has_changed_is_replaced_by_one_of_its_size():
    shapes = Shapes([0, 1] * 10, bad=frozenset({4}), changed=frozenset({5}))
    batches = list(streamed(shapes, 10).batches(0, 2))
    assert all(len({taken.clip.size for taken in batch}) == 1 for batch in batches)
    told = dict(each for taken in chain(*batches) for each in taken.unreadable)
    assert told.keys() == {"4", "5"}
    assert told["4"] == "torn"
    assert told["5"].startswith("changed: it comes as (8, 8), and is listed for (48, 80); remove .sizes-")


def test_clips_go_by_their_shape_and_unreadable_ones_where_most_are():
    seen = np.array([[480, 854], [854, 480], [100, 100], [0, 0], [90, 160]], np.int32)
    groups = Grouped.by_shape(SIZES, seen)
    assert groups.kinds.tolist() == [1, 2, 0, 1, 1]
    assert groups.counts == (1, 3, 1)
    assert Grouped.by_shape(SIZES, np.zeros((2, 2), np.int32)).kinds.tolist() == [0, 0]
