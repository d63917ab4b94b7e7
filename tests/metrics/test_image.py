"""PSNR, SSIM and CRPS against closed forms, scikit-image and plain sums."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pixeldance.metrics.image import crps, psnr, ssim


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_psnr():
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == 100
    assert psnr(black, black + np.uint8(255)) == 0
    assert psnr(black, black + np.uint8(1)) == pytest.approx(20 * math.log10(255))
    one, other = pictures(12, 10, 3), pictures(12, 10, 3, seed=1)
    assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255))


@pytest.mark.parametrize("noise", [2, 30, 255])
def test_ssim_is_that_of_scikit_image(noise: int):
    ramp = np.add.outer(np.arange(40) * 3, np.arange(52) * 2)[..., None].repeat(3, -1).astype(np.uint8)
    other = np.clip(ramp + np.random.default_rng(0).normal(0, noise, ramp.shape), 0, 255).astype(np.uint8)
    theirs = structural_similarity(
        ramp, other, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(ramp, other) == pytest.approx(theirs, abs=1e-6)
    assert ssim(ramp, ramp) == pytest.approx(1)


def test_ssim_of_a_video_is_the_mean_of_its_frames():
    one, other = pictures(3, 20, 24, 3), pictures(3, 20, 24, 3, seed=1)
    assert ssim(one, other) == pytest.approx(np.mean([ssim(a, b) for a, b in zip(one, other, strict=True)]))
    with pytest.raises(ValueError, match=r"got pictures of \(10, 24\) pixels; wanted 11 x 11"):
        ssim(one[:, :10], other[:, :10])


@given(m=st.integers(2, 9), seed=st.integers(0, 99))
def test_crps_is_the_sum_over_all_pairs(m: int, seed: int):
    rng = np.random.default_rng(seed)
    members, truth = rng.standard_normal((m, 2, 3)), rng.standard_normal((2, 3))
    error, pairs = np.abs(members - truth).mean(), np.abs(members[:, None] - members).sum(axis=(0, 1)).mean()
    assert crps(members, truth) == pytest.approx(error - pairs / (2 * m * m))
    assert crps(members, truth, fair=True) == pytest.approx(error - pairs / (2 * m * (m - 1)))


def test_crps_at_its_known_values():
    one = np.array([[3]], np.uint8)
    assert crps(one, np.array([5], np.uint8)) == 2  # of a single prediction, the absolute error; no wrap-around
    rng = np.random.default_rng(0)
    members = rng.standard_normal((4000, 500))
    # A standard normal forecast of a standard normal truth: 1 / sqrt(pi).
    assert crps(members, rng.standard_normal(500)) == pytest.approx(1 / math.sqrt(math.pi), abs=0.05)
    with pytest.raises(ValueError, match="got 1 members; wanted 2 or more"):
        crps(one, one[0], fair=True)
