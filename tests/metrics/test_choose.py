"""Choosing among clips by their readings: the rule, and conditions as people write them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeldance.metrics.choose import Condition, condition, rank, strain
from pixeldance.metrics.meter import READINGS


@pytest.mark.parametrize("name", [name for name, reading in READINGS.items() if reading.limit()])
@given(steps=st.floats(-3, 3))
def test_strain_is_above_one_for_faults_alone(name: str, steps: float):
    reading = READINGS[name]
    limit = reading.high if reading.low is None else reading.low
    assert limit is not None
    assert strain(name, limit) == pytest.approx(1 if limit else 0)
    value = limit + steps * (abs(limit) or 1)
    found = strain(name, value)
    assert found is not None
    if abs(steps) > 1e-6:
        assert (found > 1) == reading.fault(value)


def test_readings_without_a_limit_do_not_count():
    assert strain("end_copy", 90.0) is None
    assert rank({"end_copy": 90.0}) == (0, 0.0)


def test_faults_come_first_and_then_the_worst_reading():
    ordered = [
        {"end_jump": 0.75, "frozen": 0.1, "cuts": 0.0},  # its worst is at half of the limit
        {"end_jump": 1.4, "frozen": 0.0, "cuts": 0.0},
        {"end_jump": 1.0, "frozen": 0.9, "cuts": 0.0},
        {"end_jump": 1.0, "frozen": 0.21, "cuts": 1.0},
    ]
    ranks = [rank(each) for each in ordered]
    assert [faults for faults, _ in ranks] == [0, 0, 1, 2]
    assert ranks[0][1] == pytest.approx(0.5)
    assert ranks[3][1] == 2
    assert all(better < worse for better, worse in itertools.pairwise(ranks))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("end_jump<1.3", (("end_jump", "<", 1.3),)),
        (" landing >= .8 , cuts<=0", (("landing", ">=", 0.8), ("cuts", "<=", 0.0))),
        ("first_psnr>3e1", (("first_psnr", ">", 30.0),)),
    ],
)
def test_a_condition_is_read(text: str, parts: tuple[tuple[str, str, float], ...]):
    assert condition(text) == Condition(parts=parts)
    assert condition(str(condition(text))) == condition(text)


@pytest.mark.parametrize("text", ["", "end_jump", "end_jump<", "end_jump=1", "end_jump<1.3,", "1.3>end_jump", "a<nan"])
def test_what_is_no_condition_is_told(text: str):
    with pytest.raises(ValueError, match="got the condition"):
        condition(text)


def test_an_unknown_reading_is_told():
    with pytest.raises(ValueError, match=r"got the reading 'beauty'; there are first_psnr, landing"):
        condition("beauty>3")


def test_all_of_a_condition_is_to_be_met():
    asked = condition("end_jump<1.3, landing>=0.8")
    assert asked.met({"end_jump": 1.0, "landing": 0.8})
    assert not asked.met({"end_jump": 1.3, "landing": 0.8})
    assert not asked.met({"end_jump": 1.0})  # there was no way to go
