"""The parts that see time: what inflation adds to a 2D network (PixelDance, arXiv 2311.10982, sec. 3.2).

Both are residual branches whose last layer starts at zero, so that a freshly inflated network equals its 2D
network to the bit; both are skipped for a video of one frame, which makes an image model of the same weights.
Features come as frames (b f, c, h, w) in channels-last order; every regrouping below is a view.
"""

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.nets.attention import Attention, FeedForward, sinusoids
from pixeldance.nets.convolution import TimeConv
from pixeldance.nets.recompute import after, recomputed

Module = TypeVar("Module", bound=nn.Module)
NormOver = Literal["frame", "video"]
Positions = Literal["ends", "first", "none"]
Mixing = Literal["convolution", "shift", "adaptor"]
Sees = Literal["all", "past"]
ADAPTED = 16  # frames that an adaptor has numbers for: MagicVideo's
SHIFTED = 8  # one part in so many of the channels is shifted each way: TSM's


class TemporalConvolution(nn.Module):
    """1D convolutions over time at every pixel: x + conv(...silu(norm(x))), `layers` of them in the branch.

    over: whether each frame is normalised by its own statistics or by those of the whole video.
    """

    def __init__(self, width: int, groups: int, layers: int = 1, over: NormOver = "frame") -> None:
        super().__init__()
        self.over = NORMS[over]
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(layers))
        self.convs = nn.ModuleList(TimeConv(width, width, (3, 1), padding=(1, 0)) for _ in range(layers))
        zero(self.convs[-1])

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        branch = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            branch = time_as_height(recomputed(norm_silu, self.over(norm, frames), branch), frames)
            branch = height_as_time(conv(branch), x.shape[-2], x.shape[-1])
        return x + branch


class TemporalShift(nn.Module):
    """Channels from the neighbours in time instead of a layer: an eighth of them from the frame before, an eighth from
    the one after, zeros beyond the ends (TSM, arXiv 1811.08383). It has no parameters and no arithmetic, and unlike the
    others it does something from the start."""

    def __init__(self, width: int, groups: int, layers: int = 1) -> None:
        super().__init__()
        self.part = width // SHIFTED

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        video, moved = x.unflatten(0, (-1, frames)), torch.zeros_like(x).unflatten(0, (-1, frames))
        before, after = slice(0, self.part), slice(self.part, 2 * self.part)
        moved[:, 1:, before] = video[:, :-1, before]
        moved[:, :-1, after] = video[:, 1:, after]
        moved[:, :, after.stop :] = video[:, :, after.stop :]
        return moved.flatten(0, 1)


class TemporalAdaptor(nn.Module):
    """A gain and an offset for every frame number and channel, x (1 + gain_i) + offset_i: all that one frame's layers
    differ in from another's (MagicVideo, arXiv 2211.11018 sec. 3.2)."""

    def __init__(self, width: int, groups: int, layers: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(ADAPTED, width))
        self.offset = nn.Parameter(torch.zeros(ADAPTED, width))

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        if frames > ADAPTED:
            raise ValueError(f"got {frames} frames; an adaptor has numbers for {ADAPTED}: wanted that many or fewer")
        gain, offset = (
            each[:frames].repeat(len(x) // frames, 1)[:, :, None, None] for each in (self.gain, self.offset)
        )
        return x * (1 + gain) + offset


def norm_silu(norm: Callable[[Tensor], Tensor], x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """silu(norm(x)); in the norm's own memory where no gradient needs it."""
    return F.silu(norm(x), inplace=not torch.is_grad_enabled())


class TemporalAttention(nn.Module):
    """Bidirectional attention over the frames at every pixel, `depth` layers and a feed-forward.

    Frame numbers enter as sinusoids. positions "ends": counted from the first frame and from the last, added to the
    normalised input. "first": counted from the first, added before every attention (AnimateDiff, arXiv 2307.04725).
    "none": not at all (ModelScope, arXiv 2308.06571). sees "past": each frame reads itself and those before it
    (MagicVideo's directed attention, arXiv 2211.11018). over: as in `TemporalConvolution`. inner: width of the tokens,
    where it is not that of the features.
    """

    def __init__(
        self,
        width: int,
        head_width: int,
        mult: int,
        groups: int,
        depth: int = 1,
        *,
        over: NormOver = "frame",
        positions: Positions = "ends",
        sees: Sees = "all",
        inner: int | None = None,
    ) -> None:
        super().__init__()
        inner, kind = inner or width, PlacedNorm if positions == "first" else nn.LayerNorm
        self.over, self.ends, self.past = NORMS[over], positions == "ends", sees == "past"
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.project_in = nn.Linear(width, inner)
        self.norms = nn.ModuleList(kind(inner) for _ in range(depth))
        self.attentions = nn.ModuleList(Attention(inner, head_width) for _ in range(depth))
        self.norm_feed = nn.LayerNorm(inner)
        self.feed_forward = FeedForward(inner, mult)
        self.project_out = zero(nn.Linear(inner, width))

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        norm = self.over(self.norm, frames)
        h = after(norm, lambda each: self.project_in(frames_to_tokens(each, frames).flatten(0, 1)), x)
        if self.ends:
            h = h + frame_positions(frames, h.shape[-1]).to(x)
        pairs = torch.ones(frames, frames, dtype=torch.bool, device=x.device).tril() if self.past else None
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            h = h + attention(norm(h), pairs=pairs)
        h = self.project_out(h + self.feed_forward(h, self.norm_feed))
        return x + tokens_to_frames(h.unflatten(0, (-1, x.shape[-2] * x.shape[-1])), x.shape[-2], x.shape[-1])


class PlacedNorm(nn.LayerNorm):
    """A norm of the tokens of every frame, which then tells each its frame number."""

    def forward(self, input: Float[Tensor, "n f d"]) -> Float[Tensor, "n f d"]:
        return super().forward(input) + interleaved(input.shape[1], input.shape[2]).to(input)


def zero(module: Module) -> Module:
    """Set all weights of a layer to zero: a residual branch that ends in it starts as nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def frame_positions(frames: int, width: int) -> Float[Tensor, "f w"]:
    """Sinusoids of the frames since the first and of the frames until the last, half of the width each."""
    since_first = torch.arange(frames)
    both = torch.stack([since_first, frames - 1 - since_first], dim=1)
    return sinusoids(both, width // 2, longest=1000.0).flatten(1)


def interleaved(frames: int, width: int) -> Float[Tensor, "f w"]:
    """sin and cos in turn of the frame number at width / 2 frequencies (arXiv 1706.03762, 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def of_frames(norm: nn.Module, frames: int) -> Callable[[Tensor], Tensor]:
    """The norm of each frame by its own statistics."""
    return norm


def of_video(norm: nn.Module, frames: int) -> Callable[[Tensor], Tensor]:
    """The norm of the frames of a video by the statistics of all of them."""
    return lambda x: height_as_time(norm(time_as_height(x, frames)), x.shape[-2], x.shape[-1])


NORMS: dict[NormOver, Callable[[nn.Module, int], Callable[[Tensor], Tensor]]] = {"frame": of_frames, "video": of_video}


MIXING: dict[Mixing, Callable[[int, int, int], nn.Module]] = {
    "convolution": TemporalConvolution,
    "shift": TemporalShift,
    "adaptor": TemporalAdaptor,
}


def time_as_height(x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "b c f hw"]:
    """Frames to images whose height is time, so that a (3, 1) convolution runs over the frames."""
    return x.unflatten(0, (-1, frames)).permute(0, 1, 3, 4, 2).flatten(2, 3).permute(0, 3, 1, 2)


def height_as_time(x: Float[Tensor, "b c f hw"], height: int, width: int) -> Float[Tensor, "bf c h w"]:
    """The inverse of `time_as_height`."""
    return x.permute(0, 2, 3, 1).unflatten(2, (height, width)).flatten(0, 1).permute(0, 3, 1, 2)


def frames_to_tokens(x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "b hw f c"]:
    """The tokens of every pixel over time; a strided view."""
    return x.unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2).flatten(1, 2)


def tokens_to_frames(tokens: Float[Tensor, "b hw f c"], height: int, width: int) -> Float[Tensor, "bf c h w"]:
    """The inverse of `frames_to_tokens`, in channels-last order (one copy: the frames move back to the front)."""
    frames = tokens.transpose(1, 2).contiguous()
    return frames.unflatten(2, (height, width)).flatten(0, 1).permute(0, 3, 1, 2)
