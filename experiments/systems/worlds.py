"""Closed-form worlds for questions about mathematics: Gaussian videos, each with its own memory from frame to frame.

World n has frames that remember the one before with a correlation of 0.6 to 0.97, and a perfect denoiser that is a
formula (tests/gaussian_world.py). A clip of many pixels is many samples. No network is trained or called.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from gaussian_world import GaussianWorld, ar1, moments

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Prior, generators
from pixeldance.diffusion.process import VP, grid
from pixeldance.diffusion.sample import ddim, sample

PROCESS = VP(betas="cosine")
WORLDS, SEEDS = 24, (0, 1, 2)
PIXELS = (1, 32, 32)
STEPS = 50

Values = list[list[float]]


def world(number: int, frames: int) -> GaussianWorld:
    """World `number`, of zero mean and a deviation of 0.8."""
    correlation = float(np.random.default_rng(number).uniform(0.6, 0.97))
    drifting = ar1(frames, correlation)
    return GaussianWorld(torch.zeros_like(drifting.mean), drifting.cov)


def pictures(truth: GaussianWorld) -> GaussianWorld:
    """The same world to a model that knows single frames alone, each exactly."""
    return GaussianWorld(truth.mean, torch.diag(truth.cov.diagonal()))


def covariance(clip: Tensor) -> Tensor:
    """Of the frames of a clip, over its pixels."""
    return moments(clip)[1]


def drawn(denoise: Denoise, frames: int, prior: Prior, seed: int, eta: float = 0.0) -> Tensor:
    """A clip (1, frames, *PIXELS) walked down from noise of the prior."""
    rngs = generators([seed])
    times = grid(PROCESS, STEPS)
    times[0] = 0.999
    x = PROCESS.sigma(times[0]) * prior(torch.empty(1, frames, *PIXELS), rngs)
    return sample(denoise, x, times, PROCESS, ddim(eta), lambda like: prior(like, rngs))
