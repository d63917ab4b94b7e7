"""Time inside the layers of space, as in Stable Video Diffusion (arXiv 2311.15127, after Align Your Latents).

A residual block over time behind each one over space, and a transformer block over time inside each attention layer:

    x + (1 - sigmoid(mix)) branch(x)

The branches know the noise level, the frame's number and what the tokens say. They do not begin at zero; a video of one
frame skips them, which is the published network's mode for pictures.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pixeldance.nets.attention import FeedForward, TransformerBlock, sinusoids
from pixeldance.nets.convolution import TimeConv
from pixeldance.nets.temporal import height_as_time, norm_silu, of_video, time_as_height


class Mix(nn.Module):
    """How much a branch over time counts: one learned number. turned: sigmoid(mix) of it, as in the autoencoder."""

    def __init__(self, *, turned: bool = False) -> None:
        super().__init__()
        self.turned = turned
        self.mix_factor = nn.Parameter(torch.tensor([0.0 if turned else 0.5]))

    def forward(self, x: Float[Tensor, "..."], branch: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        share = torch.sigmoid(self.mix_factor)
        return x + (share if self.turned else 1 - share) * branch


class TemporalResidual(nn.Module):
    """norm, SiLU, conv over time, + emb, norm, SiLU, conv over time; the norms are over the whole video."""

    def __init__(self, width: int, emb: int, groups: int, eps: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width, eps=eps) for _ in range(2))
        self.convs = nn.ModuleList(TimeConv(width, width, (3, 1), padding=(1, 0)) for _ in range(2))
        self.emb = nn.Linear(emb, width)
        self.mix = Mix()

    def forward(
        self, x: Float[Tensor, "bf c h w"], frames: int, emb: Float[Tensor, "bf e"]
    ) -> Float[Tensor, "bf c h w"]:
        if frames == 1:
            return x
        branch = x
        for norm, conv, told in zip(self.norms, self.convs, (self.emb(F.silu(emb))[:, :, None, None], 0), strict=True):
            branch = time_as_height(norm_silu(of_video(norm, frames), branch), frames)
            branch = height_as_time(conv(branch), x.shape[-2], x.shape[-1]) + told
        return self.mix(x, branch)


class InsideTime(nn.Module):
    """A transformer block over the frames at every pixel, for the tokens of `SpatialTransformer`."""

    def __init__(self, width: int, head_width: int, context_width: int | None, mult: int) -> None:
        super().__init__()
        self.place_in, self.place_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm_first = nn.LayerNorm(width)
        self.feed_first = FeedForward(width, mult)
        self.block = TransformerBlock(width, head_width, context_width, mult)
        self.mix = Mix()

    def forward(
        self,
        tokens: Float[Tensor, "bf n d"],
        context: Float[Tensor, "b m e"] | None,
        mask: Bool[Tensor, "b m"] | None,
        frames: int,
    ) -> Float[Tensor, "bf n d"]:
        if frames == 1:
            return tokens
        place = sinusoids(torch.arange(frames, device=tokens.device), tokens.shape[-1]).to(tokens)
        told = self.place_out(F.silu(self.place_in(place)))
        over = tokens.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1) + told
        over = over + self.feed_first(over, self.norm_first)
        over = self.block(over, context, mask)
        over = over.unflatten(0, (-1, tokens.shape[1])).transpose(1, 2).flatten(0, 1)
        return self.mix(tokens, over - tokens)
