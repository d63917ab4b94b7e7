"""The kernel distance: unbiased, as torchmetrics has it, and by hand; and the inception score at its known values."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from pixeldance.metrics.inception_score import inception_score
from pixeldance.metrics.kernel import kernel_distance, kernel_distance_of_subsets


def test_two_samples_by_hand():
    """k(x, y) = (x y + 1)^3 in one dimension: k(0, 1) = 1 within, k(2, 3) = 343, and 1, 1, 27, 64 across."""
    assert kernel_distance(np.array([[0.0], [1]]), np.array([[2.0], [3]])) == 1 + 343 - 2 * (1 + 1 + 27 + 64) / 4


def test_the_same_as_torchmetrics():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 12)), rng.standard_normal((50, 12)) + 0.2
    theirs = poly_mmd(torch.from_numpy(x), torch.from_numpy(y))
    assert kernel_distance(x, y) == pytest.approx(float(theirs), rel=1e-10)
    theirs = poly_mmd(torch.from_numpy(x), torch.from_numpy(y), degree=2, gamma=0.5, coef=2.0)
    assert kernel_distance(x, y, degree=2, gamma=0.5, coef=2.0) == pytest.approx(float(theirs), rel=1e-10)


@pytest.mark.parametrize("n", [4, 40])
def test_equal_distributions_have_mean_0_at_any_size(n: int):
    rng = np.random.default_rng(n)
    values = [kernel_distance(*rng.standard_normal((2, n, 8))) for _ in range(300)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0
    shifted = [kernel_distance(rng.standard_normal((n, 8)), rng.standard_normal((n, 8)) + 0.5) for _ in range(50)]
    assert np.mean(shifted) > 5 * error


def test_subsets_have_the_mean_of_the_whole_and_tell_their_spread():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((600, 8)), rng.standard_normal((600, 8)) + 0.5
    mean, deviation = kernel_distance_of_subsets(x, y, rng, subsets=60, size=100)
    assert mean == pytest.approx(kernel_distance(x, y), abs=4 * deviation / np.sqrt(60))
    assert kernel_distance_of_subsets(x, y, rng, subsets=20, size=400)[1] < deviation
    again = [kernel_distance_of_subsets(x, y, np.random.default_rng(1), subsets=3, size=50) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(ValueError, match="got 600 and 600 samples for 100 subsets of 1000"):
        kernel_distance_of_subsets(x, y, rng)
    with pytest.raises(ValueError, match="got 1 and 600"):
        kernel_distance(x[:1], y)


def test_the_inception_score_at_its_known_values():
    k = 10
    each = np.eye(k)
    assert inception_score(each, splits=1) == (pytest.approx(k), 0)
    assert inception_score(np.full((50, k), 1 / k), splits=1)[0] == pytest.approx(1)  # undecided
    assert inception_score(np.eye(k)[[3] * 50], splits=5)[0] == pytest.approx(1)  # one class only
    p, q = 0.9, 0.1
    wanted = np.exp(p * np.log(p / 0.5) + q * np.log(q / 0.5))
    assert inception_score(np.array([[p, q], [q, p]]), splits=1)[0] == pytest.approx(wanted)


def test_splits_see_their_own_samples_alone():
    by_class = np.repeat(np.eye(10), 20, axis=0)
    assert inception_score(by_class, splits=10) == (pytest.approx(1), pytest.approx(0))
    mean, deviation = inception_score(by_class, np.random.default_rng(0), splits=10)
    assert 6 < mean < 10
    assert deviation > 0
    with pytest.raises(ValueError, match="201 splits of 200 samples"):
        inception_score(by_class, splits=201)
    with pytest.raises(ValueError, match="apply a softmax"):
        inception_score(np.random.default_rng(0).standard_normal((4, 3)), splits=1)
    with pytest.raises(ValueError, match="apply a softmax"):
        inception_score(np.full((4, 3), 0.5), splits=1)
