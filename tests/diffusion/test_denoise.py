import math
from typing import Any

import pytest
import torch
from gaussian_world import PROCESSES, ar1, ends, reaches_zero_snr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixeldance.diffusion.denoise import Coefficients, Cond, Denoiser, coefficients
from pixeldance.diffusion.process import EDM, VP, Flow, Process, corrupt, per_sample

PREDICTIONS = ("eps", "v", "x0", "flow", "edm", "edm_v")
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)


class Network:
    """A network that answers with given numbers and remembers what it was asked."""

    def __init__(self, answer: Tensor) -> None:
        self.answer = answer

    def __call__(self, x: Tensor, c_noise: Tensor, **doors: Any) -> Tensor:
        self.x, self.c_noise, self.doors = x, c_noise, doors
        return self.answer


def targets(prediction: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """What each paper says that its network predicts."""
    if prediction == "edm_v":
        return -targets("edm", x0, eps, alpha, sigma, sigma_data)
    if prediction == "edm":  # arXiv 2206.00364 eq. 8, where the noisy video is x / alpha, of noise sigma / alpha
        noise = sigma / alpha
        c_skip = sigma_data**2 / (noise**2 + sigma_data**2)
        c_out = noise * sigma_data / (noise**2 + sigma_data**2) ** 0.5
        return (x0 - c_skip * (x0 + noise * eps)) / c_out
    return {"eps": eps, "v": alpha * eps - sigma * x0, "x0": x0, "flow": eps - x0}[prediction]


def clips(b: int = 3, f: int = 3, pixels: int = 4) -> tuple[Tensor, Tensor]:
    x0, eps = torch.randn(2, b, f, 1, pixels, pixels, generator=torch.Generator().manual_seed(0))
    return 0.5 * x0, eps


@every_process
@every_prediction
@pytest.mark.parametrize("by_frame", [False, True])
def test_the_exact_target_gives_back_the_clean_video(process: Process, prediction: str, by_frame: bool) -> None:
    x0, eps = clips()
    t = torch.tensor([[0.001, 0.3, 0.9], [0.5, 0.02, 0.99], [0.2, 0.7, 0.6]]).double()
    t = t if by_frame else t[0]
    alpha, sigma = (per_sample(end.float(), x0) for end in ends(process, t))
    network = Network(targets(prediction, x0, eps, alpha, sigma, 0.5))
    denoiser = Denoiser(network, process, prediction, sigma_data=0.5)
    estimate = denoiser(corrupt(process, x0, eps, t), t, Cond())
    assert estimate.dtype == torch.float32
    assert (estimate - x0).norm() < 1e-4 * x0.norm()
    # The same numbers are what training asks for; dividing by c_out costs digits where there is little noise.
    error = denoiser.error(x0, eps, t, Cond())
    assert error.abs().max() < 1e-3


@every_process
@pytest.mark.parametrize("prediction", ["v", "x0", "flow"])
def test_these_targets_tell_the_clean_video_from_pure_noise(process: Process, prediction: str) -> None:
    x0, eps = clips()
    t = torch.ones(3)
    alpha, sigma = (per_sample(end.float(), x0) for end in ends(process, t))
    network = Network(targets(prediction, x0, eps, alpha, sigma, 1.0))
    estimate = Denoiser(network, process, prediction)(corrupt(process, x0, eps, t), t, Cond())
    torch.testing.assert_close(estimate, x0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("process", [p for p in PROCESSES.values() if reaches_zero_snr(p)], ids=repr)
def test_eps_is_refused_at_zero_snr(process: Process) -> None:
    with pytest.raises(ValueError, match="use v, x0 or flow, or a process without zero terminal SNR"):
        coefficients(process, "eps", torch.tensor([0.5, 1.0]))
    assert torch.isfinite(coefficients(process, "eps", torch.tensor([0.5, 0.999])).c_out).all()


@given(st.floats(1e-6, 1), st.floats(0.05, 5))
@settings(max_examples=40)
def test_edm_equation_seven(t: float, sigma_data: float) -> None:
    found = coefficients(EDM(), "edm", torch.tensor([t]).double(), sigma_data)
    sigma = (0.002 ** (1 / 7) + t * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    total = sigma**2 + sigma_data**2
    expected = 1 / total**0.5, sigma_data**2 / total, sigma * sigma_data / total**0.5, math.log(sigma) / 4
    torch.testing.assert_close(torch.cat(found).double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6)


def test_edm_v_is_v_of_the_video_at_unit_variance() -> None:
    x0, eps = clips()
    t = torch.tensor([0.1, 0.5, 0.9]).double()
    sigma = per_sample(EDM().sigma(t).float(), x0)
    network = Network(torch.zeros_like(x0))
    target = -Denoiser(network, EDM(), "edm_v").error(x0, eps, t, Cond())
    torch.testing.assert_close(target, (eps - sigma * x0) / (1 + sigma**2).sqrt(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.c_noise, EDM().sigma(t).float().log() / 4)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "shifted"])
def test_edm_table_one_for_vp(name: str) -> None:
    """In EDM's terms DDPM's network sees x / alpha at noise sigma / alpha: c_skip = 1, c_out = -sigma, c_in = ..."""
    t = torch.tensor([0.01, 0.4, 0.95]).double()
    alpha, sigma = (end.float() for end in ends(PROCESSES[name], t))
    found = coefficients(PROCESSES[name], "eps", t)
    noise = sigma / alpha
    expected = Coefficients((noise**2 + 1) ** -0.5, torch.ones(3), -noise, 1000 * t.float())
    torch.testing.assert_close((found.c_in * alpha, found.c_skip * alpha, *found[2:]), tuple(expected))


@every_process
def test_edm_keeps_unit_variance(process: Process) -> None:
    x0, eps = clips(pixels=128)
    for t in (0.003, 0.2, 0.6, 0.97):
        network = Network(torch.zeros_like(x0))
        target = -Denoiser(network, process, "edm", sigma_data=0.5).error(x0, eps, torch.full((3,), t), Cond())
        # 147456 samples: five deviations of a variance are 2 %.
        assert network.x.var().item() == pytest.approx(1, abs=0.02)
        assert target.var().item() == pytest.approx(1, abs=0.02)


@every_prediction
@pytest.mark.parametrize("process", [VP(), VP(betas="cosine", logsnr_shift=-1.8), Flow(), EDM()], ids=repr)
def test_the_minimum_of_the_training_loss_is_the_posterior_mean(process: Process, prediction: str) -> None:
    """The best linear network for `error`, fitted by least squares, makes the exact denoiser of the Gaussian world."""
    world, t = ar1(frames=3), torch.tensor(0.4)
    x0 = world.draw((1, 128, 128)).float()
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    network = Network(torch.zeros_like(x0))
    target = -Denoiser(network, process, prediction).error(x0, eps, t, Cond())
    rows = torch.cat([network.x.flatten(2), torch.ones(1, 1, 128 * 128)], 1)[0].double()
    fit = torch.linalg.lstsq(rows.T, target.flatten(2)[0].double().T).solution

    def fitted(x: Tensor, c_noise: Tensor, **doors: Any) -> Tensor:
        rows = torch.cat([x.flatten(2), torch.ones(1, 1, x[0, 0].numel())], 1)[0].double()
        return (rows.T @ fit).T.reshape(x.shape)

    probe = world.marginal(process, t).draw((1, 16, 16), seed=2).float()
    estimate = Denoiser(fitted, process, prediction)(probe, t, Cond())
    assert (estimate - world.denoiser(process)(probe, t)).square().mean().sqrt() < 0.02


def test_a_network_is_told_level_and_condition() -> None:
    cond = Cond(tokens=torch.ones(3, 2, 5), vector=torch.ones(3, 7))
    x0, eps = clips()
    network = Network(x0.bfloat16())
    denoiser = Denoiser(network, VP(), "x0")
    told = []
    for t in (torch.tensor(0.25).double(), torch.full((3,), 0.25), torch.full((3, 3), 0.25)):
        assert denoiser.bind(cond)(x0, t).dtype == torch.float32
        told.append(network.c_noise)
        denoiser.error(x0, eps, t, cond)
        assert torch.equal(network.c_noise, told[-1])
        assert network.x.dtype == torch.float32
    assert [tuple(c_noise.shape) for c_noise in told] == [(3,), (3,), (3, 3)]
    assert all((c_noise == 250).all() for c_noise in told)
    assert network.doors["tokens"] is cond.tokens
    assert network.doors["vector"] is cond.vector
    assert network.doors["mask"] is network.doors["concat"] is network.doors["residuals"] is None


def test_one_row_of_a_condition() -> None:
    full = Cond(
        tokens=torch.randn(2, 3, 4),
        mask=torch.ones(2, 3, dtype=torch.bool),
        concat=torch.randn(2, 3, 1, 4, 4),
        vector=torch.randn(2, 5),
        residuals=(torch.randn(2, 6), torch.randn(2, 7)),
    )
    row = full.row(1)
    for name, door in row.doors().items():
        whole = getattr(full, name)
        for part, whole_part in zip(door, whole, strict=True) if name == "residuals" else [(door, whole)]:
            assert torch.equal(part, whole_part[1:])
    sparse = Cond(vector=torch.ones(2, 5)).row(0)
    assert sparse.vector is not None
    assert sparse.vector.shape == (1, 5)
    assert sparse.tokens is sparse.mask is sparse.concat is sparse.residuals is None
