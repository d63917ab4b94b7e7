"""Every solver in the Gaussian world: what it samples, how fast it converges, and that it can be walked backwards."""

import math
from functools import cache
from itertools import count

import pytest
import torch
from gaussian_world import PROCESSES, GaussianWorld, ar1, ends, moments, reaches_zero_snr
from torch import Tensor

from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import VE, VP, Flow, Process, grid
from pixeldance.diffusion.sample import (
    Span,
    Step,
    ancestral,
    annealed_langevin,
    ddim,
    dpmpp_2m,
    heun,
    predictor_corrector,
    sample,
)

WORLD = ar1()
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())


@cache
def even(process: Process, steps: int, start: float = 1.0, end: float = 1e-3) -> Tensor:
    return grid(process, steps, "logsnr", start=start, end=end)


def top(process: Process, step_name: str = "heun") -> float:
    """Where a walk may start: Heun's step needs some signal."""
    return 0.99 if step_name == "heun" and reaches_zero_snr(process) else 1.0


def law(process: Process, step: Step, times: Tensor, start: GaussianWorld | None = None) -> GaussianWorld:
    """The mean and covariance of what a step makes of x_t ~ `start`, by default the exact marginal at times[0].

    Without sampling error: every step but the predictor-corrector's is affine in x and in its noise. Row 0 of the
    batch is the mean without any noise; each further row differs from it by one deviation of the start or of a draw.
    """
    start = start or WORLD.marginal(process, times[0])
    frames, draws = len(start.mean), count(1)
    x = start.mean.repeat(1 + frames * len(times), 1)
    x[1 : frames + 1] += torch.linalg.cholesky(start.cov).T

    def noise(like: Tensor) -> Tensor:
        first = 1 + frames * next(draws)
        one = torch.zeros_like(like).flatten(1)
        one[first : first + frames] = torch.eye(frames)
        return one.reshape(like.shape)

    out = sample(WORLD.denoiser(process), x[..., None, None, None], times, process, step, noise).flatten(1).double()
    return GaussianWorld(out[0], (out[1:] - out[0]).T @ (out[1:] - out[0]))


def drawn(process: Process, step: Step, times: Tensor, pixels: int = 64) -> GaussianWorld:
    """The same by sampling: two clips of pixels^2 samples, from pure noise as a user would start."""
    rngs = generators([1, 2])

    def noise(like: Tensor) -> Tensor:
        return Iid()(like, rngs)

    x = process.sigma(times[0]) * noise(torch.empty(2, 4, 1, pixels, pixels))
    return GaussianWorld(*moments(sample(WORLD.denoiser(process), x, times, process, step, noise)))


def distance(a: GaussianWorld, b: GaussianWorld) -> float:
    """The largest difference of a mean or a covariance; the variance of the world is 0.64."""
    return max((a.mean - b.mean).abs().max().item(), (a.cov - b.cov).abs().max().item())


def order(coarse: float, fine: float) -> float:
    """The order of convergence that two errors show, the second at twice the steps."""
    return math.log2(coarse / fine)


# --- what is sampled ---

LAWS: dict[str, tuple[Step, float]] = {
    # the error allowed after 40 steps, where the variance is 0.64; steps that are not right are off by a multiple
    "ddim": (ddim(), 0.09),
    "half_ddim": (ddim(0.5), 0.11),
    "ancestral": (ancestral(), 0.18),
    "heun": (heun(), 0.025),
    "dpmpp_2m": (dpmpp_2m(), 0.025),
}


@every_process
@pytest.mark.parametrize("name", LAWS)
def test_a_solver_samples_the_world(process: Process, name: str) -> None:
    step, tolerance = LAWS[name]
    assert distance(law(process, step, grid(process, 40, start=top(process, name))), WORLD) < tolerance


@pytest.mark.parametrize("name", ["zero_snr", "edm"])
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_a_stochastic_step_is_of_first_order_too(name: str, eta: float) -> None:
    """What is wrong with the law of the samples halves when the steps do: the noise added is what was taken away."""
    process = PROCESSES[name]
    errors = [distance(law(process, ddim(eta), even(process, steps)), WORLD) for steps in (50, 100)]
    assert order(*errors) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", ["linear", "ve"])
def test_ode_and_sde_agree(name: str) -> None:
    process = PROCESSES[name]
    coarse, fine = (
        distance(law(process, ddim(), times), law(process, ancestral(), times))
        for times in (even(process, 50), even(process, 100))
    )
    assert fine < 0.05
    assert 0.7 < order(coarse, fine) < 1.2  # they differ by the size of a step, and by nothing else


# 8192 samples: five deviations of a variance of 0.64 are 0.05, and there is the error of the steps.
@pytest.mark.parametrize("name", ["linear", "cosine", "ve", "flow", "edm"])
def test_ancestral_sampling_from_pure_noise(name: str) -> None:
    process = PROCESSES[name]
    assert distance(drawn(process, ancestral(), grid(process, 100)), WORLD) < 0.09


@pytest.mark.parametrize("name", ["linear", "ve", "flow"])
def test_corrections_mend_what_a_coarse_predictor_leaves(name: str) -> None:
    process = PROCESSES[name]
    times = even(process, 50)
    predicted, corrected = (
        distance(drawn(process, step, times, 48), WORLD) for step in (ancestral(), predictor_corrector(corrections=3))
    )
    assert corrected < 0.1
    assert corrected < 0.75 * predicted


@pytest.mark.parametrize("name", ["linear", "ve", "edm"])
def test_annealed_langevin_from_pure_noise(name: str) -> None:
    process = PROCESSES[name]
    assert distance(drawn(process, annealed_langevin(5, 0.5), even(process, 100), 48), WORLD) < 0.08


@pytest.mark.parametrize("name", ["linear", "shifted", "ve"])
def test_annealed_langevin_carries_the_mean_from_level_to_level(name: str) -> None:
    """Without noise x stays the mean of its law, and one quick look at each level is enough to keep up with it."""
    process = PROCESSES[name]
    x, times = torch.zeros(1, 4, 1, 1, 1), even(process, 50, top(process))
    found = sample(WORLD.denoiser(process), x, times, process, annealed_langevin(2, 0.1), torch.zeros_like)
    torch.testing.assert_close(found.flatten().double(), WORLD.mean, rtol=0, atol=0.05)


@pytest.mark.parametrize("rate", [0.2, 0.5])
@pytest.mark.parametrize("process", [VP(), VE(), Flow()], ids=repr)
def test_langevin_at_one_level_reaches_its_known_stationary_law(process: Process, rate: float) -> None:
    """With step h = rate sigma^2 the chain x <- x - h P (x - m) + sqrt(2 h) z settles at N(m, (P - h P^2 / 2)^-1)."""
    marginal, (_, sigma) = WORLD.marginal(process, 0.6), ends(process, 0.6)
    precision = torch.linalg.inv(marginal.cov)
    stationary = torch.linalg.inv(precision - rate * sigma**2 / 2 * precision @ precision)
    wrong = GaussianWorld(marginal.mean + 1, 3 * marginal.cov)
    times = torch.full((1 + int(30 / rate),), 0.6, dtype=torch.float64)
    found = law(process, annealed_langevin(1, rate), times, wrong)
    assert distance(found, GaussianWorld(marginal.mean, stationary)) < 1e-3 * stationary.max()


@pytest.mark.parametrize("name", ["linear", "ve", "flow"])
def test_the_corrector_alone_reaches_the_marginal(name: str) -> None:
    """On a grid that stays at one level the predictor does nothing, and the corrector is all that acts."""
    process = PROCESSES[name]
    marginal = WORLD.marginal(process, 0.6)
    rngs = generators([1])
    x = (2 * marginal.draw((1, 64, 64)) + marginal.mean.max()).float()
    times = torch.full((50,), 0.6, dtype=torch.float64)
    step = predictor_corrector(corrections=3)
    found = sample(WORLD.denoiser(process), x, times, process, step, lambda like: Iid()(like, rngs))
    mean, cov = moments(found)
    size = marginal.cov.max().item()  # five deviations, and the bias of Langevin's finite steps, 0.16^2
    torch.testing.assert_close(mean, marginal.mean, rtol=0, atol=0.09 * size**0.5)
    torch.testing.assert_close(cov, marginal.cov, rtol=0, atol=0.15 * size)


def test_the_corrector_takes_the_papers_step() -> None:
    """arXiv 2011.13456, algorithm 4: x + e g + sqrt(2 e) z with e = 2 (r |z| / |g|)^2, each clip by itself."""
    rng, process, t = torch.Generator().manual_seed(0), VE(), torch.tensor(0.5, dtype=torch.float64)
    x, x0, z = torch.randn(3, 2, 2, 1, 3, 3, dtype=torch.float64, generator=rng)
    step = predictor_corrector(ddim(), corrections=1, snr=0.2)
    found, _ = step(lambda x, t: x0, x, Span(process, t, t), lambda like: z, None)
    for clip in range(2):
        g = (x0[clip] - x[clip]) / process.sigma(t) ** 2
        e = 2 * (0.2 * z[clip].norm() / g.norm()) ** 2
        torch.testing.assert_close(found[clip], x[clip] + e * g + (2 * e).sqrt() * z[clip])


# --- how it converges, and back again ---

ORDERS: dict[str, tuple[Step, float]] = {"ddim": (ddim(), 1), "heun": (heun(), 2), "dpmpp_2m": (dpmpp_2m(), 2)}


@pytest.mark.parametrize("process_name", ["scaled_linear", "shifted", "zero_snr", "ve", "flow", "edm"])
@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(process_name: str, name: str) -> None:
    """The error at a small level, against the exact solution of the ODE, on grids even in logsnr."""
    process, (step, theory) = PROCESSES[process_name], ORDERS[name]
    start = 0.99 if reaches_zero_snr(process) else 1.0
    x = WORLD.marginal(process, start).draw((1, 8, 8)).float()
    errors = []
    for steps in (30, 60):
        times = even(process, steps + 1, start, 0.01)[:-1]
        found = sample(WORLD.denoiser(process), x, times, process, step)
        errors.append((found - WORLD.flow(process, x, times[0], times[-1])).abs().max().item())
    assert order(*errors) == pytest.approx(theory, abs=0.12)


@pytest.mark.parametrize(
    ("process_name", "name"),
    [(name, "heun") for name in ("linear", "cosine", "zero_snr", "ve", "flow", "edm")]
    + [(name, "dpmpp_2m") for name in ("shifted", "shifted_zero_snr", "shifted_flow")],  # these from t = 1
)
def test_encoding_and_decoding_is_the_identity(process_name: str, name: str) -> None:
    process = PROCESSES[process_name]
    times = even(process, 81, top(process, name))[:-1]
    x0, step = WORLD.draw((1, 16, 16)).float(), ORDERS[name][0]
    noise = sample(WORLD.denoiser(process), x0, times.flip(0), process, step)
    torch.testing.assert_close(sample(WORLD.denoiser(process), noise, times, process, step), x0, rtol=0, atol=1e-3)
    # It is also the right noise: the ODE's, which makes a clip of this world white.
    exact = WORLD.flow(process, x0, times[-1], times[0]).float()
    torch.testing.assert_close(noise, exact, rtol=0, atol=3e-3 * exact.abs().max().item())


@every_process
def test_ddim_with_eta_one_is_the_posterior(process: Process) -> None:
    """q(x_u | x_t, x0) by Bayes' rule from q(x_u | x0) and q(x_t | x_u); for DDPM arXiv 2006.11239 eq. 7."""
    x, x0 = torch.randn(2, 1, 2, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t, u in ((1.0, 0.97), (0.6, 0.599), (0.5, 0.1), (0.02, 0.001)):
        (alpha_t, sigma_t), (alpha_u, sigma_u) = ends(process, t), ends(process, u)
        decay = alpha_t / alpha_u
        added = sigma_t**2 - decay**2 * sigma_u**2
        variance = 1 / (1 / sigma_u**2 + decay**2 / added)
        mean = variance * (alpha_u * x0 / sigma_u**2 + decay * x / added)
        times = torch.tensor([t, u], dtype=torch.float64)
        for z in (0.0, 1.0):
            found, _ = ddim(1.0)(lambda x, t: x0, x, Span(process, *times), lambda like, z=z: z + 0 * like, None)
            torch.testing.assert_close(found, mean + z * variance.sqrt(), rtol=1e-6, atol=1e-7)
        # A smaller eta takes that share of the deviation, and leaves what is missing in the noise already there.
        still, noised = (
            ddim(0.4)(lambda x, t: x0, x, Span(process, *times), lambda like, z=z: z + 0 * like, None)[0]
            for z in (0.0, 1.0)
        )
        torch.testing.assert_close(noised - still, 0.4 * variance.sqrt().expand(x.shape), rtol=1e-6, atol=1e-7)
        eps = (still - alpha_u * x0) / (sigma_u**2 - 0.16 * variance).sqrt()
        torch.testing.assert_close(alpha_t * x0 + sigma_t * eps, x, rtol=1e-6, atol=1e-6)
