"""A picture as tokens beside the text's, as in DynamiCrafter (arXiv 2310.12190, sec. 3.2).

A query transformer asks the picture a fixed number of questions; what it is told joins the text's tokens, at their end,
and every layer of attention to the text reads both, each with keys and values of its own:

    x + attention(x, text) + tanh(gate) attention(x, picture)

The gates begin at 0, so that a network with them begins as the one without.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.nets.attention import TransformerBlock, pixels_to_tokens, sinusoids

DEPTH = 2


class QueryTransformer(nn.Module):
    """From a picture of any size to `count` tokens."""

    def __init__(self, channels: int, width: int, count: int, head_width: int, mult: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(count, width) * width**-0.5)
        self.read = nn.Linear(channels, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, head_width, width, mult) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(width)

    def forward(self, picture: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        pixels = self.read(pixels_to_tokens(picture))
        pixels = pixels + places(picture.shape[2], picture.shape[3], pixels.shape[-1]).to(pixels)
        asked = self.queries.expand(len(picture), -1, -1)
        for block in self.blocks:
            asked = block(asked, pixels)
        return self.norm(asked)


def places(height: int, width: int, depth: int) -> Float[Tensor, "hw d"]:
    """Sinusoids of each pixel's row and of its column, half of the depth each."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return sinusoids(torch.stack([rows, columns], dim=-1).flatten(0, 1), depth // 2, longest=100.0).flatten(1)
