"""Noising processes, x_t = alpha(t) x0 + sigma(t) eps with t in [0, 1], and the grids that samplers walk.

Every process is a frozen record of numbers with two methods, `alpha(t)` and `sigma(t)`. t = 0 is clean data
(alpha = 1, sigma = 0 exactly), t = 1 the noisiest level. The functions below need nothing else of a process.

    logsnr(t) = 2 ln(alpha / sigma)
    level(t)  = (2 / pi) atan2(sigma, alpha), the noise angle: 0 is clean, 1 is pure noise
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Betas = Literal["linear", "scaled_linear", "cosine"]
Spacing = Literal["uniform", "lowest", "logsnr", "karras"]
LOWEST = 2.0**-60
"""A time above 0 that beside any number of a process is nothing: of its levels above 0 it has the lowest."""


@runtime_checkable
class Process(Protocol):
    """What the samplers, the objective and the denoiser ask of a process: two functions of t in [0, 1]."""

    def alpha(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]: ...
    def sigma(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]: ...


@dataclass(frozen=True, kw_only=True)
class VP:
    """Variance preserving: alpha^2 + sigma^2 = 1 (DDPM, arXiv 2006.11239; score SDE, arXiv 2011.13456 eq. 11).

    `linear` is DDPM's 1e-4 .. 0.02, `scaled_linear` Stable Diffusion's, both over `steps` discrete betas:
    t = k / steps is exactly their step k, and between steps ln alpha_bar is interpolated linearly.
    `cosine` is alpha = cos(pi t / 2) (arXiv 2102.09672 without its offset).
    `logsnr_shift` is added to logsnr(t): negative values spend more of the grid on heavy noise (simple diffusion,
    arXiv 2301.11093 eq. 5). `zero_terminal_snr` rescales alpha so that alpha(1) = 0 (arXiv 2305.08891, alg. 1, which
    keeps alpha of step 1 and not alpha(0) = 1 as we do: at most 4e-5 apart).
    """

    betas: Betas = "linear"
    steps: int = 1000
    logsnr_shift: float = 0.0
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if self.betas not in get_args(Betas):
            raise ValueError(f"got betas {self.betas!r}; wanted linear, scaled_linear or cosine")

    def _unshifted_alpha(self, t: Tensor) -> Tensor:
        if self.betas == "cosine":
            return torch.cos(t * math.pi / 2).clamp(min=0)
        log_alpha_bar = _log_alpha_bar(self.betas, self.steps).to(t.device)
        position = (t.double() * self.steps).clamp(0, self.steps)
        low = position.floor().long().clamp(max=self.steps - 1)
        return torch.lerp(log_alpha_bar[low], log_alpha_bar[low + 1], position - low).div(2).exp()

    def alpha(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        exact = t.double()
        alpha = self._unshifted_alpha(exact)
        if self.zero_terminal_snr:
            last = self._unshifted_alpha(torch.ones_like(exact))
            alpha = (alpha - last) / (1 - last)
        if self.logsnr_shift:
            gain = math.exp(self.logsnr_shift / 2)
            # hypot(gain, 0) is gain to the last bit: alpha(0) must be 1 and sigma(0) be 0, or no walk ends.
            alpha = gain * alpha / torch.hypot(gain * alpha, (1 - alpha**2).clamp(min=0).sqrt())
        # The double cos(pi / 2) is 6e-17, not 0: at pure noise no trace of the data may remain.
        return torch.where(alpha < 1e-9, 0.0, alpha).to(t.dtype)

    def sigma(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return (1 - self.alpha(t.double()) ** 2).clamp(min=0).sqrt().to(t.dtype)


@lru_cache
def _log_alpha_bar(betas: Betas, steps: int) -> Tensor:
    """ln alpha_bar at t = 0, 1/steps, ..., 1 in float64."""
    if betas == "linear":
        beta = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)
    else:
        beta = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
    return torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-beta).cumsum(0)])


@dataclass(frozen=True, kw_only=True)
class VE:
    """Variance exploding: alpha = 1 and NCSN's geometric noise levels (arXiv 1907.05600; 2011.13456 eq. 9)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def alpha(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.ones_like(t)

    def sigma(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.where(t > 0, self.sigma_min * (self.sigma_max / self.sigma_min) ** t, 0.0)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Rectified flow: alpha = 1 - t, sigma = t (arXiv 2209.03003). `shift` > 1 moves the grid to heavy noise,
    t' = shift t / (1 + (shift - 1) t) (Stable Diffusion 3, arXiv 2403.03206 eq. 23)."""

    shift: float = 1.0

    def alpha(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return (1 - t) / (1 + (self.shift - 1) * t)

    def sigma(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return self.shift * t / (1 + (self.shift - 1) * t)


@dataclass(frozen=True, kw_only=True)
class EDM:
    """alpha = 1 and Karras' levels: sigma^(1/rho) is linear in t (arXiv 2206.00364 eq. 5)."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def alpha(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.ones_like(t)

    def sigma(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return torch.where(t > 0, (low + t * (high - low)) ** self.rho, 0.0)


def per_sample(level: Float[Tensor, "..."], x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Right-pad `level`, (), (b,) or (b, f), with ones so that it broadcasts against `x`, (b, f, c, h, w)."""
    return level.reshape(level.shape + (1,) * (x.ndim - level.ndim)) if level.ndim else level


def corrupt(
    process: Process, x0: Float[Tensor, "b ..."], eps: Float[Tensor, "b ..."], t: Float[Tensor, "..."]
) -> Float[Tensor, "b ..."]:
    """x_t = alpha x0 + sigma eps for t of shape (), (b,) or (b, f), in the dtype of x0."""
    return per_sample(process.alpha(t).to(x0), x0) * x0 + per_sample(process.sigma(t).to(x0), x0) * eps


def logsnr(process: Process, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
    """2 ln(alpha / sigma); +inf at t = 0, -inf where the terminal SNR is zero."""
    return 2 * (process.alpha(t).log() - process.sigma(t).log())


def level(process: Process, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
    """The noise angle (2 / pi) atan2(sigma, alpha) in [0, 1]: one scale of noise for every process."""
    return torch.atan2(process.sigma(t), process.alpha(t)) * (2 / math.pi)


def noise_share(process: Process, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
    """sigma^2 / (alpha^2 + sigma^2) in [0, 1]: how much of the variance of x_t is noise, for data of unit variance.

    In a VP process it is 1 - alpha_bar.
    """
    power = process.sigma(t) ** 2
    return power / (process.alpha(t) ** 2 + power)


def share_at_step(process: VP, step: int) -> float:
    """The noise share at DDPM's step number `step`, 0 (clean) to process.steps: what "noised as at step 100" means."""
    if not 0 <= step <= process.steps:
        raise ValueError(f"got step {step}; wanted one of this process, 0 to {process.steps}")
    return float(noise_share(process, torch.tensor(step / process.steps, dtype=torch.float64)))


def grid(
    process: Process, steps: int, spacing: Spacing = "uniform", *, start: float = 1.0, end: float = 1e-3
) -> Float[Tensor, "{steps}+1"]:
    """`steps + 1` falling times from `start` to exactly 0, in float64.

    `uniform` is even in t; `lowest` too, but its last step is from the lowest level above 0, so that the levels of EDM
    are exactly eq. 5 of arXiv 2206.00364. `logsnr` is even in logsnr and `karras` in sigma^(1/7) (of the ratio
    sigma / alpha) between `start` and `end`, with 0 after it. Raises ValueError where the numbers make no falling grid.
    """
    if steps < 1 or not 0 < start <= 1 or not 0 < end < start:
        raise ValueError(f"got steps={steps}, start={start}, end={end}; wanted steps >= 1 and 0 < end < start <= 1")
    if spacing == "uniform":
        return torch.linspace(start, 0, steps + 1, dtype=torch.float64)
    if spacing == "lowest" and steps > 1:
        return torch.cat([torch.linspace(start, LOWEST, steps, dtype=torch.float64), torch.zeros(1).double()])
    if steps == 1:
        return torch.tensor([start, 0.0], dtype=torch.float64)
    edges = logsnr(process, torch.tensor([start, end], dtype=torch.float64))
    # A grid even in logsnr cannot begin at zero SNR; -20 is noise for every purpose of a sampler.
    high, low = (edges.clamp(min=-20) * -0.5).exp().tolist()
    power = 1 / 7 if spacing == "karras" else None
    position = torch.linspace(0, 1, steps, dtype=torch.float64)
    if power is None:
        ratios = torch.exp(math.log(high) + position * (math.log(low) - math.log(high)))
    else:
        ratios = (high**power + position * (low**power - high**power)) ** (1 / power)
    times = torch.cat([time_of_ratio(process, ratios), torch.zeros(1, dtype=torch.float64)])
    times[0] = start
    if not bool((times.diff() < 0).all()):
        raise ValueError(f"got start={start}, end={end}, too close together for {steps} steps; wanted a smaller end")
    return times


def time_of_ratio(process: Process, ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The t at which sigma / alpha = `ratio`, by 60 bisections (sigma / alpha grows with t in every process)."""
    low, high = torch.zeros_like(ratio), torch.ones_like(ratio)
    for _ in range(60):
        middle = (low + high) / 2
        above = process.sigma(middle) > ratio * process.alpha(middle)
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2
