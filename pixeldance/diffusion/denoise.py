"""A network, a process and a prediction type make a denoiser: (x_t, t, cond) -> the clean estimate x0.

    x0 = c_skip x_t + c_out F(c_in x_t, c_noise, cond)          training target of F: (x0 - c_skip x_t) / c_out

One line serves eps, v, x0, flow and edm (the form of arXiv 2206.00364 eq. 7, for any alpha and sigma). A
*Denoise* is a denoiser with its condition bound: all that samplers and combinators ever see.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixeldance.diffusion.process import Process, corrupt, per_sample

Denoise = Callable[[Tensor, Tensor], Tensor]
PredictionType = Literal["eps", "v", "x0", "flow", "edm", "edm_v"]


@dataclass(frozen=True, kw_only=True)
class Cond:
    """The five places where a network takes a condition; what is None does not exist for it.

    tokens (b, n, d) with `mask` (b, n), true where a token is real: read by cross-attention.
    concat (b, f, c, h, w): joined to x on the channel axis. vector (b, v): added to the noise-level embedding.
    residuals: tensors added to the network's features, from fine to coarse.
    """

    tokens: Float[Tensor, "b n d"] | None = None
    mask: Bool[Tensor, "b n"] | None = None
    concat: Float[Tensor, "b f c h w"] | None = None
    vector: Float[Tensor, "b v"] | None = None
    residuals: tuple[Tensor, ...] | None = None

    def doors(self) -> dict[str, Tensor | tuple[Tensor, ...] | None]:
        """The five as keyword arguments of a network."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def row(self, index: int) -> "Cond":
        """The condition of one sample of the batch, as a batch of one."""
        one = slice(index, index + 1)
        tensors = {name: door[one] for name, door in self.doors().items() if isinstance(door, Tensor)}
        return replace(self, **tensors, residuals=self.residuals and tuple(part[one] for part in self.residuals))


class Coefficients(NamedTuple):
    """c_in, c_skip and c_out in the shape of t; c_noise is what the network is told about the level."""

    c_in: Tensor
    c_skip: Tensor
    c_out: Tensor
    c_noise: Tensor


def coefficients(
    process: Process, prediction: PredictionType, t: Float[Tensor, "*t"], sigma_data: float = 1.0
) -> Coefficients:
    """The coefficients of a prediction type at level t, in float32; t must be > 0.

    eps: F = eps. v: F = alpha eps - sigma x0 (arXiv 2202.00512). x0: F = x0. flow: F = eps - x0.
    edm: F keeps unit variance for data of deviation `sigma_data` (arXiv 2206.00364 eq. 7). edm_v: -F of that, which for
    data of deviation 1 is v of x_t brought to variance 1 (Stable Video Diffusion, arXiv 2311.15127).
    c_noise is 1000 t, DDPM's step, but ln(sigma) / 4 for edm and edm_v.
    """
    alpha, sigma, t = process.alpha(t).float(), process.sigma(t).float(), t.float()
    one = torch.ones_like(alpha)
    power = alpha**2 + sigma**2
    if prediction == "eps":
        if bool((alpha == 0).any()):
            raise ValueError(
                "got an eps prediction at zero signal-to-noise ratio, where eps says nothing about x0; "
                "use v, x0 or flow, or a process without zero terminal SNR"
            )
        return Coefficients(one, 1 / alpha, -sigma / alpha, 1000 * t)
    if prediction == "v":
        return Coefficients(one, alpha / power, -sigma / power, 1000 * t)
    if prediction == "x0":
        return Coefficients(one, 0 * one, one, 1000 * t)
    if prediction == "flow":
        return Coefficients(one, 1 / (alpha + sigma), -sigma / (alpha + sigma), 1000 * t)
    if prediction not in ("edm", "edm_v"):
        raise ValueError(f"got prediction {prediction!r}; wanted eps, v, x0, flow, edm or edm_v")
    total = (alpha**2 * sigma_data**2 + sigma**2).sqrt()
    c_skip = alpha * sigma_data**2 / total**2
    c_out = sigma * sigma_data / total
    return Coefficients(1 / total, c_skip, -c_out if prediction == "edm_v" else c_out, sigma.log() / 4)


@dataclass(frozen=True)
class Denoiser:
    """A network that knows its process and prediction type. Calling it gives x0 in float32.

    step_offset: added to c_noise; -1 for networks that were trained on DDPM's steps counted from 0.
    mend: (x0, t, cond) -> x0, what is done to the estimate where no level is above `below`.
    """

    net: Callable[..., Tensor]
    process: Process
    prediction: PredictionType
    sigma_data: float = 1.0
    step_offset: float = 0.0
    mend: Callable[[Tensor, Tensor, Cond], Tensor] | None = None
    below: float = 0.0

    def __call__(
        self, x: Float[Tensor, "b f c h w"], t: Float[Tensor, "..."], cond: Cond
    ) -> Float[Tensor, "b f c h w"]:
        """x_t and its level t, (), (b,) or (b, f), to the clean estimate."""
        levels = _levels(t, x)
        c_in, c_skip, c_out, c_noise = self._coefficients(levels)
        predicted = self.net(per_sample(c_in, x) * x, c_noise, **cond.doors()).float()
        x0 = per_sample(c_skip, x) * x + per_sample(c_out, x) * predicted
        if self.mend is None or bool((levels > self.below).any()):
            return x0
        return self.mend(x0, levels.float(), cond)

    def _coefficients(self, levels: Float[Tensor, "..."]) -> Coefficients:
        found = coefficients(self.process, self.prediction, levels, self.sigma_data)
        return found._replace(c_noise=found.c_noise + self.step_offset)

    def bind(self, cond: Cond) -> Denoise:
        """The denoiser with its condition bound."""
        return lambda x, t: self(x, t, cond)

    def error(
        self,
        x0: Float[Tensor, "b f c h w"],
        eps: Float[Tensor, "b f c h w"],
        t: Float[Tensor, "..."],
        cond: Cond,
    ) -> Float[Tensor, "b f c h w"]:
        """What the training loss squares: the network's output less its target (x0 - c_skip x_t) / c_out."""
        x = corrupt(self.process, x0, eps, t)
        c_in, c_skip, c_out, c_noise = self._coefficients(_levels(t, x))
        target = (x0 - per_sample(c_skip, x) * x) / per_sample(c_out, x)
        return self.net(per_sample(c_in, x) * x, c_noise, **cond.doors()).float() - target


def _levels(t: Float[Tensor, "..."], x: Float[Tensor, "b f c h w"]) -> Float[Tensor, "..."]:
    """One level for each sample, (b,), or each of its frames, (b, f), where x is."""
    return t.to(x.device).expand(x.shape[0]) if t.ndim == 0 else t.to(x.device)
