"""The 2D building blocks of a UNet, each followed by its temporal part where the network has one.

Features are frames (b f, c, h, w) in channels-last order; `emb` is what the network knows of the noise level, the
vector condition and the frame number, one row a frame.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pixeldance.nets.attention import Keys, SpatialTransformer
from pixeldance.nets.inside import InsideTime, TemporalResidual
from pixeldance.nets.recompute import after
from pixeldance.nets.temporal import MIXING, Mixing, TemporalAttention, TemporalConvolution, norm_silu


class Convolution(nn.Module):
    """A 2D convolution, and after it the 1D temporal one (PixelDance sec. 3.2), or what stands for it (`MIXING`)."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int,
        temporal: int,
        mixing: Mixing = "convolution",
    ) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)
        self.temporal = MIXING[mixing](c_out, groups, temporal) if temporal else None

    def forward(
        self, x: Float[Tensor, "bf c h w"], frames: int, norm: Callable[[Tensor], Tensor] | None = None
    ) -> Float[Tensor, "bf d i j"]:
        """Of norm(x), where there is a norm."""
        x = after(norm, self.spatial, x)
        return x if self.temporal is None else self.temporal(x, frames)


class ResBlock(nn.Module):
    """norm, SiLU, conv, + emb, norm, SiLU, conv, + shortcut; with `film` the emb scales and shifts the second norm.

    after: layers of a temporal convolution that stands behind the whole block, its norms over the video. residual: a
    residual block over time stands there instead (`TemporalResidual`).
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        emb: int,
        *,
        groups: int,
        temporal: int,
        film: bool,
        after: int = 0,
        mixing: Mixing = "convolution",
        residual: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups, c_in, eps=eps)
        self.conv_in = Convolution(c_in, c_out, groups=groups, temporal=temporal, mixing=mixing)
        self.emb = nn.Linear(emb, 2 * c_out if film else c_out)
        self.norm_out = nn.GroupNorm(groups, c_out, eps=eps)
        self.conv_out = Convolution(c_out, c_out, groups=groups, temporal=temporal, mixing=mixing)
        self.shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        self.film = film
        self.temporal = TemporalConvolution(c_out, groups, after, "video") if after else None
        self.residual = TemporalResidual(c_out, emb, groups, eps) if residual else None

    def forward(
        self, x: Float[Tensor, "bf c h w"], emb: Float[Tensor, "bf e"], frames: int
    ) -> Float[Tensor, "bf d h w"]:
        h = self.conv_in(x, frames, lambda x: norm_silu(self.norm_in, x))
        told = self.emb(F.silu(emb))[:, :, None, None]
        if self.film:
            scale, shift = told.chunk(2, dim=1)
            h = self.conv_out(h, frames, lambda h: F.silu(self.norm_out(h) * (1 + scale) + shift))
        else:
            h = self.conv_out(h, frames, lambda h: norm_silu(self.norm_out, h + told))
        h = self.shortcut(x) + h
        h = h if self.residual is None else self.residual(h, frames, emb)
        return h if self.temporal is None else self.temporal(h, frames)


class SpaceTimeTransformer(nn.Module):
    """A 2D attention layer (pixels, then text), and after or inside it the 1D temporal one, where there is one."""

    def __init__(
        self,
        width: int,
        head_width: int,
        context_width: int | None,
        mult: int,
        *,
        groups: int,
        temporal: Callable[[], TemporalAttention] | None,
        keys: Keys = "own",
        inside: Callable[[], InsideTime] | None = None,
        image_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.spatial = SpatialTransformer(width, head_width, context_width, mult, groups, keys, inside, image_tokens)
        self.temporal = temporal() if temporal else None

    def forward(
        self,
        x: Float[Tensor, "bf c h w"],
        frames: int,
        tokens: Float[Tensor, "b n d"] | None,
        mask: Bool[Tensor, "b n"] | None,
    ) -> Float[Tensor, "bf c h w"]:
        x = self.spatial(x, tokens, mask, frames)
        return x if self.temporal is None else self.temporal(x, frames)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a convolution."""

    def __init__(self, width: int, *, groups: int, temporal: int) -> None:
        super().__init__()
        self.conv = Convolution(width, width, groups=groups, temporal=temporal)

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c i j"]:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), frames)


class MLP(nn.Module):
    """Two layers with a SiLU between."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = nn.Linear(c_in, c_out)
        self.second = nn.Linear(c_out, c_out)

    def forward(self, x: Float[Tensor, "... c"]) -> Float[Tensor, "... d"]:
        return self.second(F.silu(self.first(x)))


def channels_last(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Copy to channels-last order unless x has it already."""
    return x.contiguous(memory_format=torch.channels_last)
