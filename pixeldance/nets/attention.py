"""Attention over the tokens of one frame, over text, and the transformer block that joins them.

All modules take tokens (batch, n, d) and keep their shape.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from pixeldance.nets.recompute import after


class Attention(nn.Module):
    """Multi-head attention of tokens to themselves, or to `context` where it has a width of its own."""

    def __init__(self, width: int, head_width: int, context_width: int | None = None) -> None:
        super().__init__()
        if width % head_width:
            raise ValueError(f"got width {width} and head width {head_width}; wanted a whole number of heads")
        self.heads = width // head_width
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context_width or width, width, bias=False)
        self.value = nn.Linear(context_width or width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        context: Float[Tensor, "v m e"] | None = None,
        mask: Bool[Tensor, "v m"] | None = None,
        norm: nn.LayerNorm | None = None,
        pairs: Bool[Tensor, "n m"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Of norm(x) to the context, where there is a norm; `mask` is true at the context tokens that may be read, or
        `pairs` where token n may read token m.

        Where b is a multiple of v, a context is projected once and serves b / v rows, as a text does a video's frames.
        """
        context = x if context is None else context
        rows = len(x) // len(context)
        key, value = (_spread(layer(context), rows) for layer in (self.key, self.value))
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (after(norm, self.query, x), key, value)
        )
        allowed = pairs if mask is None else _spread(mask, rows)[:, None, None, :]
        return self.out(attend(query, key, value, allowed).transpose(1, 2).flatten(-2))


def _spread(each: Tensor, rows: int) -> Tensor:
    return each if rows == 1 else each.repeat_interleave(rows, dim=0)


def attend(
    query: Float[Tensor, "b h n k"],
    key: Float[Tensor, "b h m k"],
    value: Float[Tensor, "b h m k"],
    allowed: Bool[Tensor, "b #h #n m"] | Bool[Tensor, "n m"] | None = None,
) -> Float[Tensor, "b h n k"]:
    """softmax(q k' / sqrt(k)) v"""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)


class FeedForward(nn.Module):
    """A gated GELU layer (GEGLU, arXiv 2002.05202) of norm(x), `mult` times as wide inside."""

    def __init__(self, width: int, mult: int = 4) -> None:
        super().__init__()
        self.gate_and_value = nn.Linear(width, 2 * mult * width)
        self.out = nn.Linear(mult * width, width)

    def forward(self, x: Float[Tensor, "b n d"], norm: nn.LayerNorm) -> Float[Tensor, "b n d"]:
        return after(geglu, self.out, after(norm, self.gate_and_value, x))


def geglu(x: Float[Tensor, "... e"]) -> Float[Tensor, "... e//2"]:
    """value gelu(gate) of the two halves; without a third piece of memory where no gradient needs it."""
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate) if torch.is_grad_enabled() else F.gelu(gate).mul_(value)


def own(tokens: Float[Tensor, "bf n d"], frames: int) -> Float[Tensor, "bf n d"]:
    """The tokens of the frame itself."""
    return tokens


def of_first(tokens: Float[Tensor, "bf n d"], frames: int) -> Float[Tensor, "b n d"]:
    """Those of the video's first frame, for all its frames (Text2Video-Zero, arXiv 2303.13439 eq. 8)."""
    return tokens[::frames]


def of_first_and_previous(tokens: Float[Tensor, "bf n d"], frames: int) -> Float[Tensor, "bf 2*n d"]:
    """Those of the first frame and of the one before, for each (Tune-A-Video, arXiv 2212.11565 sec. 3.2)."""
    video = tokens.unflatten(0, (-1, frames))
    before = torch.cat([video[:, :1], video[:, :-1]], dim=1)
    return torch.cat([video[:, :1].expand_as(video), before], dim=2).flatten(0, 1)


Keys = Literal["own", "first", "first+previous"]
KEYS: dict[Keys, Callable[[Tensor, int], Tensor]] = {
    "own": own,
    "first": of_first,
    "first+previous": of_first_and_previous,
}
"""What the pixels of a frame attend to in the place of self-attention. The weights are the same."""


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text (if `context_width`), feed-forward; pre-norm residuals.

    `mask` is about the context, or about x itself where there is no context. keys: in self-attention (`KEYS`), where x
    is the frames of videos of `frames` frames. image_tokens: so many at the end of the context are a picture's, read by
    an attention of their own behind a gate (`image_tokens.py`).
    """

    def __init__(
        self,
        width: int,
        head_width: int,
        context_width: int | None,
        mult: int,
        keys: Keys = "own",
        image_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.keys = KEYS[keys]
        self.norm_self = nn.LayerNorm(width)
        self.self_attention = Attention(width, head_width)
        self.norm_cross = nn.LayerNorm(width) if context_width else None
        self.cross_attention = Attention(width, head_width, context_width) if context_width else None
        self.image_tokens = image_tokens
        if image_tokens:
            self.image_attention = Attention(width, head_width, context_width)
            self.gate = nn.Parameter(torch.zeros(1))
        self.norm_feed = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, mult)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        context: Float[Tensor, "v m e"] | None = None,
        mask: Bool[Tensor, "v m"] | None = None,
        frames: int = 1,
    ) -> Float[Tensor, "b n d"]:
        normed = self.norm_self(x)
        x = x + self.self_attention(normed, self.keys(normed, frames), mask if context is None else None)
        if self.norm_cross is not None and self.cross_attention is not None:
            picture = None
            if self.image_tokens and context is not None:
                context, picture = context[:, : -self.image_tokens], context[:, -self.image_tokens :]
                mask = None if mask is None else mask[:, : -self.image_tokens]
            told = self.cross_attention(x, context, mask, self.norm_cross)
            if picture is not None:
                told = told + self.gate.tanh() * self.image_attention(x, picture, None, self.norm_cross)
            x = x + told
        return x + self.feed_forward(x, self.norm_feed)


class SpatialTransformer(nn.Module):
    """A 2D attention layer of Stable Diffusion: norm, a transformer block over the pixels of a frame, residual.

    inside: makes what else is done with the tokens of all frames before they become pixels again.
    """

    def __init__(
        self,
        width: int,
        head_width: int,
        context_width: int | None,
        mult: int,
        groups: int,
        keys: Keys = "own",
        inside: Callable[[], nn.Module] | None = None,
        image_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.project_in = nn.Linear(width, width)
        self.block = TransformerBlock(width, head_width, context_width, mult, keys, image_tokens)
        self.inside = inside() if inside else None
        self.project_out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "bf c h w"],
        context: Float[Tensor, "b m e"] | None = None,
        mask: Bool[Tensor, "b m"] | None = None,
        frames: int = 1,
    ) -> Float[Tensor, "bf c h w"]:
        tokens = after(self.norm, lambda each: self.project_in(pixels_to_tokens(each)), x)
        tokens = self.block(tokens, context, mask, frames)
        tokens = tokens if self.inside is None else self.inside(tokens, context, mask, frames)
        return x + tokens_to_pixels(self.project_out(tokens), x.shape[-2], x.shape[-1])


def pixels_to_tokens(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h*w c"]:
    """A view when x is in channels-last order."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def tokens_to_pixels(tokens: Float[Tensor, "n hw c"], height: int, width: int) -> Float[Tensor, "n c h w"]:
    """The inverse of `pixels_to_tokens`, again a view."""
    return tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def sinusoids(position: Num[Tensor, "..."], width: int, longest: float = 10000.0) -> Float[Tensor, "... w"]:
    """cos and sin of `position` at width / 2 frequencies from 1 to 1 / longest (arXiv 1706.03762, 3.5)."""
    exponents = torch.arange(width // 2, device=position.device, dtype=torch.float32) / (width // 2)
    angles = position.float()[..., None] * longest**-exponents
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
