"""A video world whose perfect denoiser is a formula: the truth that the mathematics of diffusion is tested against.

Over its frames a clip is Gaussian, x0 ~ N(mean, cov); channels and pixels are independent copies, so that one clip of
many pixels is many samples. At noise levels A = diag(alpha_i), S = diag(sigma_i), one for each frame,

    x_t ~ N(A m, A C A + S^2)           E[x0 | x_t] = m + C A (A C A + S^2)^-1 (x_t - A m)

and on the probability-flow ODE every eigenvector of C keeps its score: (x_t - alpha m) / sqrt(alpha^2 lambda + sigma^2)
is constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.process import EDM, VE, VP, Flow, Process


@dataclass(frozen=True)
class GaussianWorld:
    """mean (f,) and cov (f, f), both float64."""

    mean: Tensor
    cov: Tensor

    def denoiser(self, process: Process) -> Denoise:
        """E[x0 | x_t] for t of shape (), (b,) or (b, f), computed in float64 and given in the dtype of x."""

        @cache
        def at(t: float) -> tuple[Tensor, Tensor]:
            return regression(torch.tensor(t, dtype=torch.float64).expand(1, len(self.mean)))

        def regression(levels: Tensor) -> tuple[Tensor, Tensor]:
            alpha, sigma = process.alpha(levels), process.sigma(levels)
            noisy = alpha[:, :, None] * self.cov * alpha[:, None, :] + torch.diag_embed(sigma**2)
            gain = torch.linalg.solve(noisy, alpha[:, :, None] * self.cov).mT
            return gain, self.mean[:, None] - gain @ (alpha * self.mean)[:, :, None]

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            by_frame = t.double().reshape(*t.shape, *(1,) * (2 - t.ndim)).expand(-1, len(self.mean))
            gain, offset = regression(by_frame) if t.ndim else at(t.item())
            return (gain @ x.flatten(2).double() + offset).reshape(x.shape).to(x.dtype)

        return denoise

    def marginal(self, process: Process, t: float | Tensor) -> "GaussianWorld":
        """The law of x_t, the same level t in every frame."""
        alpha, sigma = ends(process, t)
        return GaussianWorld(alpha * self.mean, alpha**2 * self.cov + sigma**2 * torch.eye(len(self.mean)).double())

    def uncertainty(self, process: Process, t: float | Tensor) -> Tensor:
        """Cov[x0 | x_t], the same level t in every frame."""
        alpha, _ = ends(process, t)
        return self.cov - alpha**2 * self.cov @ torch.linalg.solve(self.marginal(process, t).cov, self.cov)

    def flow(self, process: Process, x: Tensor, t: float | Tensor, u: float | Tensor) -> Tensor:
        """Where the probability-flow ODE carries x from level t to level u, exactly."""
        (alpha_t, sigma_t), (alpha_u, sigma_u) = ends(process, t), ends(process, u)
        power, basis = torch.linalg.eigh(self.cov)
        stretch = ((alpha_u**2 * power + sigma_u**2) / (alpha_t**2 * power + sigma_t**2)).sqrt()
        carry = basis @ torch.diag(stretch) @ basis.T
        mean = self.mean[:, None]
        return (carry @ (x.flatten(2).double() - alpha_t * mean) + alpha_u * mean).reshape(x.shape)

    def given(self, frames: Sequence[int], values: Sequence[float]) -> "GaussianWorld":
        """The law of all frames when some are known; the known ones have variance 0."""
        known = list(frames)
        gain = torch.linalg.solve(self.cov[known][:, known], self.cov[known]).T
        surprise = torch.tensor(values).double() - self.mean[known]
        return GaussianWorld(self.mean + gain @ surprise, self.cov - gain @ self.cov[known])

    def span(self, span: slice) -> "GaussianWorld":
        """The law of some of the frames, whatever the others are."""
        return GaussianWorld(self.mean[span], self.cov[span, span])

    def draw(self, shape: tuple[int, int, int], batch: int = 1, seed: int = 0) -> Tensor:
        """Clips (batch, f, *shape) in float64."""
        rng = torch.Generator().manual_seed(seed)
        white = torch.randn(batch, len(self.mean), *shape, generator=rng, dtype=torch.float64)
        return self.colour(white)

    def colour(self, white: Tensor) -> Tensor:
        """White noise (b, f, c, h, w) to clips of this world."""
        root = torch.linalg.cholesky(self.cov)
        return (root @ white.flatten(2).double() + self.mean[:, None]).reshape(white.shape)


def ar1(frames: int = 4, correlation: float = 0.8, spread: float = 0.8) -> GaussianWorld:
    """Frames that remember the one before: cov_ij = spread^2 correlation^|i - j|, with a mean that drifts."""
    index = torch.arange(frames, dtype=torch.float64)
    cov = spread**2 * correlation ** (index[:, None] - index).abs()
    return GaussianWorld(torch.linspace(-0.5, 1.0, frames, dtype=torch.float64), cov)


def ends(process: Process, t: float | Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at level t in float64."""
    time = torch.as_tensor(t, dtype=torch.float64)
    return process.alpha(time), process.sigma(time)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (f,) and covariance (f, f) of the pixels of clips (b, f, c, h, w)."""
    frames = x.double().movedim(1, 0).flatten(1)
    return frames.mean(1), torch.cov(frames)


PROCESSES: dict[str, Process] = {
    "linear": VP(),
    "scaled_linear": VP(betas="scaled_linear"),
    "cosine": VP(betas="cosine"),
    "shifted": VP(betas="cosine", logsnr_shift=-1.8),
    "zero_snr": VP(betas="scaled_linear", zero_terminal_snr=True),
    "shifted_zero_snr": VP(logsnr_shift=1.3, zero_terminal_snr=True),
    "ve": VE(),
    "flow": Flow(),
    "shifted_flow": Flow(shift=3.0),
    "edm": EDM(),
}
"""Every process, with every one of its switches; half of them reach zero SNR at t = 1."""


def reaches_zero_snr(process: Process) -> bool:
    return bool(process.alpha(torch.ones(())) == 0)
