"""diffusers' config.json of a part as our record of it, and back.

A setting that our networks have no counterpart for is refused by name, and never left out: a network that is nearly the
published one gives nearly its pictures, which nobody notices.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pixeldance.codec import KLConfig
from pixeldance.diffusion.denoise import PredictionType
from pixeldance.diffusion.process import EDM, VP, Betas
from pixeldance.nets.text import CLIPConfig, PictureConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.nets.vae import VAEConfig, VideoVAEConfig

Json = Mapping[str, Any]

ATTENDING = {
    "CrossAttnDownBlock2D": True,
    "DownBlock2D": False,
    "CrossAttnDownBlock3D": True,
    "DownBlock3D": False,
}
VIDEO_ATTENDING = {"CrossAttnDownBlockSpatioTemporal": True, "DownBlockSpatioTemporal": False}
PREDICTIONS: dict[str, PredictionType] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
BETAS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}
UNET_FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu",),
    "norm_eps": (1e-5,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "center_input_sample": (False,),
    "downsample_padding": (1,),
    "mid_block_scale_factor": (1, 1.0),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "only_cross_attention": (False,),
    "dual_cross_attention": (False,),
    "class_embed_type": (None,),
    "addition_embed_type": (None,),
    "num_class_embeds": (None,),
    "time_cond_proj_dim": (None,),
    "encoder_hid_dim": (None,),
    "resnet_time_scale_shift": ("default",),
    "transformer_layers_per_block": (1,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "num_attention_heads": (None,),
    "time_embedding_type": ("positional",),
    "attention_type": ("default",),
}
"""Settings of UNet2DConditionModel and UNet3DConditionModel with the values that our network has."""
VAE_FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu",),
    "use_quant_conv": (True,),
    "use_post_quant_conv": (True,),
    "mid_block_add_attention": (True,),
    "shift_factor": (None, 0.0),
    "latents_mean": (None,),
    "latents_std": (None,),
}
VIDEO_VAE_FIXED: dict[str, tuple[Any, ...]] = {"layers_per_block": (2,), "norm_num_groups": (32,)}
"""Of AutoencoderKLTemporalDecoder: with fewer layers its attention is never reached, more of them stand idle."""
VAES: dict[str, tuple[type[VAEConfig], dict[str, tuple[Any, ...]]]] = {
    "AutoencoderKL": (VAEConfig, VAE_FIXED),
    "AutoencoderKLTemporalDecoder": (VideoVAEConfig, VIDEO_VAE_FIXED),
}
KARRAS: dict[str, tuple[Any, ...]] = {
    "prediction_type": ("v_prediction",),
    "timestep_type": ("continuous",),
    "use_karras_sigmas": (True,),
}
"""Settings that an EulerDiscreteScheduler has to have for levels of EDM; left out, they mean something else."""
MODELSCOPE: dict[str, Any] = {
    "temporal": "attention+convolution",
    "temporal_convolutions": 4,
    "temporal_attentions": 2,
    "temporal_place": "block",
    "temporal_norm": "video",
    "temporal_positions": "none",
    "temporal_start": 8,
}
"""The temporal layers of ModelScope's text-to-video (arXiv 2308.06571) and of ZeroScope, as fields of a UNetConfig."""

STABLE_VIDEO: dict[str, Any] = {
    "temporal_place": "inside",
    "temporal_convolutions": 2,
    "temporal_attentions": 1,
    "temporal_norm": "video",
    "temporal_positions": "first",
}
"""Those of Stable Video Diffusion (arXiv 2311.15127)."""


def unet_config(theirs: Json) -> UNetConfig:
    """The geometry of a UNet2DConditionModel or of a UNet3DConditionModel. Raises ValueError for others."""
    kind = theirs.get("_class_name", "UNet2DConditionModel")
    if kind not in ("UNet2DConditionModel", "UNet3DConditionModel"):
        raise ValueError(f"got a {kind}; wanted UNet2DConditionModel or UNet3DConditionModel")
    _check(kind, theirs, UNET_FIXED)
    widths, blocks = tuple(theirs["block_out_channels"]), theirs["down_block_types"]
    if not set(blocks) <= ATTENDING.keys():
        raise ValueError(f"got {kind} with blocks {blocks}; wanted some of {', '.join(ATTENDING)}")
    if theirs.get("out_channels", 4) != theirs.get("in_channels", 4):
        raise ValueError(
            f"got {kind} with {theirs['in_channels']} channels in and {theirs['out_channels']} out; wanted the same: "
            "the base model, not one for inpainting"
        )
    layers, tokens = theirs.get("layers_per_block", 2), theirs["cross_attention_dim"]
    if not isinstance(layers, int) or not isinstance(tokens, int):
        raise ValueError(
            f"got {kind} with layers_per_block={layers}, cross_attention_dim={tokens}; wanted one number each"
        )
    flat = UNetConfig(
        channels=theirs.get("in_channels", 4),
        concat=0,
        tokens=tokens,
        widths=widths,
        attention=tuple(ATTENDING[block] for block in blocks),
        layers=layers,
        groups=theirs.get("norm_num_groups", 32),
        temporal="none",
    )
    heads = theirs.get("attention_head_dim", 8)
    if kind == "UNet3DConditionModel":  # which means by it the width of a head, and not their number
        return replace(flat, **MODELSCOPE, head_width=heads)
    counts = [heads] * len(widths) if isinstance(heads, int) else heads
    head_width = tuple(width // count for width, count in zip(widths, counts, strict=True))
    return replace(flat, head_width=head_width[0] if len(set(head_width)) == 1 else head_width)


def video_config(theirs: Json) -> UNetConfig:
    """The geometry of a UNetSpatioTemporalConditionModel. Raises ValueError for others."""
    kind = theirs.get("_class_name")
    if kind != "UNetSpatioTemporalConditionModel":
        raise ValueError(f"got a {kind}; wanted UNetSpatioTemporalConditionModel, Stable Video Diffusion's")
    _check(kind, theirs, {"transformer_layers_per_block": (1,)})
    widths, blocks = tuple(theirs["block_out_channels"]), theirs["down_block_types"]
    if not set(blocks) <= VIDEO_ATTENDING.keys():
        raise ValueError(f"got {kind} with blocks {blocks}; wanted some of {', '.join(VIDEO_ATTENDING)}")
    layers, tokens, heads = (
        theirs[name] for name in ("layers_per_block", "cross_attention_dim", "num_attention_heads")
    )
    if not isinstance(layers, int) or not isinstance(tokens, int):
        raise ValueError(
            f"got {kind} with layers_per_block={layers}, cross_attention_dim={tokens}; wanted one number each"
        )
    counts = [heads] * len(widths) if isinstance(heads, int) else heads
    return UNetConfig(
        channels=theirs["out_channels"],
        concat=theirs["in_channels"] - theirs["out_channels"],
        tokens=tokens,
        vector=theirs["projection_class_embeddings_input_dim"],
        widths=widths,
        attention=tuple(VIDEO_ATTENDING[block] for block in blocks),
        layers=layers,
        head_width=tuple(width // count for width, count in zip(widths, counts, strict=True)),
        eps=1e-6,
        **STABLE_VIDEO,
    )


def unet_json(config: UNetConfig) -> dict[str, Any]:
    """The settings of a UNet2DConditionModel with the 2D layers of a geometry, linear projections throughout."""
    heads = [width // config.heads_at(level) for level, width in enumerate(config.widths)]
    down = ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in config.attention]
    up = ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(config.attention)]
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": config.channels,
        "out_channels": config.channels,
        "block_out_channels": list(config.widths),
        "layers_per_block": config.layers,
        "down_block_types": down,
        "up_block_types": up,
        "cross_attention_dim": config.tokens,
        "attention_head_dim": heads,
        "norm_num_groups": config.groups,
        "use_linear_projection": True,
    }


def codec_config(theirs: Json) -> KLConfig:
    """The codec of an AutoencoderKL or of an AutoencoderKLTemporalDecoder. Raises ValueError for one that is built
    otherwise."""
    kind = theirs.get("_class_name", "AutoencoderKL")
    if kind not in VAES:
        raise ValueError(f"got a {kind}; wanted {' or '.join(VAES)}")
    record, fixed = VAES[kind]
    _check(kind, theirs, fixed)
    widths = tuple(theirs["block_out_channels"])
    return KLConfig(
        vae=record(
            in_channels=theirs.get("in_channels", 3),
            latent_channels=theirs.get("latent_channels", 4),
            widths=widths,
            layers=theirs.get("layers_per_block", 1),
            groups=theirs.get("norm_num_groups", 32),
        ),
        std=1 / theirs.get("scaling_factor", 0.18215),
    )


def codec_json(codec: KLConfig) -> dict[str, Any]:
    """The settings of an AutoencoderKL, or with a decoder over time of an AutoencoderKLTemporalDecoder. Raises
    ValueError for a codec that is none."""
    vae = codec.vae
    if (
        not isinstance(codec.std, float)
        or codec.mean != 0.0
        or vae.patch > 1
        or not vae.groups
        or not vae.mid_attention
    ):
        raise ValueError(f"got {codec}; an AutoencoderKL has one std, no mean, norms, attention and patch=1")
    common = {
        "in_channels": vae.in_channels,
        "out_channels": vae.in_channels,
        "latent_channels": vae.latent_channels,
        "block_out_channels": list(vae.widths),
        "down_block_types": ["DownEncoderBlock2D"] * len(vae.widths),
        "layers_per_block": vae.layers,
        "scaling_factor": 1 / codec.std,
    }
    if vae.sees_time:
        if (vae.layers, vae.groups) != (2, 32):
            raise ValueError(f"got {codec}; an AutoencoderKLTemporalDecoder has layers=2, groups=32")
        return {"_class_name": "AutoencoderKLTemporalDecoder", **common}
    return {
        "_class_name": "AutoencoderKL",
        **common,
        "up_block_types": ["UpDecoderBlock2D"] * len(vae.widths),
        "norm_num_groups": vae.groups,
    }


def text_config(theirs: Json, *, tokenizer: str, padding: str) -> CLIPConfig:
    """A CLIP text encoder. tokenizer: its folder or name; padding: the token that it pads with."""
    if theirs.get("layer_norm_eps", 1e-5) != 1e-5:
        raise ValueError(f"got a text encoder with layer_norm_eps={theirs['layer_norm_eps']}; wanted CLIP's 1e-05")
    return CLIPConfig(
        tokenizer=tokenizer,
        padding=padding,
        width=theirs["hidden_size"],
        layers=theirs["num_hidden_layers"],
        heads=theirs["num_attention_heads"],
        feed_width=theirs["intermediate_size"],
        length=theirs.get("max_position_embeddings", 77),
        vocabulary_size=theirs.get("vocab_size", 49408),
        activation=theirs.get("hidden_act", "quick_gelu"),
    )


def picture_config(theirs: Json, shown: Json) -> PictureConfig:
    """A CLIPVisionModelWithProjection, and from its preprocessor_config.json how pictures are shown to it."""
    _check("an image encoder", theirs, {"layer_norm_eps": (1e-5,), "image_size": (224,), "num_channels": (3,)})
    return PictureConfig(
        width=theirs["projection_dim"],
        inner=theirs["hidden_size"],
        layers=theirs["num_hidden_layers"],
        heads=theirs["num_attention_heads"],
        feed_width=theirs["intermediate_size"],
        patch=theirs["patch_size"],
        activation=theirs.get("hidden_act", "quick_gelu"),
        mean=tuple(shown["image_mean"]),
        std=tuple(shown["image_std"]),
    )


def text_json(config: CLIPConfig) -> dict[str, Any]:
    """The settings of a CLIPTextModel."""
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_width,
        "max_position_embeddings": config.length,
        "vocab_size": config.vocabulary_size,
        "hidden_act": config.activation,
        "bos_token_id": config.vocabulary_size - 2,
        "eos_token_id": config.vocabulary_size - 1,
    }


def process(theirs: Json) -> tuple[VP, PredictionType]:
    """The noising process and the prediction of a scheduler_config.json. Raises ValueError for what is no DDPM."""
    _check("scheduler", theirs, {"trained_betas": (None,)})
    kind, start, end = (theirs.get(f"beta_{name}") for name in ("schedule", "start", "end"))
    found = theirs.get("prediction_type", "epsilon")
    if BETAS.get(str(kind)) != (start, end) or found not in PREDICTIONS:
        known = "; ".join(f"{name} from {low} to {high}" for name, (low, high) in BETAS.items())
        raise ValueError(
            f"got a scheduler with betas {kind} from {start} to {end} that predicts {found}; wanted betas {known}, and "
            f"one of {', '.join(PREDICTIONS)}"
        )
    betas: Betas = "linear" if kind == "linear" else "scaled_linear"
    rescaled = bool(theirs.get("rescale_betas_zero_snr", False))
    return VP(betas=betas, steps=theirs.get("num_train_timesteps", 1000), zero_terminal_snr=rescaled), PREDICTIONS[
        found
    ]


def karras(theirs: Json) -> EDM:
    """The noising process of Stable Video Diffusion's scheduler. Raises ValueError for another one."""
    _check("a scheduler", dict.fromkeys(KARRAS) | dict(theirs), KARRAS | {"final_sigmas_type": ("zero",)})
    low, high = theirs.get("sigma_min"), theirs.get("sigma_max")
    if low is None or high is None:
        raise ValueError(f"got a scheduler with sigma_min={low}, sigma_max={high}; wanted both numbers")
    return EDM(sigma_min=low, sigma_max=high)


def _check(kind: str, theirs: Json, fixed: Mapping[str, tuple[Any, ...]]) -> None:
    for name, possible in fixed.items():
        if name in theirs and theirs[name] not in possible:
            raise ValueError(f"got {kind} with {name}={theirs[name]!r}; this network has {name}={possible[0]!r} only")
