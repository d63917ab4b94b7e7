"""Text encoders: words to tokens for cross-attention, and one vector for the whole text.

`WordEncoder` is the small one, trained with the model it serves; `CLIPEncoder` is Stable Diffusion's, frozen, through
transformers. Both are called with a list of texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pixeldance.instruction import words
from pixeldance.nets.attention import TransformerBlock, sinusoids


class TextCode(NamedTuple):
    """tokens (b, n, d) with mask (b, n), true where a token is real, and a vector (b, d) for the whole."""

    tokens: Float[Tensor, "b n d"]
    mask: Bool[Tensor, "b n"]
    vector: Float[Tensor, "b d"]


@dataclass(frozen=True, kw_only=True)
class WordConfig:
    """A transformer over whole words; `vocabulary` lists the words that it was trained on."""

    vocabulary: tuple[str, ...]
    width: int = 128
    layers: int = 2
    head_width: int = 32
    length: int = 48


class WordEncoder(nn.Module):
    """Token 0 stands before every text and is all there is of an empty one; its output is the text's vector."""

    def __init__(self, config: WordConfig) -> None:
        super().__init__()
        self.config = config
        self.index = {word: 1 + place for place, word in enumerate(config.vocabulary)}
        self.embedding = nn.Embedding(1 + len(config.vocabulary), config.width)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.head_width, None, 2) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    @property
    def width(self) -> int:
        """Width of the tokens and of the vector."""
        return self.config.width

    def unknown(self, text: str) -> list[str]:
        """The words of a text that the encoder cannot read, in order, each once."""
        return list(dict.fromkeys(word for word in words(text) if word not in self.index))

    def forward(self, texts: Sequence[str]) -> TextCode:
        """Unknown words are left out (`unknown` names them), words past the configured length too."""
        rows = [[0, *(self.index[w] for w in words(text) if w in self.index)] for text in texts]
        rows = [row[: self.config.length] for row in rows]
        longest = max(map(len, rows))
        device = self.embedding.weight.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        mask = torch.tensor([[place < len(row) for place in range(longest)] for row in rows], device=device)
        x = self.embedding(ids) + sinusoids(torch.arange(longest, device=device), self.config.width)
        for block in self.blocks:
            x = block(x, None, mask)
        x = self.norm(x)
        return TextCode(x, mask, x[:, 0])


@dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """A CLIP text transformer; the defaults are Stable Diffusion 2.1's (OpenCLIP ViT-H up to its last layer but one).

    tokenizer: a folder with CLIP's vocab.json and merges.txt, or a name on the hub.
    """

    tokenizer: str = "stabilityai/stable-diffusion-2-1"
    width: int = 1024
    layers: int = 23
    heads: int = 16
    feed_width: int = 4096
    length: int = 77
    vocabulary_size: int = 49408
    activation: str = "gelu"


TextConfig = WordConfig | CLIPConfig
TextEncoder = WordEncoder


def build_text(config: TextConfig) -> TextEncoder:
    """The text encoder of a configuration, with its initial weights."""
    if isinstance(config, WordConfig):
        return WordEncoder(config)
    raise ValueError("CLIP pending")
