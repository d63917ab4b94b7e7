"""Attention over the tokens of one frame, over text, and the transformer block that joins them.

All modules take tokens (batch, n, d) and keep their shape.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn


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
        context: Float[Tensor, "b m e"] | None = None,
        mask: Bool[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """`mask` is true at the context tokens that may be read."""
        context = x if context is None else context
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each in (self.query(x), self.key(context), self.value(context))
        )
        allowed = None if mask is None else mask[:, None, None, :]
        return self.out(attend(query, key, value, allowed).transpose(1, 2).flatten(-2))


def attend(
    query: Float[Tensor, "b h n k"],
    key: Float[Tensor, "b h m k"],
    value: Float[Tensor, "b h m k"],
    allowed: Bool[Tensor, "b #h #n m"] | None = None,
) -> Float[Tensor, "b h n k"]:
    """softmax(q k' / sqrt(k)) v. On a CPU spelled out, as the fused kernel's backward pass is slower there."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1) @ value


class FeedForward(nn.Module):
    """A gated GELU layer (GEGLU, arXiv 2002.05202), `mult` times as wide inside."""

    def __init__(self, width: int, mult: int = 4) -> None:
        super().__init__()
        self.gate_and_value = nn.Linear(width, 2 * mult * width)
        self.out = nn.Linear(mult * width, width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        value, gate = self.gate_and_value(x).chunk(2, dim=-1)
        return self.out(value * F.gelu(gate))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text (if `context_width`), feed-forward; pre-norm residuals.

    `mask` is about the context, or about x itself where there is no context.
    """

    def __init__(self, width: int, head_width: int, context_width: int | None, mult: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width)
        self.self_attention = Attention(width, head_width)
        self.norm_cross = nn.LayerNorm(width) if context_width else None
        self.cross_attention = Attention(width, head_width, context_width) if context_width else None
        self.norm_feed = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, mult)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        context: Float[Tensor, "b m e"] | None = None,
        mask: Bool[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        own = mask if context is None else None
        x = x + self.self_attention(self.norm_self(x), mask=own)
        if self.norm_cross is not None and self.cross_attention is not None:
            x = x + self.cross_attention(self.norm_cross(x), context, mask)
        return x + self.feed_forward(self.norm_feed(x))


class SpatialTransformer(nn.Module):
    """A 2D attention layer of Stable Diffusion: norm, a transformer block over the pixels of a frame, residual."""

    def __init__(self, width: int, head_width: int, context_width: int | None, mult: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.project_in = nn.Linear(width, width)
        self.block = TransformerBlock(width, head_width, context_width, mult)
        self.project_out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "bf c h w"],
        context: Float[Tensor, "bf m e"] | None = None,
        mask: Bool[Tensor, "bf m"] | None = None,
    ) -> Float[Tensor, "bf c h w"]:
        tokens = pixels_to_tokens(self.norm(x))
        tokens = self.project_out(self.block(self.project_in(tokens), context, mask))
        return x + tokens_to_pixels(tokens, x.shape[-2], x.shape[-1])


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
