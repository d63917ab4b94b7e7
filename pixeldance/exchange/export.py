"""A model of ours in the form of diffusers: model_index.json, a folder for each part, a model card, a pipeline.py.

The autoencoder and the text encoder, where they are Stable Diffusion's, are written as the stock classes' own; what has
no stock class is a `PixelDanceModel`. Nothing is rounded: what came in as half precision goes out so.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pixeldance import __version__, checkpoint
from pixeldance.atomic import atomic_folder
from pixeldance.codec import KLConfig
from pixeldance.exchange import geometry, names
from pixeldance.exchange.weights import over_time
from pixeldance.nets import lora
from pixeldance.nets.text import CLIPConfig
from pixeldance.nets.vae import AutoencoderKL
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts, System

MODULE = "pixeldance.exchange.stock"
PIPELINE = f'''"""PixelDance for diffusers. It needs the package: pip install pixeldance

    DiffusionPipeline.from_pretrained(HERE, custom_pipeline=HERE, trust_remote_code=True)
"""

from {MODULE} import PixelDancePipeline  # noqa: F401 (diffusers looks for it here)
'''
Json = dict[str, Any]
NONE: list[str | None] = [None, None]


def export(pipeline: Pipeline, folder: Path, *, overwrite: bool = False) -> None:
    """Write a model, all of it or nothing. Raises ValueError for one with LoRAs on it, which are files of their own."""
    if on := lora.names(pipeline.parts):
        raise ValueError(f"got a model with the LoRAs {', '.join(on)} on it; unload them before it is exported")
    system, parts = pipeline.system, pipeline.parts
    with atomic_folder(folder, overwrite=overwrite) as new:
        index: Json = {
            "_class_name": ["pipeline", "PixelDancePipeline"],
            "_diffusers_version": _diffusers(),
            "unet": _own(new / "unet", "net", parts.net, system.net),
            "vae": _codec(new / "vae", parts.codec, system),
            "text_encoder": _text(new / "text_encoder", parts.text, system),
            "tokenizer": _tokenizer(new / "tokenizer", parts.text, system),
            **{name: _optional(new / name, name, parts, system) for name in ("refiner", "text_to_image")},
            "system": checkpoint.to_json(system),
        }
        _json(new / "model_index.json", index)
        (new / "pipeline.py").write_text(PIPELINE)
        (new / "README.md").write_text(card(pipeline))


def card(pipeline: Pipeline) -> str:
    """The model card: what the hub reads of it, what it makes, how it is used, and what its checkpoint's card says."""
    system, own = pipeline.system, ""
    if pipeline.folder is not None and (pipeline.folder / "README.md").is_file():
        text = (pipeline.folder / "README.md").read_text()
        own = "\n" + (text.split("---\n", 2)[2].lstrip() if text.startswith("---\n") else text)
    count = sum(weight.numel() for weight in pipeline.parts.parameters())
    sizes = ", ".join(f"{width}x{height}" for height, width in system.sizes)
    lengths = " or ".join(map(str, system.frames))
    return f"""---
library_name: diffusers
pipeline_tag: image-to-video
tags: [pixeldance, image-to-video, first-last-frame]
---

# A PixelDance model

{count:,} parameters; {lengths} frames of {sizes} at {system.fps:g} frames per second. {system.steps} steps and guidance
{system.guidance:g} where nothing else is asked. Written by pixeldance {__version__}
from the checkpoint {pipeline.model_hash or "of a model made in memory"} (SHA-256 of its config.json).

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained(HERE, custom_pipeline=HERE, trust_remote_code=True)  # pip install pixeldance
video = pipe("a red star moves right", image="first.png", last_image="last.png", tau=0.6, seed=7).frames[0]
```

Where the parts are Stable Diffusion's, `AutoencoderKL`, `CLIPTextModel` and `CLIPTokenizer` load them from `vae/`,
`text_encoder/` and `tokenizer/`. The license is that of the weights: state it here before you publish them.
{own}"""


def _own(place: Path, part: str, module: nn.Module, settings: Any) -> list[str]:
    config = {"_class_name": "PixelDanceModel", "part": part, "settings": checkpoint.to_json(settings)}
    _write(place, config, {f"module.{key}": weight for key, weight in module.state_dict().items()})
    return [MODULE, "PixelDanceModel"]


def _optional(place: Path, part: str, parts: Parts, system: System) -> list[str] | list[str | None]:
    """A part that only some systems have."""
    module = getattr(parts, part)
    return NONE if module is None else _own(place, part, module, getattr(system, part))


def _codec(place: Path, codec: nn.Module, system: System) -> list[str]:
    """As an AutoencoderKL where it is one, or as one with a decoder over time."""
    if not isinstance(system.codec, KLConfig) or not isinstance(codec.net, AutoencoderKL):
        return _own(place, "codec", codec, system.codec)
    table = names.vae(system.codec.vae)
    try:
        config = geometry.codec_json(system.codec)
    except ValueError:
        return _own(place, "codec", codec, system.codec)
    _write(place, config, over_time({table[key]: weight for key, weight in codec.net.state_dict().items()}))
    return ["diffusers", config["_class_name"]]


def _text(place: Path, text: nn.Module, system: System) -> list[str]:
    if not isinstance(system.text, CLIPConfig):
        return _own(place, "text", text, system.text)
    state = text.state_dict()
    stored = {names.old_text(key.removeprefix("model.")): weight for key, weight in state.items()}
    _write(place, geometry.text_json(system.text), stored, stem="model")
    return ["transformers", "CLIPTextModel"]


def _tokenizer(place: Path, text: Any, system: System) -> list[str | None]:
    """CLIP's, where the model has it. Raises ValueError where its files are not to be had."""
    if not isinstance(system.text, CLIPConfig):
        return NONE
    text.tokenizer.save_pretrained(place)
    return ["transformers", "CLIPTokenizer"]


def _write(place: Path, config: Json, state: dict[str, Tensor], stem: str = "diffusion_pytorch_model") -> None:
    place.mkdir()
    _json(place / "config.json", {"_diffusers_version": _diffusers(), **config})
    stored = {key: _narrow(weight).contiguous() for key, weight in state.items()}
    save_file(stored, place / f"{stem}.safetensors", metadata={"format": "pt"})


def _narrow(weight: Tensor) -> Tensor:
    """In half precision where that holds every one of its numbers."""
    half = weight.to(torch.float16)
    return half if weight.is_floating_point() and torch.equal(half.to(weight.dtype), weight) else weight


def _json(file: Path, data: Json) -> None:
    file.write_text(json.dumps(data, indent=2) + "\n")


def _diffusers() -> str:
    import diffusers

    return str(diffusers.__version__)
