"""Text encoders: words to tokens for cross-attention, and one vector for the whole text.

`WordEncoder` is the small one, trained with the model it serves; `CLIPEncoder` is Stable Diffusion's, frozen, through
transformers. Both are called with a list of texts. `PictureEncoder`, Stable Video Diffusion's, reads pictures in the
place of texts: which of the two an encoder wants says `reads` of its configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pixeldance.nets.attention import TransformerBlock, sinusoids
from pixeldance.nets.picture import square
from pixeldance.nets.words import words

Read = Literal["text", "picture"]


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
    reads: ClassVar[Read] = "text"


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

    tokenizer: a folder with CLIP's vocab.json and merges.txt, or the name of one on the hub: every published CLIP has
    the same. padding: the token after the end of a text. The vocabulary's last token is the end mark.
    """

    tokenizer: str = "openai/clip-vit-large-patch14"
    padding: str = "!"
    width: int = 1024
    layers: int = 23
    heads: int = 16
    feed_width: int = 4096
    length: int = 77
    vocabulary_size: int = 49408
    activation: str = "gelu"
    reads: ClassVar[Read] = "text"


class CLIPEncoder(nn.Module):
    """Frozen; random weights until a checkpoint's are loaded. Nothing is fetched before the first text comes."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        transformers = _transformers()
        self.config = config
        model = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=config.vocabulary_size,
                hidden_size=config.width,
                intermediate_size=config.feed_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=config.length,
                hidden_act=config.activation,
                bos_token_id=config.vocabulary_size - 2,
                eos_token_id=config.vocabulary_size - 1,
            )
        )
        # Some versions of transformers wrap the network once more; without the wrapper its keys are always the same.
        self.model = getattr(model, "text_model", model).requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """Width of the tokens and of the vector."""
        return self.config.width

    def unknown(self, text: str) -> list[str]:
        """None: CLIP spells out what it has no token for."""
        return []

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> TextCode:
        """Hidden states after the final norm, and that of the end mark as the vector; a text is cut at the length.

        The mask is true everywhere: Stable Diffusion's networks read the padding too, and were trained so.
        """
        length, device = self.config.length, next(self.model.parameters()).device
        rows = self.tokenizer(list(texts), truncation=True, max_length=length).input_ids
        padding = self.tokenizer.convert_tokens_to_ids(self.config.padding)
        ids = torch.tensor([row + [padding] * (length - len(row)) for row in rows], device=device)
        out = self.model(input_ids=ids)
        return TextCode(out.last_hidden_state, torch.ones_like(ids, dtype=torch.bool), out.pooler_output)

    @cached_property
    def tokenizer(self) -> Any:
        """From the folder or, unless HF_HUB_OFFLINE is set, from the hub. Raises ValueError where there is none."""
        from transformers import CLIPTokenizer

        name, size = self.config.tokenizer, self.config.vocabulary_size
        try:
            tokenizer = CLIPTokenizer.from_pretrained(name)
        except OSError:
            tokenizer = None
        # Where it finds no files, transformers may also give a tokenizer without words.
        if tokenizer is None or tokenizer.eos_token_id != size - 1:
            raise ValueError(
                f"got no CLIP tokenizer of {size} tokens from {name!r}; wanted a folder with CLIP's vocab.json and "
                "merges.txt, or a name on the hub that is cached or can be reached (HF_HUB_OFFLINE forbids it): "
                "hf download openai/clip-vit-large-patch14 vocab.json merges.txt --local-dir FOLDER "
                "makes a folder to name as CLIPConfig.tokenizer"
            )
        return tokenizer


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """A CLIP vision transformer; the defaults are Stable Video Diffusion's (OpenCLIP ViT-H).

    width: of its one token, `inner` that of its layers. It sees pictures of `side` x `side` pixels in patches of
    `patch`, their colours (red, green, blue in 0..1) less `mean` and in units of `std`. It reads no text.
    """

    width: int = 1024
    inner: int = 1280
    layers: int = 32
    heads: int = 16
    feed_width: int = 5120
    side: int = 224
    patch: int = 14
    activation: str = "gelu"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    reads: ClassVar[Read] = "picture"
    length: ClassVar[int] = 1


class PictureEncoder(nn.Module):
    """Frozen; random weights until a checkpoint's are loaded."""

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        transformers = _transformers()
        self.config = config
        model = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                hidden_size=config.inner,
                projection_dim=config.width,
                intermediate_size=config.feed_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                image_size=config.side,
                patch_size=config.patch,
                hidden_act=config.activation,
            )
        )
        self.model = model.requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """Width of the token and of the vector."""
        return self.config.width

    def unknown(self, text: str) -> list[str]:
        """None: what it does not read it need not know."""
        return []

    @torch.no_grad()
    def forward(self, pictures: Sequence[Float[Tensor, "3 h w"] | None]) -> TextCode:
        """One token for each picture in [-1, 1], whatever its size; zeros for none."""
        weight = self.model.visual_projection.weight
        tokens = torch.zeros(len(pictures), 1, self.width, device=weight.device, dtype=weight.dtype)
        mean, std = (torch.tensor(each).reshape(-1, 1, 1).to(weight) for each in (self.config.mean, self.config.std))
        for row, picture in enumerate(pictures):
            if picture is not None:
                shown = (square(picture[None].to(weight), self.config.side) + 1) / 2
                tokens[row] = self.model(pixel_values=(shown - mean) / std).image_embeds
        return TextCode(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=weight.device), tokens[:, 0])


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ValueError("a CLIP encoder needs transformers: pip install 'pixeldance[clip]'") from error
    return transformers


TextConfig = WordConfig | CLIPConfig | PictureConfig
TextEncoder = WordEncoder | CLIPEncoder | PictureEncoder


def build_text(config: TextConfig) -> TextEncoder:
    """The encoder of a configuration, with its initial weights."""
    if isinstance(config, PictureConfig):
        return PictureEncoder(config)
    return WordEncoder(config) if isinstance(config, WordConfig) else CLIPEncoder(config)
