"""A moving start for a model of pictures: the noise of one frame, half made, is shifted from frame to frame.

Text2Video-Zero's warped latents (arXiv 2303.13439 sec. 4.1): with levels t0 < t1,

    x_t0 of frame 1 by DDIM;   frame i at t0 = that, shifted by i * step;   all up to t1 by the forward process

so that the frames share what there already is of the picture, and what it shows moves.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Noise
from pixeldance.diffusion.process import Process
from pixeldance.diffusion.sample import ddim, sample


@dataclass(frozen=True, kw_only=True)
class Warped:
    """low, high: t0 and t1, the nearest points of the grid, a step or more from its start and from each other. step:
    what is shown moves by (down, right) from frame to frame, in positions of the latents; what comes in is mirrored at
    the edge.

    The paper's 0.88 and 0.94 are of Stable Diffusion's betas. Raises ValueError unless 0 < low < high < 1.
    """

    low: float = 0.88
    high: float = 0.94
    step: tuple[float, float] = (0.125, 0.125)

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < 1:
            raise ValueError(f"got low={self.low}, high={self.high}; wanted 0 < low < high < 1")

    def __call__(
        self,
        denoise: Denoise,
        x: Float[Tensor, "b f c h w"],
        times: Float[Tensor, "n"],
        process: Process,
        noise: Noise,
    ) -> tuple[Float[Tensor, "b f c h w"], Float[Tensor, "m"]]:
        """From noise at times[0] to the frames at t1, and the times that are left. One frame is left alone."""
        if x.shape[1] == 1:
            return x, times
        high = max(1, int((times - self.high).abs().argmin()))
        low = max(high + 1, int((times - self.low).abs().argmin()))
        if low >= len(times) - 1:
            raise ValueError(f"got a grid of {len(times) - 1} steps; wanted 3 or more, or a higher t0 than {self.low}")
        first = sample(denoise, x[:, :1], times[: high + 1], process, ddim())
        half_made = sample(denoise, first, times[high : low + 1], process, ddim())
        t1, t0 = times[high], times[low]
        keep = process.alpha(t1) / process.alpha(t0)
        spread = (process.sigma(t1) ** 2 - (keep * process.sigma(t0)) ** 2).clamp(min=0).sqrt()
        warped = torch.cat([shifted(half_made[:, 0], (i * self.step[0], i * self.step[1])) for i in range(x.shape[1])])
        warped = warped.unflatten(0, (x.shape[1], -1)).transpose(0, 1)
        moving = keep * warped + spread * noise(warped)
        return torch.cat([first, moving[:, 1:].to(first)], dim=1), times[high:]


def shifted(x: Float[Tensor, "b c h w"], by: tuple[float, float]) -> Float[Tensor, "b c h w"]:
    """The picture moved by (down, right) positions, bilinear between them."""
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height, device=x.device) - by[0], torch.arange(width, device=x.device) - by[1]
    y, z = torch.meshgrid((2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1, indexing="ij")
    where = torch.stack([z, y], dim=-1).to(x).expand(len(x), -1, -1, -1)
    return F.grid_sample(x, where, padding_mode="reflection", align_corners=False)
