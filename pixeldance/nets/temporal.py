"""The parts that see time: what inflation adds to a 2D network (PixelDance, arXiv 2311.10982, sec. 3.2).

Both are residual branches whose last layer starts at zero, so that a freshly inflated network equals its 2D
network to the bit; both are skipped for a video of one frame, which makes an image model of the same weights.
Features come as frames (b f, c, h, w) in channels-last order; every regrouping below is a view.
"""

from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.nets.attention import Attention, FeedForward, sinusoids
from pixeldance.nets.convolution import TimeConv
from pixeldance.nets.recompute import after, recomputed

Module = TypeVar("Module", bound=nn.Module)


class TemporalConvolution(nn.Module):
    """1D convolutions over time at every pixel: x + conv(...silu(norm(x))), `layers` of them in the branch."""

    def __init__(self, width: int, groups: int, layers: int = 1) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(layers))
        self.convs = nn.ModuleList(TimeConv(width, width, (3, 1), padding=(1, 0)) for _ in range(layers))
        zero(self.convs[-1])

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        branch = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            branch = time_as_height(recomputed(norm_silu, norm, branch), frames)
            branch = height_as_time(conv(branch), x.shape[-2], x.shape[-1])
        return x + branch


def norm_silu(norm: nn.Module, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """silu(norm(x))"""
    return F.silu(norm(x))


class TemporalAttention(nn.Module):
    """Bidirectional attention over the frames at every pixel, `depth` layers and a feed-forward.

    Frame numbers, counted from the first frame and from the last, enter as sinusoids added to the normalised input.
    """

    def __init__(self, width: int, head_width: int, mult: int, groups: int, depth: int = 1) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.project_in = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.attentions = nn.ModuleList(Attention(width, head_width) for _ in range(depth))
        self.norm_feed = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, mult)
        self.project_out = zero(nn.Linear(width, width))

    def forward(self, x: Float[Tensor, "bf c h w"], frames: int) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        h = after(self.norm, lambda each: self.project_in(frames_to_tokens(each, frames).flatten(0, 1)), x)
        h = h + frame_positions(frames, x.shape[1]).to(x)
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            h = h + attention(norm(h))
        h = self.project_out(h + self.feed_forward(h, self.norm_feed))
        return x + tokens_to_frames(h.unflatten(0, (-1, x.shape[-2] * x.shape[-1])), x.shape[-2], x.shape[-1])


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
