"""The paired bootstrap covers the truth as often as it says, seeds included; verdicts read intervals."""

import numpy as np
import pytest

from pixeldance.metrics.verdict import Difference, paired_bootstrap, verdict


@pytest.mark.parametrize(
    ("interval", "threshold", "wanted"),
    [((0.1, 0.4), 0.0, "held"), ((0.1, 0.4), 0.2, "undecided"), ((0.1, 0.4), 0.5, "failed"), ((0, 0), 0, "undecided")],
)
def test_a_verdict_reads_an_interval(interval: tuple[float, float], threshold: float, wanted: str):
    assert verdict(interval, threshold) == wanted
    low, high = interval
    assert Difference(mean=0.2, low=low, high=high, seeds=3, requests=9, pairs=27).verdict(threshold) == wanted


def test_what_is_no_interval_is_refused():
    with pytest.raises(ValueError, match="in this order"):
        verdict((1.0, 0.0), 0.5)
    with pytest.raises(ValueError, match="in this order"):
        verdict((float("nan"), 0.0), 0.5)


def test_pairing_takes_away_what_a_request_makes_hard():
    rng = np.random.default_rng(0)
    hard = 100 * rng.standard_normal((3, 40))
    found = paired_bootstrap(hard + 1 + 0.1 * rng.standard_normal((3, 40)), hard, rng)
    assert (found.seeds, found.requests, found.pairs) == (3, 40, 120)
    assert 0.8 < found.low < found.mean < found.high < 1.2
    assert found.verdict(0.5) == "held"


@pytest.mark.parametrize("spread_of_seeds", [0.0, 1.0])
def test_its_interval_covers_the_truth(spread_of_seeds: float):
    """Of 300 experiments with six seeds; resampling all six, or requests alone, covers less where seeds differ."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        seeds = spread_of_seeds * rng.standard_normal((6, 1))
        found = paired_bootstrap(seeds + rng.standard_normal((6, 20)), np.zeros((6, 20)), rng, draws=300)
        covered += found.low <= 0 <= found.high
    assert covered / 300 > 0.88


def test_requests_without_a_value_are_left_out():
    ours, theirs = np.ones((2, 4)), np.zeros((2, 4))
    ours[0, 1] = theirs[1, 3] = np.nan
    found = paired_bootstrap(ours, theirs, np.random.default_rng(0))
    assert (found.mean, found.low, found.high, found.pairs) == (1, 1, 1, 6)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (np.ones((3, 4)), np.ones((3, 5)), "one shape"),
        (np.ones((3, 1)), np.ones((3, 1)), "2 requests or more"),
        (np.ones((3, 2)), np.array([[1.0, np.nan]] * 3), "fewer than 2 requests"),
    ],
)
def test_what_cannot_be_compared_is_refused(ours: np.ndarray, theirs: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(ours, theirs, np.random.default_rng(0))
