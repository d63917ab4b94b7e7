"""Walk a grid of times with a step function: generation downwards, inversion upwards.

A step takes x over a span, from level t to level u, given a denoiser; all are written in x0 and the (alpha, sigma) of
both ends, so that each works for every process:

    eps_hat = (x - alpha_t x0) / sigma_t                                    x_u = alpha_u x0 + sigma_u eps_hat
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Noise
from pixeldance.diffusion.process import Process

Memory = Any
"""What a multistep solver remembers of its last step; None at the start of a walk."""


@dataclass(frozen=True)
class Span:
    """Where a step goes: from level t to level u of a process, both scalar tensors."""

    process: Process
    t: Tensor
    u: Tensor

    def ends(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """alpha_t, sigma_t, alpha_u, sigma_u; in float64 where t is, as scalars they leave x in float32.

        Raises ValueError for t = 0.
        """
        if self.t == 0:
            raise ValueError("got a step from t = 0, where no noise can be told from x; begin at the smallest t > 0")
        alpha, sigma = self.process.alpha, self.process.sigma
        return alpha(self.t), sigma(self.t), alpha(self.u), sigma(self.u)


@runtime_checkable
class Step(Protocol):
    """One step of a solver: (x_u, memory for the next step)."""

    def __call__(
        self, denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory
    ) -> tuple[Tensor, Memory]: ...


def sample(
    denoise: Denoise,
    x: Float[Tensor, "b ..."],
    times: Float[Tensor, "n"],
    process: Process,
    step: Step,
    noise: Noise | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Float[Tensor, "b ..."]:
    """Carry x from times[0] to times[-1] in float32. Rising times invert (deterministic steps only).

    `noise` is needed by the stochastic steps. `on_step(i, x)` sees x after step i and may raise to stop.
    """
    x, memory = x.float(), None
    for index, (t, u) in enumerate(pairwise(times.to(x.device))):
        x, memory = step(denoise, x, Span(process, t, u), noise, memory)
        if on_step is not None:
            on_step(index, x)
    return x


def _refuse_zero_snr(alpha_t: Tensor, alpha_u: Tensor, what: str) -> None:
    if alpha_t == 0 or alpha_u == 0:
        raise ValueError(f"got zero SNR, where {what} is not defined; start the grid below it, or use dpmpp_2m or ddim")


def _drawn(noise: Noise | None, x: Tensor) -> Tensor:
    if noise is None:
        raise ValueError("got no noise for a stochastic step; pass noise=, or use a step without randomness")
    return noise(x)


def ddim(eta: float = 0.0) -> Step:
    """DDIM (arXiv 2010.02502 eq. 12) for any process; eta = 1 is DDPM's posterior, eta = 0 the ODE's Euler step.

    Inversion walks rising times with eta = 0, from the smallest t > 0: at t = 0 no eps can be told from x.
    Raises ValueError unless 0 <= eta <= 1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"got eta = {eta}; wanted a number from 0 (deterministic) to 1 (DDPM)")

    def step(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        alpha_t, sigma_t, alpha_u, sigma_u = span.ends()
        x0 = denoise(x, span.t)
        if sigma_u == 0:
            return x0, None
        spread = torch.zeros_like(sigma_u)
        if eta:
            if span.u > span.t:
                raise ValueError(f"got eta = {eta} on rising times; inversion is deterministic: use eta = 0")
            spread = eta * sigma_u / sigma_t * (sigma_t**2 - (alpha_t / alpha_u * sigma_u) ** 2).clamp(min=0).sqrt()
        eps = (x - alpha_t * x0) / sigma_t
        x = alpha_u * x0 + (sigma_u**2 - spread**2).clamp(min=0).sqrt() * eps
        return (x + spread * _drawn(noise, x) if eta else x), None

    return step


def ancestral() -> Step:
    """DDPM's ancestral sampling (arXiv 2006.11239, algorithm 2), the discretised reverse SDE: DDIM with eta = 1."""
    return ddim(eta=1.0)


def heun() -> Step:
    """Heun's second-order step of the probability-flow ODE in sigma / alpha (EDM, arXiv 2206.00364, algorithm 1).

    Two evaluations a step, one on the last step to t = 0. Needs alpha > 0 at every time.
    """

    def step(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        alpha_t, sigma_t, alpha_u, sigma_u = span.ends()
        _refuse_zero_snr(alpha_t, alpha_u, "Heun's step")
        x0 = denoise(x, span.t)
        if sigma_u == 0:
            return x0, None
        eps = (x - alpha_t * x0) / sigma_t
        length = sigma_u - sigma_t * alpha_u / alpha_t
        euler = alpha_u / alpha_t * x + length * eps
        eps_there = (euler - alpha_u * denoise(euler, span.u)) / sigma_u
        return alpha_u / alpha_t * x + length * (eps + eps_there) / 2, None

    return step


def dpmpp_2m() -> Step:
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2): second order at one evaluation a step.

    First order on the first step of a walk, from and to zero SNR, and on the step to t = 0.
    """

    def step(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        alpha_t, sigma_t, alpha_u, sigma_u = span.ends()
        x0 = denoise(x, span.t)
        if sigma_u == 0:
            return x0, None
        half_logsnr = (alpha_t / sigma_t).log()
        length = (alpha_u / sigma_u).log() - half_logsnr
        estimate = x0
        if memory is not None and alpha_u > 0:
            earlier_x0, earlier_half_logsnr = memory
            slope = 0.5 * length / (half_logsnr - earlier_half_logsnr)
            estimate = x0 + slope * (x0 - earlier_x0)
        x = sigma_u / sigma_t * x + (alpha_u - alpha_t * sigma_u / sigma_t) * estimate
        return x, (x0, half_logsnr)

    return step


def annealed_langevin(repeats: int = 5, rate: float = 0.1) -> Step:
    """Annealed Langevin dynamics (NCSN, arXiv 1907.05600, algorithm 1) with step size 2 rate sigma^2.

        x <- x + rate sigma^2 score(x) + sqrt(2 rate) sigma z,  score = (alpha x0 - x) / sigma^2

    `repeats` moves at each level, then on to the next; the last level is left by its clean estimate
    (arXiv 2009.05475), which removes the noise that NCSN leaves in. Needs alpha > 0 at every time, and hundreds of
    moves in all: the variance that they have no time to remove stays.
    """

    def step(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        alpha_t, sigma_t, alpha_u, sigma_u = span.ends()
        _refuse_zero_snr(alpha_t, alpha_u, "Langevin dynamics")
        for _ in range(repeats):
            drift = alpha_t * denoise(x, span.t) - x
            x = x + rate * drift + (2 * rate) ** 0.5 * sigma_t * _drawn(noise, x)
        return (denoise(x, span.t) if sigma_u == 0 else x * (alpha_u / alpha_t)), None

    return step


def predictor_corrector(predictor: Step | None = None, corrections: int = 1, snr: float = 0.16) -> Step:
    """A predictor (ancestral unless given) followed by Langevin corrections at the level reached (score SDE,
    arXiv 2011.13456, algorithms 2 and 4): step size 2 (snr |z| / |score|)^2, norms per sample."""
    predict = predictor or ancestral()

    def step(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        x, memory = predict(denoise, x, span, noise, memory)
        *_, alpha_u, sigma_u = span.ends()
        for _ in range(corrections if sigma_u > 0 else 0):
            score, z = (alpha_u * denoise(x, span.u) - x) / sigma_u**2, _drawn(noise, x)
            size = 2 * (snr * _norm(z) / _norm(score)) ** 2
            x = x + size * score + (2 * size).sqrt() * z
        return x, memory

    return step


SolverName = Literal["dpmpp_2m", "ddim", "ancestral", "heun"]
SOLVERS: Mapping[SolverName, Callable[[], Step]] = {
    "dpmpp_2m": dpmpp_2m,
    "ddim": ddim,
    "ancestral": ancestral,
    "heun": heun,
}
"""The solvers that a model may have as its own, by name."""


def _norm(x: Tensor) -> Tensor:
    """The Euclidean norm of each sample, shaped to broadcast over it."""
    return x.flatten(1).norm(dim=1).reshape(-1, *(1,) * (x.ndim - 1))
