"""Frames that a network was never taught to take: rules that hold them while the others are made.

A rule makes a denoiser of one video into one that knows `known` wherever `mask` is true; it trains nothing.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.guide import hold, steer
from pixeldance.diffusion.process import Process


@dataclass(frozen=True, kw_only=True)
class Replace:
    """Put the known frames into every clean estimate (VDM's replacement method, arXiv 2204.03458 sec. 3.1).

    The other frames then see them noised, and never learn from their own estimate of them: they come out too free.
    """

    def __call__(
        self,
        denoise: Denoise,
        known: Float[Tensor, "b f c h w"],
        mask: Bool[Tensor, "b f 1 1 1"],
        process: Process,
    ) -> Denoise:
        return hold(denoise, known, mask)


@dataclass(frozen=True, kw_only=True)
class Reconstruct:
    """Also move the others to where the model's own estimate of the known frames becomes right (VDM eq. 7):

        x0 <- x0 - weight / 2 * alpha * d |known - x0(x)|^2 / dx,   the known frames being replaced

    weight: w_r of the paper, above 0; 1 is exact for independent unit-variance estimates, more is bolder. Costs a
    backward pass a step.
    """

    weight: float = 2.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"got a weight of {self.weight}; wanted one above 0, or the rule Replace()")

    def __call__(
        self,
        denoise: Denoise,
        known: Float[Tensor, "b f c h w"],
        mask: Bool[Tensor, "b f 1 1 1"],
        process: Process,
    ) -> Denoise:
        def missed(x0: Tensor) -> Tensor:
            return torch.where(mask, x0 - known, 0).square().flatten(1).sum(1)

        steered = steer(denoise, missed, lambda t: self.weight / 2 * process.alpha(t).float())
        return hold(steered, known, mask)


Held = Replace | Reconstruct
