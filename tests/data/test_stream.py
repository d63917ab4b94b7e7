"""What steps read: the same global order for any number of processes, workers and starts; unreadable clips replaced."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeldance.data.clip import Clip, Example
from pixeldance.data.order import ENDLESS
from pixeldance.data.source import Unreadable
from pixeldance.data.stream import Ask, Stream, Taken
from pixeldance.data.toybox import ONE_OBJECT, clip
from pixeldance.data.toybox.source import Toybox


@dataclass(frozen=True)
class Numbers:
    """Clips that say their number and how they were read; those in `bad` cannot be."""

    count: int
    kind: str = "clip"
    bad: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{self.kind} {index}"

    def read(self, index: int, rng: np.random.Generator) -> Example:
        if index in self.bad:
            raise Unreadable(f"number {index} is torn")
        return Example(text=f"{self.kind} {index} {rng.random()}", latents=torch.zeros(1, 1, 1, 1))


def texts(pieces: list[list[Taken]]) -> list[str]:
    return [each.clip.text for piece in pieces for each in piece]


@settings(max_examples=25)
@given(
    count=st.integers(1, 40),
    ranks=st.sampled_from([1, 2, 4]),
    accumulate=st.sampled_from([1, 3]),
    size=st.integers(1, 2),
    image_every=st.integers(0, 4),
    start=st.integers(0, 4),
    seed=st.integers(0, 2**32),
)
def test_every_split_reads_the_same_global_batches(
    count: int, ranks: int, accumulate: int, size: int, image_every: int, start: int, seed: int
):
    stream = Stream(
        clips=Numbers(count),
        images=Numbers(7, "image"),
        batch=12 * size,
        image_batch=12,
        image_every=image_every,
        seed=seed,
    )
    whole = list(stream.batches(0, 5))
    split = [list(stream.batches(start, 5, rank=r, ranks=ranks, accumulate=accumulate)) for r in range(ranks)]
    for step in range(start, 5):
        at = (step - start) * accumulate
        pieces = chain(*(each[at : at + accumulate] for each in split))
        assert texts(list(pieces)) == texts([whole[step]])
        assert all(each.name.startswith("image") == stream.is_image(step) for each in whole[step])


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(workers: int):
    stream = Stream(clips=Numbers(10, bad=frozenset({3})), batch=4, image_batch=4, image_every=3)
    here, there = list(stream.batches(2, 9)), list(stream.batches(2, 9, workers=workers))
    assert texts(there) == texts(here)
    assert [each.unreadable for piece in there for each in piece] == [
        each.unreadable for piece in here for each in piece
    ]


def test_each_epoch_reads_every_clip_once_and_anew():
    stream = Stream(clips=Numbers(6), batch=3, image_every=0)
    read = texts(list(stream.batches(0, 4)))
    numbers = [text.rsplit(" ", 1)[0] for text in read]
    assert sorted(numbers[:6]) == sorted(numbers[6:]) == [f"clip {index}" for index in range(6)]
    assert numbers[:6] != numbers[6:]
    assert len(set(read)) == 12


def test_images_have_a_count_of_their_own():
    stream = Stream(clips=Numbers(ENDLESS), images=Numbers(ENDLESS, "image"), batch=2, image_batch=3, image_every=2)
    assert [[each.name for each in piece] for piece in stream.batches(0, 4)] == [
        ["clip 0", "clip 1"],
        ["image 0", "image 1", "image 2"],
        ["clip 2", "clip 3"],
        ["image 3", "image 4", "image 5"],
    ]


def test_without_images_first_frames_come_from_the_clips():
    stream = Stream(clips=Numbers(ENDLESS), batch=1, image_batch=2, image_every=2)
    assert [each.name for each in next(stream.batches(1, 2))] == ["clip 0", "clip 1"]


def test_an_unreadable_clip_is_reported_and_replaced_by_the_same_one_each_time():
    stream = Stream(clips=Numbers(20, bad=frozenset({4, 5})), batch=20, image_every=0)
    (taken,) = stream.batches(0, 1)
    failed = [each for each in taken if each.unreadable]
    assert {each.unreadable[0] for each in failed} == {("clip 4", "number 4 is torn"), ("clip 5", "number 5 is torn")}
    assert not {each.name for each in taken} & {"clip 4", "clip 5"}
    assert texts(list(stream.batches(0, 1))) == texts([taken])
    ask = next(ask for ask in stream.asks(0) if ask.index == 4)
    later = Ask(image=False, epoch=ask.epoch + 1, index=4)
    assert len({stream.read(Ask(image=False, epoch=epoch, index=4)).name for epoch in range(10)}) > 1
    assert stream.read(later).unreadable[0][0] == "clip 4"


def test_data_of_which_nothing_can_be_read_is_refused():
    stream = Stream(clips=Numbers(3, bad=frozenset(range(3))), batch=1, image_every=0)
    with pytest.raises(ValueError, match=r"100 unreadable clips in a row, the last being clip \d \(number \d is torn"):
        next(stream.batches(0, 1))


def test_the_toybox_is_a_source():
    source = Toybox(world=ONE_OBJECT, frames=4, first=10)
    read = source.read(2, np.random.default_rng(0))
    wanted = clip(12, world=ONE_OBJECT, frames=4)
    assert isinstance(read, Clip)
    assert np.array_equal(read.video, wanted.video)
    assert read.text == wanted.text
    assert len(source) == ENDLESS
    assert source.name(2) == "toybox clip 12"
