"""Autoencoder of single frames: Stable Diffusion's KL autoencoder, and a small relative for 64 px worlds; or Stable
Video Diffusion's (arXiv 2311.15127), whose encoder is of single frames and whose decoder sees all that it is given.

    encode: x -> q(z | x) = N(mean, exp(logvar)),      decode: z -> x

Geometry of arXiv 2112.10752 (latent diffusion), appendix E: residual blocks at halving resolutions, one
attention layer in the middle, 1 x 1 convolutions around the latent. Every parameter has exactly one
counterpart in the published weights; `patch`, `groups=0` and `mid_attention=False` are what a small one adds.
Frames are 4-D batches (n, c, h, w), stored channels_last.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.nets.convolution import TimeConv
from pixeldance.nets.inside import Mix
from pixeldance.nets.temporal import height_as_time, time_as_height


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """The defaults are Stable Diffusion's autoencoder (83,653,863 parameters, 8 x 8 pixels a latent).

    `widths`: channels at each resolution, each half as fine as the one before. `layers`: residual blocks
    per resolution of the encoder (the decoder has one more). `groups`: of the group norms, 0 for none: norms
    even out the contrast of a frame, which costs a small model its flat colours and sharp edges. `patch`:
    pixels folded into channels before the first convolution, so that nothing runs at full resolution.
    """

    in_channels: int = 3
    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    groups: int = 32
    mid_attention: bool = True
    patch: int = 1
    sees_time: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.groups and any(width % self.groups for width in self.widths):
            raise ValueError(
                f"groups={self.groups} must divide every width; got widths {self.widths}. "
                "Take widths that are multiples of it, or groups=0 for no norm layers."
            )

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent position."""
        return int(self.patch * 2 ** (len(self.widths) - 1))


@dataclass(frozen=True, kw_only=True)
class VideoVAEConfig(VAEConfig):
    """The same with a decoder over time: a residual block over time behind each one of it, a convolution over time at
    its end, and no convolution before it. The defaults are Stable Video Diffusion's (97,742,847 parameters).

    A record of its own, and no field of the other: what is stored says which autoencoder made it, by all its settings.
    """

    sees_time: ClassVar[bool] = True


# 64 x 64 -> 16 channels of 8 x 8; made for the toybox (experiments/small_autoencoder.py).
SMALL_VAE = VAEConfig(latent_channels=16, widths=(24, 48, 96), layers=1, groups=0, mid_attention=False, patch=2)


class AutoencoderKL(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        z = config.latent_channels
        self.encoder = _encoder(config)
        self.quant = nn.Conv2d(2 * z, 2 * z, 1)
        self.post_quant = nn.Identity() if config.sees_time else nn.Conv2d(z, z, 1)
        self.decoder = _decoder(config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from the stubs

    def encode(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n z i j"], Float[Tensor, "n z i j"]]:
        """Mean and log-variance of q(z | x), for pixels in [-1, 1]; `config.factor` must divide h and w."""
        moments = self.quant(self.encoder(x.contiguous(memory_format=torch.channels_last)))
        mean, logvar = moments.chunk(2, dim=1)
        return mean, logvar.clamp(-30.0, 20.0)

    def decode(self, z: Float[Tensor, "n z i j"]) -> Float[Tensor, "n c h w"]:
        """Pixels, about in [-1, 1] and not clamped, of latents as `encode` gives them (not normalised).

        A decoder that sees time takes the n frames of one video, in order.
        """
        pixels: Tensor = self.decoder(self.post_quant(z.contiguous(memory_format=torch.channels_last)))
        return pixels


class Residual(nn.Module):
    def __init__(self, c: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = _norm(c, groups)
        self.conv1 = nn.Conv2d(c, out, 3, padding=1)
        self.norm2 = _norm(out, groups)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(c, out, 1) if c != out else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        out: Tensor = self.shortcut(x) + y
        return out


class TimedResidual(Residual):
    """The same for the frames of one video, and behind it one over time: norm, SiLU, convolution, twice."""

    def __init__(self, c: int, out: int, groups: int) -> None:
        super().__init__(c, out, groups)
        layers = {}
        for place in (1, 2):
            layers[f"norm{place}"] = _norm(out, groups, eps=1e-5)
            layers[f"act{place}"] = nn.SiLU()
            layers[f"conv{place}"] = TimeConv(out, out, (3, 1), padding=(1, 0))
        self.time = OverFrames(_named(**layers))
        self.mix = Mix(turned=True)

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d h w"]:
        x = super().forward(x)
        mixed: Tensor = self.mix(x, self.time(x))
        return mixed


class OverFrames(nn.Module):
    """A layer of images whose height is time (`temporal.time_as_height`), for the frames of one video."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d h w"]:
        return height_as_time(self.layer(time_as_height(x, len(x))), x.shape[-2], x.shape[-1])


class Attention(nn.Module):
    """One head over all positions of a frame."""

    def __init__(self, c: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(c, groups)
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(c, c) for _ in range(4))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        out: Tensor = x + self.to_out(mixed).transpose(1, 2).unflatten(2, x.shape[2:])
        return out


def _encoder(config: VAEConfig) -> nn.Sequential:
    widths, groups = config.widths, config.groups
    c, levels = widths[0], []
    for level, width in enumerate(widths):
        blocks = _residuals(c, width, config.layers, groups)
        if level < len(widths) - 1:
            # Padded right and below only: the published weights expect it.
            conv = nn.Conv2d(width, width, 3, stride=2)
            blocks.append(_named(pad=nn.ZeroPad2d((0, 1, 0, 1)), conv=conv))
        levels.append(nn.Sequential(*blocks))
        c = width
    return _named(
        fold=nn.PixelUnshuffle(config.patch) if config.patch > 1 else nn.Identity(),
        conv_in=nn.Conv2d(config.in_channels * config.patch**2, widths[0], 3, padding=1),
        levels=nn.Sequential(*levels),
        mid=_middle(config),
        norm_out=_norm(c, groups),
        act=nn.SiLU(),
        conv_out=nn.Conv2d(c, 2 * config.latent_channels, 3, padding=1),
    )


def _decoder(config: VAEConfig) -> nn.Sequential:
    widths, groups, pixels = config.widths, config.groups, config.in_channels
    kind = TimedResidual if config.sees_time else Residual
    c, levels = widths[-1], []
    for level, width in enumerate(reversed(widths)):
        blocks = _residuals(c, width, config.layers + 1, groups, kind)
        if level < len(widths) - 1:
            conv = nn.Conv2d(width, width, 3, padding=1)
            blocks.append(_named(up=nn.Upsample(scale_factor=2, mode="nearest"), conv=conv))
        levels.append(nn.Sequential(*blocks))
        c = width
    return _named(
        conv_in=nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1),
        mid=_middle(config, kind),
        levels=nn.Sequential(*levels),
        norm_out=_norm(c, groups),
        act=nn.SiLU(),
        conv_out=nn.Conv2d(c, pixels * config.patch**2, 3, padding=1),
        unfold=nn.PixelShuffle(config.patch) if config.patch > 1 else nn.Identity(),
        time_out=OverFrames(TimeConv(pixels, pixels, (3, 1), padding=(1, 0))) if config.sees_time else nn.Identity(),
    )


def _middle(config: VAEConfig, kind: type[Residual] = Residual) -> nn.Sequential:
    c, groups = config.widths[-1], config.groups
    attention = Attention(c, groups) if config.mid_attention else nn.Identity()
    return nn.Sequential(kind(c, c, groups), attention, kind(c, c, groups))


def _residuals(c: int, width: int, count: int, groups: int, kind: type[Residual] = Residual) -> list[nn.Module]:
    return [kind(c if i == 0 else width, width, groups) for i in range(count)]


def _norm(c: int, groups: int, eps: float = 1e-6) -> nn.Module:
    return nn.GroupNorm(groups, c, eps=eps) if groups else nn.Identity()


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
