"""The one door between pixels and latents: a codec turns videos in [-1, 1] into latents and back.

    encode: latents = (E q(z | frame) - mean) / std        decode: frame = clamp(decoder(std latents + mean))

A codec is one `Codec` around a network of single frames: `PatchConfig` folds pixels into channels and loses
nothing, `PCAConfig` keeps their principal components, `KLConfig` is a learned autoencoder (arXiv 2112.10752).
Latents are logically (b, f, c, h, w) and stored as (b, f, h, w, c). The network is frozen; gradients still
pass through `decode` to the latents.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pixeldance.nets.vae import AutoencoderKL, VAEConfig


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Every patch x patch square of pixels becomes one position; patch=1 leaves the pixels as they are."""

    patch: int = 4
    in_channels: int = 3
    frames_at_once: int = 64


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """A learned autoencoder; `mean` and `std` of its latents, one for all channels or one each.

    The default std is Stable Diffusion's: it multiplies latents by 0.18215. `frames_at_once`: how many frames
    the network sees together; it bounds the memory and changes nothing else, but where the decoder sees time: there
    videos are decoded in pieces of so many frames, which know nothing of each other.
    """

    vae: VAEConfig = field(default_factory=VAEConfig)
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1 / 0.18215
    frames_at_once: int = 16

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) != self.vae.latent_channels:
                raise ValueError(
                    f"{name} has {len(value)} values, the autoencoder {self.vae.latent_channels} latent "
                    f"channels. Give one number, or {self.vae.latent_channels}."
                )


@dataclass(frozen=True, kw_only=True)
class PCAConfig:
    """The `channels` principal components of patch x patch squares: the best linear codec (Karhunen-Loeve).

    Component k is divided by its standard deviation to the power `whiten`: 0 keeps the geometry of pixels, 1 makes
    all components equally loud. The basis is fitted to frames by `fit_pca` and kept with the weights.
    """

    patch: int = 8
    in_channels: int = 3
    channels: int = 64
    whiten: float = 0.5
    frames_at_once: int = 64


CodecConfig = PatchConfig | PCAConfig | KLConfig


def build_codec(config: CodecConfig) -> "Codec":
    """A codec with its network's initial weights; load trained ones into `.net` (AutoencoderKL's keys)."""
    if isinstance(config, PatchConfig):
        return Codec(
            Fold(config.patch),
            channels=config.in_channels * config.patch**2,
            factor=config.patch,
            mean=0.0,
            std=1.0,
            frames_at_once=config.frames_at_once,
        )
    if isinstance(config, PCAConfig):
        return Codec(
            PCA(config),
            channels=config.channels,
            factor=config.patch,
            mean=0.0,
            std=1.0,
            frames_at_once=config.frames_at_once,
        )
    return Codec(
        AutoencoderKL(config.vae),
        channels=config.vae.latent_channels,
        factor=config.vae.factor,
        mean=config.mean,
        std=config.std,
        frames_at_once=config.frames_at_once,
        sees_time=config.vae.sees_time,
    )


class Codec(nn.Module):
    """`channels`: of a latent. `factor`: pixels along one side of a latent position. `sees_time`: whether the network
    decodes the frames that it is given as those of one video."""

    def __init__(
        self,
        net: "AutoencoderKL | Fold | PCA",
        *,
        channels: int,
        factor: int,
        mean: float | tuple[float, ...],
        std: float | tuple[float, ...],
        frames_at_once: int,
        sees_time: bool = False,
    ) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()
        self.channels, self.factor = channels, factor
        self.mean, self.std = mean, std
        self.frames_at_once, self.sees_time = frames_at_once, sees_time

    @torch.no_grad()
    def encode(self, video: Float[Tensor, "b f c h w"]) -> Float[Tensor, "b f z i j"]:
        """The most likely latents, about unit variance. ValueError for sizes the factor does not divide."""
        _check(video, self.factor)
        latents = torch.cat(
            [self.from_frames(piece) for piece in torch.split(video.flatten(0, 1), self.frames_at_once)]
        )
        latents = latents.contiguous(memory_format=torch.channels_last)
        return latents.reshape(*video.shape[:2], *latents.shape[1:])

    def decode(self, latents: Float[Tensor, "b f z i j"]) -> Float[Tensor, "b f c h w"]:
        """Pixels in [-1, 1]. Differentiable with respect to the latents."""
        if latents.ndim != 5 or latents.shape[2] != self.channels:
            raise ValueError(
                f"latents must be (b, f, {self.channels}, h, w); got {tuple(latents.shape)}. "
                "An image is a video of one frame."
            )
        apart = latents.unbind() if self.sees_time else [latents.flatten(0, 1)]
        pieces = [piece for frames in apart for piece in torch.split(frames, self.frames_at_once)]
        pixels = torch.cat([self.to_frames(piece) for piece in pieces])
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels.clamp(-1.0, 1.0).reshape(*latents.shape[:2], *pixels.shape[1:])

    @torch.no_grad()
    def decode_stream(
        self, latents: Float[Tensor, "b f z i j"], *, frames_at_once: int = 4
    ) -> Iterator[Float[Tensor, "b g c h w"]]:
        """`decode` a few frames at a time, in order: memory does not grow with the number of frames.

        Where the network sees time, they are the pieces that `decode` takes.
        """
        frames_at_once = self.frames_at_once if self.sees_time else frames_at_once
        for piece in torch.split(latents, frames_at_once, dim=1):
            yield self.decode(piece)

    def to_frames(self, latents: Float[Tensor, "n z i j"]) -> Float[Tensor, "n c h w"]:
        """Frames as the network decodes them, which may lie outside of [-1, 1]."""
        mean, std = self._moments(latents)
        return self.net.decode(latents * std + mean)

    def from_frames(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z i j"]:
        """Frames to latents; unlike `encode`, with gradients."""
        mean, std = self._moments(pixels)
        return (self.net.encode(pixels)[0] - mean) / std

    def latent_frame(self, frame: int) -> int:
        """Where frame number `frame` (-1 is the last) lies along the latents' time axis: here, one to one."""
        return frame

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        # Made anew each time: as buffers they would be lost when a codec is built on the meta device.
        return like.new_tensor(self.mean).reshape(-1, 1, 1), like.new_tensor(self.std).reshape(-1, 1, 1)


class Fold(nn.Module):
    """Pixels into channels and back, exactly."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def encode(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n z i j"], Float[Tensor, ""]]:
        """The folded pixels and their log-variance: minus infinity, for nothing is uncertain."""
        return F.pixel_unshuffle(x, self.patch), x.new_tensor(-torch.inf)

    def decode(self, z: Float[Tensor, "n z i j"]) -> Float[Tensor, "n c h w"]:
        return F.pixel_shuffle(z, self.patch)


class PCA(nn.Module):
    """z = (basis (x - mean)) / scale for every patch x, and back; `basis` has orthonormal rows."""

    def __init__(self, config: PCAConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.in_channels * config.patch**2
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.basis = nn.Parameter(torch.eye(config.channels, pixels))
        self.scale = nn.Parameter(torch.ones(config.channels))

    def encode(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n z i j"], Float[Tensor, ""]]:
        """The components, and a log-variance of minus infinity: nothing is uncertain."""
        patches = F.pixel_unshuffle(x, self.config.patch).movedim(1, -1)
        z = (patches - self.mean) @ self.basis.T / self.scale
        return z.movedim(-1, 1), x.new_tensor(-torch.inf)

    def decode(self, z: Float[Tensor, "n z i j"]) -> Float[Tensor, "n c h w"]:
        patches = (z.movedim(1, -1) * self.scale) @ self.basis + self.mean
        return F.pixel_shuffle(patches.movedim(-1, 1), self.config.patch)


@torch.no_grad()
def fit_pca(net: PCA, frames: Float[Tensor, "n c h w"]) -> None:
    """Set the basis to the principal components of the patches of `frames`, scaled to unit variance on average."""
    patches = F.pixel_unshuffle(frames, net.config.patch).movedim(1, -1).flatten(0, 2).double()
    net.mean.copy_(patches.mean(0))
    variances, vectors = torch.linalg.eigh(torch.cov(patches.T))
    kept = slice(-net.config.channels, None)
    deviations = variances[kept].flip(0).clamp(min=1e-12).sqrt()
    net.basis.copy_(vectors[:, kept].flip(1).T)
    scale = deviations**net.config.whiten
    net.scale.copy_(scale * (deviations / scale).square().mean().sqrt())


def to_pixels(video: Float[Tensor, "f c h w"]) -> UInt8[np.ndarray, "f h w c"]:
    """Floats in [-1, 1] to bytes: 127.5 (x + 1) clamped to [0, 255], rounded to nearest, halves to even."""
    if video.ndim != 4:
        raise ValueError(f"one video (f, c, h, w) at a time; got shape {tuple(video.shape)}. Index the batch.")
    scaled = ((video.detach().float() + 1.0) * 127.5).clamp(0.0, 255.0)
    pixels: UInt8[np.ndarray, "f h w c"] = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def from_pixels(
    pixels: UInt8[np.ndarray, "*b f h w c"] | UInt8[Tensor, "*b f h w c"],
) -> Float[Tensor, "*b f c h w"]:
    """Bytes to floats in [-1, 1]: x / 127.5 - 1, stored (..., f, h, w, c); `to_pixels` is its inverse."""
    if pixels.dtype not in (np.uint8, torch.uint8) or pixels.ndim < 4:
        raise ValueError(
            f"pixels must be uint8 of shape (..., f, h, w, c); got {pixels.dtype} of {tuple(pixels.shape)}."
        )
    return (torch.as_tensor(pixels).float() / 127.5 - 1.0).movedim(-1, -3)


def _check(video: Tensor, factor: int) -> None:
    if video.ndim != 5 or not video.is_floating_point():
        raise ValueError(
            f"a codec takes floats in [-1, 1] of shape (b, f, c, h, w); got {video.dtype} of "
            f"{tuple(video.shape)}. `from_pixels` makes them from bytes."
        )
    height, width = video.shape[-2:]
    if height % factor or width % factor:
        near = [max(factor, round(side / factor) * factor) for side in (height, width)]
        raise ValueError(
            f"frames of {height} x {width} do not fit a codec of {factor} x {factor} pixels a position. "
            f"The nearest possible size is {near[0]} x {near[1]}: resize or crop the video to it."
        )
