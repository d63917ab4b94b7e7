"""The 2D part of the UNet is Stable Diffusion's: same weights, key by key, and the same outputs."""

from dataclasses import replace

import pytest
import torch

from pixeldance.nets.unet import UNet, UNetConfig

diffusers = pytest.importorskip("diffusers")

FLAT = UNetConfig(temporal="none", concat=0)
TINY = replace(
    FLAT,
    tokens=12,
    widths=(8, 16, 16),
    attention=(True, True, False),
    head_width=4,
    groups=4,
)

TOP = {
    "level_embedding.first": "time_embedding.linear_1",
    "level_embedding.second": "time_embedding.linear_2",
    "conv_in.spatial": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
}
BLOCK = {
    "norm_in": "norm1",
    "conv_in.spatial": "conv1",
    "emb": "time_emb_proj",
    "norm_out": "norm2",
    "conv_out.spatial": "conv2",
    "shortcut": "conv_shortcut",
}
TRANSFORMER = {
    "norm": "norm",
    "project_in": "proj_in",
    "project_out": "proj_out",
    "block.norm_self": "transformer_blocks.0.norm1",
    "block.norm_cross": "transformer_blocks.0.norm2",
    "block.norm_feed": "transformer_blocks.0.norm3",
    "block.feed_forward.gate_and_value": "transformer_blocks.0.ff.net.0.proj",
    "block.feed_forward.out": "transformer_blocks.0.ff.net.2",
} | {
    f"block.{ours}_attention.{layer}": f"transformer_blocks.0.{theirs}.{name}"
    for ours, theirs in (("self", "attn1"), ("cross", "attn2"))
    for layer, name in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("out", "to_out.0"))
}


def diffusers_key(key: str, layers: int) -> str:
    """The counterpart of one of our keys in UNet2DConditionModel."""
    module, _, kind = key.rpartition(".")
    top, _, rest = module.partition(".")
    number, _, inner = rest.partition(".")
    if module in TOP:
        return f"{TOP[module]}.{kind}"
    if top in ("downsample", "upsample"):
        return f"{top[:-6]}_blocks.{number}.{top}rs.0.conv.{kind}"
    if top in ("middle_in", "middle_out"):
        block, index, inner = "mid_block", ("middle_in", "middle_out").index(top), rest
    else:
        level, index = divmod(int(number), layers + (top == "up"))
        block = f"{top}_blocks.{level}"
    part, _, layer = inner.partition(".")
    if part == "block":
        return f"{block}.resnets.{index}.{BLOCK[layer]}.{kind}"
    return f"{block}.attentions.{index}.{TRANSFORMER[layer.removeprefix('spatial.')]}.{kind}"


def stable_diffusion(config: UNetConfig) -> torch.nn.Module:
    """diffusers' UNet of the same geometry, the way Stable Diffusion 2.1 configures it."""
    return diffusers.UNet2DConditionModel(
        in_channels=config.channels,
        out_channels=config.channels,
        block_out_channels=config.widths,
        layers_per_block=config.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if each else "DownBlock2D" for each in config.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(config.attention)),
        cross_attention_dim=config.tokens,
        attention_head_dim=[width // config.head_width for width in config.widths],
        norm_num_groups=config.groups,
        use_linear_projection=True,
    ).eval()


def test_the_default_has_the_parameters_of_stable_diffusion_2_1() -> None:
    with torch.device("meta"):
        ours, theirs = UNet(FLAT).state_dict(), stable_diffusion(FLAT).state_dict()
    assert sum(value.numel() for value in ours.values()) == 865_910_724
    mapped = {diffusers_key(key, FLAT.layers): tuple(value.shape) for key, value in ours.items()}
    assert mapped == {key: tuple(value.shape) for key, value in theirs.items()}


@torch.no_grad()
def test_outputs_equal_diffusers() -> None:
    torch.manual_seed(0)
    theirs, net = stable_diffusion(TINY), UNet(TINY).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    weights, keys = theirs.state_dict(), {key: diffusers_key(key, TINY.layers) for key in net.state_dict()}
    assert sorted(keys.values()) == sorted(weights)
    net.load_state_dict({ours: weights[key] for ours, key in keys.items()})
    x, tokens, level = torch.randn(3, 4, 8, 12), torch.randn(3, 5, 12), torch.tensor([3.0, 500.0, 999.0])
    some = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]).bool()
    for mask in (None, some):
        expected = theirs(x, level, tokens, encoder_attention_mask=mask).sample
        out = net(x[:, None], level, tokens=tokens, mask=mask)[:, 0]
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
        assert expected.std() > 0.05
