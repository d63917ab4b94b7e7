"""Stable Video Diffusion (arXiv 2311.15127) whole, as a system of ours: the same clip from the same picture and noise.

tokens: the CLIP embedding of the picture, one token. concat: the picture's latents, unscaled, in every frame; noise was
added to its pixels. vector: frames per second less one, the motion bucket and the deviation of that noise. c_noise:
log(sigma) / 4. What the network gives is v, minus the F of EDM's preconditioning (`edm_v`). Guidance weighs the
picture, by 1 in the first frame and 3 in the last. Its 25 steps are Euler's, over Karras' levels from 700 to 0.002.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from pixeldance.atomic import atomic_folder
from pixeldance.condition import MICRO, ImageSlots, VectorPart
from pixeldance.exchange import folder, geometry, names
from pixeldance.exchange.weights import over_time, taken
from pixeldance.nets.text import PictureEncoder
from pixeldance.nets.unet import UNet
from pixeldance.nets.vae import AutoencoderKL
from pixeldance.system import Parts, System

TOLD: tuple[VectorPart, ...] = ("fps-1", "motion", "noise")
COUNTING = ".position_ids"  # old files have 0, 1, 2, ... among the weights


def network(place: Path) -> UNet:
    """The network of the folder of a part, `unet/`. Raises ValueError for any other network."""
    config = geometry.video_config(folder.settings(place, "config.json"))
    net = UNet(config)
    net.load_state_dict(taken(names.unet(config), folder.weights(place), net.state_dict(), "a video UNet"))
    return net


def system(place: Path, size: tuple[int, int] = (576, 1024)) -> System:
    """The system of a folder that StableVideoDiffusionPipeline wrote, for videos of (height, width) pixels.

    Raises ValueError, naming the setting, for one that is built otherwise.
    """
    unet = folder.settings(place / "unet", "config.json")
    if (told := unet.get("addition_time_embed_dim", MICRO)) != MICRO:
        raise ValueError(f"got a video UNet with addition_time_embed_dim={told}; this network has {MICRO} only")
    frames, codec = unet.get("num_frames", 25), geometry.codec_config(folder.settings(place / "vae", "config.json"))
    scale = codec.std
    assert isinstance(scale, float)
    return System(
        codec=replace(codec, frames_at_once=frames),
        text=geometry.picture_config(
            folder.settings(place / "image_encoder", "config.json"),
            folder.settings(place / "feature_extractor", "preprocessor_config.json"),
        ),
        net=geometry.video_config(unet),
        process=geometry.karras(folder.settings(place / "scheduler", "scheduler_config.json")),
        prediction="edm_v",
        condition=ImageSlots(first=1, last=False, mask=False, tile=True, pixel_noise=0.02, scale=scale),
        vector=TOLD,
        frames=(frames,),
        sizes=(size,),
        fps=7.0,
        motion=127.0,
        steps=25,
        spacing="lowest",
        solver="ddim",
        guided="pictures",
        guidance=3.0,
        guidance_first=1.0,
        trained=("net",),
    )


def read(place: Path, size: tuple[int, int] = (576, 1024)) -> Parts:
    """The same with its weights, in float32, for `Pipeline` or `checkpoint.save`."""
    parts = Parts(system(place, size))
    for part, (module, table) in _modules(parts).items():
        theirs = {key: weight for key, weight in folder.weights(place / part).items() if not key.endswith(COUNTING)}
        module.load_state_dict(taken(table, theirs, module.state_dict(), f"weights in {part}/"))
    return parts.eval().requires_grad_(False)


def stored(parts: Parts) -> dict[str, dict[str, Tensor]]:
    """The weights of `unet`, `vae` and `image_encoder` by diffusers' names and in its shapes: the inverse of `read`."""
    return {
        part: over_time({table[name]: weight for name, weight in module.state_dict().items()})
        for part, (module, table) in _modules(parts).items()
    }


def write(place: Path, parts: Parts, like: Path, *, overwrite: bool = False) -> None:
    """Write a folder that StableVideoDiffusionPipeline opens, all of it or nothing, in the settings and precision of
    `like`, the one that the model was read from. Raises ValueError where that is of another system.
    """
    if (wanted := system(like, parts.system.sizes[0])) != parts.system:
        raise ValueError(f"got a system other than that of {like}; wanted {wanted}")
    with atomic_folder(place, overwrite=overwrite) as new:
        for file in sorted(like.rglob("*.json")):
            if not file.name.endswith(".safetensors.index.json"):
                (new / file.relative_to(like)).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, new / file.relative_to(like))
        for part, state in stored(parts).items():
            kinds = {key: weight.dtype for key, weight in folder.weights(like / part).items()}
            stem = "model" if part == "image_encoder" else "diffusion_pytorch_model"
            same = {key: weight.to(kinds[key]).contiguous() for key, weight in state.items()}
            save_file(same, new / part / f"{stem}.safetensors", metadata={"format": "pt"})


def _modules(parts: Parts) -> dict[str, tuple[nn.Module, names.Names]]:
    """The parts by diffusers' names, and the names of their weights."""
    net, vae, pictures = parts.net, parts.codec.net, parts.text
    if not isinstance(vae, AutoencoderKL) or not isinstance(pictures, PictureEncoder):
        raise ValueError(f"got {type(vae).__name__}, {type(pictures).__name__}; wanted Stable Video Diffusion's parts")
    return {
        "unet": (net, names.unet(net.config)),
        "vae": (vae, names.vae(vae.config)),
        "image_encoder": (pictures.model, {name: name for name in pictures.model.state_dict()}),
    }
