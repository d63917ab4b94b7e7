"""The pipelines of diffusers that are engines: what each can, how it is asked, how its last frame is let go.

An engine's facts are read from its own settings where they say them, and are the pipeline's defaults otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pixeldance.engines.abilities import Abilities, Given, Reader
from pixeldance.engines.tau import Lastless

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request in a pipeline's terms."""

    first: Image.Image | None
    last: Image.Image | None
    frames: int
    height: int
    width: int
    fps: float
    guidance: float


@dataclass(frozen=True, kw_only=True)
class Kind:
    """arguments: of the call, besides those that all have. networks: the parts that remove noise. opened: what a
    pipeline that was just loaded still needs.

    lastless: how the last frame is left out, given the pipeline and a request; None where none is taken.
    sections: in how many parts, each with all steps, a request is made.
    """

    name: str
    abilities: Callable[[Settings], Abilities]
    arguments: Callable[[Ask], dict[str, Any]]
    lastless: Callable[[Any, Ask], Lastless] | None = None
    networks: tuple[str, ...] = ("transformer",)
    opened: Callable[[Any], object] = lambda pipe: None
    sections: Callable[[Ask], int] = lambda ask: 1


# Wan 2.1 and 2.2 (arXiv 2503.20314), and SkyReels-V2 (2504.13074), whose network is Wan's: pictures come as latents and
# a mask on the channel axis, and in version 2.1 as CLIP embeddings too.


def wan_abilities(name: str, usual: tuple[int, int, int], fps: float, steps: int) -> Callable[[Settings], Abilities]:
    """Of a Wan network: which pictures it takes is in its settings."""

    def read(settings: Settings) -> Abilities:
        network, vae = settings.get("transformer") or settings["transformer_2"], settings["vae"]
        two_embeddings, joined = network.get("pos_embed_seq_len"), not settings[""].get("expand_timesteps", False)
        last: Given = "needed" if two_embeddings else "taken" if joined and not network.get("image_dim") else "refused"
        spatial = vae.get("scale_factor_spatial") or 2 ** len(vae.get("temperal_downsample", (0, 1, 1)))
        return Abilities(
            engine=name,
            first="needed",
            last=last,
            usual=usual,
            fps=fps,
            steps=steps,
            guidance=5.0,
            every=vae.get("scale_factor_temporal") or 2 ** sum(vae.get("temperal_downsample", (0, 1, 1))),
            multiple=max(16, spatial * network.get("patch_size", (1, 2, 2))[1]),
        )

    return read


def wan_lastless(pipe: Any, ask: Ask) -> Lastless:
    """The latents of the first frame alone in place of both; the embedding of the first in place of the last's."""
    device, z = pipe._execution_device, pipe.vae.config.z_dim
    picture = pipe.video_processor.preprocess(ask.first, height=ask.height, width=ask.width).to(device, torch.float32)
    shape = (1, z, ask.height, ask.width, ask.frames, torch.float32, device)
    none_drawn = torch.zeros(())  # latents that are given, so that no noise is drawn for them
    with torch.no_grad():
        _, condition = pipe.prepare_latents(picture, *shape, None, none_drawn, None)
        network = pipe.transformer if pipe.transformer is not None else pipe.transformer_2
        embedded = pipe.encode_image([ask.first, ask.first], device) if network.config.image_dim is not None else None

    def given(asked: dict[str, Any]) -> dict[str, Any]:
        x: Tensor = asked["hidden_states"]
        new = {"hidden_states": torch.cat([x[:, :z], condition.to(x).expand(len(x), -1, -1, -1, -1)], dim=1)}
        if embedded is not None:
            before: Tensor = asked["encoder_hidden_states_image"]
            new["encoder_hidden_states_image"] = embedded.to(before)
        return asked | new

    return Lastless(given=given)


def first_and_last(ask: Ask) -> dict[str, Any]:
    """By the names that most pipelines have for them."""
    return {"image": ask.first} | ({} if ask.last is None else {"last_image": ask.last})


# LTX-Video (arXiv 2501.00103): pictures are tokens of their own before the video's, with a place in time.


def ltx_abilities(settings: Settings) -> Abilities:
    vae, network = settings["vae"], settings["transformer"]
    return Abilities(
        engine="ltx",
        first="taken",
        last="taken",
        usual=(512, 704, 161),
        fps=25.0,
        steps=50,
        guidance=3.0,
        every=vae.get("temporal_compression_ratio") or 8,
        multiple=(vae.get("spatial_compression_ratio") or 32) * network.get("patch_size", 1),
    )


def ltx_arguments(ask: Ask) -> dict[str, Any]:
    from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

    places = ((ask.first, 0), (ask.last, ask.frames - 1))
    conditions = [LTXVideoCondition(image=each, frame_index=at) for each, at in places if each is not None]
    return {"conditions": conditions or None, "frame_rate": round(ask.fps)}


def ltx_lastless(pipe: Any, ask: Ask) -> Lastless:
    """Without the last picture's tokens, which stand before all others and are as many as a frame of latents has."""
    side = pipe.vae_spatial_compression_ratio * pipe.transformer_spatial_patch_size
    tokens = (ask.height // side) * (ask.width // side)

    def given(asked: dict[str, Any]) -> dict[str, Any]:
        return asked | {
            "hidden_states": asked["hidden_states"][:, tokens:],
            "timestep": asked["timestep"][:, tokens:],
            "video_coords": asked["video_coords"][:, :, tokens:],
        }

    def made(output: Any, asked: dict[str, Any]) -> Any:
        # The pipeline wants a value for each token; those of a picture are never looked at.
        found: Tensor = output[0]
        return (torch.cat([torch.zeros_like(found[:, :tokens]), found], dim=1),)

    return Lastless(given=given, made=made)


# HunyuanVideo Framepack (arXiv 2504.12626): sections of 9 latents, made from the last to the first. The pictures and
# the sections that are there are tokens of a history; the last picture stands in that of the section made first.

SECTION = 36
"""Frames: of the pipeline's 9 latents, each makes 4."""


def framepack_abilities(settings: Settings) -> Abilities:
    vae, network = settings["vae"], settings["transformer"]
    return Abilities(
        engine="framepack",
        first="needed",
        last="taken",
        usual=(720, 1280, 4 * SECTION + 1),
        fps=30.0,
        steps=50,
        guidance=6.0,
        every=SECTION,
        shortest=SECTION + 1,
        multiple=max(16, (vae.get("spatial_compression_ratio") or 8) * network.get("patch_size", 2)),
        text=Reader(length=257),
    )


def framepack_sections(ask: Ask) -> int:
    return (ask.frames - 1) // SECTION


def framepack_arguments(ask: Ask) -> dict[str, Any]:
    # It makes 36 frames a section, and counts sections as if they were 33.
    return first_and_last(ask) | {"num_frames": (SECTION - 3) * framepack_sections(ask)}


def framepack_lastless(pipe: Any, ask: Ask) -> Lastless:
    """Zeros in the last picture's place, which is what an empty history has there."""

    def given(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["latents_history_2x"].any():
            return asked  # of a later section, which never saw it
        first, rest = asked["latents_clean"].split((1, asked["latents_clean"].shape[2] - 1), dim=2)
        return asked | {"latents_clean": torch.cat([first, torch.zeros_like(rest)], dim=2)}

    return Lastless(given=given)


# Stable Video Diffusion (arXiv 2311.15127) reads no text; I2VGen-XL (2311.04145) and CogVideoX (2408.06072) do.


def svd_abilities(settings: Settings) -> Abilities:
    frames = settings["unet"].get("num_frames", 25)
    return Abilities(
        engine="svd",
        first="needed",
        last="refused",
        usual=(576, 1024, frames),
        fps=7.0,
        steps=25,
        guidance=3.0,
        every=1,
        longest=frames,
        multiple=_halved(settings["vae"]) * _halved(settings["unet"]),
        reads=False,
    )


def i2vgen_abilities(settings: Settings) -> Abilities:
    return Abilities(
        engine="i2vgen-xl",
        first="needed",
        last="refused",
        usual=(704, 1280, 16),
        fps=16.0,
        steps=50,
        guidance=9.0,
        every=1,
        longest=32,
        multiple=_halved(settings["vae"]) * _halved(settings["unet"]),
    )


def cogvideox_abilities(settings: Settings) -> Abilities:
    network, vae = settings["transformer"], settings["vae"]
    height, width = (network.get(f"sample_{side}", usual) for side, usual in (("height", 60), ("width", 90)))
    return Abilities(
        engine="cogvideox",
        first="needed",
        last="refused",
        usual=(height * _halved(vae), width * _halved(vae), 49),
        one_size=network.get("use_learned_positional_embeddings", False),
        fps=8.0,
        steps=50,
        guidance=6.0,
        every=vae.get("temporal_compression_ratio", 4),
        multiple=_halved(vae) * network.get("patch_size", 2),
    )


def as_before_5(pipe: Any) -> None:
    """I2VGen-XL's pipeline looks for CLIP's layers where transformers had them before version 5."""
    text = pipe.text_encoder
    text.__dict__.setdefault("text_model", text)  # no submodule: a module in itself would have no end


def _halved(part: Mapping[str, Any]) -> int:
    """By how much an autoencoder or a UNet makes a side smaller: halved from each level to the next."""
    return int(2 ** (len(part.get("block_out_channels", (0,) * 4)) - 1))


KINDS = {
    "WanImageToVideoPipeline": Kind(
        name="wan",
        abilities=wan_abilities("wan", (480, 832, 81), 16.0, 50),
        arguments=first_and_last,
        lastless=wan_lastless,
        networks=("transformer", "transformer_2"),
    ),
    "SkyReelsV2ImageToVideoPipeline": Kind(
        name="skyreels-v2",
        abilities=wan_abilities("skyreels-v2", (544, 960, 97), 24.0, 50),
        arguments=first_and_last,
        lastless=wan_lastless,
    ),
    "LTXConditionPipeline": Kind(
        name="ltx",
        abilities=ltx_abilities,
        arguments=ltx_arguments,
        lastless=ltx_lastless,
    ),
    "HunyuanVideoFramepackPipeline": Kind(
        name="framepack",
        abilities=framepack_abilities,
        arguments=framepack_arguments,
        lastless=framepack_lastless,
        sections=framepack_sections,
    ),
    "StableVideoDiffusionPipeline": Kind(
        name="svd",
        abilities=svd_abilities,
        arguments=lambda ask: {
            "image": ask.first,
            "fps": round(ask.fps),
            "max_guidance_scale": ask.guidance,
            "decode_chunk_size": 8,
        },
        networks=("unet",),
    ),
    "I2VGenXLPipeline": Kind(
        name="i2vgen-xl",
        abilities=i2vgen_abilities,
        arguments=lambda ask: {"image": ask.first, "target_fps": round(ask.fps)},
        networks=("unet",),
        opened=as_before_5,
    ),
    "CogVideoXImageToVideoPipeline": Kind(
        name="cogvideox",
        abilities=cogvideox_abilities,
        arguments=lambda ask: {"image": ask.first},
    ),
}
"""By the name of the pipeline's class."""
