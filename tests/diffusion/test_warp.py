"""Warped starts: what is shown moves by the step, and the noise is what the level says."""

import pytest
import torch
from gaussian_world import GaussianWorld

from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import VP, grid
from pixeldance.diffusion.warp import Warped, shifted

LINEAR = VP(betas="scaled_linear")


def test_a_whole_step_is_a_shift_of_pixels_and_mirrors_at_the_edge() -> None:
    x = torch.randn(1, 2, 5, 6)
    moved = shifted(x, (1.0, 2.0))
    torch.testing.assert_close(moved[..., 1:, 2:], x[..., :-1, :-2])
    torch.testing.assert_close(moved[..., 0, 2:], x[..., 0, :-2])
    half = shifted(x, (0.0, 0.5))
    torch.testing.assert_close(half[..., 1:], (x[..., 1:] + x[..., :-1]) / 2)


def test_frames_are_the_first_one_moved_and_noised_to_the_level() -> None:
    rngs = generators([1])
    world = GaussianWorld(torch.zeros(1).double(), torch.eye(1).double())  # pictures of unit variance
    times = grid(LINEAR, 50)
    like = torch.empty(1, 4, 1, 64, 64)
    start = Warped(step=(0.0, 2.0))
    x, left = start(world.denoiser(LINEAR), Iid()(like, rngs), times, LINEAR, lambda like: Iid()(like, rngs))
    assert x.shape == like.shape
    torch.testing.assert_close(left, times[3:])  # t = 0.94
    # Unit data and unit noise leave unit variance at every level.
    torch.testing.assert_close(x.var(dim=(2, 3, 4)), torch.ones(1, 4), rtol=0.1, atol=0)
    keep = float(LINEAR.alpha(torch.tensor(0.94)) / LINEAR.alpha(torch.tensor(0.88)))
    for i in (1, 2, 3):
        # The walk from t1 to t0 leaves unit Gaussian data as they are, so frame 0 at t1 is what was warped.
        moved = shifted(x[:, 0], (0.0, 2.0 * i))[..., 8:-8]
        assert float((x[:, i, :, :, 8:-8] * moved).mean() / moved.square().mean()) == pytest.approx(keep, abs=0.1)


def test_a_picture_is_left_alone_and_a_short_grid_refused() -> None:
    x = torch.randn(1, 1, 1, 4, 4)
    times = grid(LINEAR, 2)
    same, left = Warped()(lambda x, t: x, x, times, LINEAR, torch.randn_like)
    assert same is x
    assert left is times
    with pytest.raises(ValueError, match="got a grid of 2 steps; wanted 3 or more"):
        Warped()(lambda x, t: x, x.expand(1, 3, 1, 4, 4), times, LINEAR, torch.randn_like)
    with pytest.raises(ValueError, match="wanted 0 < low < high < 1"):
        Warped(low=0.9, high=0.8)
