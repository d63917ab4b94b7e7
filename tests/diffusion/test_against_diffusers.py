"""The same network walked by diffusers' schedulers: an implementation that is not ours gives the same numbers.

Their step k of 0..999 is our t = (k + 1) / 1000, and their last step goes to our t = 0.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixeldance.diffusion.denoise import Cond, Denoise, Denoiser
from pixeldance.diffusion.process import VP, Flow, Process
from pixeldance.diffusion.sample import ancestral, ddim, dpmpp_2m, sample

diffusers = pytest.importorskip("diffusers")

BETAS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
}
TYPES = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


def network(x: Tensor, c_noise: Tensor, **doors: Any) -> Tensor:
    """Any smooth answer that depends on the video and on the level."""
    return torch.tanh(0.7 * x.roll(1, -1) - 0.4 * x) + 1e-4 * c_noise.reshape(-1, 1, 1, 1, 1)


def ours(process: Process, prediction: str) -> Denoise:
    return Denoiser(network, process, prediction).bind(Cond())


def start() -> Tensor:
    return torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def noises() -> Iterator[Tensor]:
    rng = torch.Generator().manual_seed(1)
    while True:
        yield torch.randn(2, 3, 1, 4, 4, generator=rng)


def times_of(steps: Tensor) -> Tensor:
    return torch.cat([(steps.double() + 1) / 1000, torch.zeros(1, dtype=torch.float64)])


def theirs(scheduler: Any, x: Tensor, **options: Any) -> Tensor:
    for k in scheduler.timesteps:
        level = (k + 1).float().expand(2)
        more = {"variance_noise": next(options["noise"])} | {"eta": options["eta"]} if "eta" in options else {}
        x = scheduler.step(network(x, level), k, x, **more).prev_sample
    return x


def assert_same(found: Tensor, expected: Tensor) -> None:
    """As far as float32 goes; the eps of a network without sense grows by 1 / alpha, and its errors with it."""
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("betas", BETAS)
def test_alpha_bar(betas: str) -> None:
    scheduler = diffusers.DDPMScheduler(**BETAS[betas])
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    np.testing.assert_allclose(VP(betas=betas).alpha(t) ** 2, scheduler.alphas_cumprod, rtol=1e-4)
    rescaled = diffusers.DDPMScheduler(**BETAS[betas], rescale_betas_zero_snr=True)
    alpha = VP(betas=betas, zero_terminal_snr=True).alpha(t)
    np.testing.assert_allclose(alpha, rescaled.alphas_cumprod**0.5, atol=1e-4)


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("prediction", TYPES)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim(betas: str, prediction: str, eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(
        **BETAS[betas], prediction_type=TYPES[prediction], clip_sample=False, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(20)
    expected = theirs(scheduler, start(), eta=eta, noise=noises())
    draws = noises()
    process, times = VP(betas=betas), times_of(scheduler.timesteps)
    found = sample(ours(process, prediction), start(), times, process, ddim(eta), lambda like: next(draws))
    assert_same(found, expected)


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("prediction", TYPES)
def test_dpmpp_2m(betas: str, prediction: str) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS[betas], prediction_type=TYPES[prediction])
    scheduler.set_timesteps(20)
    process, times = VP(betas=betas), times_of(scheduler.timesteps)
    found = sample(ours(process, prediction), start(), times, process, dpmpp_2m())
    assert_same(found, theirs(scheduler, start()))


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize(("k", "before"), [(999, 998), (500, 499), (100, 99)])
def test_ddpm(betas: str, k: int, before: int) -> None:
    scheduler = diffusers.DDPMScheduler(**BETAS[betas], clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(1000)
    process, times = VP(betas=betas), torch.tensor([k + 1, before + 1]).double() / 1000
    noise = torch.randn(start().shape, generator=torch.Generator().manual_seed(3))
    found = sample(ours(process, "eps"), start(), times, process, ancestral(), lambda like: noise)
    predicted = network(start(), torch.tensor([k + 1.0, k + 1.0]))
    rng = torch.Generator().manual_seed(3)
    assert_same(found, scheduler.step(predicted, k, start(), generator=rng).prev_sample)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_rectified_flow(shift: float) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 12, 12))
    x, process = start(), Flow(shift=shift)
    times = torch.linspace(1, 0, 13, dtype=torch.float64)
    for k, t in zip(scheduler.timesteps, times, strict=False):
        x = scheduler.step(network(x, 1000 * t.float().expand(2)), k, x).prev_sample
    np.testing.assert_allclose(process.sigma(times), scheduler.sigmas, rtol=1e-5)
    assert_same(sample(ours(process, "flow"), start(), times, process, ddim()), x)
