"""The learning rate and the reach of the averaged weights, by hand."""

from math import cos, pi

import pytest

from pixeldance.training.schedule import Ema, rate_at


def test_it_rises_stays_and_falls():
    rates = [rate_at(step, steps=10, warmup=4, schedule="linear", cooldown=3) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3])


def test_a_cosine_falls_over_the_cooldown():
    rates = [rate_at(step, steps=8, warmup=0, schedule="cosine", cooldown=4) for step in range(8)]
    assert rates == pytest.approx([1] * 5 + [(1 - cos(pi * left / 4)) / 2 for left in (3, 2, 1)])


def test_constant_is_constant_whatever_the_cooldown():
    assert [rate_at(step, steps=4, warmup=2, schedule="constant", cooldown=4) for step in range(4)] == [0.5, 1, 1, 1]


def test_the_average_reaches_back_further_and_further():
    decays = [Ema(limit=0.999).decay(update) for update in range(1, 20)]
    assert decays == pytest.approx([(1 + step) / (10 + step) for step in range(19)])
    assert Ema(limit=0.9).decay(10**6) == 0.9
    assert Ema(limit=0.9999, inverse=1, power=0.75).decay(15) == pytest.approx(1 - 16**-0.75)
    assert Ema(limit=0).decay(7) == 0


@pytest.mark.parametrize("settings", [{"limit": 1.0}, {"limit": -0.1}, {"inverse": 0.0}, {"power": 0.0}])
def test_refusals(settings: dict[str, float]):
    with pytest.raises(ValueError, match="wanted a limit of 0 to below 1"):
        Ema(**settings)
