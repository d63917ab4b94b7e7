"""How a picture encoder is shown a picture: blurred against aliasing, then made small by cubic interpolation.

This is what Stable Video Diffusion (arXiv 2311.15127) was trained with, and other ways to make a picture small are not:
a Gaussian of deviation (factor - 1) / 2 over two deviations to each side, and pixels counted from corner to corner.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def square(pictures: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c {side} {side}"]:
    """Stretched to side x side, as these encoders see all pictures."""
    for axis in (3, 2):
        pictures = blurred(pictures, axis, max((pictures.shape[axis] / side - 1) / 2, 0.001))
    return F.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=True)


def blurred(pictures: Float[Tensor, "b c h w"], axis: int, deviation: float) -> Float[Tensor, "b c h w"]:
    """A Gaussian along the height (axis 2) or the width (3), of so many pixels; the edges are mirrored."""
    reach = int(max(4 * deviation, 3)) // 2
    weights = torch.exp(-(torch.arange(-reach, reach + 1).to(pictures) ** 2) / (2 * deviation**2))
    across = axis == 3
    padded = F.pad(pictures, (reach, reach, 0, 0) if across else (0, 0, reach, reach), mode="reflect")
    channels = pictures.shape[1]
    kernel = (weights / weights.sum()).reshape((1, 1, 1, -1) if across else (1, 1, -1, 1))
    return F.conv2d(padded, kernel.expand(channels, -1, -1, -1), groups=channels)
