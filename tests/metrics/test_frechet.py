"""The Fréchet distance: closed forms, the textbook square root, torchmetrics, exact merging, and its bias in N."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.image.fid import FrechetInceptionDistance

from pixeldance.metrics.frechet import (
    Moments,
    at_infinity,
    frechet,
    frechet_curve,
    frechet_distance,
    merged,
    moments,
    window_curve,
    window_starts,
)


def features(n: int, d: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Correlated Gaussian features."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ np.random.default_rng(99 + seed).standard_normal((d, d)) + shift


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    """The moments of an endless set, written as those of two samples."""
    return Moments(count=2, mean=mean, scatter=covariance)


def test_gaussians_that_share_their_axes_have_a_closed_form():
    """tr((C_P C_Q)^(1/2)) is then the sum of the products of standard deviations, also where some are 0."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    p, q = np.array([4.0, 1, 9, 0, 2, 1e-12]), np.array([1.0, 16, 0, 0, 3, 1e-12])
    mean = np.array([1.0, 0, -2, 0, 0, 0.5])
    wanted = (mean**2).sum() + ((np.sqrt(p) - np.sqrt(q)) ** 2).sum()
    got = frechet(gaussian(mean, axes * p @ axes.T), gaussian(np.zeros(6), axes * q @ axes.T))
    assert got == pytest.approx(wanted, abs=1e-7)  # the root of what rounding leaves of the zeros


def test_the_same_as_the_square_root_of_scipy_and_as_torchmetrics():
    real, made = features(400, 24), features(300, 24, seed=1, shift=0.3)
    a, b = (np.cov(each, rowvar=False) for each in (real, made))
    shift = real.mean(0) - made.mean(0)
    wanted = shift @ shift + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(real, made) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(made, real) == pytest.approx(wanted, rel=1e-9)

    class Passed(torch.nn.Module):
        """An extractor that takes features for pictures."""

        num_features = 24

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0, 0]

    theirs = FrechetInceptionDistance(feature=Passed(), normalize=True, input_img_size=(1, 1, 24)).set_dtype(
        torch.float64
    )
    theirs.update(torch.from_numpy(real)[:, None, None], real=True)
    theirs.update(torch.from_numpy(made)[:, None, None], real=False)
    assert frechet_distance(real, made) == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_fewer_samples_than_features_give_a_real_number():
    real, made = features(10, 64), features(12, 64, seed=1)
    shift, x, y = real.mean(0) - made.mean(0), real - real.mean(0), made - made.mean(0)
    # With C = X^T X / (n - 1) the root's trace is that of the small matrix X Y^T, without any square root of C.
    overlap = np.linalg.svd(x @ y.T, compute_uv=False).sum() / np.sqrt(9 * 11)
    wanted = shift @ shift + (x**2).sum() / 9 + (y**2).sum() / 11 - 2 * overlap
    assert frechet_distance(real, made) == pytest.approx(wanted, rel=1e-10)
    assert frechet_distance(real, real) < 1e-9 * wanted
    assert frechet_distance(np.ones((5, 8)), np.zeros((5, 8))) == 8  # no covariance at all


@given(cuts=st.lists(st.integers(1, 199), max_size=6, unique=True), seed=st.integers(0, 100))
def test_parts_in_any_order_merge_to_the_whole(cuts: list[int], seed: int):
    whole = features(200, 5, seed=1, shift=1e4)  # far from 0, where sums of squares would cancel
    parts = [moments(part) for part in np.split(whole, sorted(cuts))]
    joined = merged([parts[i] for i in np.random.default_rng(seed).permutation(len(parts))])
    assert joined.count == 200
    np.testing.assert_allclose(joined.mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(joined.covariance, np.cov(whole, rowvar=False), rtol=1e-7, atol=1e-7)


def test_features_of_half_precision_are_summed_in_double():
    rough = features(300, 8, shift=50).astype(np.float16)
    np.testing.assert_allclose(moments(rough).covariance, np.cov(rough.astype(np.float64), rowvar=False), rtol=1e-12)


def test_the_distance_falls_with_the_number_of_samples_and_can_be_extrapolated():
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((4000, 16)), rng.standard_normal((4000, 16)) + 0.25  # 16 / 16 = 1 apart
    curve = frechet_curve(real, made, [200, 400, 800, 1600], rng)
    means = [point.mean for point in curve]
    assert means == sorted(means, reverse=True)
    assert means[0] > 1.25
    distance, bias = at_infinity(curve)
    assert distance == pytest.approx(1, abs=0.12)
    assert bias > 0


def test_each_window_has_its_own_distance():
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((2, 2000, 3, 4))
    made[:, 2] += 1.0  # the last window alone has gone wrong
    curve = window_curve(real, made)
    assert curve == [frechet_distance(real[:, w], made[:, w]) for w in range(3)]
    assert max(curve[:2]) < 0.1
    assert curve[2] == pytest.approx(4, abs=0.5)
    assert list(window_starts(50)) == [0, 16, 32]
    assert list(window_starts(20, 16, 2)) == [0, 2, 4]


def test_impossible_questions_are_refused():
    some = features(10, 4)
    for call, message in [
        (lambda: frechet(moments(some), moments(features(10, 5))), "width 4 and 5"),
        (lambda: frechet_distance(some, some[:1]), "got 1 samples"),
        (lambda: moments(some[:0]), "wanted 1 or more rows"),
        (lambda: moments(np.full((2, 2), np.nan)), "finite numbers"),
        (lambda: merged([]), "got no moments"),
        (lambda: merged([moments(some), moments(features(3, 5))]), "width 4 and 5"),
        (lambda: frechet_curve(some, some, [11], np.random.default_rng()), "count of 11; wanted 2 to 10"),
        (lambda: at_infinity([]), "two different counts"),
        (lambda: window_curve(np.zeros((4, 2, 3)), np.zeros((4, 3, 3))), "wanted the same"),
        (lambda: window_starts(15), "at least one window"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
