"""A second network that mends the estimates of the first where little noise is left: it sees the pixels.

Where latents are a linear map of large patches of pixels, a convolution over them knows nothing of a shape that moved
by less than a patch; over pixels it does. So this network turns latents into pixels, works on smaller squares of these,
and turns its answer back into latents. Like ToonCrafter's decoder (arXiv 2405.17933) it sees the given frames besides.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.nets.unet import UNet, UNetConfig


@runtime_checkable
class Linear(Protocol):
    """A codec whose network is linear, so that single frames of noisy or unfinished latents can be decoded too."""

    channels: int
    factor: int

    def to_frames(self, latents: Float[Tensor, "n z i j"]) -> Float[Tensor, "n c h w"]: ...
    def from_frames(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z i j"]: ...


@dataclass(frozen=True, kw_only=True)
class RefinerConfig:
    """below: up to this level t of the process it mends the clean estimates. until: the last level that is walked to;
    the mended estimate of there is the video. patch: its positions are squares of so many pixels a side. net: its UNet,
    of 3 patch^2 channels, and the same and a mask for each picture; with `carry` it begins as the identity."""

    net: UNetConfig
    below: float = 0.46
    until: float = 0.35
    patch: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.until <= self.below <= 1:
            raise ValueError(f"got until={self.until}, below={self.below}; wanted levels, 0 < until <= below <= 1")


class Refiner(nn.Module):
    """Clean estimates of a video, as latents of a linear codec, to better ones."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.net)
        if self.unet.carry is not None:
            self.unet.carry.begin_with(0)

    def forward(
        self,
        x: Float[Tensor, "b f c h w"],
        c_noise: Float[Tensor, "..."],
        *,
        codec: Linear,
        concat: Float[Tensor, "b f k h w"] | None = None,
        **doors: Any,
    ) -> Float[Tensor, "b f c h w"]:
        """c_noise: of the level at which x was estimated. codec: whose latents these are. concat: pictures as latents,
        each with its mask. doors: the conditions that are not laid out in space, as `UNet.forward` takes them."""
        if concat is not None:
            slots = concat.unflatten(2, (-1, codec.channels + 1)).unbind(2)
            concat = torch.cat([each for slot in slots for each in self._picture(slot, codec)], dim=2)
        out = self.unet(self._squares(x, codec), c_noise, concat=concat, **doors)
        pixels = F.pixel_shuffle(out.flatten(0, 1), self.config.patch)
        return codec.from_frames(pixels).unflatten(0, x.shape[:2])

    def _squares(self, latents: Float[Tensor, "b f c h w"], codec: Linear) -> Float[Tensor, "b f k i j"]:
        pixels = codec.to_frames(latents.flatten(0, 1))
        return F.pixel_unshuffle(pixels, self.config.patch).unflatten(0, latents.shape[:2])

    def _picture(self, slot: Float[Tensor, "b f k h w"], codec: Linear) -> tuple[Tensor, Tensor]:
        """The squares of a slot's picture, and its mask at every one of them."""
        side = codec.factor // self.config.patch
        mask = slot[:, :, -1:].repeat_interleave(side, -1).repeat_interleave(side, -2)
        return self._squares(slot[:, :, :-1], codec), mask
