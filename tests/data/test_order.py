"""The order of training: permutations that are functions of (seed, epoch), and batches that split without a trace."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeldance.data.order import ENDLESS, Order, reading_rng, replacement, share


@settings(max_examples=40)
@given(count=st.integers(1, 100), seed=st.integers(0, 2**64), epoch=st.integers(0, 10**6))
def test_an_epoch_is_a_permutation(count: int, seed: int, epoch: int):
    order = Order(count=count, seed=seed)
    seen = [order.at(epoch * count + place) for place in range(count)]
    assert {each for each, _ in seen} == {epoch}
    assert sorted(index for _, index in seen) == list(range(count))


@given(count=st.integers(2, 10**12), place=st.integers(0, 10**15), seed=st.integers(0, 2**32))
def test_any_position_of_any_size_is_had_at_once(count: int, place: int, seed: int):
    epoch, index = Order(count=count, seed=seed).at(place)
    assert epoch == place // count
    assert 0 <= index < count


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {
        tuple(Order(count=20, seed=seed).at(epoch * 20 + place)[1] for place in range(20))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25
    assert tuple(range(20)) not in orders


def test_small_permutations_come_about_equally_often():
    """All 6 orders of three clips over 300 epochs: chi-square with 5 degrees of freedom."""
    order = Order(count=3, seed=1)
    drawn = [tuple(order.at(epoch * 3 + place)[1] for place in range(3)) for epoch in range(300)]
    counts = np.array([drawn.count(each) for each in set(drawn)])
    assert len(counts) == 6
    assert ((counts - 50) ** 2 / 50).sum() < 20.5  # exceeded by chance once in a thousand


def test_where_a_clip_lands_does_not_depend_on_where_it_lies():
    """Rank correlation of place and index over 400 clips, whose deviation by chance is 0.05."""
    for seed in range(4):
        indices = [Order(count=400, seed=seed).at(place)[1] for place in range(400)]
        assert abs(np.corrcoef(indices, range(400))[0, 1]) < 0.2


def test_an_endless_source_is_counted_on():
    order = Order(count=ENDLESS, seed=5)
    assert [order.at(position) for position in (0, 1, 10**12)] == [(0, 0), (0, 1), (0, 10**12)]


@given(batch=st.integers(1, 12), parts=st.sampled_from([1, 2, 3, 4, 6]))
def test_shares_make_up_the_batch(batch: int, parts: int):
    size = batch * parts
    assert list(chain(*(share(size, part, parts) for part in range(parts)))) == list(range(size))


def test_readings_and_replacements_are_functions_of_their_numbers():
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    assert len({reading_rng(*key).random() for key in keys}) == len(keys)
    assert reading_rng(1, 2, 3).random() == reading_rng(1, 2, 3).random()
    tried = [replacement(1000, 1, 2, 3, attempt) for attempt in range(1, 20)]
    assert tried == [replacement(1000, 1, 2, 3, attempt) for attempt in range(1, 20)]
    assert len(set(tried)) > 15
    assert 0 <= replacement(ENDLESS, 0, 0, 0, 1) < ENDLESS


def test_refusals():
    with pytest.raises(ValueError, match="got 0 clips"):
        Order(count=0, seed=0)
    with pytest.raises(ValueError, match="wanted 0 or more"):
        Order(count=3, seed=0).at(-1)
    with pytest.raises(ValueError, match=r"batch of 10 for 4 parts .* take 8"):
        share(10, 0, 4)
