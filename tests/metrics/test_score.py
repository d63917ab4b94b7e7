"""A score is a number with its setting, or a reason; its interval and floor mean what they say."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from pixeldance.metrics.frechet import frechet_distance
from pixeldance.metrics.score import Score, Setting, floor, interval, not_computed, share_interval

SETTING = Setting(n=64, frames=16, fps=8.0, size=(64, 64), resize="none", codec="raw", extractor="ab12")


def test_a_score_tells_what_it_takes_to_compare_it():
    score = Score(name="FVD", value=123.456, setting=SETTING, interval=(120.0, 127.0), floor=31.5)
    assert str(score) == "FVD: 123.5 [120, 127], real against real 31.5, n = 64"
    assert json.loads(json.dumps(score.as_json()))["setting"]["size"] == [64, 64]
    missing = not_computed("FVD", "no extractor is here", SETTING)
    assert str(missing) == "FVD: not computed, because no extractor is here"
    assert missing.as_json()["value"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": None}, "wanted a value or a reason"),
        ({"value": None, "because": ""}, "wanted a value or a reason"),
        ({"value": 1.0, "because": "it felt right"}, "wanted a value or a reason"),
        ({"value": float("nan")}, "wanted finite numbers"),
        ({"value": 1.0, "floor": float("inf")}, "wanted finite numbers"),
        ({"value": 1.0, "interval": (0.0, float("nan"))}, "wanted finite numbers"),
        ({"value": None, "because": "x", "floor": 1.0}, "of what was not computed"),
    ],
)
def test_there_is_no_made_up_number(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Score(name="FVD", setting=SETTING, **fields)


def test_an_interval_holds_the_mean_19_times_in_20():
    rng = np.random.default_rng(0)
    held = [
        low <= 3 <= high for low, high in (interval(list(rng.normal(3, 1, 40)), rng, draws=300) for _ in range(200))
    ]
    assert 0.88 <= np.mean(held) <= 0.98
    with pytest.raises(ValueError, match="got 1 values"):
        interval([1.0], rng)


@pytest.mark.parametrize(("hits", "n"), [(3, 10), (0, 5), (5, 5), (1, 200)])
def test_the_interval_of_a_share_is_wilsons(hits: int, n: int):
    there = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    found = share_interval([True] * hits + [False] * (n - hits))
    assert found == pytest.approx((there.low, there.high), abs=1e-6)


def test_a_share_of_nothing_has_no_interval():
    with pytest.raises(ValueError, match="got no marks"):
        share_interval([])


def test_the_floor_is_real_against_real_at_the_same_count():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 4))
    few, many = (floor(real, count, frechet_distance, rng) for count in (20, 200))
    assert few > 4 * many > 0
    one_each = floor(np.arange(2.0)[:, None], 1, lambda a, b: float(np.abs(a - b)[0, 0]), rng)
    assert one_each == 1  # never a sample against itself
    with pytest.raises(ValueError, match="got 400 real samples; wanted 402"):
        floor(real, 201, frechet_distance, rng)
