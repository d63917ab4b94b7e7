"""The names of weights, ours and diffusers', as tables; a map is made for a geometry and is one to one.

A weight's name is a place (which block of which level) and a layer in it. Places are counted otherwise: ours number the
blocks of all levels, diffusers' those of each. What no table names is kept as it is.
"""

from collections.abc import Callable, Iterable, Mapping

import torch

from pixeldance.nets.unet import UNet, UNetConfig
from pixeldance.nets.vae import AutoencoderKL, VAEConfig

Names = dict[str, str]
"""Our name -> diffusers'."""

UNET_TOP = {
    "level_embedding.first": "time_embedding.linear_1",
    "level_embedding.second": "time_embedding.linear_2",
    "conv_in.spatial": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
}
RESNET = {
    "norm_in": "norm1",
    "conv_in.spatial": "conv1",
    "emb": "time_emb_proj",
    "norm_out": "norm2",
    "conv_out.spatial": "conv2",
    "shortcut": "conv_shortcut",
}
ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out.0"}
TRANSFORMER = {
    "norm": "norm",
    "project_in": "proj_in",
    "project_out": "proj_out",
    "block.norm_self": "transformer_blocks.0.norm1",
    "block.norm_cross": "transformer_blocks.0.norm2",
    "block.norm_feed": "transformer_blocks.0.norm3",
    "block.feed_forward.gate_and_value": "transformer_blocks.0.ff.net.0.proj",
    "block.feed_forward.out": "transformer_blocks.0.ff.net.2",
    **{f"block.self_attention.{ours}": f"transformer_blocks.0.attn1.{theirs}" for ours, theirs in ATTENTION.items()},
    **{f"block.cross_attention.{ours}": f"transformer_blocks.0.attn2.{theirs}" for ours, theirs in ATTENTION.items()},
}
TEMPORAL_TRANSFORMER = {
    "norm": "norm",
    "project_in": "proj_in",
    "project_out": "proj_out",
    "norms.0": "transformer_blocks.0.norm1",
    "norms.1": "transformer_blocks.0.norm2",
    "norm_feed": "transformer_blocks.0.norm3",
    "feed_forward.gate_and_value": "transformer_blocks.0.ff.net.0.proj",
    "feed_forward.out": "transformer_blocks.0.ff.net.2",
    **{f"attentions.0.{ours}": f"transformer_blocks.0.attn1.{theirs}" for ours, theirs in ATTENTION.items()},
    **{f"attentions.1.{ours}": f"transformer_blocks.0.attn2.{theirs}" for ours, theirs in ATTENTION.items()},
}
TEMPORAL_CONVOLUTION = {
    **{f"norms.{place}": f"conv{place + 1}.0" for place in range(4)},
    "convs.0": "conv1.2",  # the first has no dropout before it
    **{f"convs.{place}": f"conv{place + 1}.3" for place in range(1, 4)},
}
VIDEO_TOP = {
    **UNET_TOP,
    "vector_embedding.first": "add_embedding.linear_1",
    "vector_embedding.second": "add_embedding.linear_2",
}
VIDEO_RESNET = {
    **{ours: f"spatial_res_block.{theirs}" for ours, theirs in RESNET.items()},
    "residual.norms.0": "temporal_res_block.norm1",
    "residual.convs.0": "temporal_res_block.conv1",
    "residual.emb": "temporal_res_block.time_emb_proj",
    "residual.norms.1": "temporal_res_block.norm2",
    "residual.convs.1": "temporal_res_block.conv2",
    "residual.mix": "time_mixer",
}
VIDEO_TRANSFORMER = {
    **TRANSFORMER,
    **{f"inside.{each}": f"temporal_{name}" for each, name in TRANSFORMER.items() if each.startswith("block.")},
    "inside.norm_first": "temporal_transformer_blocks.0.norm_in",
    "inside.feed_first.gate_and_value": "temporal_transformer_blocks.0.ff_in.net.0.proj",
    "inside.feed_first.out": "temporal_transformer_blocks.0.ff_in.net.2",
    "inside.place_in": "time_pos_embed.linear_1",
    "inside.place_out": "time_pos_embed.linear_2",
    "inside.mix": "time_mixer",
}
"""Those of Stable Video Diffusion, where they are others."""
VAE_TOP = {
    "quant": "quant_conv",
    "post_quant": "post_quant_conv",
    "conv_in": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
    "mid.0": "mid_block.resnets.0",
    "mid.1.norm": "mid_block.attentions.0.group_norm",
    "mid.1.to_q": "mid_block.attentions.0.to_q",
    "mid.1.to_k": "mid_block.attentions.0.to_k",
    "mid.1.to_v": "mid_block.attentions.0.to_v",
    "mid.1.to_out": "mid_block.attentions.0.to_out.0",
    "mid.2": "mid_block.resnets.1",
    "time_out.layer": "time_conv_out",
}
VAE_RESIDUAL = {"shortcut": "conv_shortcut"}
VIDEO_VAE_RESIDUAL = {
    **{each: f"spatial_res_block.{each}" for each in ("norm1", "conv1", "norm2", "conv2")},
    "shortcut": "spatial_res_block.conv_shortcut",
    **{f"time.layer.{each}": f"temporal_res_block.{each}" for each in ("norm1", "conv1", "norm2", "conv2")},
    "mix": "time_mixer",
}
"""Those of Stable Video Diffusion's decoder."""
OLD_VAE = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""How the layers of the autoencoder's attention are called in the files of Stable Diffusion 1 and 2, and now."""


def unet(config: UNetConfig) -> Names:
    """The names of a UNet's weights in UNet2DConditionModel, and of its temporal layers in UNet3DConditionModel; or all
    in UNetSpatioTemporalConditionModel."""
    return _one_to_one(_state(lambda: UNet(config)), lambda key: _unet_key(key, config))


def motion(config: UNetConfig) -> Names:
    """The names of a UNet's attention over time in MotionAdapter."""
    weights = (key for key in _state(lambda: UNet(config)) if ".temporal." in key)
    return _one_to_one(weights, lambda key: _motion_key(key, config))


def vae(config: VAEConfig) -> Names:
    """The names of an autoencoder's weights in AutoencoderKL; or in AutoencoderKLTemporalDecoder."""
    return _one_to_one(_state(lambda: AutoencoderKL(config)), lambda key: _vae_key(key, config))


def text(keys: Iterable[str]) -> Names:
    """The names of a CLIP text encoder's weights in the files of CLIPTextModel."""
    return _one_to_one(keys, lambda key: f"text_model.{key}")


def modern_vae(key: str) -> str:
    """The name that a weight of an autoencoder has now, whichever it has in its file."""
    place, _, layer = key.partition(".attentions.0.")
    name, _, kind = layer.rpartition(".")
    return f"{place}.attentions.0.{OLD_VAE[name]}.{kind}" if name in OLD_VAE else key


def old_text(key: str) -> str:
    """The name that a weight of a text encoder has in most files; transformers 5 leaves the front of it out."""
    return key if key.startswith("text_model.") else f"text_model.{key}"


def _state(net: Callable[[], torch.nn.Module]) -> list[str]:
    with torch.device("meta"):
        return list(net().state_dict())


def _one_to_one(keys: Iterable[str], name: Callable[[str], str]) -> Names:
    found = {key: name(key) for key in keys}
    assert len(set(found.values())) == len(found), "two weights have one name"
    return found


def _look(table: Mapping[str, str], layer: str) -> str:
    """The other name of a layer: its own, or that of the longest part of it that the table names."""
    parts = layer.split(".")
    for end in range(len(parts), 0, -1):
        if (head := ".".join(parts[:end])) in table:
            return ".".join([table[head], *parts[end:]])
    return layer


def _unet_key(key: str, config: UNetConfig) -> str:
    module, _, kind = key.rpartition(".")
    top, _, rest = module.partition(".")
    video = config.temporal_place == "inside"
    tops, resnet, transformer = (
        (VIDEO_TOP, VIDEO_RESNET, VIDEO_TRANSFORMER) if video else (UNET_TOP, RESNET, TRANSFORMER)
    )
    if module in tops:
        return f"{tops[module]}.{kind}"
    if top == "temporal_start":
        return f"transformer_in.{_look(TEMPORAL_TRANSFORMER, rest)}.{kind}"
    if top in ("downsample", "upsample"):
        number, _, layer = rest.partition(".")
        layer = layer.removeprefix("conv.")
        inner = "conv" if layer == "spatial" else f"conv.{layer}"
        return f"{top[:-6]}_blocks.{number}.{top}rs.0.{inner}.{kind}"
    if top not in ("middle_in", "middle_out", "down", "up"):
        return key
    block, index, inner = _place(top, rest, config)
    part, _, layer = inner.partition(".")
    if part == "temporal":  # on a level without attention over the pixels
        part, layer = "transformer", inner
    where, _, name = layer.partition(".")
    timed = where == "temporal"
    if part == "block":
        found = _look(TEMPORAL_CONVOLUTION, name) if timed else _look(resnet, layer)
        return f"{block}.{'temp_convs' if timed else 'resnets'}.{index}.{found}.{kind}"
    found = _look(TEMPORAL_TRANSFORMER if timed else transformer, name)
    return f"{block}.{'temp_attentions' if timed else 'attentions'}.{index}.{found}.{kind}"


def _motion_key(key: str, config: UNetConfig) -> str:
    where, _, layer = key.partition(".temporal.")
    top, _, rest = where.partition(".")
    block, index, _ = _place(top, rest, config)
    module, _, kind = layer.rpartition(".")
    return f"{block}.motion_modules.{index}.{_look(TEMPORAL_TRANSFORMER, module)}.{kind}"


def _place(top: str, rest: str, config: UNetConfig) -> tuple[str, int, str]:
    """diffusers' block, the number in it, and what is left of the name."""
    if top in ("middle_in", "middle_out"):
        return "mid_block", ("middle_in", "middle_out").index(top), rest
    number, _, inner = rest.partition(".")
    level, index = divmod(int(number), config.layers + (top == "up"))
    return f"{top}_blocks.{level}", index, inner


def _vae_key(key: str, config: VAEConfig) -> str:
    module, _, kind = key.rpartition(".")
    side, _, layer = module.partition(".")
    if side not in ("encoder", "decoder"):
        return f"{_look(VAE_TOP, module)}.{kind}"
    residual = VIDEO_VAE_RESIDUAL if config.sees_time and side == "decoder" else VAE_RESIDUAL
    place, _, rest = layer.partition(".")
    number, _, inner = rest.partition(".")
    if place == "levels":
        block, _, inner = inner.partition(".")
        way = "down" if side == "encoder" else "up"
        within = f"{way}samplers.0.conv" if inner == "conv" else f"resnets.{block}.{_look(residual, inner)}"
        layer = f"{way}_blocks.{number}.{within}"
    elif place == "mid" and number != "1":
        layer = f"{VAE_TOP[f'mid.{number}']}.{_look(residual, inner)}"
    else:
        layer = _look(VAE_TOP, layer)
    return f"{side}.{layer}.{kind}"
