"""Published models at tiny size with random weights, written by diffusers and transformers themselves."""

import json
from pathlib import Path
from typing import Any

import torch

TOKENS = ("!", "a", "b", "d", "e", "l", "r", *(f"{each}</w>" for each in "!abdelr"), "re", "red</w>", "ba", "ll</w>")
VOCABULARY = (*TOKENS, "ball</w>", "<|startoftext|>", "<|endoftext|>")
MERGES = "#version: 0.2\nr e\nre d</w>\nb a\nl l</w>\nba ll</w>\n"
WIDTHS, ATTENTION, GROUPS, TOKEN_WIDTH = (8, 16), (True, False), 4, 12
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def randomised(module: Any, seed: int = 0, std: float = 0.15) -> Any:
    """A module with no weight at zero, so that each one changes what comes out."""
    rng = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=std, generator=rng)
    return module.eval().requires_grad_(False)


def unet(heads: int | list[int] = 2, linear: bool = True) -> Any:
    """Stable Diffusion's network: `linear` as in version 2, convolutions around the attention as in version 1."""
    import diffusers

    net = diffusers.UNet2DConditionModel(
        block_out_channels=WIDTHS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TOKEN_WIDTH,
        attention_head_dim=heads,
        norm_num_groups=GROUPS,
        use_linear_projection=linear,
    )
    return randomised(net)


def vae() -> Any:
    """Its autoencoder, two levels of it."""
    import diffusers

    net = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=GROUPS,
    )
    return randomised(net, seed=1)


def text_encoder() -> Any:
    """CLIP, of 8 tokens."""
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=TOKEN_WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=8,
        hidden_act="quick_gelu",
        bos_token_id=len(VOCABULARY) - 2,
        eos_token_id=len(VOCABULARY) - 1,
    )
    return randomised(transformers.CLIPTextModel(config), seed=2)


def tokenizer(folder: Path) -> Any:
    """CLIP's, for the few words that VOCABULARY has; its files lie in `folder`."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(VOCABULARY)}))
    (folder / "merges.txt").write_text(MERGES)
    return transformers.CLIPTokenizer.from_pretrained(folder, pad_token="!", model_max_length=8)


def write(folder: Path, net: Any, prediction: str = "epsilon") -> Path:
    """A whole model around a network, in the form of diffusers."""
    import diffusers

    net.save_pretrained(folder / "unet")
    vae().save_pretrained(folder / "vae")
    text_encoder().save_pretrained(folder / "text_encoder")
    tokenizer(folder / "words").save_pretrained(folder / "tokenizer")
    diffusers.DDIMScheduler(**SCALED, prediction_type=prediction).save_pretrained(folder / "scheduler")
    return folder
