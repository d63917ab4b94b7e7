"""What a refiner is trained on: the model's own clean estimates of noised clips, which are to become the clips."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.diffusion.denoise import Cond
from pixeldance.diffusion.process import corrupt
from pixeldance.system import Parts


def refining(
    parts: Parts,
    x0: Float[Tensor, "b f c h w"],
    eps: Float[Tensor, "b f c h w"],
    t: Float[Tensor, "b"],
    cond: Cond,
    weight: Float[Tensor, "b f 1 h w"],
    rngs: Sequence[Generator],
    crop: int = 0,
) -> Float[Tensor, ""]:
    """The mean squared error of what the refiner makes of the estimates at the levels t.

    crop: only in a square of so many latents a side in each clip, drawn where `weight` is large; 0 for the whole frame.
    Raises ValueError for one larger than the frame.
    """
    if crop > min(x0.shape[3:]):
        raise ValueError(f"got crop={crop} for latents of {x0.shape[3]} x {x0.shape[4]}; wanted a smaller one, or 0")
    with torch.no_grad():
        made = replace(parts.denoiser, mend=None)(corrupt(parts.system.process, x0, eps, t), t, cond)
    if crop:
        corners = [_corner(each, crop, rng) for each, rng in zip(weight, rngs, strict=True)]
        x0, made, weight = (_cropped(each, corners, crop) for each in (x0, made, weight))
        cond = replace(cond, concat=None if cond.concat is None else _cropped(cond.concat, corners, crop))
    return (weight * (parts.mend(made, t, cond) - x0).square()).mean()


def _corner(weight: Float[Tensor, "f 1 h w"], side: int, rng: Generator) -> tuple[int, int]:
    """Of a square, drawn by how much of the weight above the least lies in it."""
    above = (weight - weight.amin()).mean((0, 1))[None, None]
    shares = F.avg_pool2d(above, side, stride=1)[0, 0] + 1e-6
    place = int(torch.multinomial(shares.flatten(), 1, generator=rng))
    return divmod(place, shares.shape[1])


def _cropped(x: Float[Tensor, "b f c h w"], corners: Sequence[tuple[int, int]], side: int) -> Tensor:
    return torch.stack([row[..., i : i + side, j : j + side] for row, (i, j) in zip(x, corners, strict=True)])
